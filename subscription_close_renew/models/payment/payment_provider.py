from odoo import models

from ...tools.attempt import asking


class PaymentProvider(models.Model):
    _inherit = "payment.provider"

    def _is_tokenization_required(self, **kwargs):
        """Keep the card that pays a subscription: the next periods are charged to it."""
        # Only whether there is a plan is read, for whoever may pay the order.
        order_sudo = self.env["sale.order"].sudo().browse(kwargs.get("sale_order_id") or ()).exists()
        return super()._is_tokenization_required(**kwargs) or bool(order_sudo.plan_id)

    def _send_api_request(self, *args, **kwargs):
        # Noted here for what is sent in a way that cannot be observed.
        with asking() as contents:
            contents.append(content := super()._send_api_request(*args, **kwargs))
        return content
