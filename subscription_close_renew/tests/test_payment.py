from unittest.mock import patch

from odoo.exceptions import UserError, ValidationError
from odoo.fields import Command
from odoo.modules.neutralize import get_neutralization_queries
from odoo.tests import tagged
from odoo.tools import html2plaintext, mute_logger

from odoo.addons.account.models.account_move import AccountMove

from .payment_common import SubscriptionPaymentCommon

ADDON = "subscription_close_renew"
BATCH_LOGGER = f"odoo.addons.{ADDON}.models.subscription.sale_order_scheduled"


@tagged("post_install", "-at_install")
class TestPayment(SubscriptionPaymentCommon):
    """P1–P3: what is charged, and what is not."""

    def test_paid_period_is_invoiced_and_settled(self):
        order = self.subscription(card=self.card())
        with self.provider("done"):
            self.bill()
        period = order.period_ids.sudo()
        self.assertEqual((period.status, period.invoice_ids.state), ("paid", "posted"))
        self.assertEqual(len(self.calls), 1)
        self.assertDates(order, next_invoice_date="2027-02-28")
        self.assertFalse(order.payment_exception)

    def test_paid_period_is_not_charged_again(self):
        self.subscription(card=self.card())
        with self.provider("done"):
            self.bill()
            self.bill()
        self.assertEqual(len(self.calls), 1)

    def test_charge_is_for_the_amount_of_the_invoice(self):
        order = self.subscription(card=self.card(), lines=[self.line(quantity=2), self.line(self.one_time_product)])
        with self.provider("done"):
            self.bill()
        self.assertEqual(self.charges(order).amount, 230)

    def test_missed_periods_are_charged_one_by_one(self):
        order = self.subscription(card=self.card())
        with self.provider("done"):
            self.bill("2027-04-10")
        self.assertEqual(
            self.billed_periods(order),
            [("2027-01-31", "2027-02-28"), ("2027-02-28", "2027-03-31"), ("2027-03-31", "2027-04-30")],
        )
        self.assertEqual(len(set(self.calls)), 3)

    def test_pending_period_waits_for_the_notification(self):
        order = self.subscription(card=self.card())
        with self.provider("pending"):
            self.bill()
            self.bill("2027-02-10")
        self.assertEqual(order.period_ids.status, "pending")
        self.assertEqual(len(self.calls), 1)
        self.notify(self.charges(order), "done")
        self.assertEqual(order.period_ids.status, "paid")

    def test_authorized_period_waits_for_the_capture(self):
        order = self.subscription(card=self.card())
        with self.provider("authorized"):
            self.bill()
            self.bill("2027-02-10")
        self.assertEqual((order.period_ids.status, len(self.calls)), ("pending", 1))
        self.notify(self.charges(order), "done")
        self.assertEqual(order.period_ids.status, "paid")

    def test_pending_period_that_fails_is_declined(self):
        order = self.subscription(card=self.card())
        with self.provider("pending"):
            self.bill()
        self.notify(self.charges(order), "declined")
        self.assertEqual(order.period_ids.status, "declined")
        self.assertDates(order.period_ids, retry_date="2027-02-01")

    def test_nothing_to_pay_needs_no_charge(self):
        order = self.subscription(card=self.card(), lines=[self.line(price_unit=0)])
        with self.provider("declined"):
            self.bill()
        self.assertEqual((self.calls, order.period_ids.state), ([], "invoiced"))

    def assertSetAside(self, order, words):
        """Assert that nothing was charged or invoiced and that the salesperson was notified of the reason."""
        self.assertEqual(self.calls, [])
        self.assertFalse(self.charges(order) | order.sudo().period_ids.transaction_ids)
        self.assertFalse(order.payment_exception)
        self.assertDates(order, next_invoice_date="2027-01-31")
        self.assertIn(words, html2plaintext(order.activity_ids.note))

    def test_negative_total_is_not_sent_to_the_provider(self):
        goodwill = self.line(self.one_time_product, price_unit=-180)
        order = self.subscription(card=self.card(), lines=[self.line(), goodwill])
        with self.provider("done"), mute_logger(BATCH_LOGGER):
            self.bill()
        self.assertSetAside(order, "negative total amount")

    def test_invoice_that_cannot_be_posted_is_not_sent_to_the_provider(self):
        order = self.subscription(card=self.card())
        refused = patch.object(AccountMove, "_post", side_effect=UserError("The books are closed."))
        with refused, self.provider("done"), mute_logger(BATCH_LOGGER):
            self.bill()
        self.assertSetAside(order, "The books are closed.")

    def test_zero_amount_is_never_charged(self):
        order = self.subscription(card=self.card())
        invoice = self.invoice(order)
        for amount in (0, -80):
            charge = self.online_payment(invoice, card=order.payment_token_id, amount=amount, operation="offline")
            with self.subTest(amount), self.provider("done"), self.assertRefused("nothing to pay"):
                charge._charge_with_token()
            charge.state = "cancel"
        self.assertEqual(self.calls, [])

    def test_invoice_is_a_draft_while_the_provider_is_asked(self):
        order = self.subscription(card=self.card())
        states = []
        with self.provider(lambda transaction: states.append(transaction.invoice_ids.state) or "done"):
            self.bill()
        self.assertEqual(states, ["draft"])
        self.assertEqual(len(self.mails(self.invoices(order))), 0)
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28")])

    def test_without_a_card_nothing_is_charged(self):
        order = self.subscription()
        with self.provider("done"):
            self.bill()
        self.assertEqual((self.calls, order.period_ids.status), ([], "invoiced"))

    def test_closed_subscription_is_not_charged(self):
        order = self.subscription(card=self.card())
        order.subscription_close(self.reason.id)
        with self.provider("done"):
            self.bill("2027-03-15")
        self.assertEqual(self.calls, [])

    def test_subscription_that_closes_today_is_not_charged(self):
        order = self.subscription(card=self.card())
        order.subscription_close(self.reason.id, when="date", date="2027-02-10")
        with self.provider("declined"):
            self.bill()
            self.bill("2027-02-10")
        self.assertEqual(len(self.calls), 1)

    def test_closing_gives_up_a_declined_payment(self):
        order = self.subscription(card=self.card())
        with self.provider("declined"):
            self.bill()
            order.subscription_close(self.reason.id)
            self.bill("2027-02-10")
        self.assertEqual(len(self.calls), 1)
        self.assertFalse(order.period_ids.retry_date)


