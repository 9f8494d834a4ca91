from odoo.tests import tagged

from .test_portal_payment import PortalPaymentCase


@tagged("post_install", "-at_install")
class TestPortalPaymentTour(PortalPaymentCase):
    def test_customer_of_a_declined_payment_changes_the_payment_method(self):
        with self.provider("declined"):
            self.bill()
        self.flush_chatter()
        self.start_tour(f"/my/orders/{self.order.id}", "subscription_portal_payment", login=self.portal_user.login)
        self.env.invalidate_all()
        self.assertEqual(self.order.sudo().payment_token_id, self.second)
        self.assertDates(self.order.sudo().period_ids, retry_date="2027-01-31")
