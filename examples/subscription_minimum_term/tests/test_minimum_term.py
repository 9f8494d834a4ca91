import json

from odoo.tests import tagged
from odoo.tools import mute_logger

from odoo.addons.subscription_close_renew.tests.portal_common import PortalCase

REFUSAL = "billing periods: 2, invoiced so far: 1"


@tagged("post_install", "-at_install")
class TestMinimumTerm(PortalCase):
    def setUp(self):
        super().setUp()
        self.monthly.write({"minimum_periods": 2, "user_closable": True})
        self.order = self.subscription()
        self.invoice(self.order)

    def test_close_is_refused_before_the_minimum_term_is_invoiced(self):
        with self.assertRefused(REFUSAL):
            self.order.subscription_close(self.reason.id)
        self.assertEqual(self.order.subscription_state, "progress")

    def test_close_is_possible_once_the_minimum_term_is_invoiced(self):
        self.invoice(self.order)
        self.order.subscription_close(self.reason.id)
        self.assertEqual(self.order.subscription_state, "churned")

    def test_administrator_of_sales_may_close_earlier(self):
        self.order.with_user(self.administrator).subscription_close(self.reason.id)
        self.assertEqual(self.order.subscription_state, "churned")

    def test_pop_up_names_those_that_are_left_as_they_are(self):
        self.yearly.minimum_periods = 0
        orders = self.order | self.subscription(plan=self.yearly)
        wizard = self.env["sale.subscription.close.wizard"].with_user(self.salesperson)
        wizard = wizard.create({"order_ids": orders.ids, "reason_id": self.reason.id})
        self.assertIn(REFUSAL, wizard.refusals)
        wizard.action_submit()
        self.assertEqual(orders.mapped("subscription_state"), ["progress", "churned"])

    def test_portal_says_so_in_place_of_the_button(self):
        page = self.open(self.page_of(self.order), self.portal_user)
        self.assertFalse(self.found(page, "subscription_close"))
        self.assertIn(REFUSAL, self.text(page, "subscription_close_notice"))

    def test_portal_has_the_button_once_the_minimum_term_is_invoiced(self):
        self.invoice(self.order)
        self.assertTrue(self.found(self.open(self.page_of(self.order), self.portal_user), "subscription_close"))

    def test_preview_of_an_administrator_shows_what_the_customer_sees(self):
        page = self.open(self.page_of(self.order), self.administrator)
        self.assertFalse(self.found(page, "subscription_close"))

    @mute_logger("odoo.http")
    def test_json_2_answers_with_the_sentence(self):
        # No expiration date: the database would compare it with the real date, not with the test's.
        key = self.env["res.users.apikeys"].with_user(self.salesperson).sudo()._generate("rpc", "test", None)
        answer = self.url_open(
            "/json/2/sale.order/subscription_close",
            data=json.dumps({"ids": self.order.ids, "reason_id": self.reason.id}),
            headers={"Authorization": f"bearer {key}", "Content-Type": "application/json"},
        )
        self.assertEqual(answer.status_code, 422)
        self.assertIn(REFUSAL, answer.json()["message"])
