from odoo import models


class PaymentProvider(models.Model):
    _inherit = "payment.provider"

    def _is_tokenization_required(self, sale_order_id=None, **kwargs):
        """Keep the card that pays a subscription: the next periods are charged to it."""
        res = super()._is_tokenization_required(sale_order_id=sale_order_id, **kwargs)
        # Only whether there is a plan is read, for whoever may pay the order.
        return res or bool(self.env["sale.order"].sudo().browse(sale_order_id or ()).exists().plan_id)
