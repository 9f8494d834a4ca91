from urllib.parse import parse_qs, urlsplit

import requests
from lxml import html

from odoo.http import Request
from odoo.tests import tagged
from odoo.tools import mute_logger

from .portal_common import PortalCase


@tagged("post_install", "-at_install")
class PortalPaymentCase(PortalCase):
    """A customer with two cards, one used for a subscription."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.first = cls.card()
        cls.second = cls.card(payment_details="1111")
        cls.order = cls.subscription(card=cls.first)

    # Actions of users

    def choose(self, token_id, user=None, order=None, link=False, csrf=True, follow=False):
        """Choose a payment method for a subscription in the portal.

        :param token_id: the value sent by the form
        :param user: the user (by default, not logged in)
        :param bool link: whether the URL includes the access token of the order
        :param bool csrf: whether the form includes the CSRF token
        :param bool follow: whether to follow the final redirection
        """
        order = order or self.order
        self.authenticate(user and user.login, user and user.login)
        data = {"token_id": token_id, **({"csrf_token": Request.csrf_token(self)} if csrf else {})}
        self.flush_chatter()
        response = self.url_open(self.page_of(order, link), data=data, allow_redirects=follow)
        self.env.invalidate_all()
        return response

    def page_of(self, order, link=False):
        url = f"/my/orders/{order.id}/payment-method"
        return f"{url}?access_token={order.sudo()._portal_ensure_token()}" if link else url

    # Page contents

    def order_page(self, user=None, link=False):
        url = self.order.sudo().get_portal_url() if link else f"/my/orders/{self.order.id}"
        return self.open(url, user)

    def choices(self, response):
        """Return the payment methods that a page offers, by id."""
        return {int(value) for value in html.fromstring(response.text).xpath("//input[@name='token_id']/@value")}

    # Assertions

    def assertUnchanged(self, token=None):
        self.assertEqual(self.order.sudo().payment_token_id, token or self.first)

    def assertSentToLogin(self, response, back):
        self.assertIn(response.status_code, (302, 303))
        login = urlsplit(response.headers["Location"])
        self.assertEqual(login.path, "/web/login")
        self.assertEqual(parse_qs(login.query)["redirect"][0].rstrip("?"), back)


class TestPortalPayment(PortalPaymentCase):
    """What customers see of the payments of their subscription, and how they change the payment method."""

    def test_order_page_shows_next_invoice_and_payment_method(self):
        page = self.order_page(self.portal_user)
        self.assertEqual(self.text(page, "subscription_next_invoice"), "01/31/2027 $ 100.00")
        self.assertEqual(self.text(page, "subscription_payment_method"), "Card •••• 4242")
        self.assertEqual(self.text(page, "subscription_change_payment_method"), "Change Payment Method")
        self.assertFalse(self.text(page, "subscription_payment_declined"))
        self.assertFalse(self.text(page, "subscription_payment_under_way"))

    def test_order_page_says_who_pays_each_invoice(self):
        self.order.payment_token_id = False
        page = self.order_page(self.portal_user)
        self.assertEqual(self.text(page, "subscription_payment_method"), "You pay each invoice yourself")

    def test_colleague_sees_the_payment_method_on_the_order_page(self):
        self.assertIn("4242", self.text(self.order_page(self.colleague), "subscription_payment_method"))

    def test_salesperson_sees_in_the_preview_what_the_customer_sees(self):
        self.assertIn("4242", self.text(self.order_page(self.salesperson), "subscription_payment_method"))

    def test_link_to_the_order_does_not_show_the_payment_method(self):
        for user in (None, self.stranger):
            page = self.order_page(user, link=True)
            self.assertEqual(self.text(page, "subscription_payment_method"), "A stored payment method is charged")
            self.assertNotIn("•••• 4242", page.text)

    def test_order_page_says_that_the_payment_method_cannot_be_charged(self):
        self.first.subscription_valid_until = "2027-01-30"
        self.assertIn("has expired", self.text(self.order_page(self.portal_user), "subscription_payment"))

    def test_paused_or_ending_subscription_has_no_next_invoice(self):
        self.invoice(self.order)
        self.order.subscription_close(self.reason.id, when="period_end")
        page = self.order_page(self.portal_user)
        self.assertIn("ends on 02/28/2027", self.text(page, "subscription_next_invoice"))
        self.order.subscription_keep()
        self.order.subscription_pause()
        self.assertIn("paused", self.text(self.order_page(self.portal_user), "subscription_next_invoice"))

    def test_quotation_ended_and_ordinary_order_show_no_payment_method(self):
        for order in (self.quotation(), self.churned_subscription(), self.ordinary_order()):
            page = self.open(order.sudo().get_portal_url(), self.portal_user)
            self.assertEqual(page.status_code, 200)
            self.assertFalse(self.text(page, "subscription_payment"))

    def ordinary_order(self):
        order = self.quotation(plan=False, lines=[self.line(self.one_time_product)])
        order.action_confirm()
        return order

    # A declined payment

    def test_declined_payment_is_shown_with_both_solutions(self):
        with self.provider("declined"):
            self.bill()
        page = self.order_page(self.portal_user)
        invoice = self.order.sudo().period_ids.invoice_ids
        told = self.text(page, "subscription_payment_declined")
        self.assertIn(f"The payment of {invoice.name} ($ 100.00) was declined: Insufficient funds.", told)
        self.assertIn("We will try again on 02/01/2027.", told)
        self.assertIn("Change Payment Method", told)
        pay_now = html.fromstring(page.text).xpath("//a[@name='subscription_pay_declined']/@href")
        self.assertEqual(len(pay_now), 1)
        self.assertIn("Pay Now", self.text(self.open(pay_now[0])))

    def test_payment_waiting_for_an_earlier_one_is_not_called_declined(self):
        self.monthly.retry_days = "60"
        with self.provider("declined"):
            self.bill()
            self.bill("2027-02-28")
        told = self.text(self.order_page(self.portal_user), "subscription_payment_declined").splitlines()
        self.assertEqual(len(told), 2)
        self.assertIn("was declined: Insufficient funds.", told[0])
        self.assertIn("on hold: An earlier period has to be paid first.", told[1])

    def test_final_decline_is_shown(self):
        self.monthly.retry_days = False
        with self.provider("declined"):
            self.bill()
        self.assertIn(
            "We won't try again.", self.text(self.order_page(self.portal_user), "subscription_payment_declined")
        )

    def test_declined_payment_of_a_closed_subscription_can_still_be_paid(self):
        with self.provider("declined"):
            self.bill()
        self.order.subscription_close(self.reason.id)
        told = self.text(self.order_page(self.portal_user), "subscription_payment_declined")
        self.assertIn("Pay Now", told)
        self.assertNotIn("Change Payment Method", told)

    def test_declined_payment_is_not_retried_during_a_pause(self):
        with self.provider("declined"):
            self.bill()
        self.order.subscription_pause()
        page = self.choose(self.second.id, self.portal_user, follow=True)
        self.assertIn("We won't try again while", self.text(page, "subscription_payment_declined"))

    def test_declined_then_paid_is_no_longer_shown(self):
        with self.provider("declined", "done"):
            self.bill()
            self.bill("2027-02-01")
        self.assertFalse(self.text(self.order_page(self.portal_user), "subscription_payment_declined"))

    # Payment outcome unknown

    def test_payment_under_way_shows_no_pay_button(self):
        with self.provider("declined", requests.Timeout()):
            self.bill()
            self.bill("2027-02-01")
        self.assertTrue(self.order.payment_exception)
        page = self.order_page(self.portal_user)
        self.assertIn("A payment is being processed.", self.text(page, "subscription_payment_under_way"))
        self.assertFalse(self.text(page, "subscription_payment_declined"))
        self.assertNotIn("Pay Now", page.text)

    def test_exception_without_a_charge_shows_no_pay_button_either(self):
        with self.provider("declined"):
            self.bill()
        self.order.sudo().payment_exception = True
        page = self.order_page(self.portal_user)
        self.assertIn("A payment is being processed.", self.text(page, "subscription_payment_under_way"))
        self.assertNotIn("Pay Now", page.text)

    def test_pending_payment_shows_no_pay_button(self):
        with self.provider("pending"):
            self.bill()
        page = self.order_page(self.portal_user)
        self.assertIn("A payment is being processed.", self.text(page, "subscription_payment_under_way"))
        self.assertNotIn("Pay Now", page.text)

    def test_invoice_with_payment_under_way_shows_no_pay_button_but_why(self):
        with self.provider("declined", requests.Timeout()):
            self.bill()
            invoice = self.order.sudo().period_ids.invoice_ids
            self.assertIn("Pay Now", self.open(invoice.get_portal_url()).text)
            self.bill("2027-02-01")
        page = self.open(invoice.get_portal_url())
        self.assertNotIn("Pay Now", page.text)
        self.assertNotIn("o_payment_form", page.text)
        self.assertIn("is being processed", self.text(page, "subscription_payment_under_way"))

    def test_paid_invoice_of_a_subscription_in_exception_does_not_mention_it(self):
        with self.provider("done", requests.Timeout()):
            self.bill()
            self.bill("2027-02-28")
        paid = self.order.sudo().period_ids.invoice_ids.filtered(lambda invoice: invoice.payment_state != "not_paid")
        page = self.open(paid[:1].get_portal_url())
        self.assertFalse(self.text(page, "subscription_payment_under_way"))

    # The page with the payment methods

    def test_page_offers_the_payment_methods_of_the_customer(self):
        page = self.open(self.page_of(self.order), self.portal_user)
        self.assertEqual(page.status_code, 200)
        self.assertEqual(self.choices(page), {self.first.id, self.second.id})
        checked = html.fromstring(page.text).xpath("//input[@name='token_id'][@checked]/@value")
        self.assertEqual(checked, [str(self.first.id)])
        self.assertEqual(self.text(page).count("Current"), 1)

    def test_page_offers_only_payment_methods_that_can_be_charged(self):
        archived, expired = self.card(), self.card(subscription_valid_until="2027-01-30")
        archived.active = False
        elsewhere = self.card()
        elsewhere.provider_id = self.payment_provider.copy(
            {"company_id": self.make_company("Elsewhere").id, "state": "test"}
        )
        page = self.open(self.page_of(self.order), self.portal_user)
        self.assertEqual(self.choices(page), {self.first.id, self.second.id})
        for token in (archived, expired, elsewhere):
            self.assertEqual(self.choose(token.id, self.portal_user).status_code, 400)
        self.assertUnchanged()

    def test_page_without_payment_methods_says_how_to_add_one(self):
        (self.first | self.second).active = False
        page = self.open(self.page_of(self.order), self.portal_user)
        self.assertIn("You don't have a stored payment method", self.text(page, "subscription_no_payment_method"))
        self.assertIn("Add a payment method", self.text(page, "subscription_add_payment_method"))
        self.assertNotIn("Use this payment method", page.text)

    def test_colleague_is_offered_own_and_shared_payment_methods_only(self):
        own = self.card(self.colleague.partner_id)
        shared = self.card(self.customer.parent_id)
        page = self.open(self.page_of(self.order), self.colleague)
        self.assertEqual(self.choices(page), {own.id, shared.id})
        self.assertIn("Card •••• 4242", self.text(page, "subscription_current_payment_method"))

    def test_opening_the_page_changes_nothing(self):
        self.open(f"{self.page_of(self.order)}?token_id={self.second.id}", self.portal_user)
        self.assertUnchanged()

    # The choice

    def test_customer_chooses_another_payment_method(self):
        page = self.choose(self.second.id, self.portal_user, follow=True)
        self.assertEqual(page.status_code, 200)
        self.assertIn("we will charge this payment method: Card •••• 1111", self.text(page))
        self.assertUnchanged(self.second)

    def test_chatter_says_who_changed_what(self):
        self.choose(self.second.id, self.portal_user)
        message = self.last_message(self.order)
        self.assertEqual(message.author_id, self.customer)
        self.assertIn("The customer changed the payment method in the portal.", message.body)
        self.assertEqual(self.changes(message), {"payment_token_id": ("•••• 4242", "•••• 1111")})

    def test_colleague_chooses_and_is_the_author(self):
        own = self.card(self.colleague.partner_id)
        self.choose(own.id, self.colleague)
        self.assertUnchanged(own)
        self.assertEqual(self.last_message(self.order).author_id, self.colleague.partner_id)

    def test_payer_with_the_link_chooses(self):
        self.order.partner_invoice_id = self.stranger.partner_id
        own = self.card(self.stranger.partner_id)
        self.choose(own.id, self.stranger, link=True)
        self.assertUnchanged(own)

    def test_same_payment_method_again_leaves_no_trace(self):
        before = self.last_message(self.order)
        response = self.choose(self.first.id, self.portal_user)
        self.assertEqual(response.status_code, 303)
        self.assertEqual(self.last_message(self.order), before)

    def test_next_period_is_charged_to_the_new_payment_method(self):
        self.choose(self.second.id, self.portal_user)
        with self.provider("done"):
            self.bill()
        self.assertEqual(self.charges(self.order).token_id, self.second)

    def test_declined_payment_is_retried_with_the_new_payment_method_at_the_next_run(self):
        with self.provider("declined", "done"):
            self.bill()
            self.assertDates(self.order.period_ids, retry_date="2027-02-01")
            page = self.choose(self.second.id, self.portal_user, follow=True)
            self.assertIn("We will try again today.", self.text(page, "subscription_payment_declined"))
            self.assertDates(self.order.period_ids, retry_date="2027-01-31")
            self.bill()
        self.assertEqual(self.charges(self.order).mapped("token_id"), self.first | self.second)
        self.assertEqual(self.order.period_ids.status, "paid")

    def test_finally_declined_payment_is_retried_with_the_new_payment_method(self):
        self.monthly.retry_days = False
        with self.provider("declined", "done"):
            self.bill()
            self.choose(self.second.id, self.portal_user)
            self.bill()
        self.assertEqual(self.order.period_ids.status, "paid")

    def test_same_payment_method_again_does_not_bring_the_retry_forward(self):
        with self.provider("declined"):
            self.bill()
        self.choose(self.first.id, self.portal_user)
        self.assertDates(self.order.period_ids, retry_date="2027-02-01")

    def test_payment_method_may_change_while_an_outcome_is_unknown(self):
        with self.provider(requests.Timeout(), "done"):
            self.bill()
            self.choose(self.second.id, self.portal_user)
            self.bill()
            self.assertUnchanged(self.second)
            self.assertEqual(len(self.calls), 1)
            self.order.sudo().payment_exception = False
            self.bill()
        self.assertEqual(self.charges(self.order)[-1].token_id, self.second)

    # Refused

    def test_anonymous_is_sent_to_the_login_and_back(self):
        for link in (False, True):
            url = self.page_of(self.order, link)
            self.assertSentToLogin(self.open(url, allow_redirects=False), url)
            self.assertSentToLogin(self.choose(self.second.id, link=link), url)
        self.assertUnchanged()

    def test_anonymous_cannot_tell_which_orders_exist(self):
        url = f"/my/orders/{self.order.id + 1000}/payment-method"
        self.assertSentToLogin(self.open(url, allow_redirects=False), url)

    def test_other_customer_is_refused(self):
        own = self.card(self.stranger.partner_id)
        for token in (own, self.second):
            answer = self.choose(token.id, self.stranger)
            self.assertEqual(answer.status_code, 403)
            self.assertIn("doesn't have access", self.text(answer))
            self.assertNotIn(self.order.name, answer.text)
        self.assertUnchanged()

    def test_other_customer_with_the_link_is_refused(self):
        own = self.card(self.stranger.partner_id)
        page = self.open(self.page_of(self.order, link=True), self.stranger)
        self.assertEqual(page.status_code, 403)
        self.assertNotIn("•••• 4242", page.text)
        answer = self.choose(own.id, self.stranger, link=True)
        self.assertEqual(answer.status_code, 403)
        self.assertIn("Only the customer", self.text(answer))
        self.assertUnchanged()

    def test_wrong_access_token_is_refused(self):
        page = self.open(f"{self.page_of(self.order)}?access_token=wrong", self.stranger)
        self.assertEqual(page.status_code, 403)
        self.assertNotIn("•••• 4242", page.text)

    def test_missing_order_is_refused_like_the_order_of_another_customer(self):
        missing = self.open(f"/my/orders/{self.order.id + 1000}/payment-method", self.stranger)
        others = self.open(self.page_of(self.order), self.stranger)
        self.assertEqual((missing.status_code, others.status_code), (403, 403))
        said = self.text(missing, "subscription_refusal")
        self.assertIn("doesn't have access", said)
        self.assertEqual(said, self.text(others, "subscription_refusal"))

    def test_salesperson_is_refused_in_the_portal(self):
        own = self.card(self.salesperson.partner_id)
        self.assertEqual(self.choose(own.id, self.salesperson).status_code, 403)
        self.assertUnchanged()

    def test_payment_method_of_another_customer_is_refused(self):
        others = self.card(self.stranger.partner_id)
        colleagues = self.card(self.colleague.partner_id)
        for token in (others, colleagues):
            answer = self.choose(token.id, self.portal_user)
            self.assertEqual(answer.status_code, 400)
            self.assertIn("Please choose one of your payment methods", self.text(answer))
        self.assertUnchanged()

    def test_missing_and_invalid_payment_methods_are_refused(self):
        for token_id in ("", "0", "-1", "abc", str(2**40), f"{self.second.id}; drop"):
            self.assertEqual(self.choose(token_id, self.portal_user).status_code, 400, token_id)
        self.assertUnchanged()

    def test_subscription_that_is_not_running_is_refused(self):
        for order in (self.quotation(), self.churned_subscription(), self.ordinary_order()):
            answer = self.choose(self.second.id, self.portal_user, order, link=True)
            self.assertEqual(answer.status_code, 403)
            self.assertIn("isn't an active subscription", self.text(answer))
            self.assertFalse(order.sudo().payment_token_id)

    @mute_logger("odoo.http")
    def test_form_without_csrf_token_is_refused(self):
        self.assertEqual(self.choose(self.second.id, self.portal_user, csrf=False).status_code, 400)
        self.assertUnchanged()

    def test_model_refuses_payment_methods_that_cannot_be_charged(self):
        others = self.card(self.stranger.partner_id)
        with self.assertRefused("belongs to another customer"):
            self.order.sudo()._use_payment_token(others)
        self.assertUnchanged()
