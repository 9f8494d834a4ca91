from .portal_common import PortalCase


class TestPortalPage(PortalCase):
    """The page of a subscription, which is that of its order."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.monthly.user_closable = True
        cls.order = cls.subscription()

    def page(self, user=None, order=None, **kwargs):
        return self.open(self.page_of(order or self.order, **kwargs), user or self.portal_user)

    def buttons(self, page):
        """Return the sidebar buttons of a page."""
        names = {
            "subscription_pay_now": "pay",
            "subscription_change_payment_method": "card",
            "subscription_close": "close",
            "subscription_keep": "keep",
            "subscription_renew": "renew",
        }
        return {button for name, button in names.items() if self.found(page, name)}

    def test_page_is_the_page_of_the_order(self):
        pages = self.page(), self.open(f"/my/orders/{self.order.id}", self.portal_user)
        for page in pages:
            self.assertEqual(page.status_code, 200)
            self.assertIn(f"Sales Order - {self.order.name}", self.text(page))
            self.assertEqual(self.text(page, "subscription_status"), "In Progress")
            self.assertEqual(self.buttons(page), {"card", "close"})
            self.assertIn("/my/subscriptions", page.text)

    def test_status_of_every_state(self):
        closing, closed, paused = self.subscription(), self.churned_subscription(), self.subscription()
        self.invoice(closing)
        closing.subscription_close(self.reason.id, when="period_end")
        paused.subscription_pause("2027-03-01")
        for order, status, more in (
            (self.order, "In Progress", ""),
            (closing, "Closes on 02/28/2027", ""),
            (closed, "Closed", "Since 01/31/2027"),
            (paused, "Paused", "Resumes on 03/01/2027"),
        ):
            with self.subTest(status):
                page = self.page(order=order)
                self.assertEqual(self.text(page, "subscription_status"), status)
                self.assertEqual(self.text(page, "subscription_sidebar_status"), f"{status} {more}".strip())

    def test_next_invoice_has_date_and_amount(self):
        self.assertEqual(self.text(self.page(), "subscription_next_invoice"), "01/31/2027 $ 100.00")

    def test_next_invoice_includes_one_time_lines(self):
        order = self.subscription(lines=[self.line(quantity=2), self.line(self.one_time_product)])
        self.assertEqual(self.text(self.page(order=order), "subscription_next_amount"), "$ 230.00")
        self.invoice(order)
        self.assertEqual(self.text(self.page(order=order), "subscription_next_amount"), "$ 200.00")

    def test_next_invoice_after_a_pause_is_prorated(self):
        order = self.subscription(start="2027-01-31")
        self.invoice(order)
        order.subscription_pause()
        with self.on("2027-03-16"):
            order.subscription_resume()
            page = self.page(order=order)
        [upcoming] = order._get_upcoming_periods()[:1]
        self.assertLess(upcoming["amount"], 100)
        self.assertEqual(self.text(page, "subscription_next_amount"), f"$ {upcoming['amount']:.2f}")

    def test_closed_subscription_has_no_buttons(self):
        page = self.page(order=self.churned_subscription())
        self.assertEqual(self.buttons(page), set())
        self.assertFalse(self.text(page, "subscription_payment"))

    def test_close_button_needs_a_closable_plan(self):
        self.monthly.user_closable = False
        page = self.page()
        self.assertEqual(self.buttons(page), {"card"})
        self.assertNotIn("subscription_close_modal", page.text)

    def test_open_invoice_can_be_paid_from_the_page(self):
        invoice = self.invoice(self.order)
        [button] = self.found(self.page(), "subscription_pay_now")
        self.assertIn(f"/my/invoices/{invoice.id}?", button.get("href"))
        self.register_payment(invoice)
        self.assertEqual(self.buttons(self.page()), {"card", "close"})

    def test_invoice_that_is_being_paid_is_not_asked_for_again(self):
        invoice = self.invoice(self.order)
        self.online_payment(invoice, state="pending")
        self.assertNotIn("pay", self.buttons(self.page()))

    def test_link_is_enough_to_see_the_page(self):
        for user in (None, self.stranger):
            page = self.open(self.page_of(self.order, link=True), user)
            self.assertEqual(self.text(page, "subscription_status"), "In Progress")

    def test_colleague_sees_the_page(self):
        self.assertEqual(self.buttons(self.page(self.colleague)), {"card", "close"})

    def test_stranger_is_refused(self):
        url = self.page_of(self.order)
        for address in (url, f"{url}?access_token=wrong", f"{url}?access_token=%C3%A9"):
            page = self.open(address, self.stranger)
            self.assertEqual(page.status_code, 403)
            self.assertIn("doesn't have access", self.text(page, "subscription_refusal"))
            self.assertNotIn(self.order.name, page.text)

    def test_token_of_another_order_opens_nothing(self):
        token = self.subscription()._portal_ensure_token()
        page = self.open(f"{self.page_of(self.order)}?access_token={token}")
        self.assertEqual(page.status_code, 403)
        self.assertNotIn(self.order.name, page.text)

    def test_missing_order_is_refused_like_the_order_of_another_customer(self):
        refused = self.open(self.page_of(self.order), self.stranger)
        for order_id in (self.order.id + 1000, 2**31, 10**30, 0):
            page = self.open(f"/my/subscriptions/{order_id}", self.stranger)
            self.assertEqual(page.status_code, 403)
            self.assertEqual(self.text(page, "subscription_refusal"), self.text(refused, "subscription_refusal"))

    def test_anonymous_visitor_is_sent_to_the_login_and_back(self):
        answer = self.open(self.page_of(self.order), allow_redirects=False)
        self.assertEqual(answer.status_code, 303)
        self.assertIn(f"redirect=%2Fmy%2Fsubscriptions%2F{self.order.id}", answer.headers["Location"])

    def test_ordinary_order_shows_nothing_about_subscriptions(self):
        order = self.quotation(plan=False, lines=[self.line(self.one_time_product)])
        order.action_confirm()
        page = self.open(f"/my/orders/{order.id}", self.portal_user)
        self.assertEqual(page.status_code, 200)
        self.assertFalse(self.found(page, "subscription_status"))
        self.assertEqual(self.buttons(page), set())
        self.assertIn("Sales Orders", page.text)

    # Preview

    def test_preview_shows_what_the_customer_sees_and_the_buttons_do_nothing(self):
        self.invoice(self.order)
        seen, preview = self.page(), self.open(self.page_of(self.order, link=True), self.salesperson)
        self.assertEqual(self.buttons(preview), self.buttons(seen))
        for name in (
            "subscription_sidebar_status",
            "subscription_payment",
            "subscription_close_effect",
            "subscription_pay_now",
        ):
            self.assertEqual(self.text(preview, name), self.text(seen, name))
        self.assertIn("Preview", self.text(preview, "subscription_preview"))
        self.assertFalse(self.found(seen, "subscription_preview"))
        [submit] = self.found(preview, "subscription_close_submit")
        self.assertTrue(submit.get("disabled"))
        self.assertIn("only the customer can submit this", self.text(preview, "subscription_close_preview"))
        for name in ("subscription_pay_now", "subscription_change_payment_method"):
            [button] = self.found(preview, name)
            self.assertFalse(button.get("href"))
            self.assertEqual(button.get("aria-disabled"), "true")

    def test_colleague_with_an_account_in_the_back_office_sees_a_preview(self):
        self.salesperson.partner_id.parent_id = self.customer.parent_id
        self.assertTrue(self.found(self.open(self.page_of(self.order), self.salesperson), "subscription_preview"))

    def test_salesperson_who_buys_is_a_customer(self):
        order = self.subscription(partner_id=self.salesperson.partner_id.id)
        self.assertFalse(self.found(self.open(self.page_of(order), self.salesperson), "subscription_preview"))

    def test_preview_button_opens_the_page(self):
        url = self.order.action_preview_sale_order()["url"]
        self.assertTrue(self.found(self.open(url, self.salesperson), "subscription_preview"))

    # Queries

    def test_page_takes_few_more_queries_than_an_ordinary_order(self):
        ordinary = self.quotation(plan=False, lines=[self.line(self.one_time_product)])
        ordinary.action_confirm()
        ordinary.sudo()._create_invoices().action_post()
        self.online_payment(ordinary, state="cancel")
        charged, owed = self.subscription(card=self.card()), self.subscription()
        with self.provider("done"):
            self.click(charged.sudo(), "action_subscription_bill")
        self.invoice(owed)
        for order in ordinary | self.order | charged | owed:
            order.sudo()._portal_ensure_token()

        def queries(url):
            self.open(url, self.portal_user)  # fills the caches of templates, rights and translations
            before = self.cr.sql_log_count
            self.url_open(url)
            return self.cr.sql_log_count - before

        plain = queries(f"/my/orders/{ordinary.id}")
        for order in (self.order, charged, owed):
            for url in (f"/my/orders/{order.id}", self.page_of(order)):
                self.assertLessEqual(queries(url), plain + 5)
