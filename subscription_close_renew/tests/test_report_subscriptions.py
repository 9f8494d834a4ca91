from odoo.tests import tagged

from .common import SubscriptionCommon


@tagged("post_install", "-at_install")
class TestSubscriptionReport(SubscriptionCommon):
    """Reporting ‣ Subscriptions agrees with the orders."""

    def rows(self, groupby, aggregates, domain=(), user=None):
        """Return the report of the company of the test, as its pivot does."""
        report = self.env["sale.subscription.report"].with_user(user or self.sales_lead)
        return report._read_group([("company_id", "=", self.company.id), *domain], groupby, aggregates)

    def total(self, measure, domain=()):
        [[total]] = self.rows([], [measure], domain)
        return total or 0

    def test_subscription_with_two_products_counts_once(self):
        tea = self.env["product.product"].create({"name": "Tea Service", "recurring_invoice": True})
        self.subscription(lines=[self.line(), self.line(tea, price_unit=50.0)])
        self.subscription()
        self.assertEqual(
            self.rows(["plan_id"], ["order_count:count_distinct", "recurring_monthly:sum"]), [(self.monthly, 2, 250.0)]
        )
        counts = self.rows(["product_id"], ["order_count:count_distinct"])
        self.assertEqual(dict(counts), {self.recurring_product: 2, tea: 1})

    def test_one_time_lines_quotations_and_ordinary_orders_are_left_out(self):
        self.quotation()
        self.quotation(plan=False, lines=[self.line(self.one_time_product)]).action_confirm()
        order = self.subscription(lines=[self.line(quantity=3), self.line(self.one_time_product)])
        self.assertEqual(self.rows(["order_id"], ["quantity:sum", "recurring_monthly:sum"]), [(order, 3.0, 300.0)])

    def test_yearly_revenue_is_twelve_times_the_monthly_revenue(self):
        self.subscription(plan=self.yearly)
        self.assertAlmostEqual(self.total("recurring_monthly:sum"), 8.33)
        self.assertAlmostEqual(self.total("recurring_yearly:sum"), 99.96)

    def test_lines_share_the_rounded_revenue_of_their_order(self):
        orders = self.subscription(plan=self.yearly, lines=[self.line(price_unit=0.05) for _number in range(3)])
        orders += self.subscription(plan=self.weekly)
        self.assertAlmostEqual(self.total("recurring_monthly:sum"), sum(orders.mapped("recurring_monthly")))

    def test_free_subscription_counts_without_revenue(self):
        self.subscription(lines=[self.line(price_unit=0)])
        self.assertEqual(self.rows([], ["order_count:count_distinct", "recurring_monthly:sum"]), [(1, 0.0)])

    def test_paused_and_closed_subscriptions_have_no_revenue(self):
        self.subscription()
        self.paused_subscription()
        order = self.churned_subscription()
        measures = ["order_count:count_distinct", "recurring_monthly:sum"]
        self.assertEqual(
            self.rows(["subscription_state"], measures),
            [("churned", 1, 0.0), ("paused", 1, 0.0), ("progress", 1, 100.0)],
        )
        self.assertEqual(self.rows(["close_reason_id"], measures, [("order_id", "=", order.id)]), [(self.reason, 1, 0)])

    def test_customer_is_the_company_and_its_country_counts(self):
        belgium = self.env.ref("base.be")
        company = self.env["res.partner"].create({"name": "Beans", "is_company": True, "country_id": belgium.id})
        contact = self.env["res.partner"].create({"name": "Berta", "parent_id": company.id})
        self.subscription(partner_id=contact.id)
        self.assertEqual(self.rows(["partner_id", "country_id"], ["__count"]), [(company, belgium, 1)])

    def test_other_currencies_are_converted_at_the_rate_of_the_order(self):
        euro = self.env.ref("base.EUR")
        euro.active = True
        self.env["res.currency.rate"].create(
            {"currency_id": euro.id, "company_id": self.company.id, "name": "2027-01-01", "rate": 0.5}
        )
        pricelist = self.env["product.pricelist"].create({"name": "Euro", "currency_id": euro.id})
        order = self.subscription(pricelist_id=pricelist.id, lines=[self.line(price_unit=100.0)])
        self.assertEqual((order.currency_id, order.recurring_monthly), (euro, 100.0))
        self.assertAlmostEqual(self.total("recurring_monthly:sum"), 200.0)

    def test_companies_with_other_currencies_are_shown_in_that_of_the_first(self):
        euro = self.env.ref("base.EUR")
        euro.active = True
        other = self.make_company("Euro Company")
        other.currency_id = euro
        self.env["res.currency.rate"].create(
            {"currency_id": euro.id, "company_id": self.company.id, "name": "2027-01-01", "rate": 0.5}
        )
        both = self.company | other
        lead = self.make_user("lead_of_both", "sales_team.group_sale_salesman_all_leads", both)
        self.subscription()
        self.subscription(user=lead, company=other)
        report = self.env["sale.subscription.report"].with_user(lead).with_context(allowed_company_ids=both.ids)
        [[currencies, total]] = report._read_group(
            [("company_id", "in", both.ids)], [], ["currency_id:recordset", "recurring_monthly:sum"]
        )
        self.assertEqual(currencies, self.company.currency_id)
        self.assertAlmostEqual(total, 300.0)

    def test_row_opens_its_order(self):
        order = self.subscription()
        row = self.env["sale.subscription.report"].with_user(self.salesperson).search([("order_id", "=", order.id)])
        action = row.action_open_order()
        self.assertEqual((action["res_model"], action["res_id"]), ("sale.order", order.id))

    def test_currencies_of_movements_are_shown_when_there_are_several(self):
        euro = self.env.ref("base.EUR")
        euro.active = True
        other = self.make_company("Euro Company")
        other.currency_id = euro
        self.env["res.currency.rate"].create(
            {"currency_id": euro.id, "company_id": self.company.id, "name": "2027-01-01", "rate": 0.5}
        )
        both = self.company | other
        lead = self.make_user("lead_of_both", "sales_team.group_sale_salesman_all_leads", both)
        self.subscription()
        self.subscription(user=lead, company=other)
        movements = self.env["sale.subscription.movement"].with_user(lead)
        measures = ["company_currency_id:array_agg_distinct", "amount_company:sum_currency", "amount_company:sum"]
        dollar = self.company.currency_id
        for companies, expected in (
            (self.company, ([dollar.id], 100.0, 100.0)),
            (both, (sorted([dollar.id, euro.id]), 300.0, 200.0)),
        ):
            with self.subTest(companies.mapped("name")):
                selected = movements.with_context(allowed_company_ids=companies.ids)
                [(currencies, converted, total)] = selected._read_group([], [], measures)
                self.assertEqual((sorted(currencies), converted, total), expected)
