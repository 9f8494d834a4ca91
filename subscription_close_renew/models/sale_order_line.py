from datetime import timedelta

from odoo import api, fields, models
from odoo.tools import format_date


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

    renewed_line_id = fields.Many2one(
        comodel_name="sale.order.line",
        copy=False,
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
        help="The line of the renewed subscription that this line goes on with.",
    )
    renewed_price_unit = fields.Float(related="renewed_line_id.price_unit", string="Previous Price")

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
        return super(SaleOrderLine, self - self._get_lines_with_kept_price())._compute_price_unit()

    def _compute_discount(self):
        return super(SaleOrderLine, self - self._get_lines_with_kept_price())._compute_discount()

    @api.depends("order_id.subscription_state", "order_id.next_invoice_date", "order_id.payment_exception")
    def _compute_qty_to_invoice(self):
        res = super()._compute_qty_to_invoice()
        for order, lines in self.filtered("is_recurring").grouped("order_id").items():
            date_start = order._get_period_to_invoice()
            for line in lines:
                line.qty_to_invoice = line._get_quantity_left(date_start) if date_start else 0
        return res

    @api.depends("order_id.subscription_state", "order_id.next_invoice_date", "order_id.payment_exception")
    def _compute_invoice_status(self):
        """Let a recurring line be to invoice when something of a period is due, and invoiced until then."""
        res = super()._compute_invoice_status()
        for order, lines in self.filtered("is_recurring").grouped("order_id").items():
            if order.state != "sale":
                continue
            due = order._is_to_invoice()
            for line in lines:
                line.invoice_status = (
                    "to invoice" if due and line.qty_to_invoice else "invoiced" if line.qty_invoiced else "no"
                )
        return res

    @api.depends("qty_to_invoice", "invoice_status")
    def _compute_untaxed_amount_to_invoice(self):
        res = super()._compute_untaxed_amount_to_invoice()
        for line in self.filtered("is_recurring"):
            line.untaxed_amount_to_invoice = line._get_due_share() * line.price_subtotal
        return res

    @api.depends("qty_to_invoice", "invoice_status")
    def _compute_amount_to_invoice(self):
        res = super()._compute_amount_to_invoice()
        for line in self.filtered("is_recurring"):
            line.amount_to_invoice = line._get_due_share() * line.price_total
        return res

    def _get_due_share(self):
        """Return how much of a recurring line is to invoice now, as a part of 1."""
        self.ensure_one()
        due = self.invoice_status == "to invoice" and self.product_uom_qty
        return self.qty_to_invoice / self.product_uom_qty if due else 0

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

    def _get_lines_with_kept_price(self):
        """Return the lines of renewals whose price was agreed on already: another quantity does not change it.

        :rtype: sale.order.line
        """
        if self.env.context.get("force_price_recomputation"):
            return self.browse()
        return self.filtered(
            lambda line: (
                line.renewed_line_id
                and line.order_id.plan_id == line.renewed_line_id.order_id.plan_id
                and line.product_id == line.renewed_line_id.product_id
                and line.order_id.plan_id.renewal_pricing != "pricelist"
            )
        )

    def _prepare_renewal_values(self):
        """Return the values of the line that goes on with this one in a renewal.

        :rtype: dict
        """
        self.ensure_one()
        if self.display_type:
            return self.copy_data()[0]
        [values] = self.copy_data({"renewed_line_id": self.id})
        increase = self.order_id.plan_id._get_renewal_increase()
        if increase is None:
            for name in ("price_unit", "technical_price_unit", "discount"):
                values.pop(name, None)
        elif increase:
            # A price that nobody would write down is not asked for.
            values["price_unit"] = self.currency_id.round(self.price_unit * (1 + increase / 100))
            # Where prices follow the pricelist, one that was raised on purpose counts as written by hand.
            if self.order_id.plan_id.renewal_pricing != "pricelist":
                values["technical_price_unit"] = values["price_unit"]
        return values

    def _get_quantity_left(self, date_start):
        """Return how much of this recurring line no invoice of a period has.

        :param date date_start: first day of the period
        :return: in the unit of the line
        :rtype: float
        """
        self.ensure_one()
        # In exception, the invoice made for the charge is a draft, and somebody may make another by hand.
        states = ("posted",) if self.order_id.payment_exception else ("draft", "posted")
        quantity = self.product_uom_qty
        for line in self.invoice_lines:
            if line.subscription_period_start == date_start and line.parent_state in states:
                invoiced = line.product_uom_id._compute_quantity(line.quantity, self.product_uom_id)
                quantity += invoiced if line.move_id.move_type == "out_refund" else -invoiced
        return max(quantity, 0)

    def _get_down_payment_values(self):
        """Return what takes a down payment off an invoice, as Odoo's own invoicing does; empty for any other line.

        :rtype: dict
        """
        self.ensure_one()
        if not self.is_downpayment:
            return {}
        taxes = self.env["account.tax"]
        return {
            "quantity": -1.0,
            "extra_tax_data": taxes._reverse_quantity_base_line_extra_tax_data(self.extra_tax_data),
        }

    def _prepare_invoice_line(self, **optional_values):
        values = super()._prepare_invoice_line(**optional_values)
        if self.is_recurring:
            values |= self._prepare_subscription_values(values)
        return values

    def _prepare_subscription_values(self, values):
        """Return what the invoice line of a recurring line says about the period that it bills.

        :param dict values: of the invoice line, with the period if it is chosen already
        :rtype: dict
        """
        self.ensure_one()
        order = self.order_id
        date_start, date_end = values.get("subscription_period_start"), values.get("subscription_period_end")
        if not date_start:
            date_start = order._get_period_to_invoice() or order.next_invoice_date
            date_end = date_start and order._get_period_end(date_start)
        if not date_start:
            return {"subscription_id": order.id}
        share = order.plan_id._get_period_share(order.anchor_date, date_start, date_end)
        return {
            "subscription_id": order.id,
            "subscription_period_start": date_start,
            "subscription_period_end": date_end,
            "name": f"{values['name']}\n{self._get_period_text(date_start, date_end)}",
            # What is left of a period after an interruption costs its share of the days.
            "price_unit": values["price_unit"] * float(share),
        }

    def _get_period_text(self, date_start, date_end):
        """Return a period as the customer reads it: first to last day.

        :rtype: str
        """
        env = self.with_context(lang=self.order_id._get_lang()).env
        return env._(
            "%(start)s to %(end)s",
            start=format_date(env, date_start),
            end=format_date(env, date_end - timedelta(days=1)),
        )
