from unittest.mock import patch

import psycopg2

from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import SubscriptionCommon

BATCH_LOGGER = "odoo.addons.subscription_close_renew.models.subscription.sale_order_scheduled"


@tagged("post_install", "-at_install")
class TestPlannedClose(SubscriptionCommon):
    """A planned close, undone or performed on its day."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.made_once("planned", date="2027-02-28")

    def planned(self, date="2027-02-28", **values):
        order = self.subscription(**values)
        order.subscription_close(self.reason.id, when="date", date=date)
        self.flush_chatter()
        return order

    def test_kept_subscription_continues_as_before(self):
        order = self.planned()
        self.assertTrue(order.subscription_keep())
        self.assertEqual((order.subscription_state, order.is_closing), ("progress", False))
        self.assertFalse(order.close_reason_id)
        self.assertFalse(order.close_requested_on)
        self.assertDates(order, end_date=False, next_invoice_date="2027-01-31")

    def test_chatter_shows_who_kept_it(self):
        order = self.planned()
        order.subscription_keep()
        message = self.last_message(order)
        self.assertIn("Subscription kept", message.body)
        self.assertEqual(message.author_id, self.salesperson.partner_id)

    def test_kept_subscription_is_not_closed_on_the_day(self):
        order = self.planned()
        order.subscription_keep()
        self.expire(until="2027-02-28")
        self.assertEqual(order.subscription_state, "progress")

    def test_kept_subscription_can_be_closed_later(self):
        order = self.planned()
        order.subscription_keep()
        order.subscription_close(self.hidden_reason.id)
        self.assertEqual((order.subscription_state, order.close_reason_id), ("churned", self.hidden_reason))

    def test_kept_subscription_still_ends_with_its_term(self):
        order = self.subscription()
        order.end_date = "2027-12-31"
        order.subscription_close(self.reason.id, when="date", date="2027-02-28")
        order.subscription_keep()
        self.assertDates(order, end_date="2027-12-31")

    def test_keeping_a_subscription_without_a_planned_close_is_refused(self):
        with self.assertRefused("is not scheduled to close"):
            self.subscription().subscription_keep()

    def test_keeping_a_closed_subscription_is_refused(self):
        with self.assertRefused("is not scheduled to close"):
            self.churned_subscription().subscription_keep()

    def test_keeping_several_is_all_or_nothing(self):
        planned, running = self.planned(), self.subscription()
        with self.assertRefused(running.name):
            (planned | running).subscription_keep()
        self.assertTrue(planned.is_closing)

    def test_subscription_runs_on_the_day_before(self):
        order = self.order
        self.expire(until="2027-02-27 23:59")
        self.assertEqual(order.subscription_state, "progress")

    def test_subscription_closes_automatically_on_the_day(self):
        order = self.order
        self.expire(until="2027-02-28 00:00")
        self.assertEqual(order.subscription_state, "churned")
        self.assertDates(order, closed_on="2027-02-28", end_date="2027-02-28", next_invoice_date=False)

    def test_day_begins_early_in_kiritimati(self):
        self.company.partner_id.tz = "Pacific/Kiritimati"
        order = self.planned("2027-02-28")
        self.expire(until="2027-02-27 09:59")
        self.assertEqual(order.subscription_state, "progress")
        self.expire(until="2027-02-27 10:00")
        self.assertEqual(order.subscription_state, "churned")
        self.assertDates(order, closed_on="2027-02-28")

    def test_day_begins_late_in_pago_pago(self):
        self.company.partner_id.tz = "Pacific/Pago_Pago"
        order = self.planned("2027-02-28")
        self.expire(until="2027-02-28 10:59")
        self.assertEqual(order.subscription_state, "progress")
        self.expire(until="2027-02-28 11:00")
        self.assertEqual(order.subscription_state, "churned")
        self.assertDates(order, closed_on="2027-02-28")

    def test_day_of_the_company_decides_and_not_that_of_the_user(self):
        self.company.partner_id.tz = "Pacific/Pago_Pago"
        self.salesperson.tz = "Pacific/Kiritimati"
        order = self.subscription().with_context(tz="Pacific/Kiritimati")
        with self.on("2027-02-15 10:30"):
            order.subscription_close(self.reason.id)
        self.assertDates(order, end_date="2027-02-14")

    def test_second_run_on_the_day_changes_nothing(self):
        order = self.order
        self.expire(until="2027-02-28")
        before = order.read(["write_date", "subscription_state", "closed_on"]), order.message_ids
        self.expire(until="2027-02-28 18:00")
        self.assertEqual((order.read(["write_date", "subscription_state", "closed_on"]), order.message_ids), before)

    def test_action_that_was_down_for_forty_days_catches_up_on_closes(self):
        order = self.order
        later = self.planned("2027-05-01")
        self.expire(until="2027-04-09")
        self.assertEqual((order.subscription_state, later.subscription_state), ("churned", "progress"))
        self.assertDates(order, end_date="2027-02-28", next_invoice_date=False)

    def test_planned_close_keeps_the_date_of_the_request(self):
        order = self.order
        self.expire(until="2027-04-09")
        self.assertEqual(str(order.close_requested_on), "2027-01-31 12:00:00")

    def test_paused_subscription_closes_on_its_day(self):
        order = self.order
        order.subscription_pause()
        self.expire(until="2027-02-28")
        self.assertEqual(order.subscription_state, "churned")

    def test_late_run_closes_rather_than_resumes(self):
        order = self.order
        order.subscription_pause("2027-02-15")
        self.expire(until="2027-04-09")
        self.assertEqual(order.subscription_state, "churned")
        self.assertDates(order, next_invoice_date=False, resume_date=False)

    def test_reason_archived_before_the_day_is_still_used(self):
        order = self.order
        self.reason.active = False
        self.expire(until="2027-02-28")
        self.assertEqual((order.subscription_state, order.close_reason_id), ("churned", self.reason))

    def test_expired_term_closes_with_its_own_reason(self):
        order = self.subscription()
        order.end_date = "2027-02-28"
        self.assertFalse(order.is_closing)
        self.expire(until="2027-02-28")
        self.assertEqual(order.subscription_state, "churned")
        self.assertEqual(order.close_reason_id, self.env.ref("subscription_close_renew.close_reason_end_of_term"))

    def test_chatter_shows_the_reason_of_an_expired_term(self):
        order = self.subscription()
        order.end_date = "2027-02-28"
        self.expire(until="2027-02-28")
        self.assertIn("Reason: End of term", self.chatter(order))

    def test_renewal_quotation_is_cancelled_on_the_day(self):
        order = self.order
        renewal = self.quotation(subscription_id=order.id)
        self.expire(until="2027-02-28")
        self.assertEqual(renewal.state, "cancel")


@tagged("post_install", "-at_install")
class TestSetAside(SubscriptionCommon):
    """P7: one bad record stops no other."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.good, cls.bad, cls.late = cls.subscription(), cls.subscription(), cls.subscription()
        orders = cls.good | cls.bad | cls.late
        orders.subscription_close(cls.reason.id, when="date", date="2027-02-28")
        cls.flush_chatter()

    def expire_with(self, error):
        """Run the scheduled action on 28 February, while one of three subscriptions fails."""
        bad = self.bad
        close = type(self.env["sale.order"])._close

        def fail_for_the_bad_one(orders):
            close(orders)
            if bad in orders:
                raise error

        with patch.object(type(self.env["sale.order"]), "_close", fail_for_the_bad_one):
            self.expire(until="2027-02-28")

    @mute_logger(BATCH_LOGGER)
    def test_bad_subscription_stops_no_other(self):
        self.expire_with(ValueError("Out of beans"))
        self.assertEqual(
            (self.good | self.bad | self.late).mapped("subscription_state"), ["churned", "progress", "churned"]
        )

    @mute_logger(BATCH_LOGGER)
    def test_chatter_of_the_others_is_complete(self):
        self.expire_with(ValueError("Out of beans"))
        for order in self.good | self.late:
            message = self.last_message(order)
            self.assertEqual(self.changes(message)["subscription_state"], ("In Progress", "Churned"))

    @mute_logger(BATCH_LOGGER)
    def test_chatter_of_the_bad_one_claims_no_close(self):
        before = self.bad.message_ids
        self.expire_with(ValueError("Out of beans"))
        self.assertNotIn("closed", "\n".join((self.bad.message_ids - before).mapped("body")))

    @mute_logger(BATCH_LOGGER)
    def test_bad_subscription_is_set_aside_once_after_two_runs(self):
        self.expire_with(ValueError("Out of beans"))
        self.expire_with(ValueError("Out of beans"))
        self.assertEqual(len(self.bad.activity_ids), 1)

    @mute_logger(BATCH_LOGGER)
    def test_salesperson_is_notified_of_the_error(self):
        self.expire_with(ValueError("Out of beans"))
        self.assertEqual(self.bad.activity_ids.user_id, self.salesperson)
        self.assertIn("Out of beans", self.bad.activity_ids.note)

    @mute_logger(BATCH_LOGGER)
    def test_others_get_no_activity(self):
        self.expire_with(ValueError("Out of beans"))
        self.assertFalse((self.good | self.late).activity_ids)

    def test_log_names_the_bad_subscription_and_the_error(self):
        with self.assertLogs(BATCH_LOGGER, "WARNING") as logs:
            self.expire_with(ValueError("Out of beans"))
        self.assertEqual(len(logs.records), 1)
        self.assertIn(self.bad.name, logs.output[0])
        self.assertIn("Out of beans", logs.output[0])

    def test_fixed_subscription_closes_at_the_next_run(self):
        with mute_logger(BATCH_LOGGER):
            self.expire_with(ValueError("Out of beans"))
        self.expire(until="2027-03-01")
        self.assertEqual(self.bad.subscription_state, "churned")

    def test_subscription_in_use_waits_for_the_next_run(self):
        with self.assertNoLogs(BATCH_LOGGER, "WARNING"):
            self.expire_with(psycopg2.errors.SerializationFailure())
        self.assertFalse(self.bad.activity_ids)
        self.expire(until="2027-03-01")
        self.assertEqual(self.bad.subscription_state, "churned")
