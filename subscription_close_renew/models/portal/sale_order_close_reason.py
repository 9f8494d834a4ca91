from odoo import api, models


class SaleOrderCloseReason(models.Model):
    _inherit = "sale.order.close.reason"

    @api.model
    def _get_system_reason_xml_ids(self):
        return super()._get_system_reason_xml_ids() | {
            "public_page": "subscription_close_renew.close_reason_public_page"
        }

    @api.model
    def _get_portal_fields(self):
        """Return the names of the fields that the portal shows.

        :rtype: list
        """
        return ["name", "retention_message", "retention_button_text", "retention_button_link"]
