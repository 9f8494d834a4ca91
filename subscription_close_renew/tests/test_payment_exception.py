import requests

from odoo.exceptions import AccessError
from odoo.fields import Command
from odoo.tests import Form, tagged
from odoo.tools import SQL

from odoo.addons.subscription_close_renew.models.payment.payment_transaction import CHARGE_LOCK

from .payment_common import SubscriptionPaymentCommon


class PaymentExceptionCommon(SubscriptionPaymentCommon):
    """Subscriptions with an unknown payment outcome."""

    def frozen_subscription(self, **values):
        """Return a subscription whose first charge got no answer: its invoice is a draft."""
        order = self.subscription(card=self.card(), **values)
        with self.provider(requests.Timeout()):
            self.bill()
        return order

    def frozen_retry(self):
        """Return a subscription whose first charge was declined and retry got no answer: its invoice is posted."""
        order = self.subscription(card=self.card())
        with self.provider("declined", requests.Timeout()):
            self.bill()
            self.bill("2027-02-01")
        return order

    def untick(self, order):
        """Untick Contract in exception, as a salesperson does."""
        order.payment_exception = False
        self.flush_chatter()

    def resolve(self, order, outcome, user=None, **values):
        """Submit the pop-up Resolve Payment Failure, and return the result of its button."""
        order = order.with_user(user or self.salesperson)
        action = order.action_subscription_resolve_exception()
        wizards = order.env[action["res_model"]].with_context(**action["context"])
        return self.click(wizards.create({"outcome": outcome, **values}), "action_submit")

    def open_invoice(self, order):
        """Return the invoice that the charge is for, in the environment of the accountant."""
        return order.sudo().period_ids._get_open_invoice().with_user(self.accountant).sudo(False)


