import threading
from unittest.mock import patch

from odoo.http import Request
from odoo.tools import mute_logger

from .portal_common import PortalCase

CLOSING = "/subscriptions/close"


class TestPortalRequests(PortalCase):
    """Only forms change data, and malformed requests break nothing."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company.subscription_public_closing = True
        cls.monthly.write({"user_closable": True, "user_closable_when": "period_end", "user_renewable": True})
        cls.order = cls.paid_subscription()
        cls.token = cls.order.sudo()._portal_ensure_token()
        requests = cls.env["sale.subscription.close.request"]
        digest = requests._get_email_digest(cls.customer.email)
        cls.mail_link = requests.create({"order_id": cls.order.id, "email_digest": digest, "is_done": True})._get_link()

    def request(self, method, url, user=None, **kwargs):
        self.log_in(user)
        self.flush_chatter()
        response = self.url_open(url, method=method, allow_redirects=False, **kwargs)
        self.env.invalidate_all()
        return response

    def own_rules(self):
        """Return the routes of this addon."""
        http = self.env["ir.http"]
        with patch.object(threading.current_thread(), "dbname", self.cr.dbname, create=True):
            rules = list(http.routing_map().iter_rules())
        return [rule for rule in rules if http._is_subscription_route(rule.endpoint)]

    def forms(self):
        """Return the addresses that change data, with the required form values."""
        order = f"/my/subscriptions/{self.order.id}"
        return {
            f"{order}/close": {"reason_id": self.reason.id},
            f"{order}/keep": {},
            f"{order}/renew": {},
            f"/my/orders/{self.order.id}/payment-method": {"token_id": self.card().id},
            self.mail_link: {},
            CLOSING: {"reference": self.order.name, "email": self.customer.email},
        }

    def state(self):
        requests = self.env["sale.subscription.close.request"].search_count([])
        order = self.order.sudo()
        return (order.subscription_state, order.end_date, order.renewal_ids, order.payment_token_id, requests)

    # Methods

    @mute_logger("odoo.http")
    def test_only_a_form_does_something(self):
        before = self.state()
        for url, data in self.forms().items():
            for method in ("OPTIONS", "HEAD", "PUT", "PATCH", "DELETE"):
                with self.subTest(url, method=method):
                    query = {"access_token": self.token, **data}
                    answer = self.request(method, url, self.portal_user, params=query)
                    self.assertEqual(self.state(), before)
                    # An address that also shows a page answers without a body.
                    self.assertIn(answer.status_code, (200,) if method == "HEAD" and self.shows_page(url) else (405,))

    @mute_logger("odoo.http")
    def test_post_only_addresses_reject_other_methods(self):
        for action in ("close", "keep", "renew", "do-not-renew"):
            for method in ("OPTIONS", "HEAD", "GET", "PUT", "PATCH", "DELETE"):
                with self.subTest(action, method=method):
                    answer = self.request(method, self.page_of(self.order, f"/{action}"), self.portal_user)
                    self.assertEqual((answer.status_code, answer.headers["Allow"]), (405, "POST"))

    @mute_logger("odoo.http")
    def test_every_route_refuses_options(self):
        values = {"order_id": self.order.id, "token": "x", "page": 1}
        rules = self.own_rules()
        self.assertGreater(len(rules), 10)
        for rule in rules:
            with self.subTest(rule.rule):
                _domain, url = rule.build({name: values[name] for name in rule.arguments})
                self.assertEqual(self.request("OPTIONS", url, self.portal_user).status_code, 405)

    def shows_page(self, url):
        return url.startswith(CLOSING) or url.endswith("/payment-method")

    # Malformed input

    @mute_logger("odoo.http")
    def test_junk_in_an_address_breaks_nothing(self):
        order, huge = f"/my/subscriptions/{self.order.id}", "9" * 30
        for url in (
            "/my/subscriptions?search=%00",
            "/my/subscriptions?search=" + "x" * 5000,
            "/my/subscriptions?page=²&sortby=%00&filterby=x&search_in=[]",
            f"/my/subscriptions/page/{huge}",
            "/my/subscriptions?page=-5&sortby=x&sortby=y",
            f"/my/subscriptions/{huge}",
            f"{order}?access_token=é&values=1&document=1&payment_amount=nan",
            f"{order}?access_token=%00",
            f"{order}/close?access_token=é",
            f"/my/orders/{self.order.id}?access_token=é",
            f"/my/orders/{huge}",
            f"/my/orders/{self.order.id}?payment_amount=nan",
            f"/my/orders/{self.order.id}?payment_amount=-inf&amount_selection=x",
            f"/my/orders/{self.order.id}/payment-method?access_token=é",
            f"{CLOSING}/%00",
            f"{CLOSING}/é",
        ):
            for user in (None, self.portal_user):
                with self.subTest(url[:60], user=user and user.login):
                    self.assertLess(self.request("GET", url, user).status_code, 500)

    @mute_logger("odoo.http")
    def test_file_in_place_of_a_text_is_refused(self):
        before = self.state()
        for url, data in self.forms().items():
            for name in ("access_token", *data):
                with self.subTest(url, name=name):
                    self.log_in(self.portal_user)
                    token = {"csrf_token": Request.csrf_token(self)}
                    answer = self.url_open(url, data=token, files={name: ("a.txt", b"a")})
                    self.env.invalidate_all()
                    self.assertEqual((answer.status_code, self.state()), (400, before))

    @mute_logger("odoo.http", "odoo.sql_db")
    def test_junk_in_the_export_is_refused(self):
        for data in (
            None,
            "[",
            "[" * 5000,
            "5",
            '{"context": 5}',
            '{"context": {"allowed_company_ids": "x"}, "measure": "mrr", "months": 3}',
            '{"measure": {}, "months": 3}',
            '{"measure": "mrr", "months": "3"}',
            '{"measure": "mrr", "months": 3, "domain": 5}',
            '{"measure": "mrr", "months": 3, "domain": [["nothing", "=", 1]]}',
            '{"measure": "mrr", "months": 3, "domain": [["order_id.name", "=", "\\u0000"]]}',
        ):
            with self.subTest(str(data)[:60]):
                values = {} if data is None else {"data": data}
                answer = self.post("/subscriptions/retention/xlsx", self.sales_lead, **values)
                self.assertIn(answer.status_code, (400, 403, 422))
