from odoo.exceptions import AccessError, ValidationError
from odoo.tests import tagged

from .common import SubscriptionCommon


@tagged("post_install", "-at_install")
class TestCloseReason(SubscriptionCommon):
    """The list of reasons managed by the administrator."""

    def test_reasons_are_in_the_order_set_by_the_administrator(self):
        self.reason.sequence, self.hidden_reason.sequence = 2002, 2001
        reasons = self.reason.search([("id", "in", (self.reason | self.hidden_reason).ids)])
        self.assertEqual(reasons.ids, [self.hidden_reason.id, self.reason.id])

    def test_new_reason_is_shown_in_the_portal(self):
        self.assertTrue(self.env["sale.order.close.reason"].create({"name": "Relocated"}).visible_in_portal)

    def test_reason_in_use_cannot_be_deleted(self):
        self.churned_subscription()
        with self.assertRefused(
            "Moves abroad is in use \\(subscriptions: 1\\) and cannot be deleted. Archive it instead"
        ):
            self.reason.with_user(self.administrator).unlink()
        self.assertTrue(self.reason.exists())

    def test_reason_of_a_planned_close_cannot_be_deleted(self):
        self.subscription().subscription_close(self.reason.id, when="date", date="2027-06-15")
        with self.assertRefused("cannot be deleted"):
            self.reason.with_user(self.administrator).unlink()

    def test_reason_used_in_another_company_cannot_be_deleted(self):
        elsewhere = self.make_company("Elsewhere")
        seller = self.make_user("seller_elsewhere", "sales_team.group_sale_salesman", elsewhere)
        self.subscription(user=seller, company=elsewhere).subscription_close(self.reason.id)
        with self.assertRefused("is in use \\(subscriptions: 1\\)"):
            self.reason.with_user(self.administrator).unlink()

    def test_unused_reason_among_used_ones_is_not_deleted_either(self):
        self.churned_subscription()
        with self.assertRefused("Moves abroad"):
            (self.hidden_reason | self.reason).with_user(self.administrator).unlink()
        self.assertTrue(self.hidden_reason.exists())

    def test_unused_reason_can_be_deleted(self):
        self.hidden_reason.with_user(self.administrator).unlink()
        self.assertFalse(self.hidden_reason.exists())

    def test_reason_in_use_can_be_archived_and_stays_on_the_order(self):
        order = self.churned_subscription()
        self.reason.with_user(self.administrator).action_archive()
        self.assertEqual(order.close_reason_id, self.reason)

    def test_system_reasons_cannot_be_deleted(self):
        for name in ("end_of_term", "unpaid"):
            reason = self.reason._get_system_reason(name).with_user(self.administrator)
            with self.subTest(name), self.assertRefused("used to close subscriptions automatically"):
                reason.unlink()

    def test_system_reasons_are_hidden_from_the_portal(self):
        self.assertFalse(any(self.reason._get_system_reasons().mapped("visible_in_portal")))

    def test_archived_system_reason_still_closes_subscriptions_at_their_end(self):
        self.reason._get_system_reason("end_of_term").with_user(self.administrator).action_archive()
        order = self.subscription()
        order.end_date = "2027-02-15"
        self.expire(until="2027-02-15")
        self.assertEqual(order.close_reason_id, self.reason._get_system_reason("end_of_term"))

    def test_only_the_administrator_manages_the_list(self):
        for user in (self.salesperson, self.sales_lead, self.accountant):
            reason = self.reason.with_user(user)
            with self.subTest(user.name):
                self.assertEqual(reason.name, "Moves abroad")
                with self.assertRaises(AccessError):
                    reason.name = "Changed"
                with self.assertRaises(AccessError):
                    reason.create({"name": "New"})
                with self.assertRaises(AccessError):
                    reason.unlink()


@tagged("post_install", "-at_install")
class TestRetentionButton(SubscriptionCommon):
    """The button beside Submit links to a page, never to a script."""

    def button(self, text="Talk to us", link="/contactus"):
        self.hidden_reason.write({"retention_button_text": text, "retention_button_link": link})

    def test_button_may_link_to_a_page_of_this_site_or_to_a_web_address(self):
        for link in ("/contactus", "/shop?order=1#top", "https://example.com/stay", "http://example.com"):
            with self.subTest(link):
                self.button(link=link)
                self.assertEqual(self.hidden_reason.retention_button_link, link)

    def test_button_without_link_is_refused(self):
        with self.assertRaises(ValidationError) as caught:
            self.button(link=False)
        self.assertRegex(str(caught.exception), "needs both a text and a link")

    def test_link_without_button_is_refused(self):
        with self.assertRaises(ValidationError) as caught:
            self.button(text=False)
        self.assertRegex(str(caught.exception), "needs both a text and a link")

    def test_reason_needs_no_button(self):
        self.button()
        self.button(text=False, link=False)
        self.assertFalse(self.hidden_reason.retention_button_link)

    def assertLinkRefused(self, *links):
        for link in links:
            with self.subTest(link):
                with self.assertRaises(ValidationError) as caught:
                    self.button(link=link)
                self.assertRegex(str(caught.exception), "cannot open")

    def test_script_is_refused(self):
        self.assertLinkRefused(
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            " javascript:alert(1)",
            "java\nscript:alert(1)",
            "\x01javascript:alert(1)",
            "vbscript:msgbox(1)",
        )

    def test_data_and_other_schemes_are_refused(self):
        self.assertLinkRefused("data:text/html,<script>alert(1)</script>", "file:///etc/passwd", "mailto:a@example.com")

    def test_other_site_by_way_of_slashes_is_refused(self):
        self.assertLinkRefused("//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example")

    def test_other_site_by_way_of_characters_that_browsers_drop_is_refused(self):
        self.assertLinkRefused("/\t/evil.example", "/\n/evil.example", "/\r/evil.example")

    def test_invalid_address_is_refused(self):
        self.assertLinkRefused("contactus", "www.example.com", "https:", "https://", "https:///path", "http://[::1")

    def test_script_in_the_retention_message_is_removed(self):
        self.hidden_reason.retention_message = "<p>Stay</p><script>alert(1)</script><img src=x onerror=alert(1)>"
        self.assertIn("Stay", self.hidden_reason.retention_message)
        self.assertNotIn("alert", self.hidden_reason.retention_message)
