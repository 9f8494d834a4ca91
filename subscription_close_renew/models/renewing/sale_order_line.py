from odoo import api, fields, models


class SaleOrderLine(models.Model):
    """Links between the lines of renewals and those of their subscriptions, and the prices of renewals."""

    _inherit = "sale.order.line"

    renewed_line_id = fields.Many2one(
        comodel_name="sale.order.line",
        copy=False,
        readonly=True,
        guarded=True,
        index="btree_not_null",
        ondelete="set null",
        help="The line of the renewed subscription that this line continues.",
    )
    previous_price_unit = fields.Float(
        compute="_compute_previous_price_unit", compute_sudo=True, string="Previous Price"
    )

    def _is_sold_by_subscription(self):
        """Keep a renewed recurring line recurring, even if its product is no longer marked as a subscription."""
        renewed = self._get_renewed_line()
        return super()._is_sold_by_subscription() or (renewed.is_recurring and renewed.product_id == self.product_id)

    @api.depends("renewed_line_id.price_unit")
    def _compute_previous_price_unit(self):
        for line in self:
            line.previous_price_unit = line._get_renewed_line().price_unit

    def _get_renewed_line(self):
        """Return the line that this one continues, if it belongs to the order that is renewed."""
        self.ensure_one()
        renewed = self.renewed_line_id
        return renewed if renewed and renewed.order_id == self.order_id.subscription_id else renewed.browse()

    @api.depends("order_id.plan_id")
    def _compute_price_unit(self):
        return super(SaleOrderLine, self - self._get_lines_with_kept_price())._compute_price_unit()

    def _compute_discount(self):
        return super(SaleOrderLine, self - self._get_lines_with_kept_price())._compute_discount()

    def _get_lines_with_kept_price(self):
        """Return the renewal lines whose price was agreed on earlier and does not change with the quantity.

        :rtype: sale.order.line
        """
        if self.env.context.get("force_price_recomputation"):
            return self.browse()
        # sudo: only prices and products are compared; the caller has access to the renewal's own lines.
        return self.filtered(
            lambda line: (
                line.renewed_line_id
                and (renewed := line.sudo()._get_renewed_line())
                and line.order_id.plan_id == renewed.order_id.plan_id
                and line.product_id == renewed.product_id
                and line.order_id.plan_id.renewal_pricing != "pricelist"
            )
        )

    def _prepare_renewal_values(self):
        """Return the values of the renewal line that continues this one.

        :rtype: dict
        """
        self.ensure_one()
        if self.display_type:
            return self.copy_data()[0]
        [values] = self.copy_data({"renewed_line_id": self.id})
        increase = self.order_id.plan_id._get_renewal_increase()
        # Odoo cannot price a combo item before it is linked.
        if increase is None and not self.combo_item_id:
            for name in ("price_unit", "technical_price_unit", "discount"):
                values.pop(name, None)
        elif increase:
            # Round to a price that the currency can express.
            values["price_unit"] = self.currency_id.round(self.price_unit * (1 + increase / 100))
            # If prices follow the pricelist, a price raised deliberately counts as entered manually.
            if self.order_id.plan_id.renewal_pricing != "pricelist":
                values["technical_price_unit"] = values["price_unit"]
        return values

    def _prepare_renewal_links(self, lines):
        """Return the values that link the renewal line to other renewal lines, as this one is linked: combo items.

        :param lines: all renewed `sale.order.line`
        :rtype: dict
        """
        self.ensure_one()
        parent = self.linked_line_id & lines
        return {
            "virtual_id": f"renewal-{self.id}",
            "linked_virtual_id": f"renewal-{parent.id}" if parent else False,
            # Without its combo, the item is a product like any other.
            **({} if parent else {"combo_item_id": False}),
        }

    def _is_reward(self):
        """Return whether a line is a reward of a loyalty program, which the customer earns with each order.

        :rtype: bool
        """
        self.ensure_one()
        # The field belongs to Odoo's loyalty addon, which may not be installed.
        return "is_reward_line" in self._fields and self.is_reward_line
