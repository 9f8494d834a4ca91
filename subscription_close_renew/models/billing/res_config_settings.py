from odoo import api, fields, models


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    subscription_billing_workers = fields.Integer(
        string="Parallel Billing Workers",
        help="Number of scheduled actions that invoice and charge subscriptions in parallel.",
    )

    @api.model
    def get_values(self):
        values = super().get_values()
        # sudo: sales administrators cannot read scheduled actions; only their number is shown.
        crons = self.env["ir.cron"].sudo()._get_subscription_billing_crons()
        return values | {"subscription_billing_workers": len(crons)}

    def set_values(self):
        res = super().set_values()
        crons = self.env["ir.cron"]
        if self.subscription_billing_workers != len(crons._get_subscription_billing_crons()):
            crons._set_subscription_billing_workers(self.subscription_billing_workers)
        return res
