"""An exception follows every payment with an unknown outcome, and each of them is eventually reported."""

from contextlib import suppress
from unittest.mock import patch

import requests

from odoo.exceptions import UserError
from odoo.sql_db import db_connect
from odoo.tests import tagged
from odoo.tools import mute_logger

from odoo.addons.account_payment.models.payment_transaction import PaymentTransaction

from ..models.payment.payment_transaction import CHARGE_LOCK
from .payment_common import Killed
from .test_payment_exception import PaymentExceptionCommon

SET_ASIDE = "odoo.addons.subscription_close_renew.models.subscription.sale_order_scheduled"


class PaymentDoubtCommon(PaymentExceptionCommon):
    def twice_frozen_subscription(self):
        """Return a subscription whose first charge was marked as not paid and whose second got no answer, and both."""
        order = self.frozen_subscription()
        self.untick(order)
        with self.provider(requests.Timeout()):
            self.bill("2027-02-01")
        return order, *self.charges(order)

    def assertFrozen(self, order):
        """Assert that the subscription is in exception and its card is not charged."""
        calls = len(self.calls)
        self.assertTrue(order.payment_exception)
        with self.provider("done"):
            self.bill("2027-03-31")
        self.assertEqual(len(self.calls), calls)

    def invoice_by_hand(self, order):
        """Create and post an invoice of the period that is being charged."""
        invoice = order.with_user(self.accountant)._create_invoices()
        invoice.action_post()
        self.flush_chatter()
        return invoice


@tagged("post_install", "-at_install")
class TestPaymentDoubt(PaymentDoubtCommon):
    """P2: only the awaited outcome or a person ends an exception."""

    def test_late_success_of_an_abandoned_attempt_pays_but_lifts_no_exception(self):
        order, first, second = self.twice_frozen_subscription()
        self.notify(first, "done")
        self.assertEqual(self.open_invoice(order).ids, [])
        self.assertEqual(order.period_ids.charge_state, "unknown")
        self.assertFrozen(order)
        self.notify(second, "declined")
        self.assertFalse(order.payment_exception)
        self.assertEqual(order.period_ids.status, "paid")

    def test_late_failure_of_an_abandoned_attempt_lifts_no_exception(self):
        order, first, _second = self.twice_frozen_subscription()
        first.state = "pending"
        self.notify(first, "declined")
        self.assertEqual(order.period_ids.charge_state, "unknown")
        self.assertFrozen(order)

    def test_two_successful_attempts_are_reported_as_paid_twice(self):
        order, first, second = self.twice_frozen_subscription()
        self.notify(first, "done")
        self.notify(second, "done")
        self.assertFalse(order.payment_exception)
        self.assertIn("Paid twice", self.todo(order))

    def test_checkout_opened_before_lifts_no_exception(self):
        for answer in ("declined", "cancelled", "pending", "done"):
            with self.subTest(answer):
                order = self.subscription(card=self.card())
                with self.provider("declined", requests.Timeout()):
                    self.bill()
                    checkout = self.online_payment(self.open_invoice(order))
                    checkout.env.flush_all()
                    self.bill("2027-02-05")
                self.assertTrue(order.payment_exception)
                self.notify(checkout, answer)
                self.assertEqual(order.period_ids.charge_state, "unknown")
                self.assertFrozen(order)
                if answer == "done":
                    self.assertEqual(order.period_ids.status, "paid")
                order.payment_exception = False
                order.subscription_close(self.reason.id)

    def test_notification_of_an_earlier_period_lifts_no_exception(self):
        for answer in ("done", "declined"):
            with self.subTest(answer):
                order = self.subscription(card=self.card())
                with self.provider("pending", requests.Timeout()):
                    self.bill()
                    self.bill("2027-02-28")
                self.invoice_by_hand(order)
                self.notify(self.charges(order)[0], answer)
                self.assertFrozen(order)
                order.payment_exception = False
                order.subscription_close(self.reason.id)

    def test_exception_set_manually_is_lifted_manually_only(self):
        order = self.subscription(card=self.card())
        with self.provider("pending"):
            self.bill()
        order.payment_exception = True
        self.flush_chatter()
        self.notify(self.charges(order), "done")
        self.assertEqual(order.period_ids.status, "paid")
        self.assertFrozen(order)

    def test_pending_payment_is_not_forgotten_for_a_checkout_that_fails(self):
        order = self.subscription(card=self.card())
        with self.provider("pending"):
            self.bill()
        self.notify(self.online_payment(self.open_invoice(order)), "declined")
        self.assertEqual(order.period_ids.status, "pending")

    def test_mismatched_amount_that_turns_out_right_is_paid_and_known(self):
        order = self.subscription(card=self.card())
        with self.provider("mismatch"):
            self.bill()
        charge = self.charges(order)
        self.assertTrue(charge.subscription_holds_exception)
        self.notify(charge, "done")
        self.assertEqual((order.payment_exception, order.period_ids.status), (False, "paid"))
        self.assertFalse(charge._is_outcome_unknown())

    def test_charge_with_a_clear_answer_mentions_no_exception(self):
        order = self.subscription(card=self.card())
        with self.provider("done"):
            self.bill()
        self.assertNotIn("exception", self.chatter(order))

    def test_end_of_an_exception_is_in_the_chatter_whatever_the_context(self):
        order = self.frozen_subscription()
        charge = self.charges(order).with_context(subscription_charging=True)
        self.notify(charge, "done")
        self.assertIn("no longer in exception", self.chatter(order))


