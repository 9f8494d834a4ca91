from unittest.mock import patch

from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged
from odoo.tools import html2plaintext, mute_logger

from odoo.addons.base.models import ir_cron

from ..models.subscription.runner import Turn
from .common import SubscriptionCommon

BATCH_LOGGER = "odoo.addons.subscription_close_renew.models.subscription.sale_order_scheduled"
JANUARY = ("2027-01-31", "2027-02-28")
FEBRUARY = ("2027-02-28", "2027-03-31")


@tagged("post_install", "-at_install")
class TestBilling(SubscriptionCommon):
    """P4, P5, P6: which subscriptions the scheduled action invoices, and which it skips."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.subscription()

    def test_subscription_due_today_is_invoiced(self):
        order = self.subscription(start="2027-01-31")
        self.bill()
        self.assertEqual(self.billed_periods(order), [JANUARY])
        self.assertDates(order, next_invoice_date="2027-02-28")

    def test_subscription_due_earlier_is_invoiced(self):
        order = self.subscription(start="2027-01-30")
        self.bill()
        self.assertEqual(self.billed_periods(order), [("2027-01-30", "2027-02-28")])

    def test_subscription_due_tomorrow_is_not_invoiced(self):
        order = self.subscription(start="2027-02-01")
        self.bill()
        self.assertFalse(self.invoices(order))
        self.assertDates(order, next_invoice_date="2027-02-01")

    def test_invoice_is_posted(self):
        order = self.order
        self.bill()
        self.assertEqual(self.invoices(order).mapped("state"), ["posted"])

    def test_second_run_on_the_day_invoices_nothing(self):
        order = self.order
        self.bill()
        self.bill("2027-01-31 23:59")
        self.assertEqual(len(self.invoices(order)), 1)

    def test_next_period_is_invoiced_on_its_first_day(self):
        order = self.order
        self.bill()
        self.bill("2027-02-27")
        self.assertEqual(self.billed_periods(order), [JANUARY])
        self.bill("2027-02-28")
        self.assertEqual(self.billed_periods(order), [JANUARY, FEBRUARY])

    def test_quotation_is_not_invoiced(self):
        order = self.quotation(start="2027-01-01")
        self.bill()
        self.assertFalse(self.invoices(order))

    def test_ordinary_order_is_not_invoiced(self):
        order = self.quotation(plan=False, lines=[self.line(self.one_time_product)])
        order.action_confirm()
        self.bill()
        self.assertFalse(self.invoices(order))

    def test_paused_subscription_is_not_invoiced(self):
        order = self.paused_subscription()
        self.bill("2027-03-15")
        self.assertFalse(self.invoices(order))

    def test_churned_subscription_is_not_invoiced(self):
        order = self.churned_subscription()
        self.bill("2027-03-15")
        self.assertFalse(self.invoices(order))

    def test_renewed_subscription_is_not_invoiced(self):
        order = self.order
        self.invoice(order)
        renewal = self.quotation(subscription_id=order.id, plan=order.plan_id)
        renewal.action_confirm()
        self.bill("2027-03-15")
        self.assertEqual(self.billed_periods(order), [JANUARY])
        self.assertEqual(self.billed_periods(renewal), [FEBRUARY])

    def test_subscription_in_exception_is_not_invoiced_until_it_is_resolved(self):
        order = self.order
        order.sudo().payment_exception = True
        self.bill()
        self.assertFalse(self.invoices(order))
        order.sudo().payment_exception = False
        self.bill()
        self.assertEqual(self.billed_periods(order), [JANUARY])

    def test_cancelled_order_is_not_invoiced(self):
        order = self.order
        order._action_cancel()
        self.bill()
        self.assertFalse(self.invoices(order))

    def test_close_of_today_wins(self):
        order = self.order
        order.end_date = "2027-02-28"
        self.bill()
        self.bill("2027-02-28")
        self.assertEqual(order.subscription_state, "progress")
        self.assertEqual(self.billed_periods(order), [JANUARY])

    def test_subscription_that_closes_later_is_invoiced(self):
        order = self.order
        order.subscription_close(self.reason.id, when="date", date="2027-03-01")
        self.bill("2027-02-28")
        self.assertEqual(self.billed_periods(order), [JANUARY, FEBRUARY])

    def test_kept_subscription_is_invoiced(self):
        order = self.order
        order.subscription_close(self.reason.id, when="date", date="2027-02-28")
        order.subscription_keep()
        self.bill("2027-02-28")
        self.assertEqual(self.billed_periods(order), [JANUARY, FEBRUARY])

    def test_subscription_of_another_company_is_invoiced_there(self):
        company = self.make_company("Other Company")
        seller = self.make_user("other_seller", "sales_team.group_sale_salesman", companies=company)
        here, there = self.subscription(), self.subscription(user=seller, company=company)
        self.bill()
        invoices = here.sudo().invoice_ids | there.sudo().invoice_ids
        self.assertEqual(invoices.mapped("company_id"), self.company | company)
        self.assertEqual(invoices.journal_id.mapped("company_id"), self.company | company)
        self.assertEqual(set(invoices.mapped("state")), {"posted"})

    def test_subscription_of_an_archived_company_is_not_invoiced(self):
        company = self.make_company("Other Company")
        seller = self.make_user("other_seller", "sales_team.group_sale_salesman", companies=company)
        order = self.subscription(user=seller, company=company)
        seller.sudo().active = False
        company.active = False
        self.bill()
        self.assertFalse(order.sudo().invoice_ids)

    def test_chatter_of_the_invoice_links_to_its_subscription(self):
        order = self.order
        self.bill()
        messages = self.invoices(order).message_ids
        self.assertEqual(len(messages.filtered(lambda message: order.name in html2plaintext(message.body or ""))), 1)

    def test_subscription_that_costs_nothing_is_invoiced(self):
        order = self.subscription(lines=[self.line(price_unit=0)])
        self.bill()
        self.assertEqual(self.billed_periods(order), [JANUARY])
        self.assertEqual(self.invoices(order).payment_state, "paid")

    def test_run_without_anything_due_is_done(self):
        self.bill()
        self.bill()
        cron = self.env.ref("subscription_close_renew.ir_cron_subscription_billing")
        progress = self.env["ir.cron.progress"].search([("cron_id", "=", cron.id)], order="id desc", limit=1)
        self.assertEqual((progress.done, progress.remaining), (0, 0))

    def test_progress_is_reported(self):
        self.bill()  # other companies may have subscriptions due
        for _order in range(3):
            self.subscription()
        self.bill()
        cron = self.env.ref("subscription_close_renew.ir_cron_subscription_billing")
        progress = self.env["ir.cron.progress"].search([("cron_id", "=", cron.id)], order="id desc", limit=1)
        self.assertEqual((progress.done, progress.remaining), (3, 0))


@tagged("post_install", "-at_install")
class TestBillingCatchUp(SubscriptionCommon):
    """P6: missed periods are caught up, oldest first, up to a limit."""

    def test_missed_periods_are_billed_in_one_run(self):
        order = self.subscription(start="2026-10-31")
        self.bill()
        self.assertEqual(
            self.billed_periods(order),
            [
                ("2026-10-31", "2026-11-30"),
                ("2026-11-30", "2026-12-31"),
                ("2026-12-31", "2027-01-31"),
                ("2027-01-31", "2027-02-28"),
            ],
        )

    def test_each_missed_period_has_its_invoice(self):
        order = self.subscription(start="2026-10-31")
        self.bill()
        self.assertEqual(len(self.invoices(order)), 4)
        self.assertEqual({len(period.invoice_ids) for period in order.sudo().period_ids}, {1})

    def test_one_run_bills_twelve_periods_at_most(self):
        order = self.subscription(plan=self.weekly, start="2026-09-06")  # 22 weeks
        self.bill()
        self.assertEqual(len(self.billed_periods(order)), 12)

    def test_oldest_periods_are_billed_first(self):
        order = self.subscription(plan=self.weekly, start="2026-09-06")
        self.bill()
        self.assertEqual(self.billed_periods(order)[0], ("2026-09-06", "2026-09-13"))
        self.assertEqual(self.billed_periods(order)[-1], ("2026-11-22", "2026-11-29"))
        self.assertDates(order, next_invoice_date="2026-11-29")

    def test_next_run_continues_where_the_last_one_stopped(self):
        order = self.subscription(plan=self.weekly, start="2026-09-06")
        self.bill()
        self.bill()
        self.assertEqual(len(self.billed_periods(order)), 22)
        self.assertDates(order, next_invoice_date="2027-02-07")

    def test_run_after_the_last_bills_nothing(self):
        order = self.subscription(plan=self.weekly, start="2026-09-06")
        for _run in range(4):
            self.bill()
        self.assertEqual(len(self.invoices(order)), 22)

    def test_limit_applies_to_each_subscription(self):
        orders = self.subscription(plan=self.weekly, start="2026-09-06") | self.subscription(
            plan=self.weekly, start="2026-09-13"
        )
        self.bill()
        self.assertEqual([len(self.billed_periods(order)) for order in orders], [12, 12])

    def test_one_time_lines_are_invoiced_with_the_first_missed_period(self):
        order = self.subscription(start="2026-12-31", lines=[self.line(), self.line(self.one_time_product)])
        self.bill()
        self.assertEqual(self.invoices(order).mapped("amount_total"), [130, 100])


@tagged("post_install", "-at_install")
class TestBillingSetAside(SubscriptionCommon):
    """P7: one bad subscription stops no other and undoes nothing."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.good = cls.subscription()
        cls.bad = cls.subscription(lines=[cls.line(price_unit=-100)])
        cls.late = cls.subscription()

    def bill_quietly(self, until="2027-01-31"):
        with mute_logger(BATCH_LOGGER):
            self.bill(until)

    def test_others_are_invoiced(self):
        self.bill_quietly()
        for order in self.good | self.late:
            self.assertEqual(self.billed_periods(order), [JANUARY])
            self.assertEqual(self.invoices(order).state, "posted")

    def test_others_are_invoiced_once_over_several_runs(self):
        for _run in range(3):
            self.bill_quietly()
        self.assertEqual(len(self.invoices(self.good | self.late)), 2)

    def test_bad_subscription_is_left_unchanged(self):
        self.bill_quietly()
        self.assertFalse(self.invoices(self.bad))
        self.assertFalse(self.bad.period_ids)
        self.assertDates(self.bad, next_invoice_date="2027-01-31")

    def test_salesperson_is_notified_of_the_error(self):
        self.bill_quietly()
        self.assertEqual(self.bad.activity_ids.user_id, self.salesperson)
        self.assertIn("negative total amount", self.bad.activity_ids.note)

    def test_error_is_shown_as_plain_text(self):
        with mute_logger(BATCH_LOGGER):
            self.bad._set_aside(ValueError("<b>bold</b> & more"))
        self.assertIn("<b>bold</b> & more", html2plaintext(self.bad.activity_ids.note))

    def test_salesperson_is_notified_once_over_several_runs(self):
        for until in ("2027-01-31", "2027-01-31 18:00", "2027-02-01"):
            self.bill_quietly(until)
        self.assertEqual(len(self.bad.activity_ids), 1)

    def test_others_get_no_activity(self):
        self.bill_quietly()
        self.assertFalse((self.good | self.late).activity_ids)

    def test_log_names_the_bad_subscription(self):
        with self.assertLogs(BATCH_LOGGER, "WARNING") as logs:
            self.bill()
        self.assertEqual([self.bad.name in output for output in logs.output], [True])

    def test_fixed_subscription_is_invoiced_at_the_next_run(self):
        self.bill_quietly()
        self.bad.order_line.price_unit = 50
        self.bill("2027-02-01")
        self.assertEqual(self.billed_periods(self.bad), [JANUARY])

    def test_bad_subscription_of_another_company_stops_none_here(self):
        company = self.make_company("Company Without a Journal")
        seller = self.make_user("other_seller", "sales_team.group_sale_salesman", companies=company)
        order = self.subscription(user=seller, company=company)
        self.env["account.journal"].search([("company_id", "=", company.id)]).unlink()
        self.bad._action_cancel()
        self.bill_quietly()
        self.assertEqual(len(order.sudo().activity_ids), 1)
        self.assertEqual(self.billed_periods(self.good), [JANUARY])

    def test_subscription_without_a_salesperson_is_set_aside_too(self):
        self.bad.sudo().user_id = False
        self.bill_quietly()
        self.assertEqual(len(self.bad.sudo().activity_ids), 1)
        self.assertEqual(self.billed_periods(self.good), [JANUARY])

    def test_only_the_bad_ones_among_many_are_set_aside(self):
        bad = self.bad
        good = self.good | self.late
        for number in range(9):
            if number % 4:
                good |= self.subscription()
            else:
                bad |= self.subscription(lines=[self.line(price_unit=-1)])
        self.bill_quietly()
        self.assertEqual({len(order.sudo().activity_ids) for order in bad}, {1})
        self.assertEqual({len(self.invoices(order)) for order in good}, {1})

    def test_failing_subscription_does_not_keep_others_from_catching_up(self):
        order = self.subscription(start="2026-10-31")
        self.bill_quietly()
        self.assertEqual(len(self.billed_periods(order)), 4)


