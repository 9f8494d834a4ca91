from odoo import models


class PaymentProvider(models.Model):
    _inherit = "payment.provider"

    def _is_tokenization_required(self, **kwargs):
        """Keep the card that pays a subscription: the next periods are charged to it."""
        # Only whether there is a plan is read, for whoever may pay the order.
        order_sudo = self.env["sale.order"].sudo().browse(kwargs.get("sale_order_id") or ()).exists()
        return super()._is_tokenization_required(**kwargs) or bool(order_sudo.plan_id)
