from odoo.tests import tagged

from . import test_tours


@tagged("post_install", "-at_install")
class TestRenewalTours(test_tours.SubscriptionTourCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.newspaper = cls.env["product.product"].create(
            {"name": "Tour Newspaper", "type": "service", "recurring_invoice": True, "list_price": 5.0}
        )
        (cls.newspaper | cls.product).taxes_id = False

    def _invoiced_subscription(self):
        order = self._subscription()
        order._create_invoices().action_post()
        return order

    def _paid_subscription(self):
        order = self._invoiced_subscription()
        wizards = self.env["account.payment.register"].with_context(
            active_model="account.move", active_ids=order.invoice_ids.ids
        )
        wizards.create({})._create_payments()
        return order

    def test_paid_subscription_is_renewed_with_an_extra_product(self):
        order = self._paid_subscription()
        self.start_tour(f"/odoo/subscriptions/{order.id}", "subscription_renew_with_extra_product", login="admin")
        renewal = order.renewal_ids
        self.assertEqual((order.subscription_state, renewal.subscription_state), ("renewed", "progress"))
        self.assertEqual(renewal.recurring_total, 17.0)
        self.assertEqual(
            (order | renewal).movement_ids.sorted("id").mapped("kind"), ["new", "renewal", "renewal", "expansion"]
        )

    def test_unpaid_subscription_is_not_renewed(self):
        order = self._invoiced_subscription()
        self.start_tour(f"/odoo/subscriptions/{order.id}", "subscription_renew_refused", login="admin")
        self.assertFalse(order.renewal_ids)

    def test_several_are_renewed_from_the_list(self):
        orders = self._paid_subscription() + self._paid_subscription()
        unpaid = self._subscription()
        action = self.env["ir.actions.act_window"].create(
            {
                "name": "Three subscriptions",
                "res_model": "sale.order",
                "view_mode": "list,form",
                "view_id": self.env.ref("subscription_close_renew.sale_subscription_view_list").id,
                "domain": [("id", "in", (orders + unpaid).ids)],
            }
        )
        self.start_tour(f"/odoo/action-{action.id}", "subscription_renew_from_list", login="admin")
        self.assertEqual(orders.renewal_ids.mapped("recurring_total"), [13.2, 13.2])
        self.assertFalse(unpaid.renewal_ids)
