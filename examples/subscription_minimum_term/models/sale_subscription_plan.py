from odoo import fields, models


class SaleSubscriptionPlan(models.Model):
    _inherit = "sale.subscription.plan"

    minimum_periods = fields.Integer(
        help="Billing periods that are invoiced before a subscription can be closed. 0 means none.",
    )