@tagged("post_install", "-at_install")
class TestPaymentDeadEnd(PaymentDoubtCommon):
    """Every state of a payment can be resolved by a scheduled run or a person."""

    def test_unpaid_charge_of_a_period_invoiced_manually_is_resolved(self):
        order = self.frozen_subscription()
        invoice = self.invoice_by_hand(order)
        self.resolve(order, "unpaid")
        self.assertEqual(self.charges(order).mapped("state"), ["error"])
        self.notify(self.online_payment(invoice), "done")
        self.assertEqual((order.period_ids.status, order.payment_exception), ("paid", False))

    def test_pop_up_names_the_charge_of_a_period_invoiced_manually(self):
        order = self.frozen_subscription()
        self.invoice_by_hand(order)
        wizard = order.env["sale.subscription.resolve.wizard"].create({"order_id": order.id, "outcome": "paid"})
        self.assertIn(self.calls[0], wizard.question)

    def test_killed_charge_is_reported_once_at_the_next_run(self):
        order = self.subscription(card=self.card())
        with self.provider(Killed()), suppress(Killed):
            self.bill()
        self.env.invalidate_all()
        self.assertEqual(self.todo(order), [])
        self.bill()
        self.assertEqual(self.todo(order), ["Payment Failure"])
        self.assertIn(self.calls[0], self.chatter(order))
        order.sudo().activity_ids.unlink()
        self.bill("2027-02-01")
        self.assertEqual(self.todo(order), [])
        self.assertTrue(order.payment_exception)

    def test_charge_that_a_process_waits_for_is_not_reported(self):
        order = self.subscription(card=self.card())
        seen = []

        def look(transaction):
            with db_connect(self.env.cr.dbname).cursor() as cr:
                cr.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [CHARGE_LOCK, transaction.id])
                seen.append(cr.fetchone()[0])
            return "done"

        with self.provider(look):
            self.bill()
        self.assertEqual((seen, order.period_ids.status), ([False], "paid"))

    def test_payment_that_stays_pending_is_reported_once_after_a_week(self):
        for answer in ("pending", "authorized"):
            with self.subTest(answer):
                order = self.subscription(card=self.card())
                with self.provider(answer):
                    self.bill()
                    self.bill("2027-02-06")
                    self.assertEqual(self.todo(order), [])
                    self.bill("2027-02-08")
                self.assertEqual(self.todo(order), ["Payment pending"])
                self.assertIn(self.calls[-1], order.sudo().activity_ids.note)
                order.sudo().activity_ids.unlink()
                self.bill("2027-02-09")
                self.assertEqual(self.todo(order), [])
                self.assertFalse(order.payment_exception)
                order.subscription_close(self.reason.id)

    def test_promised_wire_transfer_is_not_waited_for(self):
        order = self.subscription(card=self.card())
        wire = self.make_provider("Wire Transfer", code="none")
        with self.provider("declined"):
            self.bill()
            self.notify(self.online_payment(self.open_invoice(order), provider=wire), "pending")
            self.assertEqual(order.period_ids.status, "declined")
            self.bill("2027-02-01")
            self.bill("2027-02-10")
        self.assertEqual(len(self.calls), 3)
        self.assertEqual(self.todo(order), [])

    def test_charge_that_cannot_be_recorded_is_reported(self):
        order = self.frozen_subscription()
        self.notify(self.charges(order), "done", carried_out=False)
        with (
            patch.object(PaymentTransaction, "_create_payment", side_effect=UserError("No journal.")),
            mute_logger(SET_ASIDE),
        ):
            self.bill("2027-02-01")
        self.assertIn("Subscription needs attention", self.todo(order))
        self.assertTrue(order.payment_exception)
        self.bill("2027-02-02")
        self.assertEqual((order.payment_exception, order.period_ids.status), (False, "paid"))

    def test_late_success_of_a_period_invoiced_manually_is_found_days_later(self):
        order = self.frozen_subscription()
        self.invoice_by_hand(order)
        with self.on("2027-02-02"):
            self.notify(self.charges(order), "done", carried_out=False)
        self.bill("2027-02-12")
        self.assertEqual((order.payment_exception, order.period_ids.status), (False, "paid"))

    def overdue_subscription(self):
        """Return a subscription whose payment was pending for so long that staff were asked to look it up."""
        order = self.subscription(card=self.card())
        with self.provider("pending"):
            self.bill()
            self.assertFalse(order.is_payment_to_resolve)
            self.bill("2027-02-08")
        order.invalidate_recordset()
        self.assertTrue(order.is_payment_to_resolve)
        return order

    def test_pending_payment_that_was_made_is_resolved_as_paid(self):
        order = self.overdue_subscription()
        with self.on("2027-02-08"):
            self.resolve(order, "paid", payment_date="2027-02-01")
        self.assertEqual(order.period_ids.status, "paid")

    def test_pending_payment_that_was_not_made_is_requested_again(self):
        order = self.overdue_subscription()
        with self.on("2027-02-08"):
            self.resolve(order, "unpaid")
        with self.provider("done"):
            self.bill("2027-02-09")
        self.assertEqual((order.period_ids.status, len(self.calls)), ("paid", 2))

    def test_charge_for_two_subscriptions_that_was_not_made_is_resolved_in_both(self):
        first, second = both = self.subscription() + self.subscription()
        both.with_user(self.accountant)._create_invoices().action_post()
        first.payment_token_id = self.card()
        first.sudo().period_ids.retry_date = "2027-01-31"
        with self.provider(requests.Timeout()):
            self.bill()
        self.assertEqual(both.mapped("payment_exception"), [True, True])
        self.resolve(first, "unpaid")
        self.assertEqual(both.mapped("payment_exception"), [False, False])
        self.assertEqual(second.period_ids.status, "invoiced")
        with self.provider("done"):
            self.bill("2027-02-01")
        self.assertEqual((both.period_ids.mapped("status"), len(self.calls)), (["paid", "paid"], 2))

    def register_by_card(self, order):
        """Return the pop-up in which the accountant charges an open invoice of a subscription to its card."""
        invoice = self.open_invoice(order)
        methods = self.bank_journal.inbound_payment_method_line_ids
        wizards = self.env["account.payment.register"].with_user(self.accountant)
        return wizards.with_context(active_model="account.move", active_ids=invoice.ids).create(
            {
                "payment_method_line_id": methods.filtered("payment_provider_id")[:1].id,
                "payment_token_id": order.sudo().payment_token_id.id,
            }
        )

    def test_charge_requested_by_a_bookkeeper_is_booked_after_the_process_was_killed(self):
        order = self.subscription(card=self.card())
        with self.provider("declined"):
            self.bill()
        wizard = self.register_by_card(order)
        killed = patch.object(PaymentTransaction, "_post_process", side_effect=Killed)
        with self.provider("done"), suppress(Killed), killed:
            self.click(wizard, "action_create_payments")
        self.env.invalidate_all()
        charge = self.charges(order)[-1:]
        self.assertEqual((charge.state, charge.is_post_processed), ("done", False))
        with self.provider("done"):
            self.run_scheduled_action("payment.cron_post_process_payment_tx")
            self.bill("2027-02-01")
        self.assertEqual((len(self.calls), self.payments(order).amount, order.period_ids.status), (2, 100, "paid"))
        self.assertNotIn("Paid twice", self.todo(order))

    def test_charge_requested_by_a_bookkeeper_is_booked_without_an_outstanding_account(self):
        self.patch(type(self.env["account.move"]), "_get_invoice_in_payment_state", lambda _move: "in_payment")
        self.bank_journal.inbound_payment_method_line_ids.payment_account_id = False
        self.test_charge_requested_by_a_bookkeeper_is_booked_after_the_process_was_killed()

    def test_charge_requested_by_a_bookkeeper_is_booked_once(self):
        order = self.subscription(card=self.card())
        with self.provider("declined"):
            self.bill()
        wizard = self.register_by_card(order)
        with self.provider("done"):
            self.click(wizard, "action_create_payments")
        self.assertEqual((len(self.payments(order)), order.period_ids.status), (1, "paid"))
        self.assertNotIn("Paid twice", self.todo(order))

    def test_remainder_is_retried_after_a_bookkeeper_charged_part_of_it(self):
        order = self.subscription(card=self.card())
        with self.provider("declined"):
            self.bill()
        wizard = self.register_by_card(order)
        wizard.amount = 60
        with self.provider("done"):
            self.click(wizard, "action_create_payments")
            self.bill("2027-02-01")
            self.bill("2027-02-02")
        self.assertEqual(self.charges(order).mapped("amount"), [100, 60, 40])
        self.assertEqual(order.period_ids.status, "paid")
        self.assertNotIn("Paid twice", self.todo(order))

    def test_charge_requested_by_a_bookkeeper_is_booked_when_it_succeeds_late(self):
        for answer in (requests.Timeout(), "pending"):
            with self.subTest(answer):
                order = self.subscription(card=self.card())
                with self.provider("declined"):
                    self.bill()
                wizard = self.register_by_card(order)
                with self.provider(answer):
                    self.click(wizard, "action_create_payments")
                charge = self.charges(order)[-1:]
                self.assertEqual(charge.payment_id.state, "canceled")
                self.notify(charge, "done")
                self.assertEqual((charge.payment_id.state, order.period_ids.status), ("paid", "paid"))
                self.assertFalse(order.payment_exception)

    def test_attempt_delayed_by_a_checkout_is_made_when_the_checkout_fails(self):
        order = self.subscription(card=self.card())
        with self.provider("declined"):
            self.bill()
        checkout = self.online_payment(self.open_invoice(order))
        self.notify(checkout, "pending")
        self.notify(checkout, "declined")
        self.assertEqual(order.period_ids.status, "declined")
        with self.provider("done"):
            self.bill("2027-02-01")
        self.assertEqual(order.period_ids.status, "paid")

    def test_no_attempt_is_planned_for_an_ended_subscription(self):
        def close(order):
            order.subscription_close(self.reason.id)

        def close_at_the_end(order):
            order.subscription_close(self.reason.id, when="date", date="2027-02-10")
            self.expire("2027-02-10")

        def resolve_after_the_close(order):
            with self.provider(requests.Timeout()):
                self.bill("2027-02-01")
            order.subscription_close(self.reason.id)
            self.resolve(order, "unpaid")

        for end in (close, close_at_the_end, resolve_after_the_close):
            with self.subTest(end.__name__):
                order = self.subscription(card=self.card())
                with self.provider("declined"):
                    self.bill()
                self.assertDates(order.period_ids, retry_date="2027-02-01")
                end(order)
                self.assertDates(order.period_ids, retry_date=False)

    def test_no_attempt_is_planned_for_a_renewed_subscription(self):
        order = self.subscription(card=self.card())
        with self.provider("done", "declined"):
            self.bill()
            self.bill("2027-02-28")
        declined = order.period_ids.filtered("retry_date")
        self.assertEqual(len(declined), 1)
        with self.on("2027-02-28"):
            self.renewed_by(order)
        self.assertEqual(order.subscription_state, "renewed")
        self.assertFalse(declined.retry_date)

    def test_archived_card_and_provider_do_not_keep_an_exception(self):
        order = self.frozen_subscription()
        order.sudo().payment_token_id.active = False
        self.payment_provider.state = "disabled"
        self.resolve(order, "unpaid")
        with self.provider("done"):
            self.bill("2027-02-01")
        self.assertEqual((order.payment_exception, order.period_ids.status), (False, "declined"))
        self.assertEqual(len(self.calls), 1)


@tagged("post_install", "-at_install")
class TestRecordedPayment(PaymentDoubtCommon):
    """P14: a payment is recorded from its transaction, never from a context."""

    def test_context_of_a_caller_posts_no_payment(self):
        order = self.frozen_subscription()
        self.untick(order)
        forged = {"amount": 50000, "payment_type": "outbound", "date": "2020-01-01", "memo": "Forged"}
        with self.provider("done"), self.on("2027-02-01"):
            self.click(order.with_context(subscription_payment_values=forged), "action_subscription_bill")
        payment = self.payments(order)
        self.assertEqual((payment.amount, payment.payment_type), (100, "inbound"))
        self.assertNotIn("Forged", payment.memo)
        self.assertDates(payment, date="2027-02-01")

    def test_payment_date_must_be_plausible(self):
        order = self.frozen_subscription()
        for day in ("2020-01-01", "2027-01-10", "2027-02-10", False):
            with self.subTest(day), self.assertRaisesRegex(UserError, "Payment Date"):
                self.resolve(order, "paid", payment_date=day)
        self.assertTrue(order.payment_exception)
