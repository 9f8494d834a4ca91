from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tests import tagged

from .test_payment_exception import PaymentExceptionCommon

REFUSED = "is being processed"


@tagged("post_install", "-at_install")
class TestPaymentUnderWay(PaymentExceptionCommon):
    """P1: while a payment is unknown or pending, its documents cannot be changed."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.made_once("frozen_subscription")

    def pending_subscription(self):
        """Return a subscription with a pending first charge and a posted invoice, forgetting earlier requests."""
        self.calls.clear()
        order = self.subscription(card=self.card())
        with self.provider("pending"):
            self.bill()
        return order

    def assertHeld(self, order, act):
        """Assert that an action is refused and that the charge then has its own outcome."""
        with self.assertRefused(REFUSED), self.env.cr.savepoint():
            act()
        self.env.invalidate_all()
        self.notify(self.charges(order), "done")
        self.assertEqual((order.period_ids.status, order.payment_exception), ("paid", False))
        self.assertEqual(len(self.payments(order)), 1)
        with self.provider("done"):
            self.bill("2027-02-01")
        self.assertEqual(len(self.calls), 1)

    # Unknown: the invoice is a draft

    def test_draft_is_not_deleted(self):
        order = self.order
        self.assertHeld(order, self.open_invoice(order).unlink)

    def test_draft_is_not_cancelled(self):
        order = self.order
        self.assertHeld(order, self.open_invoice(order).button_cancel)

    def test_draft_is_not_cancelled_without_the_button(self):
        order = self.order
        self.assertHeld(order, lambda: self.open_invoice(order).write({"state": "cancel"}))

    def test_price_does_not_change(self):
        order = self.order
        self.assertHeld(order, lambda: self.open_invoice(order).invoice_line_ids.write({"price_unit": 1}))

    def test_price_does_not_change_in_the_form(self):
        order = self.order
        invoice = self.open_invoice(order)
        change = [Command.update(invoice.invoice_line_ids.id, {"quantity": 3})]
        self.assertHeld(order, lambda: invoice.write({"invoice_line_ids": change}))

    def test_no_line_is_added(self):
        order = self.order
        invoice = self.open_invoice(order)
        values = {"move_id": invoice.id, "product_id": self.one_time_product.id, "price_unit": 30}
        self.assertHeld(order, lambda: invoice.invoice_line_ids.create(values))

    def test_no_line_is_removed(self):
        order = self.order
        self.assertHeld(order, lambda: self.open_invoice(order).invoice_line_ids.unlink())

    def test_no_one_time_line_is_removed(self):
        self.calls.clear()
        order = self.frozen_subscription(lines=[self.line(), self.line(self.one_time_product)])
        lines = self.open_invoice(order).invoice_line_ids
        self.assertHeld(order, lines.filtered(lambda line: line.product_id == self.one_time_product).unlink)

    def test_customer_does_not_change(self):
        order = self.order
        other = self.env["res.partner"].create({"name": "Other Customer"})
        self.assertHeld(order, lambda: self.open_invoice(order).write({"partner_id": other.id}))

    def test_currency_does_not_change(self):
        order = self.order
        euro = self.env.ref("base.EUR")
        euro.active = True
        self.assertHeld(order, lambda: self.open_invoice(order).write({"currency_id": euro.id}))

    def test_charge_is_not_detached_from_its_invoice(self):
        order = self.order
        self.assertHeld(order, lambda: self.open_invoice(order).write({"transaction_ids": [Command.clear()]}))

    def test_invoice_is_not_detached_from_its_charge(self):
        order = self.order
        charge = self.charges(order).with_user(self.accountant).sudo(False)
        self.assertHeld(order, lambda: charge.write({"invoice_ids": [Command.clear()]}))

    def test_outcome_of_a_charge_is_not_written_manually(self):
        for values in ({"state": "done"}, {"state": "error"}, {"subscription_holds_exception": False}):
            order = self.frozen_subscription()
            charge = self.charges(order).with_user(self.accountant).sudo(False)
            with self.subTest(values), self.assertRefused(REFUSED):
                charge.write(values)

    def test_charge_is_not_deleted(self):
        order = self.order
        self.assertHeld(order, self.charges(order).unlink)

    def test_order_is_not_cancelled(self):
        order = self.order
        self.assertHeld(order, order.action_cancel)

    def test_order_is_not_deleted(self):
        order = self.order
        with self.assertRaises(UserError):
            order.sudo().unlink()

    def test_refusal_names_the_payment(self):
        order = self.order
        with self.assertRefused(self.calls[0]):
            self.open_invoice(order).button_cancel()

    def test_posting_is_possible(self):
        order = self.order
        self.open_invoice(order).action_post()
        self.notify(self.charges(order), "done")
        self.assertEqual(order.period_ids.status, "paid")

    def test_fields_that_do_not_affect_the_amount_can_change(self):
        order = self.order
        invoice = self.open_invoice(order)
        invoice.ref = "PO 4711"
        invoice.invoice_line_ids.name = "Coffee"
        self.assertEqual(invoice.ref, "PO 4711")

    # Unknown, with a manual invoice

    def test_manual_invoice_replaces_the_draft_and_is_held(self):
        order = self.order
        invoice = order.with_user(self.accountant)._create_invoices()
        invoice.action_post()
        self.flush_chatter()
        with self.assertRefused(REFUSED), self.env.cr.savepoint():
            invoice.button_draft()
        self.resolve(order, "paid")
        self.assertEqual(invoice.payment_state, "paid")

    # Pending: the invoice is posted

    def test_pending_invoice_is_not_reset(self):
        order = self.pending_subscription()
        self.assertHeld(order, self.open_invoice(order).button_draft)

    def test_pending_invoice_is_not_cancelled(self):
        order = self.pending_subscription()
        self.assertHeld(order, self.open_invoice(order).button_cancel)

    def test_pending_invoice_is_not_credited(self):
        order = self.pending_subscription()
        self.assertHeld(order, lambda: self.credit(self.open_invoice(order)))

    def test_earlier_credit_note_is_not_posted(self):
        order = self.subscription(card=self.card())
        with self.provider("declined", "pending"):
            self.bill()
            note = self.credit(self.open_invoice(order))
            self.bill("2027-02-01")
        self.calls.pop()
        with self.assertRefused(REFUSED), self.env.cr.savepoint():
            note.action_post()

    def test_customers_own_pending_payment_holds_its_invoice(self):
        order = self.subscription()
        self.bill()
        invoice = self.open_invoice(order)
        self.notify(self.online_payment(invoice), "pending")
        with self.assertRefused(REFUSED):
            invoice.button_draft()

    # No longer under way

    def test_unticked_draft_can_be_cancelled(self):
        order = self.order
        self.untick(order)
        self.open_invoice(order).button_cancel()
        with self.provider("done"):
            self.bill("2027-02-01")
        self.assertEqual(order.period_ids.status, "paid")

    def test_declined_invoice_can_be_credited(self):
        order = self.subscription(card=self.card())
        with self.provider("declined"):
            self.bill()
        note = self.credit(self.open_invoice(order))
        note.action_post()
        self.assertEqual(note.state, "posted")

    def test_paid_invoice_can_be_credited_while_its_refund_is_pending(self):
        order = self.subscription(card=self.card())
        with self.provider("done"):
            self.bill()
        invoice = self.invoices(order)
        charge = self.charges(order)
        refund = charge._create_child_transaction(100, is_refund=True, invoice_ids=[Command.set(invoice.ids)])
        refund._set_pending()
        self.assertEqual(self.credit(invoice).move_type, "out_refund")

    def test_exception_ticked_manually_holds_nothing(self):
        order = self.subscription()
        self.bill()
        order.payment_exception = True
        invoice = self.open_invoice(order)
        self.reset(invoice)
        self.assertEqual(invoice.state, "draft")

    def test_close_leaves_the_charge_to_its_outcome(self):
        order = self.order
        order.subscription_close(self.reason.id)
        self.notify(self.charges(order), "done")
        self.assertEqual((order.subscription_state, order.period_ids.status), ("churned", "paid"))

    def credit(self, invoice):
        """Return the draft credit note created by the button Credit Note."""
        wizards = invoice.env["account.move.reversal"].with_context(active_model="account.move", active_ids=invoice.ids)
        return invoice.browse(wizards.create({"journal_id": invoice.journal_id.id}).refund_moves()["res_id"])
