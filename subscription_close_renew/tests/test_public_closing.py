import re
from unittest.mock import patch
from urllib.parse import urlsplit

from odoo.tools import mute_logger

from ..models.portal import sale_subscription_close_request as close_request
from .portal_common import PortalCase

PAGE = "/subscriptions/close"


class TestPublicClosing(PortalCase):
    """A subscription is closed without a login, confirmed by a link sent only to its email address."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["res.company"].search([]).subscription_public_closing = False
        cls.company.subscription_public_closing = True
        cls.monthly.write({"user_closable": True, "user_closable_when": "now"})
        cls.requests = cls.env["sale.subscription.close.request"]
        cls.requests.search([]).unlink()
        cls.order = cls.subscription()
        cls.address = cls.customer.email

    def ask(self, reference=None, email=None, **kwargs):
        reference = self.order.name if reference is None else reference
        email = self.address if email is None else email
        return self.post(PAGE, reference=reference, email=email, **kwargs)

    def link_mails(self):
        """Process the requests with the scheduled action, and return all mails with a link."""
        self.run_scheduled_action("subscription_close_renew.ir_cron_subscription_close_request")
        return self.env["mail.mail"].search([("subject", "like", "confirm that you want to close")], order="id")

    def link_in(self, mail):
        [link] = re.findall(rf'href="([^"]*{PAGE}/[^"]*)"', mail.body_html)
        return urlsplit(link).path

    def asked_for_link(self):
        self.ask()
        return self.link_in(self.link_mails())

    # The normal case

    def test_customer_closes_without_a_login(self):
        self.assertIn("a link is on its way", self.text(self.ask(), "public_closing_asked"))
        [mail] = self.link_mails()
        self.assertEqual((mail.email_to, mail.state), (self.address, "outgoing"))
        self.assertIn(self.order.name, mail.body_html)
        page = self.open(self.link_in(mail))
        self.assertEqual(self.text(page, "public_closing_reference"), self.order.name)
        self.assertIn("will close today", self.text(page, "public_closing_effect"))
        self.assertEqual(self.order.subscription_state, "progress")
        done = self.post(self.link_in(mail))
        self.assertIn("Received: 01/31/2027 12:00:00 PM (UTC)", self.text(done, "public_closing_done"))
        self.assertEqual(self.order.subscription_state, "churned")
        self.assertEqual(self.order.close_reason_id.name, "Closed without login")

    def test_chatter_and_receipt_say_what_happened(self):
        self.post(self.asked_for_link())
        message = self.order.sudo().message_ids.filtered("tracking_value_ids").sorted("id")[-1]
        self.assertEqual(message.author_id, self.customer)
        self.assertIn("closed the subscription on the public page", message.body)
        [receipt] = self.mails(self.order)
        self.assertIn("as your receipt", receipt.body)

    def test_user_logged_in_in_the_browser_is_not_the_author(self):
        link = self.asked_for_link()
        self.post(link, self.salesperson)
        message = self.order.sudo().message_ids.filtered("tracking_value_ids").sorted("id")[-1]
        self.assertEqual(message.author_id, self.customer)

    def test_plan_that_is_not_closable_ends_with_the_paid_period(self):
        self.monthly.user_closable = False
        self.invoice(self.order)
        self.post(self.asked_for_link())
        self.assertEqual(self.order.subscription_state, "progress")
        self.assertDates(self.order, end_date="2027-02-28")

    def test_reference_of_a_renewed_subscription_closes_its_renewal(self):
        order = self.paid_subscription()
        renewal = self.renewed_by(order)
        self.ask(order.name)
        self.post(self.link_in(self.link_mails()))
        self.assertEqual((order.subscription_state, renewal.subscription_state), ("renewed", "churned"))

    def test_lower_case_spaces_and_the_address_of_the_payer_are_accepted(self):
        payer = self.env["res.partner"].create({"name": "Payer", "email": "Payer <PAYER@example.com>"})
        self.order.partner_invoice_id = payer
        self.ask(f" {self.order.name.lower()} ", " Payer@Example.com ")
        self.assertEqual(self.link_mails().email_to, "payer@example.com")

    def test_fallback_mail_address_is_accepted(self):
        self.customer.commercial_partner_id.email = "firm@example.com"
        self.customer.email = False
        self.ask(email="firm@example.com")
        self.assertEqual(self.link_mails().email_to, "firm@example.com")

    def test_number_used_by_two_companies_closes_the_one_not_yet_scheduled_to_close(self):
        other = self.subscription(name=self.order.name)
        other.subscription_close(self.reason.id, when="date", date="2027-02-10")
        self.post(self.asked_for_link())
        self.assertEqual(self.order.subscription_state, "churned")

    def test_link_that_cannot_be_mailed_is_reported_to_staff(self):
        template = self.env.ref("subscription_close_renew.mail_template_public_closing")
        self.ask()
        failing = patch.object(type(template), "_generate_template", side_effect=ValueError("Out of ink"))
        with failing, self.assertLogs():
            self.assertFalse(self.link_mails())
        template.active = False
        self.ask()
        self.assertFalse(self.link_mails())
        failed, missing = self.order.sudo().activity_ids.sorted("id")
        self.assertEqual((failed.summary, missing.summary), ("Email not sent", "Customer not reached"))
        self.assertIn("Out of ink", failed.note)
        self.assertIn("Restore the template", missing.note)

    # No information is disclosed

    def test_answer_is_the_same_whether_or_not_they_match(self):
        def answer(reference, email):
            page = self.ask(reference, email)
            text = re.sub(r'csrf_token"[^>]*|csrf_token: "[^"]*"|odoo\.__session_info__[^;]*;', "", page.text)
            return page.status_code, text.replace(email, "EMAIL")

        answers = {
            answer(reference, email)
            for reference in (self.order.name, "S99999", "%")
            for email in (self.address, "somebody@example.com")
        }
        self.assertEqual(len(answers), 1)
        self.assertEqual(self.link_mails().mapped("email_to"), [self.address])

    def test_nothing_is_looked_up_before_the_answer(self):
        with patch.object(type(self.requests), "_find_order") as find_order:
            self.ask()
        find_order.assert_not_called()

    def test_only_matching_requests_get_a_link(self):
        quotation = self.quotation()
        ordinary = self.quotation(plan=False, lines=[self.line(self.one_time_product)])
        ordinary.action_confirm()
        for reference, email in (
            (self.order.name, "somebody@example.com"),
            (self.order.name, self.stranger.email),
            ("S%", self.address),
            (quotation.name, self.address),
            (ordinary.name, self.address),
        ):
            self.ask(reference, email)
        self.assertFalse(self.link_mails())

    def test_request_is_forgotten(self):
        self.ask()
        self.link_mails()
        done = self.requests.search([])
        self.assertEqual((done.email, done.reference, done.is_done), (False, False, True))
        with self.on("2027-02-02"):
            self.requests._gc_requests()
        self.assertFalse(done.exists())

    # Limits

    def test_requests_from_one_place_are_limited(self):
        for _number in range(close_request.REQUESTS_PER_HOUR):
            self.assertEqual(self.ask("S99999").status_code, 200)
        answer = self.ask()
        self.assertEqual(answer.status_code, 429)
        self.assertIn("too many requests", self.text(answer, "public_closing_error"))
        self.assertFalse(self.link_mails())
        with self.on("2027-01-31 13:01"):
            self.assertEqual(self.ask().status_code, 200)

    def test_links_for_one_subscription_are_limited_and_the_answer_is_the_same(self):
        for _number in range(close_request.LINKS_PER_HOUR + 2):
            self.assertEqual(self.ask().status_code, 200)
        self.assertEqual(len(self.link_mails()), close_request.LINKS_PER_HOUR)

    # The link

    def test_opening_the_link_closes_nothing(self):
        link = self.asked_for_link()
        self.open(link)
        self.assertEqual(self.order.subscription_state, "progress")

    def test_link_is_valid_for_a_day(self):
        link = self.asked_for_link()
        with self.on("2027-02-01 11:59"):
            self.assertEqual(self.open(link).status_code, 200)
        with self.on("2027-02-01 12:01"):
            self.assertEqual(self.open(link).status_code, 403)
            self.assertEqual(self.post(link).status_code, 403)
        self.assertEqual(self.order.subscription_state, "progress")

    def test_forged_link_closes_nothing(self):
        link = self.asked_for_link()
        other = self.subscription()
        for token in (
            "x",
            "AQ",
            "é",
            link[-10:],
            f"{link.rpartition('/')[2]}x",
            self.order.sudo()._portal_ensure_token(),
        ):
            for answer in (self.open(f"{PAGE}/{token}"), self.post(f"{PAGE}/{token}")):
                self.assertIn(answer.status_code, (200, 403))
                self.assertNotIn(other.name, answer.text)
        self.assertEqual({self.order.subscription_state, other.subscription_state}, {"progress"})

    def kept_since(self, link):
        """Return the response to a link that closed a subscription which was kept since."""
        self.monthly.user_closable_when = "period_end"
        self.invoice(self.order)
        self.post(link)
        self.assertTrue(self.order.is_closing)
        self.order.subscription_keep()
        self.flush_chatter()
        return self.post(link)

    def test_link_is_used_up_once_the_subscription_was_closed_and_kept(self):
        self.assertEqual(self.kept_since(self.asked_for_link()).status_code, 403)
        self.assertFalse(self.order.is_closing)

    def test_links_of_other_mails_are_used_up_too(self):
        for _number in range(2):
            self.ask()
        first, second = map(self.link_in, self.link_mails())
        self.kept_since(first)
        self.assertEqual(self.post(second).status_code, 403)
        self.assertFalse(self.order.is_closing)

    def test_new_link_closes_a_kept_subscription(self):
        self.kept_since(self.asked_for_link())
        self.ask()
        self.post(self.link_in(self.link_mails()[-1]))
        self.assertTrue(self.order.is_closing)

    def test_link_of_a_former_address_closes_nothing(self):
        link = self.asked_for_link()
        self.order.sudo().partner_id.email = "new@example.com"
        self.assertEqual(self.post(link).status_code, 403)
        self.assertEqual(self.order.subscription_state, "progress")

    def test_former_contact_gets_no_link_for_the_renewal_of_another(self):
        order = self.paid_subscription()
        renewal = self.renewed_by(order)
        new = self.colleague.partner_id
        renewal.sudo().write({"partner_id": new.id, "partner_invoice_id": new.id})
        self.ask(order.name)
        for mail in self.link_mails():
            self.post(self.link_in(mail))
        self.assertEqual(renewal.subscription_state, "progress")

    def test_link_of_another_purpose_closes_nothing(self):
        token = close_request.hash_sign(self.env(su=True), "other", self.order.id, expiration_hours=1)
        self.assertEqual(self.post(f"{PAGE}/{token}").status_code, 403)
        self.assertEqual(self.order.subscription_state, "progress")

    @mute_logger("odoo.http")
    def test_forms_need_a_csrf_token(self):
        link = self.asked_for_link()
        self.assertEqual(self.post(link, csrf=False).status_code, 400)
        self.assertEqual(self.ask(csrf=False).status_code, 400)
        self.assertEqual(self.order.subscription_state, "progress")

    def test_page_says_that_the_subscription_is_already_closed(self):
        link = self.asked_for_link()
        self.post(link)
        again = self.post(link)
        self.assertEqual(again.status_code, 409)
        self.assertIn("has been closed since", self.text(again, "public_closing_error"))
        self.assertEqual(len(self.mails(self.order)), 1)

    def test_unusable_input_is_refused(self):
        for reference, email in (("", self.address), (self.order.name, ""), (self.order.name, "nobody"), ("\0", "\0")):
            answer = self.ask(reference, email)
            self.assertEqual(answer.status_code, 400)
            self.assertIn("Please enter both", self.text(answer, "public_closing_error"))
        self.assertFalse(self.requests.search([]))

    # The setting

    @mute_logger("odoo.http")
    def test_page_is_off_by_default(self):
        self.assertFalse(self.make_company("Another").subscription_public_closing)
        link = self.asked_for_link()
        self.company.subscription_public_closing = False
        for answer in (self.open(PAGE), self.ask(), self.open(link), self.post(link)):
            self.assertEqual(answer.status_code, 404)
        self.assertEqual(self.order.subscription_state, "progress")

    def test_company_with_the_page_disabled_is_left_out(self):
        link = self.asked_for_link()
        self.company.subscription_public_closing = False
        self.make_company("Another").subscription_public_closing = True
        self.ask()
        self.assertEqual(len(self.link_mails()), 1)
        self.assertEqual(self.post(link).status_code, 403)
        self.assertEqual(self.order.subscription_state, "progress")

    def test_settings_show_the_link(self):
        settings = self.env["res.config.settings"].create({})
        self.assertTrue(settings.subscription_public_closing)
        self.assertTrue(settings.subscription_public_closing_url.endswith(PAGE))

    def test_buttons_use_the_wording_required_by_law(self):
        for lang, labels in (
            ("de_DE", ("Verträge hier kündigen", "jetzt kündigen")),
            ("de_CH", ("Verträge hier kündigen", "jetzt kündigen")),
            ("fr_FR", ("Résilier votre contrat", "notification de la résiliation")),
            ("en_US", ("Close your subscription here", "Close now")),
        ):
            self.env["res.lang"]._activate_lang(lang)
            self.assertEqual(self.requests.with_context(lang=lang)._get_legal_labels(), labels)

    def test_page_uses_the_wording_of_the_law(self):
        self.env["res.lang"]._activate_lang("de_DE")
        link = self.asked_for_link()
        self.log_in(None)
        page = self.url_open(link, cookies={"frontend_lang": "de_DE"})
        self.assertEqual(self.text(page, "public_closing_close"), "jetzt kündigen")
