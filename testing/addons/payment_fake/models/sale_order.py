from functools import partial

from odoo import models

from .. import killing


class SaleOrder(models.Model):
    _inherit = "sale.order"

    def _update_next_invoice_date(self):
        if "fake" not in self.sudo().payment_token_id.mapped("provider_code"):
            return super()._update_next_invoice_date()
        killing.reach("posted")
        self.env.cr.postcommit.add(partial(killing.reach, "moved"))
        return super()._update_next_invoice_date()
