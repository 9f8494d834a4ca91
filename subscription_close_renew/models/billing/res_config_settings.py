from odoo import api, fields, models


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    subscription_billing_workers = fields.Integer(
        string="Parallel Billing Workers",
        help="How many scheduled actions invoice and charge subscriptions at once.",
    )

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
