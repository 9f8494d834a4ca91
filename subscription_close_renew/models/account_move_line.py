from odoo import fields, models


class AccountMoveLine(models.Model):
    _inherit = "account.move.line"

    subscription_id = fields.Many2one(
        comodel_name="sale.order",
        index="btree_not_null",
        copy=False,
        readonly=True,
        help="The subscription that this line invoices one period of.",
    )
