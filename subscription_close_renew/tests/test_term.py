from datetime import timedelta
from unittest.mock import patch

import psycopg2

from odoo.exceptions import UserError
from odoo.tests import Form, tagged
from odoo.tools import mute_logger

from .common import SubscriptionCommon
from .payment_common import SubscriptionPaymentCommon
from .test_closing_expiration import BATCH_LOGGER


class TermCommon(SubscriptionPaymentCommon):
    @classmethod
    def termed(cls, action="renew", periods=1, paid=True, **values):
        """Return a subscription that started on 31 January, with a term in months.

        :param str action: action at the end of its term
        :param int periods: number of months
        :param bool paid: whether the first period is invoiced and paid
        """
        make = cls.paid_subscription if paid else cls.subscription
        return make(term_periods=periods, term_end_action=action, **values)

    def nightly(self, *days):
        """Run all scheduled actions on the given days, in order."""
        for day in days:
            self.expire(until=day)
            self.renew(until=day)
            self.bill(until=day)

    def notices(self, order):
        """Return the mails that announce the renewal of a subscription to the customer."""
        return [mail for mail in self.mails(order.renewal_ids) if "will be renewed" in (mail.subject or "")]

    def assertChainTiled(self, order, until):
        """Assert that a chain bills from 31 January on without gaps or overlaps."""
        chain = order.sudo().search([("origin_order_id", "=", order.origin_order_id.id)], order="id")
        periods = sorted(period for link in chain for period in self.billed_periods(link))
        ends = [end for _start, end in periods]
        self.assertEqual([start for start, _end in periods], ["2027-01-31", *ends[:-1]])
        self.assertEqual(ends[-1], until)
        self.assertLedgerAgrees(chain)


