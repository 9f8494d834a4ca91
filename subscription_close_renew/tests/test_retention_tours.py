import json

from dateutil.relativedelta import relativedelta

from odoo import fields, http
from odoo.fields import Command
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from . import test_tours


@tagged("post_install", "-at_install")
class TestRetentionTours(test_tours.SubscriptionTourCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Only these two count.
        cls.company = cls.env["res.company"].create({"name": "Tour Company", "currency_id": cls.env.ref("base.USD").id})
        admin = cls.env.ref("base.user_admin")
        admin.write({"company_ids": [Command.link(cls.company.id)], "company_id": cls.company.id})
        cls.start = fields.Date.today() - relativedelta(months=1, day=1)
        for quantity in (1, 2):
            cls._start_subscription(quantity)

    @classmethod
    def _start_subscription(cls, quantity):
        partner = cls.env["res.partner"].create({"name": f"Tour Customer {quantity}"})
        with freeze_time(cls.start):
            order = (
                cls.env["sale.order"]
                .with_company(cls.company)
                .create(
                    {
                        "partner_id": partner.id,
                        "plan_id": cls.plan.id,
                        "order_line": [
                            Command.create(
                                {"product_id": cls.product.id, "product_uom_qty": quantity, "price_unit": 12}
                            )
                        ],
                    }
                )
            )
            order.action_confirm()
        if quantity == 2:
            order.subscription_close(cls.reason.id)

    def _export(self, **arguments):
        data = {"data": json.dumps(arguments), "csrf_token": http.Request.csrf_token(self)}
        return self.url_open("/subscriptions/retention/xlsx", data)

    def test_grid_is_switched_between_customers_and_revenue(self):
        self.start_tour("/odoo/subscriptions-retention", "subscription_retention", login="admin")

    def test_grid_is_downloaded(self):
        self.authenticate("admin", "admin")
        response = self._export(measure="mrr", months=12, domain=[], context={})
        self.assertEqual(response.status_code, 200)
        self.assertIn("spreadsheetml", response.headers["Content-Type"])
        self.assertTrue(response.content.startswith(b"PK"))

    @mute_logger("odoo.http")
    def test_bad_request_gets_an_error_message(self):
        self.authenticate("admin", "admin")
        token = http.Request.csrf_token(self)
        for data in ("nonsense", "5", "[1]"):
            response = self.url_open("/subscriptions/retention/xlsx", {"data": data, "csrf_token": token})
            with self.subTest(data):
                self.assertEqual(response.status_code, 400)

    @mute_logger("odoo.http")
    def test_customers_cannot_download_the_grid(self):
        self.authenticate("portal", "portal")
        response = self._export(measure="mrr", months=12, domain=[], context={})
        self.assertEqual(response.status_code, 403)
