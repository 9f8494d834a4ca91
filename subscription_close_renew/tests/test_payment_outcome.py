from contextlib import suppress
from datetime import date, timedelta

import requests

from odoo.exceptions import ValidationError
from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import mute_logger

from .payment_common import Killed, SubscriptionPaymentCommon, unreachable

SET_ASIDE = "odoo.addons.subscription_close_renew.models.subscription.sale_order_scheduled"
BROKE_OFF = "odoo.addons.subscription_close_renew.models.payment.payment_transaction"
REFUSED_UPDATE = "odoo.addons.payment.models.payment_transaction"


@tagged("post_install", "-at_install")
class TestPaymentRetry(SubscriptionPaymentCommon):
    """Declined payments are retried a limited number of times, each time with a mail."""

    def bill_daily(self, days):
        """Bill once a day, and return the days after the first on which the provider was asked."""
        called = []
        for day in range(days):
            before = len(self.calls)
            self.bill(str(date(2027, 1, 31) + timedelta(days=day)))
            called += [day] * (len(self.calls) - before)
        return called

    def test_declined_period_is_invoiced_and_retried(self):
        order = self.subscription(card=self.card())
        with self.provider("declined", "done"):
            self.bill()
            self.assertEqual(order.period_ids.status, "declined")
            self.assertDates(order.period_ids, retry_date="2027-02-01")
            self.bill("2027-02-01")
        self.assertEqual(order.period_ids.status, "paid")
        self.assertEqual(len(set(self.calls)), 2)

    def test_attempts_follow_the_plan_and_end(self):
        order = self.subscription(card=self.card())
        with self.provider("declined"):
            self.assertEqual(self.bill_daily(12), [0, 1, 3, 5, 7])
        self.assertEqual(order.period_ids.attempt_count, 5)

    def test_each_attempt_is_a_new_transaction(self):
        order = self.subscription(card=self.card())
        with self.provider("declined"):
            self.bill_daily(12)
        self.assertEqual(len(set(self.calls)), 5)
        self.assertEqual(self.charges(order).mapped("reference"), self.calls)

    def test_each_attempt_has_one_mail(self):
        order = self.subscription(card=self.card())
        with self.provider("declined"):
            self.bill_daily(12)
        self.assertEqual(len(self.mails(order)), 5)

    def test_salesperson_gets_an_activity_after_the_last_attempt(self):
        order = self.subscription(card=self.card())
        with self.provider("declined"):
            self.bill_daily(7)
            self.assertEqual(self.todo(order), [])
            self.bill("2027-02-07")
        self.assertEqual(self.todo(order), ["Payment declined, no further attempts"])
        self.assertEqual(order.sudo().activity_ids.user_id, self.salesperson)

    def test_automatic_closing_takes_over_after_the_last_attempt(self):
        plan = self.monthly.copy({"auto_close_days": 10})
        order = self.subscription(card=self.card(), plan=plan)
        with self.provider("declined"):
            self.bill_daily(9)
        self.assertEqual(self.todo(order), [])
        self.expire("2027-02-20")
        self.expire("2027-02-25")
        self.assertEqual(order.subscription_state, "churned")

    def test_missed_attempts_are_not_made_all_at_once(self):
        order = self.subscription(card=self.card())
        with self.provider("declined"):
            self.bill()
            self.bill("2027-02-20")
            self.bill("2027-02-20")
        self.assertEqual(len(self.calls), 2)
        self.assertDates(order.period_ids, retry_date="2027-02-21")

    def test_plan_without_retries_tries_once(self):
        plan = self.monthly.copy({"retry_days": ""})
        order = self.subscription(card=self.card(), plan=plan)
        with self.provider("declined"):
            self.assertEqual(self.bill_daily(9), [0])
        self.assertEqual(self.todo(order), ["Payment declined, no further attempts"])

    def test_days_of_retries_are_increasing_numbers(self):
        for text in ("daily", "3, 1", "1, 1", "0, 1", "-1", "1; 3", "1.5", "1 3"):
            with self.subTest(text), self.assertRaisesRegex(ValidationError, "numbers of days"):
                self.monthly.copy({"retry_days": text})

    def test_days_of_retries_are_parsed_leniently(self):
        plan = self.monthly.copy({"retry_days": " 2,4 ,, 8,"})
        self.assertEqual(plan._get_retry_days(), [2, 4, 8])

    def test_no_attempt_while_the_customer_is_paying(self):
        order = self.subscription(card=self.card())
        with self.provider("declined", "done"):
            self.bill()
            with self.on("2027-02-01 11:30"):
                checkout = self.online_payment(order.sudo().period_ids.invoice_ids)
                self.env.flush_all()
            self.env.cr.execute(
                "UPDATE payment_transaction SET create_date = '2027-02-01 11:30' WHERE id = %s", [checkout.id]
            )
            self.bill("2027-02-01")
            self.assertEqual(len(self.calls), 1)
            self.assertDates(order.period_ids, retry_date="2027-02-02")
            self.bill("2027-02-02")
        self.assertEqual(order.period_ids.status, "paid")

    def test_no_attempt_while_an_online_payment_is_under_way(self):
        order = self.subscription(card=self.card())
        with self.provider("declined", "done"):
            self.bill()
            self.notify(self.online_payment(order.sudo().period_ids.invoice_ids), "pending")
            self.bill("2027-02-05")
        self.assertEqual(len(self.calls), 1)

    def twice_declined(self):
        """Return a subscription with two periods to be retried on 1 March."""
        order = self.subscription(card=self.card())
        with self.provider("declined"):
            self.bill()
            self.bill("2027-02-28")
        self.calls.clear()
        order.sudo().period_ids.retry_date = "2027-03-01"
        return order

    def during_the_first_attempt(self, order, act):
        """Retry while somebody acts during the provider's request, and return the periods that were requested."""

        def answer(transaction):
            if len(self.calls) == 1:
                act(order.sudo().with_env(transaction.env))
                transaction.env.cr.commit()
            return "done"

        with self.provider(answer):
            self.bill("2027-03-01")
        return self.calls

    def test_all_declined_periods_are_retried_oldest_first(self):
        order = self.twice_declined()
        with self.provider("done"):
            self.bill("2027-03-01")
        invoices = {charge.reference: charge.invoice_ids for charge in self.charges(order)}
        starts = [invoices[call].invoice_line_ids.subscription_period_start for call in self.calls]
        self.assertEqual([str(date_start) for date_start in starts], ["2027-01-31", "2027-02-28"])
        self.assertEqual(set(order.period_ids.mapped("status")), {"paid"})

    def test_later_period_waits_when_the_earlier_one_is_declined_again(self):
        order = self.twice_declined()
        with self.provider("declined"):
            self.bill("2027-03-01")
        self.assertEqual(len(self.calls), 1)
        self.assertEqual(len(set(order.period_ids.mapped("retry_date"))), 1)

    def test_close_during_an_attempt_stops_the_next(self):
        order = self.twice_declined()
        calls = self.during_the_first_attempt(order, lambda order: order.subscription_close(self.reason.id))
        self.assertEqual((len(calls), order.subscription_state), (1, "churned"))

    def test_pause_during_an_attempt_stops_the_next(self):
        order = self.twice_declined()
        calls = self.during_the_first_attempt(order, lambda order: order.subscription_pause())
        self.assertEqual((len(calls), order.subscription_state), (1, "paused"))

    def test_end_date_reached_during_an_attempt_stops_the_next(self):
        order = self.twice_declined()
        calls = self.during_the_first_attempt(order, lambda order: order.write({"end_date": "2027-03-01"}))
        self.assertEqual(len(calls), 1)

    def test_card_removed_during_an_attempt_is_not_charged(self):
        order = self.twice_declined()
        calls = self.during_the_first_attempt(order, lambda order: order.payment_token_id.write({"active": False}))
        self.assertEqual(len(calls), 1)
        self.assertRegex(order.period_ids[:1].charge_error, "was removed")

    def test_card_taken_from_the_order_during_an_attempt_is_not_charged(self):
        order = self.twice_declined()
        calls = self.during_the_first_attempt(order, lambda order: order.write({"payment_token_id": False}))
        self.assertEqual(len(calls), 1)

    def test_invoice_credited_during_an_attempt_is_not_charged(self):
        order = self.twice_declined()

        def credit(order):
            order.period_ids[:1].invoice_ids._reverse_moves([{}], cancel=True)

        self.assertEqual(len(self.during_the_first_attempt(order, credit)), 1)

    def test_closed_subscription_is_not_charged_even_on_request(self):
        order = self.twice_declined()
        period = order.sudo().period_ids[-1:]
        order.subscription_close(self.reason.id)
        with self.provider("done"):
            period._charge()
        self.assertEqual(self.calls, [])

    def test_no_attempt_after_a_manual_payment(self):
        order = self.subscription(card=self.card())
        with self.provider("declined", "done"):
            self.bill()
            self.register_payment(order.sudo().period_ids.invoice_ids)
            self.assertEqual((order.period_ids.status, order.payment_failure), ("paid", False))
            self.bill("2027-02-05")
        self.assertEqual(len(self.calls), 1)

    def test_no_attempt_after_an_online_payment(self):
        order = self.subscription(card=self.card())
        with self.provider("declined", "done"):
            self.bill()
        self.notify(self.online_payment(order.sudo().period_ids.invoice_ids), "done")
        self.assertEqual((order.period_ids.status, order.payment_failure), ("paid", False))
        with self.provider("done"):
            self.bill("2027-02-05")
        self.assertEqual(len(self.calls), 1)

    def test_failed_online_payment_does_not_count_as_an_attempt(self):
        order = self.subscription(card=self.card())
        with self.provider("declined"):
            self.bill()
        self.notify(self.online_payment(order.sudo().period_ids.invoice_ids), "declined")
        self.assertEqual((order.period_ids.attempt_count, order.period_ids.status), (1, "declined"))
        self.assertDates(order.period_ids, retry_date="2027-02-01")

    def test_remainder_is_retried_after_the_customer_paid_part_of_it(self):
        order = self.subscription(card=self.card())
        with self.provider("declined"):
            self.bill()
        self.notify(self.online_payment(order.sudo().period_ids.invoice_ids, amount=30), "done")
        self.assertEqual(order.period_ids.status, "declined")
        with self.provider("done"):
            self.bill("2027-02-01")
        self.assertEqual((self.charges(order)[-1:].amount, order.period_ids.status), (70, "paid"))

    def test_declined_invoice_corrected_and_posted_again_is_retried(self):
        order = self.subscription(card=self.card())
        with self.provider("declined"):
            self.bill()
        invoice = order.sudo().period_ids.invoice_ids.with_user(self.accountant)
        self.reset(invoice)
        invoice.invoice_line_ids.price_unit = 80
        invoice.action_post()
        self.flush_chatter()
        self.assertDates(order.period_ids, retry_date="2027-02-01")
        with self.provider("declined", "done"):
            self.bill("2027-02-01")
            self.bill("2027-02-03")
        self.assertEqual(self.charges(order).mapped("amount"), [100, 80, 80])
        self.assertEqual((order.period_ids.status, order.period_ids.charge_error), ("paid", False))

    def test_declined_invoice_posted_again_after_its_last_attempt_is_left_to_staff(self):
        plan = self.monthly.copy({"retry_days": ""})
        order = self.subscription(card=self.card(), plan=plan)
        with self.provider("declined"):
            self.bill()
        invoice = order.sudo().period_ids.invoice_ids.with_user(self.accountant)
        self.reset(invoice)
        invoice.action_post()
        self.flush_chatter()
        self.assertEqual((order.period_ids.charge_state, order.period_ids.retry_date), ("declined", False))

    def test_waiting_period_keeps_waiting_after_an_online_payment_fails(self):
        order = self.subscription(card=self.card())
        with self.provider("declined"):
            self.bill()
            order.sudo().period_ids.retry_date = "2027-03-05"
            self.bill("2027-02-28")
        waiting = order.period_ids.sorted("date_start")[1:]
        own = self.online_payment(waiting.sudo().invoice_ids)
        for answer in ("pending", "declined"):
            self.notify(own, answer)
        self.assertEqual(waiting.status, "declined")
        with self.provider("done"):
            self.bill("2027-03-05")
        self.assertEqual(set(order.period_ids.mapped("status")), {"paid"})

    def test_both_invoices_of_a_declined_period_are_collected_oldest_first(self):
        order = self.subscription(card=self.card())
        with self.provider("declined"):
            self.bill()
        order.order_line.product_uom_qty = 3
        order.with_user(self.accountant)._create_invoices().action_post()
        self.flush_chatter()
        with self.provider("done"):
            self.bill("2027-02-01")
        self.assertEqual(self.charges(order)[1:].mapped("amount"), [100, 200])
        self.assertEqual(order.period_ids.status, "paid")

    def test_declined_period_does_not_hold_back_the_next(self):
        order = self.subscription(card=self.card())
        with self.provider("declined"):
            self.bill()
            self.bill("2027-02-28")
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28"), ("2027-02-28", "2027-03-31")])


