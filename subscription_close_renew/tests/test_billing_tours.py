from odoo.tests import tagged

from . import test_tours


@tagged("post_install", "-at_install")
class TestBillingTours(test_tours.SubscriptionTourCase):
    def _in_exception(self):
        order = self._subscription()
        order._make_draft_period()._set_charge_unknown()
        return order

    def test_due_period_is_billed_at_once(self):
        order = self._subscription()
        self.start_tour(f"/odoo/subscriptions/{order.id}", "subscription_bill_now", login="admin")
        self.assertEqual(order.invoice_ids.mapped("state"), ["posted"])

    def test_several_are_billed_from_the_list(self):
        orders = self._subscription() + self._subscription()
        action = self.env["ir.actions.act_window"].create(
            {
                "name": "Two subscriptions",
                "res_model": "sale.order",
                "view_mode": "list,form",
                "view_id": self.env.ref("subscription_close_renew.sale_subscription_view_list").id,
                "domain": [("id", "in", orders.ids)],
            }
        )
        self.start_tour(f"/odoo/action-{action.id}", "subscription_bill_from_list", login="admin")
        self.assertEqual(orders.invoice_ids.mapped("state"), ["posted", "posted"])

    def test_unknown_payment_is_resolved_as_paid(self):
        order = self._in_exception()
        self.start_tour(f"/odoo/subscriptions/{order.id}", "subscription_resolve_as_paid", login="admin")
        self.assertIn(order.invoice_ids.payment_state, ("paid", "in_payment"))

    def test_unknown_payment_is_resolved_as_not_paid(self):
        order = self._in_exception()
        self.start_tour(f"/odoo/subscriptions/{order.id}", "subscription_resolve_as_unpaid", login="admin")
        self.assertFalse(order.payment_exception)
        self.assertEqual(order.invoice_ids.mapped("state"), ["draft"])

    def test_contract_in_exception_is_unticked_in_developer_mode(self):
        order = self._in_exception()
        url = f"/odoo/subscriptions/{order.id}?debug=1"
        self.start_tour(url, "subscription_untick_exception", login="admin")
        self.assertFalse(order.payment_exception)
