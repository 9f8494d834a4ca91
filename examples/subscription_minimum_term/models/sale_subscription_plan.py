from odoo import fields, models


class SaleSubscriptionPlan(models.Model):
    _inherit = "sale.subscription.plan"

    minimum_periods = fields.Integer(
        help="Number of billing periods to invoice before a subscription can be closed. 0 means no minimum term.",
    )
