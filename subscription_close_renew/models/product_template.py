from odoo import fields, models


class ProductTemplate(models.Model):
    _inherit = "product.template"

    recurring_invoice = fields.Boolean(
        string="Subscriptions",
        help="Sold by subscription: an order with this product needs a recurring plan, and invoices it every period.",
    )
    recurring_pricing_ids = fields.One2many(
        comodel_name="product.pricelist.item",
        inverse_name="product_tmpl_id",
        string="Recurring Prices",
        domain=[("plan_id", "!=", False)],
        copy=False,
    )

    def write(self, vals):
        res = super().write(vals)
        if "recurring_invoice" in vals:
            self._update_quotation_lines()
        return res

    def _update_quotation_lines(self):
        """Let the open quotations of these products know that they are sold by subscription, or no longer."""
        # Also quotations of colleagues: whoever may change the product changes what it costs.
        lines = (
            self.env["sale.order.line"]
            .sudo()
            .search(
                [
                    ("product_id.product_tmpl_id", "in", self.ids),
                    ("order_id.plan_id", "!=", False),
                    ("state", "in", ("draft", "sent")),
                ]
            )
        )
        for name in ("is_recurring", "price_unit"):
            self.env.add_to_compute(lines._fields[name], lines)

    def _domain_pricelist_rule_ids(self):
        return [*super()._domain_pricelist_rule_ids(), ("plan_id", "=", False)]
