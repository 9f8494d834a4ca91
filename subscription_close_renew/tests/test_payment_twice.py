import requests

from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import html2plaintext

from .test_payment_exception import PaymentExceptionCommon


@tagged("post_install", "-at_install")
class TestPaymentTwice(PaymentExceptionCommon):
    """A double payment is reported if, and only if, there is an overpayment."""

    def assertTwice(self, order, amount):
        """Assert that the salesperson is notified of this overpayment."""
        activities = order.sudo().activity_ids.filtered(lambda activity: activity.summary == "Paid twice")
        self.assertEqual(len(activities), 1)
        self.assertIn(order.currency_id.format(amount), html2plaintext(activities.note))

    def assertNotTwice(self, order):
        self.assertNotIn("Paid twice", self.todo(order))

    def pay_by_bank_statement(self, invoice):
        """Reconcile an invoice with a line of the bank statement, in part or in whole."""
        entry = self.env["account.move"].create(
            {
                "journal_id": self.bank_journal.id,
                "line_ids": [
                    Command.create({"account_id": account.id, "partner_id": self.customer.id, **amount})
                    for account, amount in (
                        (self.outstanding, {"debit": invoice.amount_residual}),
                        (invoice.line_ids.account_id.filtered("reconcile"), {"credit": invoice.amount_residual}),
                    )
                ],
            }
        )
        entry.action_post()
        lines = (entry + invoice.sudo()).line_ids.filtered(lambda line: line.account_type == "asset_receivable")
        lines.reconcile()
        self.flush_chatter()

    def credit(self, invoice, amount):
        """Post a credit note for part of an invoice, and reconcile it."""
        note = invoice.sudo()._reverse_moves([{}])
        note.invoice_line_ids.price_unit = amount
        note.action_post()
        lines = (note + invoice.sudo()).line_ids.filtered(lambda line: line.account_type == "asset_receivable")
        lines.reconcile()
        self.flush_chatter()

    # Reported

    def test_amount_to_refund_pays_no_other_invoice(self):
        order = self.frozen_subscription()
        self.untick(order)
        charge = self.charges(order)
        charge.invoice_ids.with_user(self.accountant).button_cancel()
        self.flush_chatter()
        self.notify(charge, "done")
        self.assertTwice(order, 100)
        with self.provider("done"):
            self.bill("2027-02-01")
        self.assertEqual((len(self.calls), order.period_ids.status), (2, "paid"))

    def test_payment_registered_manually_after_unticking(self):
        order = self.frozen_retry()
        self.untick(order)
        self.register_payment(self.open_invoice(order))
        self.notify(self.charges(order)[-1:], "done")
        self.assertTwice(order, 100)

    def test_invoice_and_payment_registered_manually(self):
        order = self.frozen_subscription()
        invoice = order.with_user(self.accountant)._create_invoices()
        invoice.action_post()
        self.flush_chatter()
        self.untick(order)
        self.register_payment(invoice)
        self.notify(self.charges(order), "done")
        self.assertTwice(order, 100)

    def test_payment_registered_manually_while_pending(self):
        order = self.subscription(card=self.card())
        with self.provider("pending"):
            self.bill()
        self.register_payment(self.open_invoice(order))
        self.notify(self.charges(order), "done")
        self.assertTwice(order, 100)

    def test_payment_registered_manually_and_captured_afterwards(self):
        order = self.subscription(card=self.card())
        with self.provider("authorized"):
            self.bill()
        self.register_payment(self.open_invoice(order))
        self.notify(self.charges(order)._create_child_transaction(100), "done")
        self.assertTwice(order, 100)

    def test_settled_by_the_bank_statement_while_unknown(self):
        order = self.frozen_retry()
        self.pay_by_bank_statement(self.open_invoice(order))
        self.notify(self.charges(order)[-1:], "done")
        self.assertTwice(order, 100)

    def test_settled_by_the_bank_statement_and_resolved_as_paid(self):
        order = self.frozen_retry()
        self.pay_by_bank_statement(self.open_invoice(order))
        self.resolve(order, "paid")
        self.assertTwice(order, 100)

    def test_partly_credited_after_unticking(self):
        order = self.frozen_retry()
        self.untick(order)
        self.credit(self.open_invoice(order), 40)
        self.notify(self.charges(order)[-1:], "done")
        self.assertTwice(order, 40)

    def test_partly_credited_and_the_remainder_charged(self):
        order = self.frozen_retry()
        self.untick(order)
        self.credit(self.open_invoice(order), 40)
        with self.provider("done"):
            self.bill("2027-02-01")
        self.assertNotTwice(order)
        self.notify(self.charges(order)[1], "done")
        self.assertTwice(order, 100)

    def test_late_success_of_an_abandoned_charge(self):
        order = self.frozen_subscription()
        charge = self.charges(order)
        order.subscription_close(self.reason.id)
        self.resolve(order, "unpaid")
        self.notify(charge, "done")
        self.assertTwice(order, 100)

    def test_quotation_that_was_paid_by_two_payments(self):
        order = self.quotation()
        first, second = self.online_payment(order), self.online_payment(order)
        self.notify(first, "done")
        self.assertNotTwice(order)
        self.notify(second, "done")
        self.assertTwice(order, 100)

    def test_quotation_that_was_paid_in_two_parts(self):
        order = self.quotation(require_payment=True, prepayment_percent=0.4)
        for amount in (40, 60):
            self.notify(self.online_payment(order, amount=amount), "done")
        self.assertNotTwice(order)
        self.bill()
        self.assertEqual(order.period_ids.status, "paid")

    def test_without_an_outstanding_account(self):
        self.patch(type(self.env["account.move"]), "_get_invoice_in_payment_state", lambda _move: "in_payment")
        self.bank_journal.inbound_payment_method_line_ids.payment_account_id = False
        order = self.subscription(card=self.card())
        with self.provider("declined"):
            self.bill()
            self.bill("2027-02-01")
        first, second = self.charges(order)
        self.notify(second, "done")
        self.assertNotTwice(order)
        self.notify(first, "done")
        self.assertTwice(order, 100)

    def test_in_another_currency(self):
        euro = self.env.ref("base.EUR")
        euro.active = True
        pricelist = self.env["product.pricelist"].create({"name": "Euro", "currency_id": euro.id})
        order = self.subscription(card=self.card(), pricelist_id=pricelist.id)
        with self.provider("declined", requests.Timeout()):
            self.bill()
            self.bill("2027-02-01")
        self.untick(order)
        invoice = self.open_invoice(order)
        amount = invoice.amount_total
        self.register_payment(invoice)
        self.notify(self.charges(order)[-1:], "done")
        self.assertTwice(order, amount)

    def test_activity_names_the_other_payment(self):
        order = self.frozen_retry()
        self.untick(order)
        self.register_payment(self.open_invoice(order))
        payment = self.payments(order)
        self.notify(self.charges(order)[-1:], "done")
        note = order.sudo().activity_ids.filtered(lambda activity: activity.summary == "Paid twice").note
        self.assertIn(self.charges(order)[-1:].reference, note)
        self.assertIn(payment.name, note)

    # Not reported

    def test_captured_in_two_parts(self):
        order = self.subscription(card=self.card())
        with self.provider("authorized"):
            self.bill()
        for amount in (60, 40):
            self.notify(self.charges(order)._create_child_transaction(amount), "done")
        self.assertEqual(order.period_ids.status, "paid")
        self.assertNotTwice(order)

    def test_one_payment_of_two_invoices(self):
        first, second = self.subscription(), self.subscription()
        self.bill()
        invoices = (first + second).sudo().invoice_ids
        self.notify(self.online_payment(invoices), "done")
        self.assertEqual(set((first + second).period_ids.mapped("status")), {"paid"})
        self.assertNotTwice(first + second)

    def test_order_larger_than_its_invoice(self):
        order = self.quotation(lines=[self.line(), self.line(self.one_time_product, qty_delivered_method="manual")])
        self.one_time_product.invoice_policy = "delivery"
        payment = self.online_payment(order)
        self.notify(payment, "pending")
        order.action_confirm()
        self.flush_chatter()
        self.bill()
        self.assertEqual(self.invoices(order).amount_total, 100)
        self.notify(payment, "done")
        self.assertEqual(payment.invoice_ids.payment_state, "paid")
        self.assertNotTwice(order)

    def test_partial_payments_that_add_up_to_the_total(self):
        order = self.subscription()
        self.bill()
        invoice = order.sudo().invoice_ids
        for amount in (40, 60):
            self.notify(self.online_payment(invoice, amount=amount), "done")
        self.assertEqual(order.period_ids.status, "paid")
        self.assertNotTwice(order)

    def test_part_paid_manually_and_the_remainder_by_card(self):
        order = self.frozen_retry()
        self.untick(order)
        invoice = self.open_invoice(order)
        wizards = self.env["account.payment.register"].with_user(self.accountant)
        wizards.with_context(active_model="account.move", active_ids=invoice.ids).create(
            {"amount": 30, "payment_difference_handling": "open"}
        )._create_payments()
        self.flush_chatter()
        with self.provider("done"):
            self.bill("2027-02-01")
        self.assertEqual((self.charges(order)[-1:].amount, order.period_ids.status), (70, "paid"))
        self.assertNotTwice(order)

    def test_refund_and_a_new_payment(self):
        order = self.subscription(card=self.card())
        with self.provider("done"):
            self.bill()
        charge = self.charges(order)
        refund = charge._create_child_transaction(
            100, is_refund=True, invoice_ids=[Command.set(charge.invoice_ids.ids)]
        )
        self.notify(refund, "done")
        self.assertNotTwice(order)
