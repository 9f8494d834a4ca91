from odoo import fields, models


class ResCompany(models.Model):
    _inherit = "res.company"

    subscription_public_closing = fields.Boolean(
        string="Close Without Login",
        help="Let customers close their subscriptions on a public page, without an account, confirmed by email. Required "
        "by law in some countries, such as Germany and France.",
    )
