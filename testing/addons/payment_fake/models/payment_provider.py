import os
from unittest.mock import patch

import requests

from odoo import fields, models

from .. import killing


def get_patience():
    """Return the timeout for the provider in seconds; Odoo's ten seconds would slow the tests down."""
    return float(os.environ.get("FAKE_PROVIDER_PATIENCE", "10"))


def get_url(endpoint):
    """Return the URL of the request: nothing listens at the address of an endpoint with two leading slashes."""
    return "http://127.0.0.1:1" if endpoint.startswith("//") else os.environ["FAKE_PROVIDER_URL"] + endpoint


class PaymentProvider(models.Model):
    _inherit = "payment.provider"

    code = fields.Selection(selection_add=[("fake", "Fake")], ondelete={"fake": "set default"})

    def _compute_feature_support_fields(self):
        super()._compute_feature_support_fields()
        self.filtered(lambda provider: provider.code == "fake").support_tokenization = True

    def _get_default_payment_method_codes(self):
        if self.code != "fake":
            return super()._get_default_payment_method_codes()
        return {"fake"}

    def _send_api_request(self, method, endpoint, **kwargs):
        if self.code != "fake":
            return super()._send_api_request(method, endpoint, **kwargs)
        ask = requests.request
        patience = {"timeout": get_patience()}
        with patch.object(requests, "request", lambda *args, **options: ask(*args, **options | patience)):
            return super()._send_api_request(method, endpoint, **kwargs)

    def _build_request_url(self, endpoint, **kwargs):
        if self.code != "fake":
            return super()._build_request_url(endpoint, **kwargs)
        return get_url(endpoint)

    def _build_request_headers(self, method, endpoint, payload, **kwargs):
        if self.code != "fake":
            return super()._build_request_headers(method, endpoint, payload, **kwargs)
        return {"X-Kill-Pid": str(os.getpid())} if killing.is_here("booked") else {}

    def _parse_response_error(self, response):
        if self.code != "fake":
            return super()._parse_response_error(response)
        return response.json()["message"]