@tagged("post_install", "-at_install")
class TestTerm(TermCommon):
    """The term of a subscription, and what happens at its end."""

    def test_subscription_is_without_end_unless_agreed_otherwise(self):
        self.assertDates(self.subscription(), end_date=False)

    def test_term_is_counted_in_periods_from_the_anchor(self):
        self.assertDates(self.termed(periods=1, paid=False), end_date="2027-02-28")
        self.assertDates(self.termed(periods=2, paid=False), end_date="2027-03-31")
        self.assertDates(self.termed(periods=12, paid=False), end_date="2028-01-31")

    def test_term_of_a_yearly_plan_counts_years(self):
        order = self.subscription(plan=self.yearly, term_periods=2, start="2028-02-29")
        self.assertDates(order, end_date="2030-02-28")

    def test_term_can_be_agreed_as_a_date(self):
        order = self.subscription(end_date="2027-06-15", term_periods=3)
        self.assertDates(order, end_date="2027-06-15")

    def test_plan_proposes_the_term(self):
        self.monthly.write({"term_periods": 6, "term_end_action": "continue"})
        order = self.quotation()
        self.assertEqual((order.term_periods, order.term_end_action), (6, "continue"))

    def test_plan_chosen_in_the_form_sets_its_term(self):
        self.yearly.write({"term_periods": 2, "term_end_action": "renew"})
        form = Form(self.quotation(), view="sale.view_order_form")
        form.plan_id = self.yearly
        self.assertEqual((form.term_periods, form.term_end_action), (2, "renew"))

    def test_quotation_may_differ_from_its_plan(self):
        self.monthly.term_periods = 6
        self.assertDates(self.subscription(term_periods=2), end_date="2027-03-31")

    def test_plan_that_changes_later_changes_no_running_term(self):
        order = self.termed("close", periods=2)
        self.monthly.write({"term_periods": 9, "term_end_action": "renew"})
        self.assertEqual((order.term_periods, order.term_end_action), (2, "close"))

    def test_negative_term_is_refused(self):
        with self.assertRefused("enter 0 for no end"):
            self.quotation(term_periods=-1)

    def test_end_before_the_start_is_refused(self):
        order = self.quotation(start="2027-03-01", end_date="2027-03-01")
        with self.assertRefused(f"{order.name} would start on 03/01/2027 and end on 03/01/2027"):
            order.action_confirm()

    def test_end_date_out_of_range_is_refused_before_anybody_pays(self):
        for years in (1, 120):
            self.yearly.billing_period_value = years
            order = self.quotation(plan=self.yearly, term_periods=1200, require_signature=True)
            self.assertFalse(order._has_to_be_signed())
            with self.assertRefused("must be before the year 3000"):
                order.action_confirm()

    def test_term_is_billed_to_its_end_and_not_further(self):
        order = self.termed("close", periods=3)
        self.nightly("2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31")
        self.assertEqual(order.subscription_state, "churned")
        self.assertChainTiled(order, until="2027-04-30")

    def test_subscription_closes_at_its_end_with_its_own_reason(self):
        order = self.termed("close")
        self.expire(until="2027-02-27")
        self.assertEqual(order.subscription_state, "progress")
        self.expire(until="2027-02-28")
        self.assertEqual(order.subscription_state, "churned")
        self.assertEqual(order.close_reason_id, self.env.ref("subscription_close_renew.close_reason_end_of_term"))

    def test_subscription_continues_indefinitely(self):
        order = self.termed("continue")
        self.nightly("2027-02-28", "2027-03-31")
        self.assertEqual(order.subscription_state, "progress")
        self.assertDates(order, end_date=False)
        self.assertIn("continues indefinitely", self.chatter(order))
        self.assertChainTiled(order, until="2027-04-30")

    def test_subscription_continues_whichever_action_runs_first(self):
        order = self.termed("continue")
        self.bill(until="2027-02-28")
        self.expire(until="2027-02-28")
        self.bill(until="2027-02-28")
        self.assertChainTiled(order, until="2027-03-31")

    def test_paused_subscription_that_would_continue_stays_paused(self):
        order = self.termed("continue")
        order.subscription_pause()
        self.expire(until="2027-02-28")
        self.assertEqual(order.subscription_state, "paused")
        self.assertDates(order, end_date=False)

    def test_planned_close_takes_precedence_over_continuing_and_renewing(self):
        for action in ("continue", "renew"):
            with self.subTest(action):
                order = self.termed(action, periods=3)
                order.subscription_close(self.reason.id, when="date", date="2027-03-10")
                self.nightly("2027-03-09", "2027-03-10")
                self.assertEqual((order.subscription_state, order.close_reason_id), ("churned", self.reason))
                self.assertFalse(order.renewal_ids)

    def test_close_may_be_planned_after_a_term_that_continues(self):
        order = self.termed("renew")
        order.subscription_close(self.reason.id, when="date", date="2027-05-10")
        self.nightly("2027-02-28", "2027-03-31")
        self.assertEqual((order.subscription_state, order.renewal_ids), ("progress", order.browse()))
        self.assertDates(order, end_date="2027-05-10")

    def test_kept_subscription_regains_its_term(self):
        order = self.termed("renew", periods=2)
        order.subscription_close(self.reason.id, when="date", date="2027-02-20")
        order.subscription_keep()
        self.assertDates(order, end_date="2027-03-31")

    def test_manually_renewed_subscription_has_a_new_term(self):
        order = self.termed("close", periods=3)
        renewal = self.renewed_by(order)
        self.assertDates(renewal, start_date="2027-02-28", end_date="2027-05-31")
        self.expire(until="2027-04-30")
        self.assertEqual((order.subscription_state, renewal.subscription_state), ("renewed", "progress"))

    def test_term_given_as_a_date_is_renewed_for_the_same_length(self):
        order = self.paid_subscription(end_date="2028-01-31", term_end_action="close")
        self.assertDates(self.renewed_by(order), start_date="2027-02-28", end_date="2028-02-28")

    def test_term_shortened_by_a_planned_close_is_renewed_for_its_original_length(self):
        order = self.paid_subscription(end_date="2028-01-31", term_end_action="close")
        order.subscription_close(self.reason.id, when="date", date="2027-03-10")
        self.assertDates(self.renewed_by(order), start_date="2027-02-28", end_date="2028-02-28")

    def test_end_before_the_start_gives_no_term_to_renew(self):
        order = self.subscription(start="2027-04-15")
        # An earlier version allowed this.
        order._write_subscription({"end_date": "2027-03-01", "term_end_action": "renew"})
        renewal = self.quotation(subscription_id=order.id, term_end_action="renew")
        with self.on("2027-05-01"):
            renewal.action_confirm()
        self.assertDates(renewal, start_date="2027-04-15", end_date=False)

    def test_form_says_what_happens_at_the_end_of_the_term(self):
        for action, words in (
            ("close", "is scheduled to close on 02/28/2027"),
            ("continue", "continues indefinitely"),
            ("renew", "will renew automatically on 02/28/2027"),
        ):
            with self.subTest(action):
                self.assertIn(words, self.termed(action).billing_status)

    def test_plan_refuses_negative_terms_and_notices(self):
        for field in ("term_periods", "renewal_notice_days"):
            refused = self.assertRaisesRegex(psycopg2.errors.CheckViolation, field)
            with self.subTest(field), mute_logger("odoo.sql_db"), refused, self.cr.savepoint():
                self.monthly[field] = -1
                self.monthly.flush_recordset()


