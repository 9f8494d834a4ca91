from odoo import api, fields, models

from .sale_subscription_close_request import PUBLIC_CLOSING_PATH


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    subscription_default_plan_id = fields.Many2one(
        related="company_id.subscription_default_plan_id",
        readonly=False,
    )
    subscription_responsible_id = fields.Many2one(
        related="company_id.subscription_responsible_id",
        readonly=False,
    )
    subscription_tz = fields.Selection(
        related="company_id.subscription_tz",
        readonly=False,
    )
    subscription_public_closing = fields.Boolean(
        related="company_id.subscription_public_closing",
        readonly=False,
    )
    subscription_public_closing_url = fields.Char(
        string="Link to the Public Page",
        compute="_compute_subscription_public_closing_url",
    )
    subscription_billing_workers = fields.Integer(
        string="Parallel Billing Workers",
        help="How many scheduled actions invoice and charge subscriptions at once.",
    )

    @api.depends("company_id")
    def _compute_subscription_public_closing_url(self):
        for settings in self:
            settings.subscription_public_closing_url = settings.company_id.get_base_url() + PUBLIC_CLOSING_PATH

    @api.model
    def get_values(self):
        values = super().get_values()
        # How many workers there are is no secret.
        crons = self.env["ir.cron"].sudo()._get_subscription_billing_crons()
        return values | {"subscription_billing_workers": len(crons)}

    def set_values(self):
        res = super().set_values()
        crons = self.env["ir.cron"]
        if self.subscription_billing_workers != len(crons._get_subscription_billing_crons()):
            crons._set_subscription_billing_workers(self.subscription_billing_workers)
        return res
