from odoo.tools import mute_logger

from .portal_common import PortalCase


class PortalRenewalCase(PortalCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.monthly.user_renewable = True
        cls.order = cls.paid_subscription()

    def renew_in_portal(self, user=None, order=None, link=False, **kwargs):
        return self.post(self.page_of(order or self.order, "/renew", link), user, **kwargs)

    def quotations(self, order=None):
        return (order or self.order).sudo().renewal_ids


class TestPortalRenewal(PortalRenewalCase):
    """The customer renews a subscription."""

    def test_customer_is_redirected_to_the_renewal_quotation_to_sign(self):
        page = self.renew_in_portal(self.portal_user)
        [renewal] = self.quotations()
        self.assertEqual(page.status_code, 200)
        self.assertIn(f"/my/orders/{renewal.id}", page.url)
        self.assertIn("Accept & Sign", self.text(page))
        self.assertEqual((renewal.subscription_state, renewal.state), ("renewal", "sent"))
        self.assertEqual(self.order.subscription_state, "progress")

    def test_quotation_says_what_it_renews_and_from_when(self):
        page = self.renew_in_portal(self.portal_user)
        self.assertEqual(
            self.text(page, "subscription_renewal_notice"),
            f"This quotation renews your subscription {self.order.name} from 02/28/2027, with the plan {self.monthly.name}.",
        )

    def test_pressing_again_opens_the_same_quotation(self):
        urls = {self.renew_in_portal(user).url.partition("?")[0] for user in (self.portal_user, self.colleague)}
        self.assertEqual(len(urls), 1)
        self.assertEqual(len(self.quotations()), 1)

    def test_quotation_created_by_the_salesperson_is_opened(self):
        renewal = self.renewal(self.order)
        page = self.renew_in_portal(self.portal_user)
        self.assertIn(f"/my/orders/{renewal.id}", page.url)
        self.assertEqual(self.quotations(), renewal.sudo())

    def test_link_is_enough(self):
        self.renew_in_portal(link=True)
        self.assertEqual(len(self.quotations()), 1)

    def test_quotation_says_who_requested_it(self):
        self.renew_in_portal(self.colleague)
        renewal = self.quotations()
        self.assertIn("The customer asked for this renewal in the portal.", self.chatter(renewal))
        self.assertIn(self.colleague.partner_id, renewal.message_ids.author_id)
        self.assertEqual(renewal.user_id, self.salesperson)

    def test_confirmed_renewal_replaces_the_subscription(self):
        self.renew_in_portal(self.portal_user)
        renewal = self.quotations()
        renewal.with_user(self.salesperson).action_confirm()
        self.env.invalidate_all()
        status = [
            self.text(self.open(self.page_of(order), self.portal_user), "subscription_status")
            for order in (self.order, renewal)
        ]
        self.assertEqual(status, ["Renewed", "In Progress"])

    def test_button_is_shown_if_the_plan_allows_it(self):
        page = self.open(self.page_of(self.order), self.portal_user)
        self.assertEqual(self.text(page, "subscription_renew"), "Renew")
        self.monthly.user_renewable = False
        page = self.open(self.page_of(self.order), self.portal_user)
        self.assertFalse(self.found(page, "subscription_renew"))

    def test_button_does_nothing_in_the_preview(self):
        page = self.open(self.page_of(self.order, link=True), self.salesperson)
        [button] = self.found(page, "subscription_renew")
        self.assertTrue(button.get("disabled"))

    # Refused

    def assertNotRenewed(self, answer, status, words, order=None):
        self.assertEqual(answer.status_code, status)
        self.assertRegex(self.text(answer), words)
        self.assertFalse(self.quotations(order))

    def test_strangers_are_refused(self):
        for user in (None, self.stranger):
            self.assertNotRenewed(self.renew_in_portal(user), 403, "doesn't have access")
            self.assertNotRenewed(self.renew_in_portal(user, access_token="wrong"), 403, "doesn't have access")

    def test_salesperson_is_refused_in_the_preview(self):
        self.assertNotRenewed(self.renew_in_portal(self.salesperson, link=True), 403, "This is a preview")

    def test_plan_that_is_not_renewable_is_refused(self):
        self.monthly.user_renewable = False
        self.assertNotRenewed(self.renew_in_portal(self.portal_user), 403, "can't be renewed online")

    def test_unpaid_first_period_is_refused_with_instructions(self):
        for order in (self.subscription(), self.subscription()):
            answer = self.renew_in_portal(self.portal_user, order)
            self.assertNotRenewed(answer, 403, "Please pay its invoice", order)
            self.invoice(order)

    def test_paused_subscription_and_payment_under_way_are_refused(self):
        self.order.sudo().payment_exception = True
        self.assertNotRenewed(self.renew_in_portal(self.portal_user), 403, "is being processed")
        self.order.sudo().payment_exception = False
        self.order.subscription_pause()
        self.assertNotRenewed(self.renew_in_portal(self.portal_user), 403, "is paused")

    def test_closed_and_renewed_subscriptions_are_refused(self):
        renewed = self.paid_subscription()
        self.renewed_by(renewed)
        self.order.subscription_close(self.reason.id)
        self.assertNotRenewed(self.renew_in_portal(self.portal_user), 409, "has ended")
        answer = self.renew_in_portal(self.portal_user, renewed)
        self.assertEqual((answer.status_code, len(self.quotations(renewed))), (409, 1))

    def test_quotations_declined_repeatedly_are_refused(self):
        """Each of them notifies staff."""
        for _time in range(3):
            self.renew_in_portal(self.portal_user)
            self.quotations().filtered(lambda renewal: renewal.state == "sent")._action_cancel()
        answer = self.renew_in_portal(self.portal_user)
        self.assertEqual((answer.status_code, len(self.quotations())), (403, 3))
        self.assertIn("Please contact us and we will renew it for you", self.text(answer))
        self.renewal(self.order)
        self.renew_in_portal(self.portal_user)
        self.assertEqual(len(self.quotations()), 4)

    def test_quotation_and_ordinary_order_are_refused(self):
        ordinary = self.quotation(plan=False, lines=[self.line(self.one_time_product)])
        for order in (self.quotation(), ordinary):
            self.assertNotRenewed(self.renew_in_portal(self.portal_user, order), 403, "renew", order)

    @mute_logger("odoo.http")
    def test_no_csrf_token_and_opening_the_address_are_refused(self):
        self.assertNotRenewed(self.renew_in_portal(self.portal_user, csrf=False), 400, "CSRF")
        answer = self.open(self.page_of(self.order, "/renew"), self.portal_user)
        self.assertNotRenewed(answer, 405, "opening a link isn't enough")


class TestPortalRenewalTour(PortalRenewalCase):
    """Renewing and paying with the stored card, in the browser."""

    def setUp(self):
        super().setUp()
        self.stored = self.card()
        self.order.write({"payment_token_id": self.stored.id, "require_signature": False, "require_payment": True})
        self.flush_chatter()

    def test_customer_renews_and_pays_with_the_stored_card(self):
        with self.provider("done"):
            self.start_tour(self.page_of(self.order), "subscription_portal_renew", login=self.portal_user.login)
        self.env.invalidate_all()
        [renewal] = self.quotations()
        self.assertEqual((renewal.state, renewal.subscription_state), ("sale", "progress"))
        self.assertEqual(self.order.subscription_state, "renewed")
        self.assertEqual(renewal.transaction_ids.token_id, self.stored)
        self.assertEqual(len(self.calls), 1)


class TestPortalRenewalTourOnPhone(TestPortalRenewalTour):
    """The same, on a phone."""

    browser_size = "390x844"
    touch_enabled = True
