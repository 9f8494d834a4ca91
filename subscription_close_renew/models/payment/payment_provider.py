from odoo import models

from ...tools.attempt import asking


class PaymentProvider(models.Model):
    _inherit = "payment.provider"

    def _is_tokenization_required(self, **kwargs):
        """Store the card that pays a subscription: later periods are charged to it."""
        # sudo: the payer may not have access to the order; Odoo has checked the right to pay it.
        order_sudo = self.env["sale.order"].sudo().browse(kwargs.get("sale_order_id") or ()).exists()
        return super()._is_tokenization_required(**kwargs) or bool(order_sudo.plan_id)

    def _send_api_request(self, *args, **kwargs):
        # Record the request here in case it is sent in a way that cannot be observed.
        with asking() as contents:
            contents.append(content := super()._send_api_request(*args, **kwargs))
        return content