@tagged("post_install", "-at_install")
class TestPaymentException(PaymentExceptionCommon):
    """Contract in exception, unticked once somebody has found out what happened."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.made_once("frozen_subscription")

    def test_nothing_is_charged_or_invoiced(self):
        order = self.order
        with self.provider("done"):
            self.bill("2027-03-31")
        self.assertEqual(len(self.calls), 1)
        self.assertEqual(order.sudo().invoice_ids.mapped("state"), ["draft"])
        self.assertDates(order, next_invoice_date="2027-01-31")

    def test_order_shows_the_failure(self):
        order = self.subscription(card=self.card())
        self.assertFalse(order.payment_failure)
        with self.provider(requests.Timeout()):
            self.bill()
        self.assertTrue(order.payment_failure)

    def test_declined_order_shows_the_failure(self):
        order = self.subscription(card=self.card())
        with self.provider("declined"):
            self.bill()
        self.assertEqual((order.payment_failure, order.payment_exception), (True, False))

    def test_filter_finds_the_failures(self):
        frozen, declined, fine = self.order, self.subscription(card=self.card()), self.subscription()
        with self.provider("declined"):
            self.bill()
        orders = frozen + declined + fine
        found = orders.search([("id", "in", orders.ids), ("payment_failure", "=", True)])
        self.assertEqual(found, found & (frozen + declined))
        self.assertEqual(len(found), 2)

    def test_filter_finds_the_others(self):
        frozen, fine = self.order, self.subscription()
        orders = frozen + fine
        self.assertEqual(orders.search([("id", "in", orders.ids), ("payment_failure", "=", False)]), fine)

    def test_salesperson_has_an_activity(self):
        order = self.order
        self.assertEqual(self.todo(order), ["Payment Failure"])
        self.assertEqual(order.sudo().activity_ids.user_id, self.salesperson)

    def test_activity_says_which_payment_to_look_up(self):
        order = self.order
        self.assertIn(self.calls[0], order.sudo().activity_ids.note)

    def test_customer_is_not_notified(self):
        order = self.order
        self.assertEqual(self.mails(order), [])

    def test_unticked_failure_is_gone(self):
        order = self.order
        self.untick(order)
        self.assertFalse(order.payment_failure)

    def test_unticked_charge_failed(self):
        order = self.order
        self.untick(order)
        self.assertEqual(self.charges(order).mapped("state"), ["error"])

    def test_unticking_is_in_the_chatter(self):
        order = self.order
        self.untick(order)
        self.assertIn("payment_exception", self.changes(self.last_message(order)))

    def test_unticked_subscription_is_charged_again(self):
        order = self.order
        self.untick(order)
        with self.provider("done"):
            self.bill("2027-02-01")
        self.assertEqual(order.period_ids.status, "paid")
        self.assertEqual(len(set(self.calls)), 2)
        self.assertEqual(self.charges(order).mapped("state"), ["error", "done"])

    def test_unticked_retry_is_charged_again(self):
        self.calls.clear()
        order = self.frozen_retry()
        self.untick(order)
        with self.provider("done"):
            self.bill("2027-02-01")
        self.assertEqual(order.period_ids.status, "paid")
        self.assertEqual(len(set(self.calls)), 3)

    def test_unticked_subscription_is_charged_the_current_amount_of_the_order(self):
        order = self.order
        order.order_line.price_unit = 150
        self.untick(order)
        with self.provider("done"):
            self.bill("2027-02-01")
        self.assertEqual((self.charges(order).mapped("amount"), order.period_ids.status), ([100, 150], "paid"))
        self.assertEqual(order.period_ids.invoice_ids.mapped("amount_total"), [150])

    def test_late_success_of_an_unticked_charge_counts_for_the_new_price(self):
        order = self.order
        order.order_line.price_unit = 150
        self.untick(order)
        with self.provider("declined"):
            self.bill("2027-02-01")
        self.notify(self.charges(order)[:1], "done")
        self.assertEqual(self.open_invoice(order).amount_residual, 50)

    def test_unticked_subscription_is_not_charged_for_a_skipped_period(self):
        order = self.order
        self.untick(order)
        order.next_invoice_date = "2027-02-28"
        with self.provider("done"):
            self.bill("2027-02-28")
        self.assertEqual(self.billed_periods(order), [("2027-02-28", "2027-03-31")])
        self.assertEqual(len(self.calls), 2)

    def test_unticked_subscription_bills_the_period_once(self):
        order = self.order
        self.untick(order)
        with self.provider("done"):
            self.bill("2027-02-01")
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28")])
        self.assertEqual(len(order.sudo().invoice_ids), 1)

    def test_late_success_of_an_unticked_charge_is_recorded(self):
        order = self.order
        self.untick(order)
        self.notify(self.charges(order), "done")
        self.assertEqual(order.period_ids.status, "paid")
        with self.provider("done"):
            self.bill("2027-02-01")
        self.assertEqual(len(self.calls), 1)

    def test_late_success_of_an_unticked_and_repeated_charge_is_reported(self):
        order = self.order
        self.untick(order)
        with self.provider("done"):
            self.bill("2027-02-01")
        self.assertNotIn("Paid twice", self.todo(order))
        self.notify(self.charges(order)[0], "done")
        self.assertIn("Paid twice", self.todo(order))

    def test_late_failure_of_an_unticked_charge_changes_nothing(self):
        order = self.order
        self.untick(order)
        with self.provider("done"):
            self.bill("2027-02-01")
        self.notify(self.charges(order)[0], "declined")
        self.assertEqual((order.period_ids.status, order.period_ids.attempt_count), ("paid", 0))

    def test_unticking_without_an_exception_fails_no_charge(self):
        order = self.subscription(card=self.card())
        with self.provider("pending"):
            self.bill()
        self.untick(order)
        self.assertEqual(self.charges(order).state, "pending")

    def test_manual_ticking_stops_billing(self):
        self.calls.clear()
        order = self.subscription(card=self.card())
        order.payment_exception = True
        with self.provider("done"):
            self.bill()
        self.assertEqual((self.calls, order.period_ids.ids), ([], []))

    def test_close_is_possible(self):
        order = self.order
        order.subscription_close(self.reason.id)
        self.assertEqual(order.subscription_state, "churned")


@tagged("post_install", "-at_install")
class TestPaymentExceptionByHand(PaymentExceptionCommon):
    """An invoice created and posted manually replaces the one created for the charge."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.made_once("frozen_subscription")

    def invoice_by_hand(self, order):
        """Create and post an invoice with Create Invoice, and return it with the draft of the charge."""
        draft = self.open_invoice(order)
        invoice = order.with_user(self.accountant)._create_invoices()
        invoice.action_post()
        self.flush_chatter()
        return invoice, draft

    def test_invoice_takes_over_the_period(self):
        order = self.order
        invoice, _draft = self.invoice_by_hand(order)
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28")])
        self.assertEqual(order.period_ids.sudo().invoice_ids, invoice)

    def test_draft_of_the_charge_is_cancelled(self):
        order = self.order
        invoice, draft = self.invoice_by_hand(order)
        self.assertNotEqual(invoice, draft)
        self.assertEqual((invoice.state, draft.state), ("posted", "cancel"))

    def test_next_invoice_date_moves_automatically(self):
        order = self.order
        self.invoice_by_hand(order)
        self.assertDates(order, next_invoice_date="2027-02-28")

    def test_exception_stands_until_it_is_unticked(self):
        order = self.order
        self.invoice_by_hand(order)
        self.assertTrue(order.payment_exception)

    def test_period_is_not_charged_after_unticking(self):
        order = self.order
        self.invoice_by_hand(order)
        self.untick(order)
        with self.provider("done"):
            self.bill("2027-02-10")
        self.assertEqual(len(self.calls), 1)

    def test_next_period_is_charged_after_unticking(self):
        order = self.order
        self.invoice_by_hand(order)
        self.untick(order)
        with self.provider("done"):
            self.bill("2027-02-28")
        self.assertEqual(len(self.calls), 2)
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28"), ("2027-02-28", "2027-03-31")])

    def test_late_success_pays_the_manual_invoice(self):
        order = self.order
        invoice, draft = self.invoice_by_hand(order)
        charge = order.env["payment.transaction"].sudo().search([("reference", "=", self.calls[0])])
        self.notify(charge, "done")
        self.assertEqual((invoice.payment_state, draft.state), ("paid", "cancel"))

    def test_posting_the_draft_of_the_charge_bills_the_period(self):
        order = self.order
        draft = self.open_invoice(order)
        draft.action_post()
        self.assertEqual((order.period_ids.state, order.period_ids.sudo().invoice_ids.ids), ("invoiced", draft.ids))
        self.assertDates(order, next_invoice_date="2027-02-28")

    def test_posted_draft_of_the_charge_is_not_charged_after_unticking(self):
        order = self.order
        self.open_invoice(order).action_post()
        self.untick(order)
        with self.provider("done"):
            self.bill("2027-02-10")
        self.assertEqual(len(self.calls), 1)

    def test_deleted_draft_of_the_charge_is_created_again(self):
        order = self.order
        self.untick(order)
        self.open_invoice(order).unlink()
        with self.provider("done"):
            self.bill("2027-02-01")
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28")])
        self.assertEqual(order.period_ids.status, "paid")


