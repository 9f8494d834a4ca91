from odoo import api, models


class SaleOrderLine(models.Model):
    _inherit = "sale.order.line"

    @api.depends("order_id.payment_exception")
    def _compute_qty_to_invoice(self):
        return super()._compute_qty_to_invoice()

    @api.depends("order_id.payment_exception")
    def _compute_invoice_status(self):
        return super()._compute_invoice_status()
