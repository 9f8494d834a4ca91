from odoo.tests import tagged

from . import test_tours


@tagged("post_install", "-at_install")
class TestRenewProgressTours(test_tours.SubscriptionTourCase):
    def _paid_subscription(self):
        order = self._subscription()
        invoice = order._create_invoices()
        invoice.action_post()
        wizards = self.env["account.payment.register"].with_context(active_model="account.move", active_ids=invoice.ids)
        wizards.create({})._create_payments()
        return order

    def test_three_are_renewed_from_the_list_and_the_fourth_is_left_out(self):
        orders = self.env["sale.order"].union(*(self._paid_subscription() for _number in range(3)))
        unpaid = self._subscription()
        action = self.env["ir.actions.act_window"].create(
            {
                "name": "Four subscriptions",
                "res_model": "sale.order",
                "view_mode": "list,form",
                "view_id": self.env.ref("subscription_close_renew.sale_subscription_view_list").id,
                "domain": [("id", "in", (orders | unpaid).ids)],
            }
        )
        self.start_tour(f"/odoo/action-{action.id}", "subscription_renew_several", login="admin")
        self.assertEqual(len(orders.renewal_ids), 3)
        self.assertEqual(orders.renewal_ids.order_line.mapped("price_unit"), [13.2, 13.2, 13.2])
        self.assertFalse(unpaid.renewal_ids)
