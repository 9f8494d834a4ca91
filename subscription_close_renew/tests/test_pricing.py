from odoo import fields
from odoo.fields import Command
from odoo.tests import Form, TransactionCase, tagged


@tagged("post_install", "-at_install")
class TestPricing(TransactionCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env.user.group_ids += cls.env.ref("product.group_product_pricelist")
        cls.company = cls.env.company
        cls.monthly = cls.env.ref("subscription_close_renew.plan_monthly")
        cls.yearly = cls.env.ref("subscription_close_renew.plan_yearly")
        cls.pricelist = cls.env["product.pricelist"].create({"name": "Members"})
        cls.product = cls.env["product.product"].create(
            {"name": "Magazine", "type": "service", "recurring_invoice": True, "list_price": 10.0, "taxes_id": False}
        )
        cls.poster = cls.env["product.product"].create(
            {"name": "Poster", "type": "service", "list_price": 7.0, "taxes_id": False}
        )
        cls.partner = cls.env["res.partner"].create({"name": "Reader"})

    def _price(self, plan, price, **values):
        return self.env["product.pricelist.item"].create(
            {
                "pricelist_id": False,
                "plan_id": plan.id,
                "product_tmpl_id": self.product.product_tmpl_id.id,
                "fixed_price": price,
                **values,
            }
        )

    def _order(self, plan=None, pricelist=None, product=None, quantity=1):
        return self.env["sale.order"].create(
            {
                "partner_id": self.partner.id,
                "plan_id": plan and plan.id,
                "pricelist_id": (pricelist or self.pricelist).id,
                "order_line": [
                    Command.create({"product_id": (product or self.product).id, "product_uom_qty": quantity})
                ],
            }
        )

    def test_each_plan_has_its_price(self):
        self._price(self.monthly, 12.0)
        self._price(self.yearly, 120.0)
        self.assertEqual(self._order(self.monthly).order_line.price_unit, 12.0)
        self.assertEqual(self._order(self.yearly).order_line.price_unit, 120.0)

    def test_price_of_the_pricelist_precedes_the_general_price(self):
        self._price(self.monthly, 9.0, pricelist_id=self.pricelist.id)
        self._price(self.monthly, 12.0)
        self.assertEqual(self._order(self.monthly).order_line.price_unit, 9.0)

    def test_price_of_another_pricelist_is_not_used(self):
        other = self.env["product.pricelist"].create({"name": "Others"})
        self._price(self.monthly, 9.0, pricelist_id=other.id)
        self.assertEqual(self._order(self.monthly).order_line.price_unit, 10.0)

    def test_subscription_without_pricelist_has_recurring_prices(self):
        self._price(self.monthly, 12.0)
        order = self._order(self.monthly)
        order.pricelist_id = False
        order.action_update_prices()
        self.assertEqual(order.order_line.price_unit, 12.0)

    def test_sales_price_is_used_without_a_recurring_price(self):
        self.assertEqual(self._order(self.monthly).order_line.price_unit, 10.0)

    def test_ordinary_order_ignores_recurring_prices(self):
        self._price(self.monthly, 12.0)
        self._price(self.monthly, 9.0, pricelist_id=self.pricelist.id)
        self.product.recurring_invoice = False
        self.assertEqual(self._order().order_line.price_unit, 10.0)

    def test_one_time_product_of_a_subscription_ignores_recurring_prices(self):
        self._price(self.monthly, 3.0, product_tmpl_id=self.poster.product_tmpl_id.id)
        self.assertEqual(self._order(self.monthly, product=self.poster).order_line.price_unit, 7.0)

    def test_variant_has_its_own_price(self):
        size = self.env["product.attribute"].create(
            {"name": "Size", "value_ids": [Command.create({"name": "S"}), Command.create({"name": "L"})]}
        )
        template = self.env["product.template"].create(
            {
                "name": "Shirt of the month",
                "recurring_invoice": True,
                "attribute_line_ids": [
                    Command.create({"attribute_id": size.id, "value_ids": [Command.set(size.value_ids.ids)]})
                ],
            }
        )
        small, large = template.product_variant_ids
        self._price(self.monthly, 12.0, product_tmpl_id=template.id)
        self._price(self.monthly, 15.0, product_tmpl_id=template.id, product_id=large.id)
        self.assertEqual(self._order(self.monthly, product=small).order_line.price_unit, 12.0)
        self.assertEqual(self._order(self.monthly, product=large).order_line.price_unit, 15.0)

    def test_price_for_larger_quantities_applies_from_there(self):
        self._price(self.monthly, 12.0)
        self._price(self.monthly, 8.0, min_quantity=10)
        self.assertEqual(self._order(self.monthly, quantity=9).order_line.price_unit, 12.0)
        self.assertEqual(self._order(self.monthly, quantity=10).order_line.price_unit, 8.0)

    def test_outdated_price_is_not_used(self):
        self._price(self.monthly, 12.0, date_end=fields.Datetime.subtract(fields.Datetime.now(), days=1))
        self.assertEqual(self._order(self.monthly).order_line.price_unit, 10.0)

    def test_price_for_all_pricelists_is_converted(self):
        currency = self.env["res.currency"].create({"name": "XTS", "symbol": "x", "rounding": 0.01})
        self.env["res.currency.rate"].create(
            {"currency_id": currency.id, "company_id": self.company.id, "name": "2020-01-01", "rate": 2.0}
        )
        foreign = self.env["product.pricelist"].create({"name": "Foreign", "currency_id": currency.id})
        self._price(self.monthly, 12.0)
        self.assertEqual(self._order(self.monthly, pricelist=foreign).order_line.price_unit, 24.0)

    def test_changing_the_plan_of_a_quotation_changes_its_prices(self):
        self._price(self.monthly, 12.0)
        self._price(self.yearly, 120.0)
        order = self._order(self.monthly)
        with Form(order) as form:
            form.plan_id = self.yearly
        self.assertEqual(order.order_line.price_unit, 120.0)

    def test_manual_price_stays_when_the_plan_changes(self):
        self._price(self.yearly, 120.0)
        order = self._order(self.monthly)
        order.order_line.price_unit = 5.0
        order.plan_id = self.yearly
        self.assertEqual(order.order_line.price_unit, 5.0)

    def test_recurring_prices_are_not_in_the_ordinary_price_tab(self):
        item = self._price(self.monthly, 12.0)
        template = self.product.product_tmpl_id
        self.assertNotIn(item, template.pricelist_rule_ids)
        self.assertIn(item, template.recurring_pricing_ids)

    def test_monthly_revenue_leaves_out_one_time_lines_and_counts_discounts(self):
        order = self._order(self.yearly, quantity=3)
        order.order_line.price_unit = 120.0
        order.order_line.discount = 10.0
        order.order_line = [Command.create({"product_id": self.poster.id})]
        self.assertEqual(order.recurring_total, 324.0)
        self.assertEqual(order.recurring_monthly, 27.0)

    def test_weekly_revenue_is_52_weeks_a_year(self):
        weekly = self.env["sale.subscription.plan"].create({"name": "Weekly", "billing_period_unit": "week"})
        self.assertEqual(self._order(weekly).recurring_monthly, 43.33)

    def test_discount_of_a_one_time_line_stays_when_the_plan_changes(self):
        self.env.user.group_ids += self.env.ref("sale.group_discount_per_so_line")
        order = self._order(self.monthly)
        order.order_line = [Command.create({"product_id": self.poster.id, "discount": 15.0})]
        order.plan_id = self.yearly
        self.assertEqual(order.order_line[1].discount, 15.0)

    def test_catalog_shows_the_recurring_price(self):
        self._price(self.monthly, 12.0)
        order = self._order(self.monthly, product=self.poster)
        shown = order._get_product_catalog_order_data(self.product | self.poster)
        self.assertEqual(shown[self.product.id]["price"], 12.0)
        self.assertEqual(shown[self.poster.id]["price"], 7.0)
