from odoo import fields, models


class SaleSubscriptionMovement(models.Model):
    _inherit = "sale.subscription.movement"

    kind = fields.Selection(selection_add=[("suspension", "Suspension")], ondelete={"suspension": "cascade"})