@tagged("post_install", "-at_install")
class TestPaymentMethod(SubscriptionPaymentCommon):
    """The payment methods that a subscription can and cannot be charged to."""

    def assertNotCalled(self, order, reason):
        """Assert that billing invoices the subscription without a request to the provider, for this reason."""
        with self.provider("done"):
            self.bill()
        self.assertEqual(self.calls, [])
        self.assertEqual((order.period_ids.state, order.period_ids.status), ("invoiced", "declined"))
        self.assertRegex(order.period_ids.charge_error, reason)

    def test_removed_card_is_not_charged(self):
        card = self.card()
        order = self.subscription(card=card)
        card.active = False
        self.assertNotCalled(order, "was removed")

    def test_expired_card_is_not_charged(self):
        order = self.subscription(card=self.card(subscription_valid_until="2027-01-30"))
        self.assertNotCalled(order, "has expired")

    def test_card_is_valid_until_its_last_day(self):
        self.subscription(card=self.card(subscription_valid_until="2027-01-31"))
        with self.provider("done"):
            self.bill()
        self.assertEqual(len(self.calls), 1)

    def test_card_of_a_colleague_who_left_the_company_is_not_charged(self):
        company, elsewhere = self.env["res.partner"].create(
            [{"name": name, "is_company": True} for name in ("Customer & Co", "Elsewhere")]
        )
        colleague = self.env["res.partner"].create({"name": "Colleague", "parent_id": company.id})
        order = self.subscription(card=self.card(partner=colleague), partner_id=company.id)
        colleague.parent_id = elsewhere
        self.assertNotCalled(order, "another customer or company")

    def test_card_of_a_colleague_is_charged(self):
        company = self.env["res.partner"].create({"name": "Customer & Co", "is_company": True})
        colleague = self.env["res.partner"].create({"name": "Colleague", "parent_id": company.id})
        self.subscription(card=self.card(partner=colleague), partner_id=company.id)
        with self.provider("done"):
            self.bill()
        self.assertEqual(len(self.calls), 1)

    def test_card_of_another_company_is_not_charged(self):
        card = self.card()
        order = self.subscription(card=card)
        # Odoo's form warns of this, but its server accepts it.
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE payment_token SET company_id = %s WHERE id = %s", [self.env.ref("base.main_company").id, card.id]
        )
        self.env.invalidate_all()
        self.assertNotCalled(order, "another customer or company")

    def test_card_of_a_disabled_provider_is_not_charged(self):
        order = self.subscription(card=self.card())
        self.payment_provider.state = "disabled"
        self.assertNotCalled(order, "removed|disabled")

    def test_card_that_outlived_its_provider_is_not_charged(self):
        order = self.subscription(card=self.card())
        self.env.flush_all()
        self.env.cr.execute("UPDATE payment_provider SET state = 'disabled' WHERE id = %s", [self.payment_provider.id])
        self.env.invalidate_all()
        self.assertNotCalled(order, "disabled")

    def test_no_card_is_charged_in_a_neutralized_copy_of_the_database(self):
        self.payment_provider.state = "enabled"
        order = self.subscription(card=self.card())
        self.env["ir.cron"]._set_subscription_billing_workers(2)
        self.env.flush_all()
        for query in get_neutralization_queries(["base", "payment", ADDON]):
            self.env.cr.execute(query)
        self.env.invalidate_all()
        workers = self.env["ir.cron"]._get_subscription_billing_crons()
        self.assertEqual(workers.mapped("active"), [False, False])
        self.assertNotCalled(order, "disabled")

    def test_card_of_an_archived_payment_method_is_not_charged(self):
        order = self.subscription(card=self.card())
        self.env.flush_all()
        self.env.cr.execute("UPDATE payment_method SET active = FALSE WHERE id = %s", [self.payment_method.id])
        self.env.invalidate_all()
        self.assertNotCalled(order, "disabled")

    def test_customer_is_notified_that_the_card_was_not_charged(self):
        order = self.subscription(card=self.card(subscription_valid_until="2027-01-30"))
        with self.provider("done"):
            self.bill()
        self.assertEqual([mail.subject.endswith("failed") for mail in self.mails(order)], [True])

    def test_new_card_pays_at_the_next_attempt(self):
        order = self.subscription(card=self.card(subscription_valid_until="2027-01-30"))
        with self.provider("done"):
            self.bill()
            order.payment_token_id = self.card()
            self.bill("2027-02-01")
        self.assertEqual(order.period_ids.status, "paid")

    def test_card_of_another_customer_is_refused(self):
        order = self.subscription()
        other = self.env["res.partner"].create({"name": "Other Customer"})
        with self.assertRaisesRegex(ValidationError, "does not belong to the customer"):
            order.with_user(self.sales_lead).payment_token_id = self.card(partner=other)

    def test_customer_cannot_change_while_a_card_is_set(self):
        order = self.subscription(card=self.card())
        other = self.env["res.partner"].create({"name": "Other Customer"})
        with self.assertRaisesRegex(ValidationError, "does not belong to the customer"):
            order.write({"partner_id": other.id, "partner_invoice_id": other.id})

    def test_card_of_another_company_is_refused(self):
        order = self.subscription()
        provider = self.payment_provider.copy(
            {"company_id": self.make_company("Other Company").id, "code": "none", "state": "disabled"}
        )
        with self.assertRaisesRegex(ValidationError, "customer and company"):
            order.sudo().payment_token_id = self.card(provider_id=provider.id)

    def test_card_is_stored_only_for_orders_with_a_plan(self):
        required = self.payment_provider._is_tokenization_required
        self.assertTrue(required(sale_order_id=self.quotation().id))
        self.assertFalse(required(sale_order_id=self.quotation(plan=False, lines=[]).id))
        self.assertFalse(required(sale_order_id=None))
        self.assertFalse(required())

    def test_card_used_by_the_customer_is_charged_from_then_on(self):
        order = self.subscription()
        self.bill()
        card = self.card()
        self.notify(self.online_payment(order.sudo().period_ids.invoice_ids, card=card), "done")
        self.assertEqual(order.payment_token_id, card)
        with self.provider("done"):
            self.bill("2027-02-28")
        self.assertEqual(len(self.calls), 1)

    def test_declined_card_is_not_kept(self):
        order = self.subscription()
        self.bill()
        self.notify(self.online_payment(order.sudo().period_ids.invoice_ids, card=self.card()), "declined")
        self.assertFalse(order.payment_token_id)

    def test_card_of_another_payer_is_not_kept(self):
        order = self.subscription()
        self.bill()
        aunt = self.env["res.partner"].create({"name": "Aunt"})
        invoice = order.sudo().period_ids.invoice_ids
        self.notify(self.online_payment(invoice, card=self.card(partner=aunt), partner_id=aunt.id), "done")
        self.assertEqual(order.period_ids.status, "paid")
        self.assertFalse(order.payment_token_id)


