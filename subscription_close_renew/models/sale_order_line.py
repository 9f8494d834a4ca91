from odoo import api, fields, models


class SaleOrderLine(models.Model):
    _inherit = "sale.order.line"

    # The product's box is read when the line is made: ticking it later changes no running order.
    is_recurring = fields.Boolean(
        string="Recurring",
        compute="_compute_is_recurring",
        store=True,
        precompute=True,
        help="Invoiced every period. Other lines of a subscription are invoiced once.",
    )

    @api.depends("product_id", "order_id.plan_id")
    def _compute_is_recurring(self):
        subscription_lines = self.filtered("order_id.plan_id")
        (self - subscription_lines).is_recurring = False
        for line in subscription_lines:
            line.is_recurring = line.product_id.recurring_invoice

    @api.depends("order_id.plan_id")
    def _compute_pricelist_item_id(self):
        recurring = self.filtered("is_recurring")
        res = super(SaleOrderLine, self - recurring)._compute_pricelist_item_id()
        for line in recurring:
            # Also without a pricelist: a recurring price may hold for all of them.
            line.pricelist_item_id = line.order_id.pricelist_id._get_product_rule(
                line.product_id, **line._get_pricelist_kwargs()
            )
        return res

    @api.depends("order_id.plan_id")
    def _compute_price_unit(self):
        return super()._compute_price_unit()

    @api.depends("order_id.subscription_state")
    def _compute_qty_to_invoice(self):
        res = super()._compute_qty_to_invoice()
        ended = self.filtered(
            lambda line: line.is_recurring and line.order_id.subscription_state in ("churned", "renewed")
        )
        ended.qty_to_invoice = 0
        return res

    @api.model_create_multi
    def create(self, vals_list):
        lines = super().create(vals_list)
        lines.filtered(
            lambda line: not line.order_id.plan_id and line.product_id.recurring_invoice
        ).order_id._add_plan()
        return lines

    def _get_pricelist_kwargs(self):
        kwargs = super()._get_pricelist_kwargs()
        if self.is_recurring:
            kwargs["subscription_plan"] = self.order_id.plan_id
        return kwargs

    def _prepare_invoice_line(self, **optional_values):
        values = super()._prepare_invoice_line(**optional_values)
        if self.is_recurring:
            values["subscription_id"] = self.order_id.id
        return values
