from odoo import fields, models


class ProductTemplate(models.Model):
    _inherit = "product.template"

    recurring_invoice = fields.Boolean(
        string="Subscriptions",
        help="Sold by subscription: orders with this product need a recurring plan and invoice it every period.",
    )
    recurring_pricing_ids = fields.One2many(
        comodel_name="product.pricelist.item",
        inverse_name="product_tmpl_id",
        string="Recurring Prices",
        domain=[("plan_id", "!=", False)],
        copy=False,
    )

    def _domain_pricelist_rule_ids(self):
        return [*super()._domain_pricelist_rule_ids(), ("plan_id", "=", False)]