@tagged("post_install", "-at_install")
class TestPaymentExceptionPaid(PaymentExceptionCommon):
    """Resolve Payment Failure when the payment was made."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.made_once("frozen_subscription")

    def resolve_as_paid(self, order, **values):
        return self.resolve(order, "paid", payment_date="2027-01-30", reference="BANK-17", **values)

    def test_payment_of_a_provider_without_a_journal_is_registered_at_the_bank(self):
        order = self.order
        self.payment_provider.state = "disabled"
        self.env["account.payment.method.line"].search(
            [("payment_provider_id", "=", self.payment_provider.id)]
        ).payment_provider_id = False
        self.payment_provider.invalidate_recordset(["journal_id"])
        self.assertFalse(self.payment_provider.journal_id)
        self.resolve_as_paid(order)
        payment = self.payments(order)
        self.assertEqual((payment.journal_id, payment.memo), (self.bank_journal, "BANK-17"))
        self.assertEqual(order.period_ids.status, "paid")

    def test_invoice_is_posted_and_paid(self):
        order = self.order
        self.resolve_as_paid(order)
        period = order.period_ids.sudo()
        self.assertEqual((period.status, period.invoice_ids.state), ("paid", "posted"))

    def test_payment_has_the_date_and_the_reference(self):
        order = self.order
        self.resolve_as_paid(order)
        payment = self.payments(order)
        self.assertEqual(len(payment), 1)
        self.assertDates(payment, date="2027-01-30")
        self.assertEqual((payment.memo, payment.amount), ("BANK-17", 100))

    def test_transaction_is_done(self):
        order = self.order
        self.resolve_as_paid(order)
        charge = self.charges(order)
        self.assertEqual((charge.state, charge.provider_reference), ("done", "BANK-17"))

    def test_next_invoice_date_moves(self):
        order = self.order
        self.resolve_as_paid(order)
        self.assertDates(order, next_invoice_date="2027-02-28")

    def test_failure_is_gone(self):
        order = self.order
        self.resolve_as_paid(order)
        self.assertEqual((order.payment_exception, order.payment_failure), (False, False))

    def test_chatter_says_who_resolved_what_and_when(self):
        order = self.order
        self.resolve_as_paid(order)
        self.assertIn("paid on 01/30/2027, reference BANK-17", self.chatter(order))
        message = order.sudo().message_ids.filtered(lambda message: "BANK-17" in message.body)[-1:]
        self.assertEqual(message.author_id, self.salesperson.partner_id)

    def test_late_success_changes_nothing(self):
        order = self.order
        self.resolve_as_paid(order)
        self.notify(self.charges(order), "done")
        self.assertEqual(len(self.payments(order)), 1)
        self.assertNotIn("Paid twice", self.todo(order))

    def test_period_is_not_charged_again(self):
        order = self.order
        self.resolve_as_paid(order)
        with self.provider("done"):
            self.bill("2027-02-10")
        self.assertEqual(len(self.calls), 1)

    def test_next_period_is_charged(self):
        order = self.order
        self.resolve_as_paid(order)
        with self.provider("done"):
            self.bill("2027-02-28")
        self.assertEqual(len(self.calls), 2)

    def test_retry_that_was_paid_is_settled(self):
        order = self.frozen_retry()
        self.resolve_as_paid(order)
        self.assertEqual((order.period_ids.status, order.payment_failure), ("paid", False))
        self.assertDates(order.period_ids, retry_date=False)

    def test_payment_of_another_amount_is_settled(self):
        order = self.subscription(card=self.card())
        with self.provider("mismatch"):
            self.bill()
        self.resolve_as_paid(order)
        self.assertEqual((order.period_ids.status, order.payment_failure), ("paid", False))

    def test_invoice_created_manually_meanwhile_is_paid(self):
        order = self.order
        invoice = order.with_user(self.accountant)._create_invoices()
        invoice.action_post()
        self.flush_chatter()
        self.resolve_as_paid(order)
        self.assertEqual(invoice.payment_state, "paid")
        self.assertFalse(order.payment_exception)

    def test_no_reference_is_needed(self):
        order = self.order
        self.resolve(order, "paid")
        self.assertEqual(order.period_ids.status, "paid")
        self.assertDates(self.payments(order), date="2027-01-31")

    def test_closed_subscription_stays_closed(self):
        order = self.order
        order.subscription_close(self.reason.id)
        self.resolve_as_paid(order)
        self.assertEqual((order.subscription_state, order.period_ids.status), ("churned", "paid"))


@tagged("post_install", "-at_install")
class TestPaymentExceptionTicked(PaymentExceptionCommon):
    """Resolve Payment Failure when somebody ticked Contract in exception and no charge is unknown."""

    def ticked_subscription(self, *answers, **values):
        """Return a subscription that was billed (by card, with these answers), then ticked manually."""
        order = self.subscription(card=answers and self.card(), **values)
        if answers:
            with self.provider(*answers):
                self.bill()
        order.payment_exception = True
        self.flush_chatter()
        return order

    def resolve_as_paid(self, order):
        self.resolve(order, "paid", payment_date="2027-01-30", reference="BANK-17")

    def assertRecorded(self, order, amount=100):
        """Assert that one payment is in the books and that the next run charges nothing."""
        payment = self.payments(order)
        self.assertEqual((len(payment), payment.amount, payment.memo), (1, amount, "BANK-17"))
        self.assertEqual((order.period_ids.status, order.payment_failure), ("paid", False))
        calls = len(self.calls)
        with self.provider("done"):
            self.bill("2027-02-02")
        self.assertEqual(len(self.calls), calls)

    def test_payment_of_a_period_that_is_due_is_recorded(self):
        order = self.ticked_subscription()
        order.payment_token_id = self.card()
        self.resolve_as_paid(order)
        self.assertRecorded(order)
        self.assertDates(order, next_invoice_date="2027-02-28")

    def test_payment_of_a_declined_period_is_recorded(self):
        order = self.ticked_subscription("declined")
        self.resolve_as_paid(order)
        self.assertRecorded(order)

    def test_oldest_open_invoice_is_paid(self):
        order = self.subscription()
        self.bill("2027-03-01")
        order.payment_exception = True
        self.resolve_as_paid(order)
        self.assertEqual(order.period_ids.sorted("date_start").mapped("status"), ["paid", "invoiced"])

    def test_open_amount_of_the_invoice_is_recorded(self):
        order = self.ticked_subscription("declined")
        invoice = order.sudo().period_ids.invoice_ids
        note = invoice._reverse_moves([{}])
        note.invoice_line_ids.price_unit = 30
        note.action_post()
        receivable = (invoice + note).line_ids.filtered(lambda line: line.account_type == "asset_receivable")
        receivable.reconcile()
        self.resolve_as_paid(order)
        self.assertRecorded(order, amount=70)

    def test_whole_invoice_is_recorded_though_its_terms_are_in_instalments(self):
        terms = self.env["account.payment.term"].create(
            {
                "name": "Half now, half later",
                "line_ids": [
                    Command.create({"value": "percent", "value_amount": 50, "nb_days": days}) for days in (0, 60)
                ],
            }
        )
        order = self.ticked_subscription(payment_term_id=terms.id)
        self.resolve_as_paid(order)
        self.assertRecorded(order)

    def test_nothing_to_record_is_refused(self):
        order = self.ticked_subscription("done")
        with self.assertRefused("no payment to record"):
            self.resolve_as_paid(order)

    def test_payment_that_is_pending_is_not_recorded_twice(self):
        order = self.ticked_subscription("pending")
        with self.assertRefused("no payment to record"):
            self.resolve_as_paid(order)

    def test_refused_subscription_stays_in_exception(self):
        order = self.ticked_subscription("done")
        with self.assertRefused("no payment to record"), self.env.cr.savepoint():
            self.resolve_as_paid(order)
        self.env.invalidate_all()
        self.assertTrue(order.payment_exception)

    def test_closed_subscription_has_its_open_invoice_paid(self):
        order = self.subscription()
        self.bill()
        order.payment_exception = True
        order.subscription_close(self.reason.id)
        self.resolve_as_paid(order)
        self.assertEqual((order.subscription_state, order.period_ids.status), ("churned", "paid"))

    def test_not_paid_lifts_the_exception(self):
        order = self.ticked_subscription("done")
        self.resolve(order, "unpaid")
        self.assertFalse(order.payment_exception)


@tagged("post_install", "-at_install")
class TestPaymentExceptionUnpaid(PaymentExceptionCommon):
    """Resolve Payment Failure when the payment was not made."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.made_once("frozen_subscription")

    def test_next_run_charges_again(self):
        order = self.order
        self.resolve(order, "unpaid")
        self.assertEqual((len(self.calls), order.payment_exception), (1, False))
        with self.provider("done"):
            self.bill("2027-02-01")
        self.assertEqual(order.period_ids.status, "paid")
        self.assertEqual(len(set(self.calls)), 2)

    def test_next_run_charges_the_invoice_posted_meanwhile(self):
        order = self.order
        self.open_invoice(order).action_post()
        self.resolve(order, "unpaid")
        with self.provider("done"):
            self.bill("2027-02-01")
        self.assertEqual(order.period_ids.status, "paid")

    def test_next_run_charges_the_invoice_created_manually_meanwhile(self):
        order = self.order
        self.invoice(order)
        self.resolve(order, "unpaid")
        with self.provider("done"):
            self.bill("2027-02-01")
        self.assertEqual(order.period_ids.status, "paid")

    def test_charge_awaiting_its_answer_is_not_resolved_manually(self):
        order = self.order
        # The test's own connection would not wait for its own lock.
        awaited = self.charges(order).sudo().copy({"reference": "awaited", "invoice_ids": []})
        awaited.write({"subscription_holds_exception": True, "invoice_ids": self.open_invoice(order).ids})
        with self.registry.cursor() as other:
            other.execute(SQL("SELECT pg_advisory_xact_lock(%s, %s)", CHARGE_LOCK, awaited.id))
            for outcome in ("paid", "unpaid"):
                with self.subTest(outcome), self.assertRefused("billing is in progress"):
                    self.resolve(order, outcome)
            with self.assertRefused("billing is in progress"):
                order.payment_exception = False

    def test_charge_failed(self):
        order = self.order
        self.resolve(order, "unpaid")
        self.assertEqual(self.charges(order).mapped("state"), ["error"])

    def test_chatter_records_the_resolution(self):
        order = self.order
        self.resolve(order, "unpaid")
        self.assertIn("Payment Failure resolved: not paid", self.chatter(order))

    def test_charge_is_retried_now(self):
        order = self.order
        with self.provider("done"):
            self.resolve(order, "unpaid", retry_now=True)
        self.assertEqual(order.period_ids.status, "paid")
        self.assertEqual(len(set(self.calls)), 2)

    def test_declined_retry_is_retried_now(self):
        order = self.frozen_retry()
        with self.provider("done"), self.on("2027-02-01"):
            self.resolve(order, "unpaid", retry_now=True)
        self.assertEqual(order.period_ids.status, "paid")

    def test_retry_now_may_be_declined(self):
        order = self.order
        with self.provider("declined"):
            self.resolve(order, "unpaid", retry_now=True)
        self.assertEqual((order.period_ids.status, order.payment_exception), ("declined", False))

    def test_closed_subscription_is_not_charged(self):
        order = self.order
        order.subscription_close(self.reason.id)
        self.resolve(order, "unpaid")
        with self.provider("done"):
            self.bill("2027-03-31")
        self.assertEqual((len(self.calls), order.payment_exception), (1, False))

    def test_closed_subscription_keeps_no_draft_invoice(self):
        order = self.order
        order.subscription_close(self.reason.id)
        self.resolve(order, "unpaid")
        self.assertEqual(order.sudo().invoice_ids.mapped("state"), ["cancel"])
        self.assertFalse(order.period_ids)