@tagged("post_install", "-at_install")
class TestPaymentAnswer(SubscriptionPaymentCommon):
    """P1–P3: an unknown outcome freezes the subscription, and a charge that was never made is no decline."""

    def assertFrozen(self, order):
        """Assert that the outcome of the charge is unknown and that nothing is charged again."""
        with self.provider("done"):
            self.bill()
            self.bill("2027-03-15")
        self.assertEqual(len(self.calls), 1)
        self.assertTrue(order.payment_exception)
        self.assertEqual(order.period_ids.status, "unknown")
        self.assertEqual(len(self.charges(order)), 1)

    def assertNotCharged(self, order):
        """Assert that the charge counts as never made."""
        self.assertFalse(order.payment_exception)
        self.assertEqual((order.period_ids.status, order.period_ids.attempt_count), ("draft", 0))
        self.assertEqual(self.mails(order), [])
        self.assertDates(order, next_invoice_date="2027-01-31")

    def test_unanswered_charge_freezes_the_subscription(self):
        order = self.subscription(card=self.card())
        with self.provider(requests.Timeout()):
            self.bill()
        self.assertFrozen(order)

    def test_dropped_connection_freezes_the_subscription(self):
        order = self.subscription(card=self.card())
        with self.provider(requests.ConnectionError("Connection aborted.")):
            self.bill()
        self.assertFrozen(order)

    def test_server_error_freezes_the_subscription(self):
        for status in (500, 502, 503, 504, 408, 409):
            with self.subTest(status):
                self.calls = []
                order = self.subscription(card=self.card())
                with self.provider(status):
                    self.bill()
                self.assertFrozen(order)

    def test_other_amount_freezes_the_subscription(self):
        order = self.subscription(card=self.card())
        with self.provider("mismatch"):
            self.bill()
        self.assertFrozen(order)

    @mute_logger(SET_ASIDE, BROKE_OFF)
    def test_answer_that_is_not_json_freezes_the_subscription(self):
        order = self.subscription(card=self.card())
        with self.provider(b"<html>Service Temporarily Unavailable</html>"):
            self.bill()
        self.assertFrozen(order)

    @mute_logger(SET_ASIDE, BROKE_OFF)
    def test_answer_that_is_not_understood_freezes_the_subscription(self):
        order = self.subscription(card=self.card())
        with self.provider("something_new"):
            self.bill()
        self.assertFrozen(order)

    @mute_logger(SET_ASIDE, BROKE_OFF)
    def test_answer_that_is_not_understood_has_an_activity(self):
        order = self.subscription(card=self.card())
        with self.provider("something_new"):
            self.bill()
        self.assertTrue(self.todo(order))
        self.assertEqual(order.sudo().activity_ids.user_id, self.salesperson)

    @mute_logger(SET_ASIDE, BROKE_OFF)
    def test_one_bad_answer_stops_no_other_subscription(self):
        first, second = self.subscription(card=self.card()), self.subscription(card=self.card())
        with self.provider("something_new", "done"):
            self.bill()
        self.assertTrue(first.payment_exception)
        self.assertEqual(second.period_ids.status, "paid")

    def test_charge_is_on_record_before_the_provider_is_asked(self):
        order = self.subscription(card=self.card())
        seen = []

        def look(transaction):
            # This drops everything that was not committed.
            transaction.env.cr.rollback()
            charged = order.sudo().with_env(transaction.env)
            seen.append((charged.payment_exception, charged.period_ids.charge_state, transaction.exists().state))
            return "done"

        with self.provider(look):
            self.bill()
        self.assertEqual(seen, [(True, "unknown", "draft")])

    def test_killed_charge_freezes_the_subscription(self):
        order = self.subscription(card=self.card())
        with self.provider(Killed()), suppress(Killed):
            self.bill()
        self.env.invalidate_all()
        self.assertFrozen(order)

    def test_refused_connection_is_no_decline(self):
        order = self.subscription(card=self.card())
        with self.provider(unreachable()), mute_logger(SET_ASIDE):
            self.bill()
        self.assertNotCharged(order)

    def test_connection_that_times_out_is_no_decline(self):
        order = self.subscription(card=self.card())
        with self.provider(requests.ConnectTimeout()), mute_logger(SET_ASIDE):
            self.bill()
        self.assertNotCharged(order)

    @mute_logger(SET_ASIDE)
    def test_unreachable_provider_is_not_asked_for_the_others(self):
        for _order in range(3):
            self.subscription(card=self.card())
        with self.provider(unreachable()):
            self.bill()
        self.assertEqual(len(self.calls), 1)

    @mute_logger(SET_ASIDE)
    def test_unreachable_provider_gives_one_activity(self):
        orders = self.subscription(card=self.card()) + self.subscription(card=self.card())
        with self.provider(unreachable()):
            self.bill()
            self.bill()
        self.assertEqual(len(self.todo(orders)), 1)

    @mute_logger(SET_ASIDE)
    def test_unreachable_provider_stops_no_other_provider(self):
        other = self.make_provider("Other Provider")
        self.subscription(card=self.card())
        paid = self.subscription(card=self.card(provider_id=other.id))
        with self.provider(lambda transaction: "done" if transaction.provider_id == other else unreachable()):
            self.bill()
        self.assertEqual(paid.period_ids.status, "paid")

    @mute_logger(SET_ASIDE)
    def test_unreachable_provider_stops_no_invoice_without_a_card(self):
        self.subscription(card=self.card())
        order = self.subscription()
        with self.provider(unreachable()):
            self.bill()
        self.assertEqual(order.period_ids.status, "invoiced")

    def test_refusal_to_look_at_the_payment_is_no_decline(self):
        for status in (401, 403, 404, 429):
            with self.subTest(status):
                order = self.subscription(card=self.card())
                with self.provider(status), mute_logger(SET_ASIDE):
                    self.bill()
                self.assertNotCharged(order)
                self.assertEqual(self.todo(order), ["Subscription needs attention"])
                order.subscription_close(self.reason.id)

    def test_refusal_to_look_at_the_payment_is_retried(self):
        order = self.subscription(card=self.card())
        with self.provider(429, "done"), mute_logger(SET_ASIDE):
            self.bill()
            self.bill()
        self.assertEqual(order.period_ids.status, "paid")
        self.assertEqual(len(set(self.calls)), 2)

    def test_bad_request_is_a_decline(self):
        for status in (400, 402, 422):
            with self.subTest(status):
                order = self.subscription(card=self.card())
                with self.provider(status):
                    self.bill()
                self.assertEqual(order.period_ids.status, "declined")
                order.subscription_close(self.reason.id)


