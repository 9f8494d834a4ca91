from odoo import models


class ProductTemplate(models.Model):
    _inherit = "product.template"

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
        names = ("is_recurring", "price_unit")
        for name in names:
            self.env.add_to_compute(lines._fields[name], lines)
        # What is computed from these, such as the price of a period, follows.
        lines.modified(names)
