from odoo.fields import Command
from odoo.tests import HttpCase, tagged


class SubscriptionTourCase(HttpCase):
    """The demo company with a plan, a product, a close reason and a customer, which tours enter by name."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["sale.subscription.plan"].search([]).active = False
        cls.plan = cls.env["sale.subscription.plan"].create({"name": "Tour Plan"})
        cls.product = cls.env["product.product"].create(
            {"name": "Tour Magazine", "type": "service", "recurring_invoice": True, "list_price": 10.0}
        )
        cls.env["product.pricelist.item"].create(
            {
                "pricelist_id": False,
                "plan_id": cls.plan.id,
                "product_tmpl_id": cls.product.product_tmpl_id.id,
                "fixed_price": 12.0,
            }
        )
        cls.reason = cls.env["sale.order.close.reason"].create({"name": "Tour Reason"})
        cls.partner = cls.env["res.partner"].create({"name": "Tour Customer"})

    def _subscription(self):
        order = self.env["sale.order"].create(
            {
                "partner_id": self.partner.id,
                "plan_id": self.plan.id,
                "user_id": self.env.ref("base.user_admin").id,
                "order_line": [Command.create({"product_id": self.product.id})],
            }
        )
        order.action_confirm()
        return order


@tagged("post_install", "-at_install")
class TestSubscriptionTours(SubscriptionTourCase):
    def test_administrator_makes_a_plan_closable(self):
        self.start_tour("/odoo/subscriptions", "subscription_plan_closable", login="admin")
        self.assertTrue(self.plan.user_closable)
        self.assertEqual(self.plan.user_closable_when, "now")

    def test_salesperson_confirms_and_closes_a_subscription(self):
        self.start_tour("/odoo/subscription-quotations", "subscription_confirm_and_close", login="demo")
        order = self.env["sale.order"].search([("partner_id", "=", self.partner.id)])
        self.assertEqual(order.subscription_state, "churned")
        self.assertEqual(order.close_reason_id, self.reason)

    def test_administrator_closes_with_a_typed_reason(self):
        order = self._subscription()
        self.start_tour(f"/odoo/subscriptions/{order.id}", "subscription_close_with_new_reason", login="admin")
        self.assertEqual(order.close_reason_id.name, "Moved to the sea")
        self.assertFalse(order.close_reason_id.visible_in_portal)

    def test_planned_close_is_announced_and_undone(self):
        order = self._subscription()
        order._create_invoices().action_post()
        self.start_tour(f"/odoo/subscriptions/{order.id}", "subscription_plan_close_and_keep", login="admin")
        self.assertEqual(order.subscription_state, "progress")
        self.assertFalse(order.end_date)

    def test_invoiced_subscription_is_not_cancelled_but_paused_and_reopened(self):
        order = self._subscription()
        order._create_invoices().action_post()
        next_invoice_date = order.next_invoice_date
        self.start_tour(f"/odoo/subscriptions/{order.id}", "subscription_pause_and_reopen", login="admin")
        self.assertEqual(order.subscription_state, "progress")
        self.assertEqual(order.next_invoice_date, next_invoice_date)

    def test_three_subscriptions_are_closed_from_the_list_at_once(self):
        orders = self._subscription() + self._subscription() + self._subscription()
        action = self.env["ir.actions.act_window"].create(
            {
                "name": "Three subscriptions",
                "res_model": "sale.order",
                "view_mode": "list,form",
                "view_id": self.env.ref("subscription_close_renew.sale_subscription_view_list").id,
                "domain": [("id", "in", orders.ids), ("subscription_state", "=", "progress")],
            }
        )
        self.start_tour(f"/odoo/action-{action.id}", "subscription_close_from_list", login="admin")
        self.assertEqual(set(orders.mapped("subscription_state")), {"churned"})
        self.assertEqual(orders.close_reason_id, self.reason)
