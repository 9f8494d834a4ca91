from odoo import api, fields, models

# Fields that determine the price of a period: only Sales can write them while the subscription is running.
PRICE_FIELDS = frozenset(
    (
        "discount",
        "order_id",
        "price_unit",
        "product_id",
        "product_uom_id",
        "product_uom_qty",
        "tax_ids",
    )
)


class SaleOrderLine(models.Model):
    _name = "sale.order.line"
    _inherit = ["sale.order.line", "sale.subscription.guard.mixin"]

    # Stored: ticking the product's box later does not change running orders.
    is_recurring = fields.Boolean(
        string="Recurring",
        compute="_compute_is_recurring",
        store=True,
        guarded=True,
        precompute=True,
        help="Invoiced every period. Other lines of a subscription are invoiced once.",
    )

    @api.depends("product_id", "order_id.plan_id")
    def _compute_is_recurring(self):
        for line in self:
            line.is_recurring = bool(line.order_id.plan_id) and line._is_sold_by_subscription()

    def _is_sold_by_subscription(self):
        """Return whether this line of a subscription is recurring.

        :rtype: bool
        """
        self.ensure_one()
        return self.product_id.recurring_invoice

    @api.depends("order_id.plan_id")
    def _compute_pricelist_item_id(self):
        res = super()._compute_pricelist_item_id()
        for line in self.filtered("is_recurring"):
            # Orders without a pricelist get one, too: a recurring price can apply to all pricelists.
            line.pricelist_item_id = line.order_id.pricelist_id._get_product_rule(
                line.product_id, **line._get_pricelist_kwargs()
            )
        return res

    @api.model_create_multi
    def create(self, vals_list):
        lines = super().create(vals_list)
        lines._add_plan()
        return lines

    def write(self, vals):
        if PRICE_FIELDS & vals.keys() and not self._is_method():
            # Other lines stay writable: Odoo writes the price of a down payment as the user who posts its invoice.
            self.filtered("is_recurring").order_id._check_sales_user_if_running()
        res = super().write(vals)
        if "order_id" in vals:
            # Odoo checks the right to the previous order of the lines only.
            self.order_id.check_access("write")
        if "product_id" in vals:
            self.filtered(lambda line: line.state in ("draft", "sent"))._add_plan()
            self.order_id.filtered("plan_by_default")._drop_needless_plan()
        return res

    def unlink(self):
        orders = self.order_id.filtered("plan_by_default")
        res = super().unlink()
        if orders:
            orders.exists()._drop_needless_plan()
        return res

    def _add_plan(self):
        """Add the default plan to orders without a plan to which these lines add a subscription product."""
        self.filtered(lambda line: not line.order_id.plan_id and line.product_id.recurring_invoice).order_id._add_plan()

    def _get_pricelist_kwargs(self):
        kwargs = super()._get_pricelist_kwargs()
        if self.is_recurring:
            kwargs["subscription_plan"] = self.order_id.plan_id
        return kwargs
