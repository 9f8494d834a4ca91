from odoo import models

from .. import killing


class SaleOrder(models.Model):
    _inherit = "sale.order"

    def _update_next_invoice_date(self):
        killing.reach("posted")
        return super()._update_next_invoice_date()
