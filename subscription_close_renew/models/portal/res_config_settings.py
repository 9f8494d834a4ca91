from odoo import api, fields, models

from .sale_subscription_close_request import PUBLIC_CLOSING_PATH


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    subscription_public_closing = fields.Boolean(
        related="company_id.subscription_public_closing",
        readonly=False,
    )
    subscription_public_closing_url = fields.Char(
        string="Link to the Public Page",
        compute="_compute_subscription_public_closing_url",
    )

    @api.depends("company_id")
    def _compute_subscription_public_closing_url(self):
        for settings in self:
            settings.subscription_public_closing_url = settings.company_id.get_base_url() + PUBLIC_CLOSING_PATH