@tagged("post_install", "-at_install")
class TestPaymentInAdvance(SubscriptionPaymentCommon):
    """Payments made when accepting the quotation, or without a card, are not charged again."""

    def prepaid_subscription(self, answer="done", provider=None):
        """Return a subscription paid online by its customer when accepting the quotation."""
        order = self.quotation()
        transaction = self.online_payment(order, card=self.card() if answer == "done" else None, provider=provider)
        self.notify(transaction, answer)
        if order.state != "sale":
            order.action_confirm()
        order.payment_token_id = self.card()
        self.flush_chatter()
        return order

    def test_first_period_is_not_charged_and_the_second_is(self):
        order = self.prepaid_subscription()
        with self.provider("done"):
            self.bill()
            self.assertEqual((self.calls, order.period_ids.status), ([], "paid"))
            self.bill("2027-02-28")
        self.assertEqual(len(self.calls), 1)
        self.assertEqual(set(order.period_ids.mapped("status")), {"paid"})

    def test_also_without_an_outstanding_account(self):
        """With full accounting, such a payment never counts as reconciled and is offered to each invoice."""
        self.patch(type(self.env["account.move"]), "_get_invoice_in_payment_state", lambda _move: "in_payment")
        self.bank_journal.inbound_payment_method_line_ids.payment_account_id = False
        order = self.prepaid_subscription()
        with self.provider("done"):
            self.bill()
            self.assertEqual((self.calls, order.period_ids.state), ([], "invoiced"))
            self.bill("2027-02-28")
        self.assertEqual(len(self.calls), 1)

    def test_payment_confirmed_by_the_bank_before_the_invoice_settles_it(self):
        order = self.prepaid_subscription()
        payment = order.sudo().transaction_ids.payment_id
        statement = self.env["account.move"].create(
            {
                "journal_id": self.bank_journal.id,
                "line_ids": [
                    Command.create({"account_id": self.bank_journal.default_account_id.id, "debit": 100}),
                    Command.create({"account_id": self.outstanding.id, "credit": 100}),
                ],
            }
        )
        statement.action_post()
        entries = (statement | payment.move_id).line_ids
        entries.filtered(lambda line: line.account_id == self.outstanding).reconcile()
        self.assertEqual(payment.state, "paid")
        with self.provider("done"):
            self.bill()
        self.assertEqual((self.calls, order.period_ids.status), ([], "paid"))

    def test_payment_of_a_cancelled_invoice_pays_the_next(self):
        order = self.charged_and_cancelled()
        with self.provider("done"):
            self.bill("2027-02-01")
            self.assertEqual((len(self.calls), order.period_ids.sorted("id")[-1:].status), (1, "paid"))
            self.bill("2027-02-28")
        self.assertEqual(len(self.calls), 2)
        self.assertEqual(len(self.payments(order)), 2)

    def test_payment_of_a_cancelled_invoice_pays_part_of_a_larger_one(self):
        order = self.charged_and_cancelled()
        order.order_line.product_uom_qty = 2
        self.flush_chatter()
        with self.provider("done"):
            self.bill("2027-02-01")
        self.assertEqual(self.charges(order).mapped("amount"), [100, 100])
        self.assertEqual(order.period_ids.sorted("id")[-1:].status, "paid")

    def test_refunded_payment_of_a_cancelled_invoice_pays_nothing(self):
        order = self.charged_and_cancelled()
        self.notify(self.charges(order)._create_child_transaction(100, is_refund=True), "done")
        with self.provider("done"):
            self.bill("2027-02-01")
        self.assertEqual((len(self.calls), order.period_ids.sorted("id")[-1:].status), (2, "paid"))

    def charged_and_cancelled(self):
        """Return a subscription whose first invoice was charged, then cancelled by the accountant."""
        order = self.subscription(card=self.card())
        with self.provider("done"):
            self.bill()
        order.sudo().period_ids.invoice_ids.with_user(self.accountant).button_cancel()
        self.flush_chatter()
        return order

    def test_authorized_payment_that_was_captured_before_the_invoice_settles_it(self):
        order = self.quotation()
        authorized = self.online_payment(order, card=self.card())
        self.notify(authorized, "authorized")
        self.notify(authorized._create_child_transaction(100), "done")
        self.assertNotIn("Paid twice", self.todo(order))
        with self.provider("done"):
            self.bill()
            self.assertEqual((self.calls, order.period_ids.status), ([], "paid"))
            self.bill("2027-02-28")
        self.assertEqual(len(self.calls), 1)
        self.assertEqual(set(order.period_ids.mapped("status")), {"paid"})

    def test_remainder_of_a_partial_payment_is_charged(self):
        order = self.quotation(require_payment=True, prepayment_percent=0.4)
        self.notify(self.online_payment(order, card=self.card(), amount=40), "done")
        self.assertTrue(order.payment_token_id)
        with self.provider("done"):
            self.bill()
        self.assertEqual(self.charges(order).mapped("amount"), [40, 60])
        self.assertEqual(order.period_ids.status, "paid")

    def test_invoice_with_a_payment_under_way_is_not_charged(self):
        order = self.prepaid_subscription("pending")
        with self.provider("done"):
            self.bill()
        self.assertEqual((self.calls, order.period_ids.state), ([], "invoiced"))

    def test_invoice_is_charged_when_the_payment_under_way_fails(self):
        order = self.prepaid_subscription("pending")
        with self.provider("done"):
            self.bill()
            self.bill("2027-02-01")
            self.assertEqual(self.calls, [])
        self.notify(order.sudo().transaction_ids, "declined")
        with self.provider("done"):
            self.bill("2027-02-02")
            self.bill("2027-02-03")
        self.assertEqual((len(self.calls), order.period_ids.status), (1, "paid"))

    def test_payment_under_way_that_succeeds_leaves_nothing_to_charge(self):
        order = self.prepaid_subscription("pending")
        with self.provider("done"):
            self.bill()
        self.notify(order.sudo().transaction_ids, "done")
        self.assertEqual((order.period_ids.status, order.period_ids.retry_date), ("paid", False))
        with self.provider("done"):
            self.bill("2027-02-03")
        self.assertEqual(self.calls, [])

    def test_promised_wire_transfer_does_not_hold_back_a_charge(self):
        wire = self.make_provider("Wire Transfer", code="none")
        order = self.prepaid_subscription("pending", provider=wire)
        with self.provider("done"):
            self.bill()
        self.assertEqual((len(self.calls), order.period_ids.status), (1, "paid"))

    def test_pending_wire_transfer_without_a_card_charges_nothing(self):
        wire = self.make_provider("Wire Transfer", code="none")
        order = self.prepaid_subscription("pending", provider=wire)
        order.payment_token_id = False
        with self.provider("done"):
            self.bill()
        self.assertEqual((self.calls, order.period_ids.status), ([], "invoiced"))
