from unittest.mock import patch

from lxml import html

from odoo.tests import Form
from odoo.tools import mute_logger

from ..models.portal.sale_order_closing import KEEPS_PER_DAY
from .portal_common import PortalCase


class PortalClosingCase(PortalCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.monthly.write({"user_closable": True, "user_closable_when": "now"})
        cls.order = cls.subscription()
        cls.order.sudo()._portal_ensure_token()

    def close(self, user=None, order=None, reason=None, link=False, **kwargs):
        """Submit the form that closes a subscription; see :meth:`post`.

        :param reason: the close reason, or the raw value of the form field (by default, ``reason``)
        """
        reason = self.reason if reason is None else reason
        data = {} if reason is False else {"reason_id": getattr(reason, "id", reason)}
        return self.post(self.page_of(order or self.order, "/close", link), user, **data, **kwargs)

    def keep(self, user=None, link=False, **kwargs):
        return self.post(self.page_of(self.order, "/keep", link), user, **kwargs)

    def form(self, user=None, link=False):
        return self.open(self.page_of(self.order, "/closing", link), user)

    def closing_subscription(self):
        """Return a subscription scheduled by the customer to close at the end of its period."""
        self.monthly.user_closable_when = "period_end"
        self.invoice(self.order)
        self.close(self.portal_user)
        self.assertTrue(self.order.is_closing)

    def state_of(self, order):
        """Return all stored values of an order and the recipients of its messages."""
        self.flush_chatter()
        self.cr.execute("SELECT to_jsonb(sale_order) FROM sale_order WHERE id = %s", order.ids)
        [(row,)] = self.cr.fetchall()
        self.cr.execute("SELECT id FROM mail_message WHERE model = 'sale.order' AND res_id = %s", order.ids)
        return row, self.cr.fetchall(), self.mails(order)


class TestPortalClosing(PortalClosingCase):
    """The customer closes a subscription, and changes their mind."""

    def test_customer_closes_at_once(self):
        page = self.close(self.portal_user)
        self.assertEqual(page.status_code, 200)
        self.assertEqual(self.order.subscription_state, "churned")
        self.assertEqual(self.order.close_reason_id, self.reason)
        self.assertDates(self.order, end_date="2027-01-31", closed_on="2027-01-31", next_invoice_date=False)
        self.assertEqual(self.text(page, "subscription_status"), "Closed")
        self.assertIn(f"Your subscription {self.order.name} is closed", self.text(page, "subscription_closed"))

    def test_customer_closes_at_the_end_of_the_paid_period(self):
        self.closing_subscription()
        self.assertEqual(self.order.subscription_state, "progress")
        self.assertDates(self.order, end_date="2027-02-28")
        page = self.open(self.page_of(self.order), self.portal_user)
        self.assertEqual(self.text(page, "subscription_status"), "Closes on 02/28/2027")
        self.assertEqual(self.text(page, "subscription_keep"), "Keep Subscription")
        self.assertFalse(self.found(page, "subscription_close"))
        self.expire(until="2027-02-28")
        self.assertEqual(self.order.subscription_state, "churned")

    def test_extending_addon_decides_when_it_ends(self):
        self.invoice(self.order)
        with patch.object(type(self.order), "_get_portal_close_when", lambda order: "period_end"):
            self.assertIn("02/28/2027", self.text(self.form(self.portal_user), "subscription_close_effect"))
            self.close(self.portal_user)
        self.assertDates(self.order, end_date="2027-02-28", closed_on=False)

    def test_paused_subscription_can_be_closed(self):
        self.order.subscription_pause()
        self.close(self.portal_user)
        self.assertEqual(self.order.subscription_state, "churned")

    def test_unpaid_invoices_never_block_closing(self):
        invoice = self.invoice(self.order)
        with self.on("2027-03-15"):
            self.close(self.portal_user)
        self.assertEqual(self.order.subscription_state, "churned")
        self.assertEqual(invoice.payment_state, "not_paid")

    def test_payment_in_exception_does_not_block_closing(self):
        self.order.sudo().payment_exception = True
        self.close(self.portal_user)
        self.assertEqual(self.order.subscription_state, "churned")

    def test_link_is_enough(self):
        self.close(link=True)
        self.assertEqual(self.order.subscription_state, "churned")

    def test_colleague_closes(self):
        self.close(self.colleague)
        self.assertEqual(self.order.subscription_state, "churned")

    # The chatter

    def test_chatter_says_who_where_why_and_when(self):
        self.close(self.portal_user)
        message = self.last_closing_message()
        self.assertEqual(message.author_id, self.customer)
        for said in (
            "The customer closed the subscription in the portal.",
            "Ends on 01/31/2027.",
            "Reason: Moves abroad",
        ):
            self.assertIn(said, message.body)
        changes = self.changes(message)
        self.assertEqual(changes["subscription_state"], ("In Progress", "Churned"))
        self.assertEqual(changes["close_reason_id"][1], "Moves abroad")

    def test_colleague_is_the_author(self):
        self.close(self.colleague)
        self.assertEqual(self.last_closing_message().author_id, self.colleague.partner_id)

    def test_visitor_with_the_link_acts_as_the_customer(self):
        self.close(link=True)
        self.assertEqual(self.last_closing_message().author_id, self.customer)

    def last_closing_message(self):
        self.flush_chatter()
        messages = self.order.sudo().message_ids.filtered("tracking_value_ids").sorted("id")
        return messages[-1]

    def test_reason_is_shown_on_the_order_in_the_back_office(self):
        self.close(self.portal_user)
        with Form(self.order.with_user(self.salesperson)) as form:
            self.assertEqual(form.close_reason_id, self.reason)

    # The receipt

    def test_receipt_says_what_was_closed_when_it_was_received_and_when_it_ends(self):
        self.company.partner_id.tz = "Asia/Tokyo"
        self.closing_subscription()
        [receipt] = self.mails(self.order)
        self.assertIn(self.order.name, receipt.subject)
        for said in (self.order.name, "Coffee Service", "9:00:00", "PM (Asia/Tokyo)", "02/28/2027", "Moves abroad"):
            self.assertIn(said, receipt.body)

    def test_receipt_goes_to_the_customer_and_to_the_colleague_who_closed(self):
        self.close(self.colleague)
        self.assertEqual(len(self.mails(self.order)), 1)
        self.assertEqual(len(self.mails(self.order, self.colleague.partner_id)), 1)

    def test_receipt_does_not_go_to_a_stranger_with_the_link(self):
        self.close(self.stranger, link=True)
        self.assertEqual(len(self.mails(self.order)), 1)
        self.assertFalse(self.mails(self.order, self.stranger.partner_id))

    def test_second_submit_sends_no_second_receipt(self):
        self.close(self.portal_user)
        self.close(self.portal_user)
        self.assertEqual(len(self.mails(self.order)), 1)

    def test_receipt_is_queued_and_not_sent_before_the_commit(self):
        self.close(self.portal_user)
        [receipt] = self.mails(self.order)
        self.assertEqual(receipt.mail_ids.mapped("state"), ["outgoing"])

    # Changing one's mind

    def test_customer_keeps_the_subscription(self):
        self.closing_subscription()
        page = self.keep(self.portal_user)
        self.assertFalse(self.order.is_closing)
        self.assertDates(self.order, end_date=False)
        self.assertFalse(self.order.close_reason_id)
        self.assertIn("You have kept your subscription", self.text(page, "subscription_kept"))
        self.assertEqual(self.text(page, "subscription_status"), "In Progress")
        message = self.last_closing_message()
        self.assertEqual(message.author_id, self.customer)
        self.assertIn("undid the scheduled close in the portal", message.body)
        self.assertEqual(len(self.mails(self.order)), 2)

    def test_kept_subscription_can_be_closed_again(self):
        self.closing_subscription()
        self.keep(self.portal_user)
        self.close(self.portal_user)
        self.assertTrue(self.order.is_closing)
        self.assertEqual(len(self.mails(self.order)), 3)

    def test_close_planned_by_staff_cannot_be_undone_in_the_portal(self):
        self.order.subscription_close(self.reason.id, when="date", date="2027-03-01")
        page = self.open(self.page_of(self.order), self.portal_user)
        self.assertFalse(self.found(page, "subscription_keep"))
        before = self.state_of(self.order)
        answer = self.keep(self.portal_user)
        self.assertEqual(answer.status_code, 409)
        self.assertIn("wasn't made online", self.text(answer))
        self.assertEqual(self.state_of(self.order), before)

    def test_close_planned_by_staff_after_the_customer_kept_belongs_to_staff(self):
        self.closing_subscription()
        self.keep(self.portal_user)
        self.order.subscription_close(self.reason.id, when="date", date="2027-03-01")
        self.assertEqual(self.keep(self.portal_user).status_code, 409)

    def test_keeping_is_refused_to_everybody_else(self):
        self.closing_subscription()
        before = self.state_of(self.order)
        for user, status in ((None, 403), (self.stranger, 403), (self.salesperson, 403)):
            self.assertEqual(self.keep(user).status_code, status)
        with mute_logger("odoo.http"):
            self.assertEqual(self.keep(self.portal_user, csrf=False).status_code, 400)
        self.assertEqual(self.open(self.page_of(self.order, "/keep"), self.portal_user).status_code, 405)
        self.assertEqual(self.state_of(self.order), before)

    def test_nothing_to_keep_is_refused(self):
        self.assertEqual(self.keep(self.portal_user).status_code, 409)
        self.close(self.portal_user)
        self.assertEqual(self.keep(self.portal_user).status_code, 409)
        self.assertEqual(self.order.subscription_state, "churned")


class TestPortalClosingForm(PortalClosingCase):
    """The form, in the pop-up and on the page that needs no JavaScript."""

    def pages(self):
        return {"pop-up": self.open(self.page_of(self.order), self.portal_user), "page": self.form(self.portal_user)}

    def test_form_offers_the_portal_reasons_in_order(self):
        reasons = self.env["sale.order.close.reason"]
        self.hidden_reason.sequence = self.archived_reason.sequence = 0
        first = reasons.create({"name": "First", "sequence": -1})
        expected = reasons.search([("visible_in_portal", "=", True)])
        self.assertEqual(expected[0], first)
        for kind, page in self.pages().items():
            with self.subTest(kind):
                tree = html.fromstring(page.text)
                choices = tree.xpath("//form[contains(@action, '/close')]//input[@name='reason_id']")
                self.assertEqual([int(choice.get("value")) for choice in choices], expected.ids)
                self.assertTrue(all(choice.get("required") and choice.get("type") == "radio" for choice in choices))
                self.assertFalse(tree.xpath("//form[contains(@action, '/close')]//input[@checked]"))
                self.assertFalse(tree.xpath("//form[contains(@action, '/close')]//textarea"))
                for hidden in (self.hidden_reason, self.archived_reason):
                    self.assertNotIn(hidden.name, page.text)

    def test_every_choice_has_its_label(self):
        for page in self.pages().values():
            tree = html.fromstring(page.text)
            for choice in tree.xpath("//input[@name='reason_id']"):
                self.assertEqual(len(tree.xpath(f"//label[@for='{choice.get('id')}']")), 1)

    def test_form_says_when_it_ends(self):
        for page in self.pages().values():
            self.assertIn("will close today", self.text(page, "subscription_close_effect"))
        self.monthly.user_closable_when = "period_end"
        self.invoice(self.order)
        for page in self.pages().values():
            self.assertIn("stays active until 02/28/2027", self.text(page, "subscription_close_effect"))

    def test_retention_message_is_shown_beside_submit(self):
        (self.env["sale.order.close.reason"].search([]) - self.reason).visible_in_portal = False
        self.reason.write(
            {
                "retention_message": "<p>Stay for half the price.</p>",
                "retention_button_text": "Half the price",
                "retention_button_link": "/half",
            }
        )
        for kind, page in self.pages().items():
            with self.subTest(kind):
                [message] = self.found(page, "subscription_retention")
                self.assertEqual(message.get("data-reason"), str(self.reason.id))
                self.assertIn("Stay for half the price.", message.text_content())
                self.assertEqual(message.xpath(".//a/@href"), ["/half"])
                self.assertEqual(message.getparent().get("aria-live"), "polite")
                [submit] = self.found(page, "subscription_close_submit")
                self.assertFalse(submit.get("disabled"))

    def test_reason_without_a_message_has_none(self):
        self.reason.retention_message = "<p><br></p>"
        self.env["sale.order.close.reason"].search([("id", "!=", self.reason.id)]).retention_message = False
        self.env["sale.order.close.reason"].search([]).write(
            {"retention_button_text": False, "retention_button_link": False}
        )
        self.assertFalse(self.found(self.form(self.portal_user), "subscription_retention"))

    def test_pop_up_is_a_dialog_with_a_name(self):
        tree = html.fromstring(self.pages()["pop-up"].text)
        [dialog] = tree.xpath("//*[@id='subscription_close_modal']")
        self.assertEqual(dialog.get("role"), "dialog")
        [title] = tree.xpath(f"//*[@id='{dialog.get('aria-labelledby')}']")
        self.assertEqual(title.text_content(), "Close Subscription")

    def test_button_links_to_the_page_without_javascript(self):
        [button] = self.found(self.pages()["pop-up"], "subscription_close")
        self.assertEqual(button.text_content(), "Close Subscription")
        page = self.open(button.get("href"), self.portal_user)
        self.assertEqual(page.status_code, 200)
        self.assertTrue(self.found(page, "subscription_close_submit"))

    def test_without_any_reason_the_form_says_so(self):
        self.env["sale.order.close.reason"].search([]).visible_in_portal = False
        page = self.form(self.portal_user)
        self.assertIn("Please contact us", self.text(page, "subscription_no_reasons"))

    def test_wrong_choice_shows_the_form_again(self):
        page = self.close(self.portal_user, reason=self.hidden_reason)
        self.assertEqual(page.status_code, 400)
        self.assertIn("Please choose a reason from the list.", self.text(page, "subscription_close_error"))
        self.assertTrue(self.found(page, "subscription_close_submit"))

    def test_form_without_login_redirects_to_the_login(self):
        answer = self.open(self.page_of(self.order, "/closing"), allow_redirects=False)
        self.assertEqual(answer.status_code, 303)
        self.assertIn("/web/login", answer.headers["Location"])


class TestPortalClosingRefused(PortalClosingCase):
    """Refused with a clear page, and nothing changes."""

    def assertClosingRefused(self, answer, status, words, order=None):
        self.assertEqual(answer.status_code, status)
        self.assertRegex(self.text(answer), words)
        self.assertEqual(self.state_of(order or self.order), self.before)

    def setUp(self):
        super().setUp()
        self.before = self.state_of(self.order)

    def test_no_token(self):
        self.assertClosingRefused(self.close(), 403, "doesn't have access")

    def test_wrong_token(self):
        for token in ("wrong", "", "é", "%00", self.order.sudo()._portal_ensure_token()[:-1]):
            answer = self.close(access_token=token)
            self.assertClosingRefused(answer, 403, "doesn't have access")
            self.assertNotIn(self.order.name, answer.text)

    def test_token_of_another_order(self):
        token = self.subscription().sudo()._portal_ensure_token()
        self.assertClosingRefused(self.close(access_token=token), 403, "doesn't have access")

    def test_another_customer_logged_in(self):
        answer = self.close(self.stranger)
        self.assertClosingRefused(answer, 403, "doesn't have access")
        self.assertNotIn(self.order.name, answer.text)

    def test_order_that_does_not_exist(self):
        for order_id in (self.order.id + 1000, 2**31, 10**30, 0):
            url = f"/my/subscriptions/{order_id}/close"
            answer = self.post(url, self.portal_user, reason_id=self.reason.id)
            self.assertClosingRefused(answer, 403, "doesn't have access")

    def test_plan_that_is_not_closable(self):
        self.monthly.user_closable = False
        answer = self.close(self.portal_user)
        self.assertClosingRefused(answer, 403, "can't be closed online")
        self.assertClosingRefused(self.form(self.portal_user), 403, "can't be closed online")

    def test_rule_of_another_addon_replaces_the_button_on_the_page(self):
        with patch.object(type(self.order), "_get_close_refusal", lambda order: "Not before spring."):
            page = self.open(self.page_of(self.order), self.portal_user)
            self.assertFalse(self.found(page, "subscription_close"))
            self.assertEqual(self.text(page, "subscription_close_notice"), "Not before spring.")
            self.assertClosingRefused(self.close(self.portal_user), 403, "Not before spring.")

    def test_page_does_not_mention_closing_when_the_plan_has_no_button(self):
        self.monthly.user_closable = False
        page = self.open(self.page_of(self.order), self.portal_user)
        self.assertFalse(self.found(page, "subscription_close_notice"))

    def test_unknown_archived_hidden_or_no_reason(self):
        gone = self.env["sale.order.close.reason"].create({"name": "Gone"})
        gone_id = gone.id
        gone.unlink()
        for reason in (gone_id, self.archived_reason, self.hidden_reason, "", False):
            with self.subTest(reason):
                answer = self.close(self.portal_user, reason=reason)
                self.assertClosingRefused(answer, 400, "Please choose a reason from the list")

    def test_reason_that_is_text_negative_huge_or_sql(self):
        system = self.env["sale.order.close.reason"]._get_system_reasons()
        nonsense = (
            "abc",
            "-1",
            "0",
            str(2**31),
            str(2**63),
            "9" * 100,
            f"{self.reason.id}; DROP TABLE sale_order",
            "1.5",
        )
        for reason in (*nonsense, f"{self.reason.id} OR 1=1", "[1]", "\x00", *system.ids):
            with self.subTest(reason):
                answer = self.close(self.portal_user, reason=reason)
                self.assertClosingRefused(answer, 400, "Please choose a reason from the list")

    def test_subscription_already_closed(self):
        self.order.subscription_close(self.reason.id)
        self.before = self.state_of(self.order)
        self.assertClosingRefused(self.close(self.portal_user), 409, "has been closed since 01/31/2027")
        self.assertClosingRefused(self.form(self.portal_user), 409, "has been closed since")

    def test_subscription_already_scheduled_to_close(self):
        self.closing_subscription()
        self.before = self.state_of(self.order)
        self.assertClosingRefused(self.close(self.portal_user), 409, "already scheduled to close on 02/28/2027")

    def test_customer_may_change_their_mind_a_few_times_a_day(self):
        self.monthly.user_closable_when = "period_end"
        self.invoice(self.order)
        for _number in range(KEEPS_PER_DAY):
            self.close(self.portal_user)
            self.assertEqual(self.keep(self.portal_user).status_code, 200)
        self.close(self.portal_user)
        answer = self.keep(self.portal_user)
        self.assertEqual(answer.status_code, 429)
        self.assertIn("several times today", self.text(answer))
        self.assertTrue(self.order.is_closing)
        with self.on("2027-02-01 12:01"):
            self.assertEqual(self.keep(self.portal_user).status_code, 200)

    def test_quotation_and_ordinary_order(self):
        ordinary = self.quotation(plan=False, lines=[self.line(self.one_time_product)])
        for order in (self.quotation(), ordinary):
            order.sudo()._portal_ensure_token()
            self.before = self.state_of(order)
            answer = self.close(self.portal_user, order)
            self.assertClosingRefused(answer, 403, "has not started|is not a subscription", order)

    def test_opening_the_address_of_the_form(self):
        for user, link in ((self.portal_user, False), (None, True)):
            url = self.page_of(self.order, "/close", link)
            separator = "&" if link else "?"
            answer = self.open(f"{url}{separator}reason_id={self.reason.id}", user)
            self.assertClosingRefused(answer, 405, "opening a link isn't enough")
        self.assertClosingRefused(self.form(self.portal_user), 200, "Submit")

    @mute_logger("odoo.http")
    def test_no_csrf_token(self):
        self.assertClosingRefused(self.close(self.portal_user, csrf=False), 400, "CSRF")
        self.assertClosingRefused(self.close(link=True, csrf=False), 400, "CSRF")

    @mute_logger("odoo.http")
    def test_wrong_csrf_token(self):
        answer = self.close(self.portal_user, csrf=False, csrf_token="wrong")
        self.assertClosingRefused(answer, 400, "CSRF")

    def test_preview(self):
        for user in (self.salesperson, self.administrator, self.other_salesperson):
            answer = self.close(user, link=True)
            self.assertClosingRefused(answer, 403, "This is a preview")

    def test_model_refuses_on_its_own(self):
        self.monthly.user_closable = False
        with self.assertRefused("can't be closed online"):
            self.order.sudo()._close_as_customer(self.reason.id, self.portal_user)
        self.monthly.user_closable = True
        for reason in (self.hidden_reason, self.archived_reason):
            with self.assertRefused("choose a reason from the list"):
                self.order.sudo()._close_as_customer(reason.id, self.portal_user)
        self.assertEqual(self.state_of(self.order), self.before)


class TestPortalStranger(PortalClosingCase):
    """Nothing of another customer, no internal note and no hidden reason ever appears in a page."""

    def test_stranger_walks_every_page(self):
        secrets = self.secrets()
        for user in (None, self.stranger):
            for url in self.addresses():
                for address in (url, f"{url}?access_token=wrong"):
                    with self.subTest(address, user=user and user.login):
                        page = self.open(address, user)
                        self.assertIn(page.status_code, (200, 403, 405))
                        for secret in secrets:
                            self.assertNotIn(secret, page.text)

    def test_customer_sees_no_internal_note_and_no_hidden_reason(self):
        internal = ("Owes us a favour", self.hidden_reason.name, self.archived_reason.name)
        for user, link in ((self.portal_user, False), (None, True)):
            for url in self.addresses():
                address = f"{url}?access_token={self.order.sudo()._portal_ensure_token()}" if link else url
                page = self.open(address, user)
                for secret in internal:
                    self.assertNotIn(secret, page.text)

    def secrets(self):
        self.order.payment_token_id = self.card(payment_details="9876")
        self.order.client_order_ref = "Secret Project"
        self.order.message_post(body="Owes us a favour", subtype_xmlid="mail.mt_note")
        self.invoice(self.order)
        self.flush_chatter()
        return (
            self.order.name,
            self.customer.name,
            self.customer.email,
            "Secret Project",
            "Owes us a favour",
            "9876",
            self.hidden_reason.name,
            self.archived_reason.name,
            self.order.sudo()._portal_ensure_token(),
        )

    def addresses(self):
        order = self.order.id
        return (
            "/my",
            "/my/subscriptions",
            "/my/subscriptions/page/2",
            f"/my/subscriptions?search={self.order.name[1:]}x",
            f"/my/subscriptions/{order}",
            f"/my/subscriptions/{order}/closing",
            f"/my/subscriptions/{order}/close",
            f"/my/subscriptions/{order}/keep",
            f"/my/orders/{order}",
            f"/my/orders/{order}/payment-method",
        )
