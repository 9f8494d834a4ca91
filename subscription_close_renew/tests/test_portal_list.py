from lxml import html

from .portal_common import PortalCase


class TestPortalList(PortalCase):
    """The portal home and the list of a customer's subscriptions."""

    def rows(self, page):
        """Return the references in the list, in order."""
        return [element.text for element in html.fromstring(page.text).xpath("//*[@name='subscription_row']//a")]

    def list_of(self, user, **query):
        self.log_in(user)
        self.flush_chatter()
        page = self.url_open("/my/subscriptions", params=query)
        self.env.invalidate_all()
        return page

    def counter(self, user):
        self.log_in(user)
        self.flush_chatter()
        answer = self.make_jsonrpc_request("/my/counters", {"counters": ["subscription_count"]})
        return answer["subscription_count"]

    def many(self, count):
        """Return subscriptions of the customer, half of them with a planned close."""
        orders = self.env["sale.order"].browse()
        for number in range(count):
            orders += self.subscription(client_order_ref=f"Number {number}")
        orders[: count // 2].subscription_close(self.reason.id, when="date", date="2027-12-31")
        self.flush_chatter()
        return orders

    def test_home_counts_subscriptions_and_nothing_else(self):
        self.assertEqual(self.counter(self.portal_user), 0)
        self.subscription()
        self.churned_subscription()
        self.paused_subscription()
        self.quotation()
        self.subscription(partner_id=self.stranger.partner_id.id)
        ordinary = self.quotation(plan=False, lines=[self.line(self.one_time_product)])
        ordinary.action_confirm()
        self.assertEqual(self.counter(self.portal_user), 3)

    def test_home_has_the_entry(self):
        page = self.open("/my", self.portal_user)
        entry = html.fromstring(page.text).xpath("//a[@href='/my/subscriptions']")
        self.assertEqual(len(entry), 1)
        self.assertIn("Subscriptions", entry[0].text_content())

    def test_list_shows_each_subscription_and_its_status(self):
        order = self.subscription(lines=[self.line(quantity=2), self.line(self.one_time_product)])
        page = self.list_of(self.portal_user)
        row = self.text(page, "subscription_row")
        for said in (order.name, "Coffee Service", "Every month", "$ 200.00", "01/31/2027", "In Progress"):
            self.assertIn(said, row)
        self.assertNotIn("Installation", row)

    def test_list_labels_every_status(self):
        closing, closed, paused = self.subscription(), self.churned_subscription(), self.paused_subscription()
        self.invoice(closing)
        closing.subscription_close(self.reason.id, when="period_end")
        page = self.list_of(self.portal_user, sortby="name")
        shown = dict(zip(self.rows(page), self.text(page, "subscription_status").splitlines(), strict=True))
        self.assertEqual(shown, {closing.name: "Closes on 02/28/2027", closed.name: "Closed", paused.name: "Paused"})

    def test_list_has_filters(self):
        running, closing, closed, paused = (
            self.subscription(),
            self.subscription(),
            self.churned_subscription(),
            self.paused_subscription(),
        )
        closing.subscription_close(self.reason.id, when="date", date="2027-03-01")
        expected = {
            "all": running + closing + closed + paused,
            "progress": running + paused,
            "closing": closing,
            "closed": closed,
        }
        for filterby, orders in expected.items():
            with self.subTest(filterby):
                page = self.list_of(self.portal_user, filterby=filterby)
                self.assertCountEqual(self.rows(page), orders.mapped("name"))

    def test_list_can_be_sorted(self):
        first, second = self.subscription(start="2027-01-01"), self.subscription(start="2027-01-15")
        self.assertEqual(self.rows(self.list_of(self.portal_user)), [second.name, first.name])
        self.assertEqual(self.rows(self.list_of(self.portal_user, sortby="next")), [first.name, second.name])
        self.assertEqual(self.rows(self.list_of(self.portal_user, sortby="name")), [first.name, second.name])

    def test_list_can_be_searched(self):
        coffee = self.subscription(client_order_ref="Berlin")
        tea = self.subscription(lines=[self.line(name="Tea Service")])
        for query, orders in (
            ({"search": "tea serv"}, tea),
            ({"search": "berlin"}, coffee),
            ({"search": coffee.name, "search_in": "name"}, coffee),
            ({"search": "tea", "search_in": "name"}, coffee.browse()),
            ({"search": "tea", "search_in": "product"}, tea),
            ({"search": "%' OR 1=1 --"}, coffee.browse()),
        ):
            with self.subTest(query):
                self.assertEqual(self.rows(self.list_of(self.portal_user, **query)), orders.mapped("name"))

    def test_invalid_parameters_show_the_default(self):
        order = self.subscription()
        page = self.list_of(self.portal_user, sortby="password", filterby="everything", search_in="x")
        self.assertEqual((page.status_code, self.rows(page)), (200, [order.name]))
        for number in (0, 7, 10**12):
            page = self.open(f"/my/subscriptions/page/{number}", self.portal_user)
            self.assertEqual((page.status_code, self.rows(page)), (200, [order.name]))

    def test_empty_list_says_so(self):
        self.assertIn(
            "You don't have any subscriptions yet.", self.text(self.list_of(self.portal_user), "subscription_none")
        )
        self.subscription()
        page = self.list_of(self.portal_user, filterby="closed")
        self.assertIn("None of your subscriptions match.", self.text(page, "subscription_none"))

    def test_list_has_pages(self):
        orders = self.many(81)
        first, second = self.list_of(self.portal_user), self.open("/my/subscriptions/page/2", self.portal_user)
        self.assertEqual((len(self.rows(first)), len(self.rows(second))), (80, 1))
        self.assertCountEqual(self.rows(first) + self.rows(second), orders.mapped("name"))

    def test_customers_see_subscriptions_of_their_company_only(self):
        order = self.subscription()
        others = self.subscription(partner_id=self.stranger.partner_id.id)
        self.assertEqual(self.rows(self.list_of(self.portal_user)), [order.name])
        self.assertEqual(self.rows(self.list_of(self.colleague)), [order.name])
        self.assertEqual(self.rows(self.list_of(self.stranger)), [others.name])

    def test_list_requires_a_login(self):
        page = self.open("/my/subscriptions", allow_redirects=False)
        self.assertEqual(page.status_code, 303)
        self.assertIn("/web/login", page.headers["Location"])

    def test_list_of_80_takes_as_many_queries_as_a_short_one(self):
        def queries():
            self.list_of(self.portal_user)  # fills the caches of templates, rights and translations
            before = self.cr.sql_log_count
            page = self.url_open("/my/subscriptions")
            return self.cr.sql_log_count - before, len(self.rows(page))

        self.many(2)
        few, _rows = queries()
        self.many(78)
        many, rows = queries()
        self.assertEqual(rows, 80)
        self.assertLessEqual(many, 30)
        self.assertLessEqual(many, few + 1)
