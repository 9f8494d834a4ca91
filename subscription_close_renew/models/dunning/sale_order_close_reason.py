from odoo import api, models


class SaleOrderCloseReason(models.Model):
    _inherit = "sale.order.close.reason"

    @api.model
    def _get_system_reason_xml_ids(self):
        return super()._get_system_reason_xml_ids() | {"unpaid": "subscription_close_renew.close_reason_unpaid"}