@tagged("post_install", "-at_install")
class TestBillNow(SubscriptionCommon):
    """The button Bill Now, on an order and on the list."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.subscription()

    def bill_now(self, orders):
        return self.click(orders, "action_subscription_bill")

    def test_it_invoices_what_is_due(self):
        order = self.order
        action = self.bill_now(order)
        self.assertEqual(self.billed_periods(order), [JANUARY])
        self.assertEqual(action["params"]["type"], "success")
        self.assertIn(order.name, action["params"]["message"])

    def test_salesperson_needs_no_rights_in_invoicing(self):
        self.assertFalse(self.salesperson.has_group("account.group_account_invoice"))
        order = self.subscription()
        self.bill_now(order)
        self.assertEqual(self.invoices(order).state, "posted")

    def test_it_is_refused_for_the_order_of_a_colleague(self):
        order = self.order.with_user(self.other_salesperson)
        with self.assertRaises(AccessError):
            self.bill_now(order)
        self.assertFalse(order.sudo().period_ids)

    def test_it_is_refused_with_a_reason_when_nothing_is_due(self):
        order = self.subscription(start="2027-02-28")
        with self.assertRefused(f"{order.name} will next be invoiced on 02/28/2027"):
            self.bill_now(order)

    def test_second_press_is_refused(self):
        order = self.order
        self.bill_now(order)
        with self.assertRefused("will next be invoiced on 02/28/2027"):
            self.bill_now(order)
        self.assertEqual(len(self.invoices(order)), 1)

    def test_it_is_refused_for_orders_that_are_not_running(self):
        for order, words in (
            (self.quotation(), "is not confirmed"),
            (self.paused_subscription(), "is paused"),
            (self.churned_subscription(), "has ended"),
        ):
            with self.subTest(order.subscription_state), self.assertRefused(words):
                self.bill_now(order)

    def test_it_is_refused_in_exception(self):
        order = self.order
        order.sudo().payment_exception = True
        with self.assertRefused("outcome of a payment"):
            self.bill_now(order)

    def test_it_is_refused_on_the_day_of_the_close(self):
        order = self.order
        order.end_date = "2027-01-31"
        with self.assertRefused("is scheduled to close on 01/31/2027"):
            self.bill_now(order)

    def test_list_names_every_reason_when_none_is_due(self):
        orders = self.subscription(start="2027-02-28") | self.paused_subscription()
        with self.assertRaises(UserError) as refusal:
            self.bill_now(orders)
        self.assertIn("will next be invoiced", str(refusal.exception))
        self.assertIn("is paused", str(refusal.exception))

    def test_list_invoices_due_subscriptions(self):
        due, later = self.order, self.subscription(start="2027-02-28")
        action = self.bill_now(due | later)
        self.assertEqual([len(self.invoices(order)) for order in (due, later)], [1, 0])
        self.assertIn("Invoiced: 1.", action["params"]["message"])
        self.assertIn(later.name, action["params"]["message"])
        self.assertNotIn(due.name, action["params"]["message"])

    def test_list_leaves_unselected_subscriptions_alone(self):
        chosen, other = self.order, self.subscription()
        self.bill_now(chosen)
        self.assertEqual([len(self.invoices(order)) for order in (chosen, other)], [1, 0])

    def test_bad_subscription_in_the_list_stops_no_other(self):
        bad = self.subscription(lines=[self.line(price_unit=-100)])
        good = self.subscription()
        with mute_logger(BATCH_LOGGER):
            self.bill_now(bad | good)
        self.assertEqual([len(self.invoices(order)) for order in (bad, good)], [0, 1])

    def test_list_reports_bad_and_good_subscriptions_separately(self):
        bad = self.subscription(lines=[self.line(price_unit=-100)])
        good = self.subscription()
        with mute_logger(BATCH_LOGGER):
            message = self.bill_now(bad | good)["params"]["message"]
        self.assertIn("Invoiced: 1.", message)
        self.assertIn(bad.name, message)
        self.assertNotIn(good.name, message)

    def test_single_bad_subscription_is_reported_as_a_warning(self):
        bad = self.subscription(lines=[self.line(price_unit=-100)])
        with mute_logger(BATCH_LOGGER):
            action = self.bill_now(bad)
        self.assertEqual(action["params"]["type"], "warning")
        self.assertEqual(len(bad.activity_ids), 1)

    def test_invoice_of_a_plan_with_a_template_waits_for_the_sender(self):
        self.monthly.invoice_mail_template_id = self.env.ref("subscription_close_renew.mail_template_invoice")
        order = self.subscription()
        self.bill_now(order)
        self.assertTrue(self.invoices(order).sending_data)

    def test_button_shows_while_something_is_due(self):
        order = self.order
        self.assertTrue(order.is_billing_due)
        self.bill_now(order)
        self.assertFalse(order.is_billing_due)


@tagged("post_install", "-at_install")
class TestBillingCost(SubscriptionCommon):
    """The query budget of one more invoice."""

    def queries(self, number):
        """Return the number of queries to invoice a number of subscriptions in one run."""
        for _order in range(number):
            self.subscription()
        before = self.cr.sql_log_count
        self.bill()
        return self.cr.sql_log_count - before

    def test_one_more_invoice_costs_twelve_queries_at_most(self):
        self.queries(1)  # fills the caches
        self.assertLessEqual((self.queries(40) - self.queries(20)) / 20, 12)

    def test_one_bad_subscription_among_many_costs_little(self):
        for _order in range(31):
            self.subscription()
        self.subscription(lines=[self.line(price_unit=-100)])
        made = []
        create = type(self.env["account.move"]).create

        def count(moves, vals_list):
            made.append(len(vals_list))
            return create(moves, vals_list)

        with mute_logger(BATCH_LOGGER), patch.object(type(self.env["account.move"]), "create", count):
            self.bill()
        # Batches are halved until the bad one is alone: 32 + 16 + 16 + 8 + 8 …
        self.assertLessEqual(sum(made), 32 * 3.5)


@tagged("post_install", "-at_install")
class TestBillingInPieces(SubscriptionCommon):
    """Odoo gives a scheduled action ten seconds and calls it again while it reports remaining work."""

    def setUp(self):
        super().setUp()
        self.startPatcher(patch.object(ir_cron, "MIN_TIME_PER_JOB", 0))
        self.startPatcher(patch.object(ir_cron, "MIN_RUNS_PER_JOB", 3))
        self.startPatcher(patch.object(Turn.__new__, "__defaults__", (1, 1)))

    def test_remaining_subscriptions_are_billed_when_odoo_calls_again(self):
        orders = self.env["sale.order"].concat(*(self.subscription() for _order in range(3)))
        self.bill()
        self.assertEqual([self.billed_periods(order) for order in orders], [[JANUARY]] * 3)

    def test_another_run_is_triggered_when_subscriptions_remain(self):
        for _order in range(5):
            self.subscription()
        cron = self.env.ref("subscription_close_renew.ir_cron_subscription_billing")
        before = self.env["ir.cron.trigger"].search([("cron_id", "=", cron.id)])
        self.bill()
        self.assertEqual(len(self.env["account.move"].search([("company_id", "=", self.company.id)])), 3)
        self.assertTrue(self.env["ir.cron.trigger"].search([("cron_id", "=", cron.id)]) - before)
