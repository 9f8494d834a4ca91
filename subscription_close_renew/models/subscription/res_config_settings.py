from odoo import fields, models


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
