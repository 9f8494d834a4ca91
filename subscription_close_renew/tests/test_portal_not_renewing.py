from odoo.tools import html2plaintext, mute_logger

from .portal_common import PortalCase
from .test_term import TermCommon


class PortalNotRenewingCase(PortalCase, TermCommon):
    """A subscription that ends on 28 February; its automatic renewal was announced on the 14th."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.made_once("announced")

    def announced(self):
        """Return a subscription whose renewal on 28 February was announced to the customer today."""
        order = self.termed()
        self.nightly("2027-02-14")
        return order

    def refuse(self, user=None, link=False, order=None, **kwargs):
        """Press the button Do Not Renew and confirm it."""
        return self.post(self.page_of(order or self.order, "/do-not-renew", link), user, **kwargs)

    def page(self, order=None, user=None):
        return self.open(self.page_of(order or self.order), user or self.portal_user)

    def assertRefusable(self, page):
        self.assertEqual(self.text(page, "subscription_do_not_renew"), "Do Not Renew")

    def assertEndsWithItsTerm(self):
        self.assertEqual((self.order.term_end_action, self.order.renewal_ids.mapped("state")), ("close", ["cancel"]))
        self.nightly("2027-02-27")
        self.assertEqual(self.order.subscription_state, "progress")
        self.nightly("2027-02-28")
        self.assertEqual(self.order.subscription_state, "churned")

    def assertStillRenews(self):
        self.assertDates(self.order, auto_renew_on="2027-02-28")
        self.nightly("2027-02-28")
        self.assertEqual(self.order.subscription_state, "renewed")


class TestPortalNotRenewing(PortalNotRenewingCase):
    """An announced automatic renewal can be refused until its day, whatever the other settings."""

    def test_next_invoice_is_that_of_the_renewal(self):
        self.assertEqual(self.text(self.page(), "subscription_next_invoice").split(), ["02/28/2027", "$", "100.00"])

    def test_no_invoice_comes_after_the_refusal(self):
        page = self.refuse(self.portal_user)
        self.assertIn("None: the subscription ends on", self.text(page, "subscription_next_invoice"))

    def test_subscription_ends_with_its_term(self):
        answer = self.refuse(self.portal_user)
        self.assertEqual(answer.status_code, 200)
        self.assertEndsWithItsTerm()

    def test_customer_sees_that_it_will_not_be_renewed(self):
        answer = self.refuse(self.portal_user)
        self.assertIn(
            f"Your subscription {self.order.name} won't be renewed. It ends on 02/28/2027.",
            self.text(answer, "subscription_not_renewed"),
        )
        self.assertFalse(self.found(answer, "subscription_do_not_renew"))

    def test_link_is_enough(self):
        self.refuse(link=True)
        self.assertEndsWithItsTerm()

    def test_link_in_the_notice_opens_the_form(self):
        [notice] = self.notices(self.order)
        self.assertIn(f"/my/subscriptions/{self.order.id}/not-renewing?access_token=", notice.body)
        page = self.open(self.page_of(self.order, "/not-renewing", link=True))
        self.assertIn("will be renewed automatically on 02/28/2027", self.text(page, "subscription_announcement"))
        self.assertEqual(self.text(page, "subscription_do_not_renew_submit"), "Do Not Renew")

    def test_opening_the_form_changes_nothing(self):
        self.open(self.page_of(self.order, "/not-renewing"), self.portal_user)
        self.assertStillRenews()

    def test_button_is_on_the_page_of_the_subscription_and_on_that_of_the_quotation(self):
        self.assertRefusable(self.page())
        renewal = self.order.sudo().renewal_ids
        self.assertRefusable(self.open(renewal.get_portal_url(), self.portal_user))

    def test_signature_and_payment_do_not_matter(self):
        renewal = self.order.sudo().renewal_ids
        for signature, payment in ((False, True), (True, False), (False, False)):
            with self.subTest(signature=signature, payment=payment):
                renewal.write({"require_signature": signature, "require_payment": payment})
                self.assertRefusable(self.open(renewal.get_portal_url(), self.portal_user))
        self.refuse(self.portal_user)
        self.assertEndsWithItsTerm()

    def test_expired_quotation_does_not_matter(self):
        renewal = self.order.sudo().renewal_ids
        renewal.validity_date = "2027-01-01"
        self.assertRefusable(self.open(renewal.get_portal_url(), self.portal_user))
        self.refuse(self.portal_user)
        self.assertEndsWithItsTerm()

    def test_deleted_quotation_does_not_matter(self):
        self.env.cr.execute("DELETE FROM sale_order WHERE id = %s", [self.order.renewal_ids.id])
        self.env.invalidate_all()
        self.assertRefusable(self.page())
        self.refuse(self.portal_user)
        self.nightly("2027-02-28")
        self.assertEqual(self.order.subscription_state, "churned")

    def test_plan_without_customer_rights_does_not_matter(self):
        self.assertFalse(self.monthly.user_closable or self.monthly.user_renewable)
        self.refuse(self.colleague)
        self.assertEndsWithItsTerm()

    def test_renewal_of_a_paused_subscription_can_be_refused(self):
        self.order.subscription_pause()
        self.refuse(self.portal_user)
        self.assertEqual(self.order.term_end_action, "close")

    def test_chatter_says_who_refused(self):
        self.refuse(self.colleague)
        message = self.last_message(self.order.with_env(self.env))
        refused = [
            message
            for message in self.order.sudo().message_ids
            if "refused the automatic renewal" in html2plaintext(message.body)
        ]
        self.assertEqual([message.author_id for message in refused], [self.colleague.partner_id], message)
        self.assertEqual(self.changes(refused[0])["term_end_action"], ("Renew automatically", "Close"))

    def test_customer_gets_a_receipt(self):
        with self.on("2027-02-20 09:30"):
            self.refuse(self.portal_user)
        receipt = self.mails(self.order)[-1]
        self.assertIn("won't be renewed", receipt.subject)
        text = html2plaintext(receipt.body)
        for words in (self.order.name, "(UTC)", "02/28/2027"):
            self.assertIn(words, text)

    def test_customer_may_still_renew_later(self):
        self.monthly.user_renewable = True
        self.refuse(self.portal_user)
        page = self.post(self.page_of(self.order, "/renew"), self.portal_user)
        self.assertIn("/my/orders/", page.url)
        self.assertEqual(sorted(self.order.sudo().renewal_ids.mapped("state")), ["cancel", "sent"])

    # Refused

    def test_strangers_are_refused(self):
        for user in (None, self.stranger):
            for answer in (self.refuse(user), self.refuse(user, access_token="wrong")):
                self.assertEqual(answer.status_code, 403)
        self.assertStillRenews()

    def test_quotation_of_another_customer_does_not_open_the_subscription(self):
        quotation = self.quotation(partner_id=self.stranger.partner_id.id)
        self.env.cr.execute("UPDATE sale_order SET subscription_id = %s WHERE id = %s", [self.order.id, quotation.id])
        self.env.cr.execute("UPDATE sale_order SET subscription_state = 'renewal' WHERE id = %s", [quotation.id])
        self.env.invalidate_all()
        page = self.open(quotation.sudo().get_portal_url())
        self.assertFalse(self.found(page, "subscription_do_not_renew"))
        self.assertNotIn(self.order.sudo().access_token or "no token", page.text)

    def test_salesperson_is_refused_in_the_preview(self):
        answer = self.refuse(self.salesperson, link=True)
        self.assertEqual(answer.status_code, 403)
        self.assertIn("This is a preview", self.text(answer))
        self.assertStillRenews()

    def test_second_refusal_is_rejected(self):
        self.refuse(self.portal_user)
        mails = len(self.mails(self.order))
        answer = self.refuse(self.portal_user)
        self.assertEqual((answer.status_code, len(self.mails(self.order))), (409, mails))
        self.assertIn("nothing to stop", self.text(answer))

    def test_renewal_that_was_not_announced_is_rejected(self):
        for order in (self.subscription(), self.quotation(), self.quotation(plan=False)):
            answer = self.refuse(self.portal_user, order=order)
            self.assertEqual(answer.status_code, 409)
        self.assertFalse(self.found(self.page(self.subscription()), "subscription_do_not_renew"))

    def test_renewed_subscription_is_refused(self):
        self.nightly("2027-02-28")
        answer = self.refuse(self.portal_user)
        self.assertEqual((answer.status_code, self.order.subscription_state), (409, "renewed"))

    def test_renewal_without_an_end_or_changed_by_staff_is_no_longer_announced(self):
        for values in ({"end_date": False}, {"end_date": "2027-02-28", "term_end_action": "continue"}):
            self.order.write(values)
            self.assertFalse(self.found(self.page(), "subscription_do_not_renew"))
            self.assertEqual(self.refuse(self.portal_user).status_code, 409)

    @mute_logger("odoo.http")
    def test_no_csrf_token_and_opening_the_address_are_refused(self):
        self.assertEqual(self.refuse(self.portal_user, csrf=False).status_code, 400)
        answer = self.open(self.page_of(self.order, "/do-not-renew"), self.portal_user)
        self.assertEqual((answer.status_code, answer.headers["Allow"]), (405, "POST"))
        self.assertStillRenews()