@tagged("post_install", "-at_install")
class TestAutomaticRenewal(TermCommon):
    """Announced a number of days before, confirmed on the day unless declined."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.termed()

    def test_nothing_is_announced_before_its_time(self):
        order = self.order
        self.renew(until="2027-02-13")
        self.assertFalse(order.renewal_ids or order.auto_renew_on)

    def test_renewal_is_announced_fourteen_days_before(self):
        order = self.order
        self.renew(until="2027-02-14")
        self.assertEqual((order.renewal_ids.state, order.subscription_state), ("sent", "progress"))
        self.assertDates(order, auto_renew_on="2027-02-28", end_date="2027-02-28")

    def test_plan_sets_the_notice_period(self):
        self.monthly.renewal_notice_days = 5
        order = self.termed()
        self.renew(until="2027-02-22")
        self.assertFalse(order.renewal_ids)
        self.renew(until="2027-02-23")
        self.assertTrue(order.renewal_ids)

    def test_notice_goes_to_the_customer_once(self):
        order = self.order
        for day in ("2027-02-14", "2027-02-14", "2027-02-15", "2027-02-27"):
            self.renew(until=day)
        [notice] = self.notices(order)
        body = str(notice.body).replace("&nbsp;", " ").replace("\xa0", " ")
        for words in (order.name, "02/28/2027", "$ 100.00", "decline the renewal", "Do Not Renew"):
            self.assertIn(words, body)

    def test_notice_links_to_the_quotation_that_can_be_declined(self):
        order = self.order
        self.renew(until="2027-02-14")
        [notice] = self.notices(order)
        self.assertIn(f"/my/orders/{order.renewal_ids.id}?access_token=", notice.body)

    def test_renewal_is_not_confirmed_before_its_day(self):
        order = self.order
        self.nightly("2027-02-14", "2027-02-27")
        self.assertEqual((order.subscription_state, order.renewal_ids.state), ("progress", "sent"))

    def test_renewal_is_confirmed_on_its_day(self):
        order = self.order
        self.nightly("2027-02-14", "2027-02-28")
        renewal = order.renewal_ids
        self.assertEqual((order.subscription_state, renewal.subscription_state), ("renewed", "progress"))
        self.assertDates(renewal, start_date="2027-02-28", end_date="2027-03-31", anchor_date="2027-01-31")
        self.assertChainTiled(order, until="2027-03-31")

    def test_day_is_that_of_the_company(self):
        self.company.partner_id.tz = "Pacific/Kiritimati"
        order = self.termed()
        self.assertDates(order, start_date="2027-02-01", end_date="2027-03-01")
        self.renew(until="2027-02-14 09:59")
        self.assertFalse(order.renewal_ids)
        self.renew(until="2027-02-14 10:00")
        self.assertTrue(order.renewal_ids)

    def test_chain_of_terms_continues_for_a_year(self):
        self.monthly.renewal_notice_days = 3
        order = self.termed(card=self.card())
        days = [f"2027-{month:02}-{day:02}" for month in range(2, 9) for day in (1, 7, 14, 21, 25, 28)]
        days += ["2027-03-31", "2027-04-30", "2027-05-31", "2027-06-30", "2027-07-31"]
        with self.provider("done"):
            self.nightly(*sorted(days))
        chain = order.search([("origin_order_id", "=", order.id), ("state", "=", "sale")], order="id")
        self.assertEqual(chain.mapped("subscription_state"), ["renewed"] * (len(chain) - 1) + ["progress"])
        self.assertEqual(len(chain), 7)
        self.assertChainTiled(order, until="2027-08-31")

    def test_renewal_is_declined_and_the_subscription_closes_at_its_end(self):
        order = self.order
        self.renew(until="2027-02-14")
        order.renewal_ids._action_cancel()
        self.assertEqual(order.term_end_action, "close")
        self.assertDates(order, auto_renew_on=False, end_date="2027-02-28")
        self.assertIn("The renewal was declined", self.chatter(order))
        self.nightly("2027-02-15", "2027-02-27")
        self.assertEqual(order.subscription_state, "progress")
        self.nightly("2027-02-28")
        self.assertEqual(order.subscription_state, "churned")
        self.assertEqual(len(self.notices(order)), 1)

    def test_announced_quotation_that_is_deleted_counts_as_declined(self):
        order = self.order
        self.renew(until="2027-02-14")
        renewal = order.renewal_ids.with_user(self.administrator)
        renewal.action_draft()
        renewal.unlink()
        self.assertEqual(order.term_end_action, "close")
        self.nightly("2027-02-28")
        self.assertEqual(order.subscription_state, "churned")

    def test_customer_is_not_notified_of_a_renewal_that_cannot_be_confirmed(self):
        order = self.order
        renewal = self.renewal(order)
        renewal.order_line.unlink()
        with mute_logger(BATCH_LOGGER):
            self.renew(until="2027-02-14")
        self.assertEqual((order.auto_renew_on, self.notices(order)), (False, []))
        self.assertIn("but no subscription product", order.sudo().activity_ids.note)
        renewal.order_line = [self.line()]
        self.renew(until="2027-02-15")
        self.assertDates(order, auto_renew_on="2027-03-01")

    def test_quotation_that_was_declined_before_the_notice_declines_nothing_afterwards(self):
        order = self.order
        earlier = self.renewal(order)
        earlier._action_cancel()
        self.renew(until="2027-02-14")
        earlier._action_cancel()
        earlier.with_user(self.administrator).unlink()
        self.assertEqual(order.term_end_action, "renew")
        self.nightly("2027-02-28")
        self.assertEqual(order.subscription_state, "renewed")

    def test_declined_renewal_is_announced_again_if_the_salesperson_chooses(self):
        order = self.order
        self.renew(until="2027-02-14")
        order.renewal_ids._action_cancel()
        order.term_end_action = "renew"
        self.nightly("2027-02-20")
        self.assertDates(order, auto_renew_on="2027-03-06")
        self.nightly("2027-02-28")
        self.assertEqual(order.subscription_state, "progress")
        self.nightly("2027-03-06")
        self.assertEqual(order.subscription_state, "renewed")
        self.assertChainTiled(order, until="2027-03-31")

    def test_action_that_was_down_for_weeks_gives_notice_first(self):
        order = self.order
        self.nightly("2027-03-20")
        self.assertEqual(order.subscription_state, "progress")
        self.assertDates(order, auto_renew_on="2027-04-03", end_date="2027-02-28")
        self.nightly("2027-04-02")
        self.assertEqual(order.subscription_state, "progress")
        self.nightly("2027-04-03")
        self.assertEqual(order.subscription_state, "renewed")
        self.assertDates(order.renewal_ids, start_date="2027-02-28")
        self.assertChainTiled(order, until="2027-04-30")

    def test_term_shorter_than_the_notice_falls_behind_by_the_notice_at_most(self):
        order = self.termed(plan=self.weekly)
        with self.provider("done"):
            order.payment_token_id = self.card()
            for week in range(12):
                self.nightly(str(order.start_date + timedelta(weeks=week)))
        chain = order.search([("origin_order_id", "=", order.id), ("state", "=", "sale")], order="id")
        self.assertGreaterEqual(str(max(chain.mapped("end_date"))), "2027-04-11")

    def test_actions_down_for_forty_days_bill_the_term_that_ended_meanwhile(self):
        order = self.termed(periods=2)
        self.nightly("2027-04-10")
        self.assertEqual(self.billed_periods(order)[-1], ("2027-02-28", "2027-03-31"))
        self.nightly("2027-04-24")
        self.assertEqual(order.subscription_state, "renewed")
        self.assertChainTiled(order, until="2027-04-30")

    def test_action_that_was_down_after_the_notice_renews_at_once(self):
        order = self.order
        self.renew(until="2027-02-14")
        self.nightly("2027-04-10")
        self.assertEqual(order.subscription_state, "renewed")
        self.assertEqual(len(self.notices(order)), 1)
        self.assertDates(order.renewal_ids, start_date="2027-02-28", end_date="2027-04-30")
        self.assertChainTiled(order, until="2027-04-30")

    def test_nothing_is_billed_between_a_missed_end_and_the_renewal(self):
        order = self.order
        self.nightly("2027-03-20", "2027-04-02")
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28")])

    def test_actions_run_in_any_order_on_the_day(self):
        for actions in ("erb", "bre", "reb", "rbe", "ber", "ebr"):
            with self.subTest(actions):
                order = self.termed()
                self.renew(until="2027-02-14")
                for action in actions * 2:
                    {"e": self.expire, "r": self.renew, "b": self.bill}[action](until="2027-02-28")
                self.assertEqual(order.subscription_state, "renewed")
                self.assertChainTiled(order, until="2027-03-31")

    def test_actions_that_run_again_change_nothing(self):
        order = self.order
        self.nightly("2027-02-14", "2027-02-28")
        orders = order | order.renewal_ids
        before = orders.read(["write_date", "subscription_state", "end_date"]), orders.message_ids, orders.movement_ids
        self.nightly("2027-02-28", "2027-02-28")
        after = orders.read(["write_date", "subscription_state", "end_date"]), orders.message_ids, orders.movement_ids
        self.assertEqual(after, before)

    def test_quotation_created_earlier_by_the_salesperson_is_announced(self):
        order = self.order
        renewal = self.renewal(order)
        renewal.order_line.product_uom_qty = 2
        self.renew(until="2027-02-14")
        self.assertEqual(order.renewal_ids, renewal)
        self.assertEqual(renewal.state, "sent")
        [notice] = self.notices(order)
        self.assertIn("200.00", notice.body)

    def test_customer_who_confirms_at_once_is_renewed_once(self):
        order = self.order
        self.renew(until="2027-02-14")
        with self.on("2027-02-16"):
            order.renewal_ids.action_confirm()
        self.nightly("2027-02-28")
        self.assertEqual(len(order.renewal_ids), 1)
        self.assertChainTiled(order, until="2027-03-31")

    def test_renewal_follows_the_plans_prices(self):
        self.monthly.write({"renewal_pricing": "increase", "renewal_increase": 10})
        order = self.termed()
        self.nightly("2027-02-14", "2027-02-28")
        self.assertEqual(order.renewal_ids.recurring_total, 110.0)
        self.assertLedgerAgrees(order | order.renewal_ids)

    def test_subscription_in_exception_waits(self):
        order = self.order
        order.sudo()._write_subscription({"payment_exception": True})
        self.nightly("2027-02-14", "2027-02-28")
        self.assertEqual((order.subscription_state, order.renewal_ids), ("progress", order.browse()))
        order.sudo()._write_subscription({"payment_exception": False})
        self.nightly("2027-03-01")
        self.assertDates(order, auto_renew_on="2027-03-15")
        self.assertFalse(order.activity_ids)

    def test_paused_subscription_waits_until_it_is_resumed(self):
        order = self.order
        self.renew(until="2027-02-14")
        order.subscription_pause()
        self.nightly("2027-02-28", "2027-03-10")
        self.assertEqual(order.subscription_state, "paused")
        with self.on("2027-03-15"):
            order.subscription_resume()
        self.nightly("2027-03-15")
        self.assertEqual(order.subscription_state, "renewed")
        self.assertDates(order.renewal_ids, start_date="2027-03-15")
        self.assertNoOverlap(order.renewal_ids)

    def test_close_planned_after_the_notice_takes_precedence(self):
        order = self.order
        self.renew(until="2027-02-14")
        order.subscription_close(self.reason.id, when="date", date="2027-02-28")
        self.nightly("2027-02-28")
        self.assertEqual((order.subscription_state, order.close_reason_id), ("churned", self.reason))
        self.assertEqual(order.renewal_ids.state, "cancel")

    def test_postponed_end_postpones_the_renewal(self):
        order = self.order
        self.renew(until="2027-02-14")
        order.end_date = "2027-04-30"
        self.nightly("2027-02-28", "2027-03-31")
        self.assertEqual(order.subscription_state, "progress")
        self.nightly("2027-04-30")
        self.assertEqual(order.subscription_state, "renewed")
        self.assertChainTiled(order, until="2027-05-31")

    @mute_logger(BATCH_LOGGER)
    def test_unpaid_first_period_sets_it_aside_and_closes_nothing(self):
        order, good = self.termed(paid=False), self.termed()
        self.invoice(order)
        self.nightly("2027-02-14", "2027-02-28")
        self.assertEqual((order.subscription_state, good.subscription_state), ("progress", "renewed"))
        self.assertIn("is not paid", order.activity_ids.note)
        self.assertEqual(len(order.activity_ids), 1)

    @mute_logger(BATCH_LOGGER)
    def test_failure_at_the_notice_stops_no_other(self):
        good, bad, late = self.termed(), self.termed(), self.termed()
        self._renew_with(bad, "_announce_renewal", "2027-02-14")
        self.assertEqual([len(order.renewal_ids) for order in (good, bad, late)], [1, 0, 1])
        self.assertIn("Out of beans", bad.activity_ids.note)
        self.assertFalse(self.notices(bad))

    @mute_logger(BATCH_LOGGER)
    def test_failure_at_the_confirmation_stops_no_other_and_is_retried(self):
        good, bad, late = self.termed(), self.termed(), self.termed()
        self.renew(until="2027-02-14")
        self._renew_with(bad, "_renew_automatically", "2027-02-28")
        states = (good | bad | late).mapped("subscription_state")
        self.assertEqual(states, ["renewed", "progress", "renewed"])
        self.assertEqual(bad.renewal_ids.state, "sent")
        self.nightly("2027-03-01")
        self.assertEqual(bad.subscription_state, "renewed")
        self.assertChainTiled(bad, until="2027-03-31")

    def _renew_with(self, bad, method_name, day):
        """Run the scheduled action while a method fails for one subscription after doing its work."""
        method = getattr(type(bad), method_name)

        def fail_for_the_bad_one(orders):
            method(orders)
            if bad in orders:
                raise ValueError("Out of beans")

        with patch.object(type(bad), method_name, fail_for_the_bad_one):
            self.renew(until=day)

    @mute_logger(BATCH_LOGGER)
    def test_two_open_quotations_are_not_both_confirmed(self):
        order = self.termed()
        self.quotation(subscription_id=order.id)
        self.quotation(subscription_id=order.id)
        self.nightly("2027-02-14", "2027-02-28")
        self.assertLessEqual(len(order.renewal_ids.filtered(lambda renewal: renewal.state == "sale")), 1)
        self.assertEqual(len(self.notices(order)), 1)
        self.assertChainTiled(order, until="2027-03-31")

    def test_renewal_is_of_the_company_of_its_subscription(self):
        second = self.make_company("Second Company")
        order = self.termed()
        self.nightly("2027-02-14", "2027-02-28")
        self.assertEqual(order.renewal_ids.company_id, self.company)
        self.assertNotEqual(order.renewal_ids.company_id, second)

    def test_automatic_renewal_is_charged_to_the_stored_card(self):
        order = self.termed(card=self.card())
        with self.provider("done"):
            self.nightly("2027-02-14", "2027-02-28")
        self.assertEqual(order.renewal_ids.period_ids.status, "paid")
        self.assertEqual(len(self.calls), 1)

    def test_cancelled_automatic_renewal_ends_the_subscription(self):
        order = self.order
        self.renew(until="2027-02-14")
        self.renew(until="2027-02-28")
        with self.on("2027-02-28"):
            order.renewal_ids.action_cancel()
        self.assertEqual((order.subscription_state, order.term_end_action), ("progress", "close"))
        self.nightly("2027-03-01")
        self.assertEqual(order.subscription_state, "churned")
        self.assertLedgerAgrees(order | order.renewal_ids)


@tagged("post_install", "-at_install")
class TestTermAccess(SubscriptionCommon):
    def test_salesperson_changes_the_action_at_the_end_of_the_term(self):
        order = self.subscription(term_periods=3, term_end_action="close")
        order.term_end_action = "renew"
        self.flush_chatter()
        self.assertEqual(self.changes(self.last_message(order))["term_end_action"], ("Close", "Renew automatically"))

    def test_salesperson_cannot_change_plans(self):
        with self.assertRaises(UserError):
            self.monthly.with_user(self.salesperson).term_end_action = "renew"
