from datetime import date

from odoo.exceptions import UserError
from odoo.tests import freeze_time, tagged

from .common import SubscriptionCommon


@tagged("post_install", "-at_install")
@freeze_time("2027-01-31 12:00:00")
class TestRenewal(SubscriptionCommon):
    def _renewal(self, order, **values):
        return self.quotation(subscription_id=order.id, plan=order.plan_id, **values)

    def test_quotation_that_renews_is_a_renewal_quotation(self):
        order = self.subscription()
        self.assertEqual(self._renewal(order).subscription_state, "renewal")

    def test_confirmed_renewal_runs_and_its_parent_is_renewed(self):
        order = self.subscription()
        renewal = self._renewal(order)
        renewal.action_confirm()
        self.assertEqual(renewal.subscription_state, "progress")
        self.assertEqual(order.subscription_state, "renewed")
        self.assertFalse(order.next_invoice_date)

    def test_renewal_begins_where_the_invoiced_period_ends(self):
        order = self.subscription()
        self.invoice(order)
        renewal = self._renewal(order)
        renewal.action_confirm()
        self.assertEqual(renewal.next_invoice_date, date(2027, 2, 28))
        self.assertEqual(renewal.anchor_date, date(2027, 1, 31))

    def test_closed_subscription_is_not_renewed(self):
        order = self.subscription()
        renewal = self._renewal(order)
        order.subscription_close(self.reason.id)
        renewal.action_draft()
        with self.assertRaisesRegex(UserError, "Churned"):
            renewal.action_confirm()

    def test_cancelled_renewal_lets_its_parent_go_on(self):
        order = self.subscription()
        self.invoice(order)
        renewal = self._renewal(order)
        renewal.action_confirm()
        renewal.action_cancel()
        self.assertEqual(order.subscription_state, "progress")
        self.assertEqual(order.next_invoice_date, date(2027, 2, 28))

    def test_renewed_subscription_cannot_be_cancelled(self):
        order = self.subscription()
        self._renewal(order).action_confirm()
        with self.assertRaisesRegex(UserError, "Cancel the order that renews it first"):
            order.action_cancel()

    def test_renewal_quotation_of_a_colleague_is_cancelled_with_its_subscription(self):
        order = self.subscription()
        renewal = self._renewal(order, user=self.sales_lead)
        order.subscription_close(self.reason.id)
        self.assertEqual(renewal.state, "cancel")

    def test_all_orders_of_a_chain_share_their_origin(self):
        order = self.subscription()
        renewal = self._renewal(order)
        renewal.action_confirm()
        second = self._renewal(renewal)
        self.assertEqual((order | renewal | second).origin_order_id, order)
