from odoo import http
from odoo.http import request


class FakeProviderController(http.Controller):
    @http.route("/payment/fake/webhook", type="http", methods=["POST"], auth="public", csrf=False, save_session=False)
    def fake_webhook(self):
        """Process the provider's notification of a charge, as the webhooks of Odoo's own providers do."""
        data = request.get_json_data()
        transaction = request.env["payment.transaction"].sudo()._search_by_reference("fake", data)
        if transaction:
            transaction._process("fake", data)
        return request.make_json_response("")
