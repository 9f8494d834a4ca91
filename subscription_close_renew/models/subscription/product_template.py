from odoo import models


class ProductTemplate(models.Model):
    _inherit = "product.template"

    def write(self, vals):
        res = super().write(vals)
        if "recurring_invoice" in vals:
            self._update_quotation_lines()
        return res

    def _update_quotation_lines(self):
        """Update open quotations after these products start or stop being sold by subscription."""
        # sudo: Odoo has checked the right to change the product; quotations of colleagues follow.
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
        # Recompute what depends on these fields, such as the price of a period.
        lines.modified(names)