@tagged("post_install", "-at_install")
class TestPaymentNotification(SubscriptionPaymentCommon):
    """P1, P5: later notifications of the provider, in any order and any number."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.made_once("frozen_subscription")

    def frozen_subscription(self):
        """Return a subscription whose first charge has an unknown outcome."""
        order = self.subscription(card=self.card())
        with self.provider(requests.Timeout()):
            self.bill()
        return order

    def twice_declined_subscription(self):
        """Return a subscription whose first charge was declined twice."""
        order = self.subscription(card=self.card())
        with self.provider("declined"):
            self.bill()
            self.bill("2027-02-01")
        return order

    def test_late_success_resolves_the_exception(self):
        order = self.order
        self.notify(self.charges(order), "done")
        self.assertFalse(order.payment_exception)
        self.assertEqual(order.period_ids.status, "paid")
        self.assertDates(order, next_invoice_date="2027-02-28")

    def test_late_failure_is_a_decline_that_is_tried_again(self):
        order = self.order
        self.notify(self.charges(order), "declined")
        self.assertFalse(order.payment_exception)
        self.assertEqual((order.period_ids.state, order.period_ids.status), ("invoiced", "declined"))
        with self.provider("done"):
            self.bill("2027-02-01")
        self.assertEqual(order.period_ids.status, "paid")
        self.assertEqual(len(set(self.calls)), 2)

    def test_late_promise_ends_the_exception(self):
        order = self.order
        self.notify(self.charges(order), "pending")
        self.assertEqual((order.payment_exception, order.period_ids.status), (False, "pending"))

    def test_other_amount_notified_later_freezes_the_subscription(self):
        order = self.subscription(card=self.card())
        with self.provider("pending"):
            self.bill()
        self.notify(self.charges(order), "mismatch")
        self.assertEqual((order.payment_exception, order.period_ids.status), (True, "unknown"))

    def test_success_notified_three_times_is_paid_once(self):
        order = self.order
        for _time in range(3):
            self.notify(self.charges(order), "done")
        self.assertEqual(len(self.payments(order)), 1)
        self.assertEqual(order.period_ids.status, "paid")
        self.assertEqual(len(order.sudo().invoice_ids), 1)
        self.assertEqual(self.todo(order), ["Payment Failure"])

    @mute_logger(REFUSED_UPDATE)
    def test_notifications_out_of_order_do_not_change_a_success(self):
        order = self.frozen_subscription()
        for answer in ("done", "pending", "declined", "done"):
            self.notify(self.charges(order), answer)
        self.assertEqual((order.period_ids.status, order.payment_exception), ("paid", False))
        self.assertEqual(len(self.payments(order)), 1)
        self.assertEqual(len(order.sudo().invoice_ids), 1)
        self.assertDates(order.period_ids, retry_date=False)

    def test_failure_notified_three_times_is_one_decline(self):
        order = self.order
        for _time in range(3):
            self.notify(self.charges(order), "declined")
        self.assertEqual(order.period_ids.attempt_count, 1)
        self.assertEqual(len(self.mails(order)), 1)

    def test_success_that_odoo_has_forgotten_is_settled_by_billing(self):
        order = self.order
        with self.on("2027-02-02"):
            self.notify(self.charges(order), "done", carried_out=False)
        with self.on("2027-02-12"):
            self.run_scheduled_action("payment.cron_post_process_payment_tx")
        self.assertTrue(order.payment_exception)
        with self.provider("done"):
            self.bill("2027-02-12")
        self.assertEqual((order.payment_exception, order.period_ids.status), (False, "paid"))
        self.assertEqual(len(self.calls), 1)

    def test_failure_that_odoo_has_forgotten_is_settled_by_billing(self):
        order = self.order
        with self.on("2027-02-02"):
            self.notify(self.charges(order), "declined", carried_out=False)
        with self.provider("done"):
            self.bill("2027-02-12")
        self.assertEqual((order.payment_exception, order.period_ids.status), (False, "declined"))

    def test_late_success_of_an_older_attempt_pays_the_period(self):
        self.calls.clear()
        order = self.twice_declined_subscription()
        self.notify(self.charges(order)[0], "done")
        self.assertEqual((order.period_ids.status, order.payment_failure), ("paid", False))
        with self.provider("done"):
            self.bill("2027-02-10")
        self.assertEqual(len(self.calls), 2)

    def test_late_success_of_two_attempts_is_reported(self):
        order = self.twice_declined_subscription()
        first, second = self.charges(order)
        self.notify(second, "done")
        self.assertNotIn("Paid twice", self.todo(order))
        self.notify(first, "done")
        self.assertIn("Paid twice", self.todo(order))

    def test_late_failure_of_an_older_attempt_declines_nothing(self):
        order = self.subscription(card=self.card())
        with self.provider("pending"):
            self.bill()
        first = self.charges(order)
        with self.provider("pending"), self.on("2027-02-10"):
            # A user charges the invoice once more.
            second = self.online_payment(order.sudo().period_ids.invoice_ids, card=self.card())
            second.operation = "online_token"
        self.notify(second, "pending")
        self.notify(first, "declined")
        self.assertEqual(order.period_ids.attempt_count, 0)

    def test_late_failure_of_a_manually_paid_period_declines_nothing(self):
        order = self.subscription(card=self.card())
        with self.provider("pending"):
            self.bill()
        self.register_payment(order.sudo().period_ids.invoice_ids)
        self.notify(self.charges(order), "declined")
        self.assertEqual((order.payment_failure, self.mails(order)), (False, []))
        self.assertDates(order.period_ids, retry_date=False)

    def test_late_failure_of_a_credited_period_declines_nothing(self):
        order = self.subscription(card=self.card())
        with self.provider("pending"):
            self.bill()
        invoice = self.invoices(order)
        # The button Credit Note is refused meanwhile, but an unrelated credit note cannot be.
        note = invoice.create(
            {
                "move_type": "out_refund",
                "partner_id": self.customer.id,
                "invoice_line_ids": [Command.create({"name": "Goodwill", "price_unit": 100, "tax_ids": False})],
            }
        )
        note.action_post()
        receivable = (invoice + note).line_ids.filtered(lambda line: line.account_type == "asset_receivable")
        receivable.reconcile()
        self.notify(self.charges(order), "declined")
        self.assertEqual((order.payment_failure, self.mails(order)), (False, []))

    def test_refusal_after_the_end_is_reported_to_staff_only(self):
        for end in ("churned", "renewed"):
            with self.subTest(end):
                order = self.subscription(card=self.card())
                with self.provider("done", "pending"):
                    self.bill("2027-02-28")
                if end == "churned":
                    order.subscription_close(self.reason.id)
                else:
                    self.renewed_by(order)
                self.notify(self.charges(order)[-1:], "declined")
                self.assertEqual(self.todo(order), ["Payment declined, no further attempts"])
                self.assertEqual(self.mails(order), [])
                with self.provider("done"):
                    self.bill("2027-03-15")
                self.assertEqual(order.period_ids.sorted("date_start").mapped("status"), ["paid", "invoiced"])

    def test_late_success_after_the_close_settles_its_invoice(self):
        order = self.order
        order.subscription_close(self.reason.id)
        self.notify(self.charges(order), "done")
        period = order.period_ids.sudo()
        self.assertEqual((period.status, period.invoice_ids.state), ("paid", "posted"))

    def test_late_success_does_not_reopen(self):
        order = self.order
        order.subscription_close(self.reason.id)
        self.notify(self.charges(order), "done")
        self.assertEqual(order.subscription_state, "churned")
        self.assertDates(order, next_invoice_date=False, closed_on="2027-01-31")
        self.assertFalse(order.payment_exception)

    def test_late_failure_after_the_close_leaves_nothing_behind(self):
        order = self.order
        order.subscription_close(self.reason.id)
        self.notify(self.charges(order), "declined")
        self.assertFalse(order.period_ids)
        self.assertEqual(order.sudo().invoice_ids.mapped("state"), ["cancel"])
        self.assertEqual((order.subscription_state, order.payment_exception), ("churned", False))
        self.assertEqual(self.mails(order), [])

    def test_closed_with_an_unknown_charge_is_not_charged_again(self):
        order = self.order
        order.subscription_close(self.reason.id)
        self.notify(self.charges(order), "declined")
        with self.provider("done"):
            self.bill("2027-03-15")
        self.assertEqual(len(self.calls), 1)

    def test_success_pays_the_invoice_posted_meanwhile(self):
        order = self.order
        order.sudo().period_ids.invoice_ids.action_post()
        self.notify(self.charges(order), "done")
        self.assertEqual((order.period_ids.status, order.payment_exception), ("paid", False))

    def test_cancelled_payment_is_a_decline(self):
        order = self.order
        self.notify(self.charges(order), "cancelled")
        self.assertEqual((order.payment_exception, order.period_ids.status), (False, "declined"))

    def refund(self, order, answer):
        """Return the refund of a subscription's charge, linked to the invoice, as some providers create it."""
        charge = self.charges(order)
        refund = charge._create_child_transaction(
            100, is_refund=True, invoice_ids=[Command.set(charge.invoice_ids.ids)]
        )
        self.notify(refund, answer)
        return refund

    def test_refund_is_no_second_payment(self):
        order = self.subscription(card=self.card())
        with self.provider("done"):
            self.bill()
        self.assertEqual(self.refund(order, "done").state, "done")
        self.assertNotIn("Paid twice", self.todo(order))
        self.assertCountEqual(self.payments(order).mapped("payment_type"), ["inbound", "outbound"])

    def test_refund_changes_nothing_on_the_subscription(self):
        for answer in ("pending", "declined", "mismatch"):
            with self.subTest(answer):
                order = self.subscription(card=self.card())
                with self.provider("done"):
                    self.bill()
                    self.refund(order, answer)
                    self.bill("2027-02-10")
                self.assertEqual((order.payment_exception, order.period_ids.charge_state), (False, "done"))
                self.assertEqual(self.todo(order), [])