@tagged("post_install", "-at_install")
class TestPaymentExceptionRights(PaymentExceptionCommon):
    """Who may resolve a failure, and what others cannot do meanwhile."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.made_once("frozen_subscription")

    def test_nothing_to_resolve_is_refused(self):
        order = self.subscription(card=self.card())
        with self.assertRefused("nothing to resolve"):
            order.action_subscription_resolve_exception()

    def test_payment_resolved_meanwhile_is_refused(self):
        order = self.order
        wizard = order.env["sale.subscription.resolve.wizard"].create({"order_id": order.id, "outcome": "paid"})
        self.notify(self.charges(order), "done")
        with self.assertRefused("nothing to resolve"):
            wizard.action_submit()

    def test_salesperson_needs_no_rights_in_invoicing(self):
        order = self.order
        self.assertFalse(self.salesperson.has_group("account.group_account_invoice"))
        self.resolve(order, "paid", user=self.salesperson)
        self.assertEqual(order.period_ids.status, "paid")

    def test_salesperson_unticks_without_rights_in_invoicing(self):
        order = self.order
        self.untick(order.with_user(self.salesperson))
        self.assertFalse(order.payment_exception)

    def test_other_salesperson_cannot_open_the_pop_up(self):
        order = self.order
        with self.assertRaises(AccessError):
            order.with_user(self.other_salesperson).action_subscription_resolve_exception()

    def test_other_salesperson_cannot_resolve(self):
        order = self.order
        wizards = self.env["sale.subscription.resolve.wizard"].with_user(self.other_salesperson)
        wizard = wizards.create({"order_id": order.id, "outcome": "paid"})
        with self.assertRaises(AccessError):
            wizard.action_submit()

    def test_other_salesperson_cannot_untick(self):
        order = self.order
        with self.assertRaises(AccessError):
            order.with_user(self.other_salesperson).payment_exception = False

    def test_accountant_without_rights_in_sales_cannot_untick(self):
        order = self.order
        with self.assertRaises(AccessError):
            order.with_user(self.accountant).payment_exception = False

    def test_pop_up_names_the_payment(self):
        order = self.order
        wizard = order.env["sale.subscription.resolve.wizard"].create({"order_id": order.id, "outcome": "paid"})
        self.assertIn(self.calls[0], wizard.question)

    def test_pop_up_opens_for_the_salesperson(self):
        order = self.order
        action = order.action_subscription_resolve_exception()
        wizards = order.env[action["res_model"]].with_context(**action["context"])
        with Form(wizards) as form:
            form.outcome = "unpaid"
            self.assertEqual(form.order_id, order)

    def enable_portal_payment(self):
        self.env["ir.config_parameter"].sudo().set_param("account_payment.enable_portal_payment", "True")

    def test_portal_does_not_ask_for_the_payment(self):
        self.enable_portal_payment()
        order = self.frozen_retry()
        invoice = self.open_invoice(order)
        self.assertFalse(invoice._has_to_be_paid())
        self.untick(order)
        self.assertTrue(invoice._has_to_be_paid())

    def test_portal_says_why_it_takes_no_payment(self):
        self.enable_portal_payment()
        order = self.frozen_retry()
        invoice = self.open_invoice(order)
        self.assertIn("is being processed", invoice._get_online_payment_error())
        self.untick(order)
        self.assertNotIn("is being processed", invoice._get_online_payment_error())

    def test_online_payment_is_refused(self):
        order = self.frozen_retry()
        with self.assertRefused("is being processed"):
            self.online_payment(self.open_invoice(order))

    def test_online_payment_of_the_order_is_refused(self):
        order = self.order
        with self.assertRefused("is being processed"):
            self.online_payment(order)

    def test_refund_is_not_refused(self):
        order = self.subscription(card=self.card())
        with self.provider("done", requests.Timeout()):
            self.bill()
            self.bill("2027-02-28")
        first = self.charges(order)[0]
        refund = first._create_child_transaction(100, is_refund=True, invoice_ids=[Command.set(first.invoice_ids.ids)])
        self.assertEqual(refund.operation, "refund")

    def test_registering_a_payment_is_refused(self):
        order = self.frozen_retry()
        with self.assertRefused("is being processed"):
            self.register_payment(self.open_invoice(order))

    def test_payment_is_registered_after_unticking(self):
        order = self.frozen_retry()
        self.untick(order)
        self.register_payment(self.open_invoice(order))
        self.assertEqual(order.period_ids.status, "paid")

    def test_other_orders_of_the_customer_can_be_paid(self):
        self.assertTrue(self.order.payment_exception)
        other = self.subscription()
        invoice = self.invoice(other)
        self.register_payment(invoice)
        self.assertEqual(invoice.payment_state, "paid")
