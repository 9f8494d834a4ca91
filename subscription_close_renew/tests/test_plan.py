import psycopg2

from odoo.exceptions import AccessError
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import SubscriptionCommon


@tagged("post_install", "-at_install")
class TestPlan(SubscriptionCommon):
    """Recurring plans."""

    def test_shipped_plans_bill_at_their_interval(self):
        intervals = {
            "monthly": (1, "month"),
            "quarterly": (3, "month"),
            "6_months": (6, "month"),
            "yearly": (1, "year"),
        }
        for name, interval in intervals.items():
            plan = self.env.ref(f"subscription_close_renew.plan_{name}")
            self.assertEqual((plan.billing_period_value, plan.billing_period_unit), interval)

    def test_plan_of_several_months_bills_once_in_them(self):
        quarterly = self.monthly.create({"name": "Quarterly", "billing_period_value": 3})
        order = self.subscription(plan=quarterly)
        self.invoice(order)
        self.assertDates(order, next_invoice_date="2027-04-30")

    @mute_logger("odoo.sql_db")
    def test_interval_is_at_least_one(self):
        for value in (0, -1):
            with self.subTest(value), self.assertRaises(psycopg2.errors.CheckViolation):
                self.monthly.create({"name": "Never", "billing_period_value": value})

    @mute_logger("odoo.sql_db")
    def test_automatic_closing_counts_days_forward(self):
        with self.assertRaises(psycopg2.errors.CheckViolation):
            self.monthly.create({"name": "Closed yesterday", "auto_close_days": -1})

    def test_days_are_not_a_unit(self):
        with self.assertRaises(ValueError):
            self.monthly.create({"name": "Daily", "billing_period_unit": "day"})

    def test_customers_may_do_nothing_unless_the_plan_allows_it(self):
        plan = self.monthly.create({"name": "Strict"})
        self.assertEqual((plan.user_closable, plan.user_renewable), (False, False))

    def test_plan_in_use_cannot_be_deleted(self):
        self.subscription()
        with self.assertRefused("Every month is in use \\(orders: 1\\) and cannot be deleted. Archive it instead"):
            self.monthly.with_user(self.administrator).unlink()
        self.assertTrue(self.monthly.exists())

    def test_plan_of_a_quotation_cannot_be_deleted(self):
        self.quotation(plan=self.yearly)
        with self.assertRefused("cannot be deleted"):
            self.yearly.with_user(self.administrator).unlink()

    def test_plan_used_in_another_company_cannot_be_deleted(self):
        elsewhere = self.make_company("Elsewhere")
        seller = self.make_user("seller_elsewhere", "sales_team.group_sale_salesman", elsewhere)
        self.quotation(user=seller, company=elsewhere)
        with self.assertRefused("is in use \\(orders: 1\\)"):
            self.monthly.with_user(self.administrator).unlink()

    def test_unused_plan_can_be_deleted(self):
        self.weekly.with_user(self.administrator).unlink()
        self.assertFalse(self.weekly.exists())

    def test_subscriptions_of_an_archived_plan_continue(self):
        order = self.subscription()
        self.monthly.with_user(self.administrator).action_archive()
        self.invoice(order)
        self.assertDates(order, next_invoice_date="2027-02-28")

    def test_interval_of_a_plan_in_use_cannot_be_changed(self):
        self.subscription()
        for values in ({"billing_period_value": 2}, {"billing_period_unit": "year"}):
            with (
                self.subTest(values),
                self.assertRefused("Every month has active subscriptions \\(1\\)"),
            ):
                self.monthly.with_user(self.administrator).write(values)
        self.assertEqual((self.monthly.billing_period_value, self.monthly.billing_period_unit), (1, "month"))

    def test_interval_of_a_plan_with_a_paused_subscription_cannot_be_changed(self):
        self.paused_subscription()
        with self.assertRefused("Create a new plan instead"):
            self.monthly.billing_period_value = 2

    def test_unchanged_interval_may_be_written_again(self):
        self.subscription()
        self.monthly.with_user(self.administrator).write(
            {"name": "Each month", "billing_period_value": 1, "billing_period_unit": "month"}
        )
        self.assertEqual(self.monthly.name, "Each month")

    def test_interval_of_a_plan_that_only_quotations_use_can_be_changed(self):
        order = self.quotation()
        self.monthly.with_user(self.administrator).billing_period_unit = "year"
        self.assertEqual(order.recurring_monthly, 8.33)

    def test_other_fields_of_a_plan_in_use_can_be_changed(self):
        self.subscription()
        self.monthly.with_user(self.administrator).write({"user_closable": True, "auto_close_days": 15})
        self.assertTrue(self.monthly.user_closable)

    def test_copied_plan_has_the_prices_of_the_original(self):
        self.monthly.pricing_ids = [
            (0, 0, {"product_tmpl_id": self.recurring_product.product_tmpl_id.id, "fixed_price": 80.0})
        ]
        self.assertEqual(self.monthly.copy().pricing_ids.fixed_price, 80.0)

    def test_smart_button_counts_confirmed_subscriptions(self):
        self.subscription()
        self.churned_subscription()
        self.quotation()
        self.assertEqual(self.monthly.with_user(self.administrator).subscription_count, 2)

    def test_smart_button_opens_the_subscriptions_of_the_plan(self):
        order = self.subscription()
        self.subscription(plan=self.yearly)
        self.quotation()
        action = self.monthly.with_user(self.administrator).action_open_subscriptions()
        self.assertEqual(self.env[action["res_model"]].search(action["domain"]), order)

    def test_smart_button_counts_subscriptions_the_user_may_see(self):
        self.subscription()
        self.assertEqual(self.monthly.with_user(self.other_salesperson).subscription_count, 0)

    def test_only_the_administrator_manages_the_plans(self):
        for user in (self.salesperson, self.sales_lead, self.accountant):
            plan = self.weekly.with_user(user)
            with self.subTest(user.name):
                self.assertEqual(plan.name, "Every week")
                with self.assertRaises(AccessError):
                    plan.name = "Changed"
                with self.assertRaises(AccessError):
                    plan.create({"name": "New"})
                with self.assertRaises(AccessError):
                    plan.unlink()
