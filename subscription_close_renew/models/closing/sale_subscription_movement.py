from odoo import fields, models


class SaleSubscriptionMovement(models.Model):
    _inherit = "sale.subscription.movement"

    close_reason_id = fields.Many2one(
        comodel_name="sale.order.close.reason",
        readonly=True,
        index="btree_not_null",
        ondelete="restrict",
        help="Why the subscription was closed. Set on churn movements only.",
    )
