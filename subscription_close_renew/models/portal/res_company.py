from odoo import fields, models


class ResCompany(models.Model):
    _inherit = "res.company"

    subscription_public_closing = fields.Boolean(
        string="Close Without Login",
        help="A public page lets customers close their subscriptions without an account, confirmed by email. The law of "
        "some countries requires it, such as that of Germany and of France.",
    )
