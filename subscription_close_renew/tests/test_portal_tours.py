from .portal_common import PortalCase


class PortalTourCase(PortalCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.monthly.write({"user_closable": True, "user_closable_when": "now"})
        cls.far = cls.env["sale.order.close.reason"].create(
            {
                "name": "Too far away",
                "retention_message": "<p>We have moved, too.</p>",
                "retention_button_text": "Talk to us",
                "retention_button_link": "/contactus",
            }
        )
        cls.order = cls.subscription()
        cls.flush_chatter()

    def tour(self, url, name, user=None):
        self.start_tour(url, name, login=(user or self.portal_user).login)
        self.env.invalidate_all()


class TestPortalTours(PortalTourCase):
    """The customer in the browser."""

    def test_customer_closes_a_subscription(self):
        self.tour("/my", "subscription_portal_close")
        self.assertEqual(self.order.subscription_state, "churned")
        self.assertEqual(self.order.close_reason_id, self.far)

    def test_customer_plans_to_close_and_keeps_the_subscription(self):
        self.monthly.user_closable_when = "period_end"
        self.invoice(self.order)
        self.tour("/my", "subscription_portal_plan_close_and_keep")
        self.assertEqual(self.order.subscription_state, "progress")
        self.assertFalse(self.order.is_closing)
        self.assertEqual(len(self.mails(self.order)), 2)

    def test_customer_closes_on_the_page_that_needs_no_javascript(self):
        self.tour(self.page_of(self.order, "/closing"), "subscription_portal_close_on_plain_page")
        self.assertEqual(self.order.subscription_state, "churned")

    def test_salesperson_sees_the_preview(self):
        self.tour(self.order.action_preview_sale_order()["url"], "subscription_portal_preview", self.salesperson)
        self.assertEqual(self.order.subscription_state, "progress")


class TestPortalToursOnPhone(TestPortalTours):
    """The same, on a phone."""

    browser_size = "390x844"
    touch_enabled = True
