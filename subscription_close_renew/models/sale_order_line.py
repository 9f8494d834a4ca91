from datetime import timedelta

from odoo import api, fields, models
from odoo.tools import format_date

# What a period costs: while a subscription runs, only Sales writes it.
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

    # The product's box is read when the line is made: ticking it later changes no running order.
    is_recurring = fields.Boolean(
        string="Recurring",
        compute="_compute_is_recurring",
        store=True,
        guarded=True,
        precompute=True,
        help="Invoiced every period. Other lines of a subscription are invoiced once.",
    )

    renewed_line_id = fields.Many2one(
        comodel_name="sale.order.line",
        copy=False,
        readonly=True,
        guarded=True,
        index="btree_not_null",
        ondelete="set null",
        help="The line of the renewed subscription that this line goes on with.",
    )
    renewed_price_unit = fields.Float(compute="_compute_renewed_price_unit", compute_sudo=True, string="Previous Price")

    @api.depends("product_id", "order_id.plan_id")
    def _compute_is_recurring(self):
        subscription_lines = self.filtered("order_id.plan_id")
        (self - subscription_lines).is_recurring = False
        for line in subscription_lines:
            line.is_recurring = line.product_id.recurring_invoice or line._goes_on_recurring()

    def _goes_on_recurring(self):
        """Return whether a line renews a recurring one: it stays so, also if the product's box is not ticked any more.

        :rtype: bool
        """
        self.ensure_one()
        renewed = self._get_renewed_line()
        return renewed.is_recurring and renewed.product_id == self.product_id

    @api.depends("renewed_line_id.price_unit")
    def _compute_renewed_price_unit(self):
        for line in self:
            line.renewed_price_unit = line._get_renewed_line().price_unit

    def _get_renewed_line(self):
        """Return the line that this one goes on with; none that is not of the order that this one's renews."""
        self.ensure_one()
        renewed = self.renewed_line_id
        return renewed if renewed and renewed.order_id == self.order_id.subscription_id else renewed.browse()

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
        lines._add_plan()
        return lines

    def write(self, vals):
        if PRICE_FIELDS & vals.keys() and not self._is_method():
            # Odoo itself writes the price of a down payment for who posts its invoice.
            self.filtered("is_recurring").order_id._check_sales_user_if_running()
        res = super().write(vals)
        if "order_id" in vals:
            # Odoo checks the rights to the order that the lines come from, and not to the one that has to pay for them.
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
        """Give the default plan to the orders without one on which these lines put a subscription product."""
        self.filtered(lambda line: not line.order_id.plan_id and line.product_id.recurring_invoice).order_id._add_plan()

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
                and (renewed := line.sudo()._get_renewed_line())
                and line.order_id.plan_id == renewed.order_id.plan_id
                and line.product_id == renewed.product_id
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
        # Odoo cannot price the part of a combo before it is linked.
        if increase is None and not self.combo_item_id:
            for name in ("price_unit", "technical_price_unit", "discount"):
                values.pop(name, None)
        elif increase:
            # A price that nobody would write down is not asked for.
            values["price_unit"] = self.currency_id.round(self.price_unit * (1 + increase / 100))
            # Where prices follow the pricelist, one that was raised on purpose counts as written by hand.
            if self.order_id.plan_id.renewal_pricing != "pricelist":
                values["technical_price_unit"] = values["price_unit"]
        return values

    def _prepare_renewal_links(self, lines):
        """Return the values that link the line of a renewal to others of it, as this one is linked: parts of a combo.

        :param lines: all `sale.order.line` that are renewed
        :rtype: dict
        """
        self.ensure_one()
        parent = self.linked_line_id & lines
        return {
            "virtual_id": f"renewal-{self.id}",
            "linked_virtual_id": f"renewal-{parent.id}" if parent else False,
            # A part of a combo that stays behind is a product as any other.
            **({} if parent else {"combo_item_id": False}),
        }

    def _is_reward(self):
        """Return whether a line is a reward of a loyalty program, which the customer earns with each order.

        :rtype: bool
        """
        self.ensure_one()
        # Of Odoo's addon for loyalty programs, if it is there.
        return "is_reward_line" in self._fields and self.is_reward_line

    def _get_quantity_left(self, date_start):
        """Return how much of this recurring line no invoice of a period has.

        What was credited in part is not left: only an invoice that is credited in full does not count any more.

        :param date date_start: first day of the period
        :return: in the unit of the line; negative for a line of negative quantity, such as a discount
        :rtype: float
        """
        self.ensure_one()
        # In exception, the invoice made for the charge is a draft, and somebody may make another by hand.
        drafts_count = not self.order_id.payment_exception
        billing = self.invoice_lines.filtered(
            lambda line: (
                line._bills_stretch_of(self.order_id, date_start)
                and ((line.parent_state == "draft" and drafts_count) or line.move_id._is_billing())
            )
        )
        return self._subtract_billed(self.product_uom_qty, billing)

    def _get_quantity_to_bill(self):
        """Return how much of this line the scheduled action invoices: of a line that is invoiced once, what none ever had.

        What was credited of that is left to people: it stays to invoice for Odoo's own button.

        :return: in the unit of the line, with the sign of what is agreed on
        :rtype: float
        """
        self.ensure_one()
        if self.is_recurring or not self.qty_to_invoice:
            return self.qty_to_invoice
        valid = self.invoice_lines.filtered(lambda line: line.parent_state != "cancel")
        return self._subtract_billed(self.qty_to_invoice + self.qty_invoiced, valid)

    def _subtract_billed(self, agreed, invoice_lines):
        """Return what is left of a quantity of this line.

        :param float agreed: the quantity, in the unit of the line
        :param invoice_lines: `account.move.line` that bill this line or credit it, which does not count
        :return: zero, or a part of the quantity, with its sign
        :rtype: float
        """
        self.ensure_one()
        sign = -1 if agreed < 0 else 1
        billed = self._get_billed_quantity(invoice_lines, sign)
        return sign * max(sign * agreed - billed, 0)

    def _get_billed_quantity(self, invoice_lines, sign):
        """Return how much of this line invoice lines bill, whatever others credit.

        :param invoice_lines: `account.move.line`
        :param int sign: 1 if a quantity above zero bills the line, -1 if one below does
        :return: in the unit of the line, never negative
        :rtype: float
        """
        self.ensure_one()
        quantities = [
            -sign
            * line.move_id.direction_sign
            * line.product_uom_id._compute_quantity(line.quantity, self.product_uom_id)
            for line in invoice_lines
        ]
        return sum(quantity for quantity in quantities if quantity > 0)

    def _get_once_values(self):
        """Return what is particular about a line that is invoiced once when the scheduled action invoices it.

        :return: of the invoice line; empty for sections and notes
        :rtype: dict
        """
        self.ensure_one()
        if self.display_type:
            return {}
        if not self.is_downpayment:
            return {"quantity": self._get_quantity_to_bill()}
        # It is taken off, as Odoo's own invoicing does; or what an earlier invoice was too small for.
        if self.qty_to_invoice > -1:
            return self._get_rest_of_down_payment()
        taxes = self.env["account.tax"]
        return {
            "quantity": -1.0,
            "extra_tax_data": taxes._reverse_quantity_base_line_extra_tax_data(self.extra_tax_data),
        }

    def _get_rest_of_down_payment(self):
        """Return what takes the rest of a down payment off an invoice, after a part was taken off earlier ones.

        :return: values of the invoice line
        :rtype: dict
        """
        self.ensure_one()
        valid = self.invoice_lines.filtered(lambda line: line.parent_state != "cancel")
        rest = sum(-line.move_id.direction_sign * line.quantity * line.price_unit for line in valid)
        quantity = self.qty_to_invoice
        return {"quantity": quantity, "price_unit": -rest / quantity, "extra_tax_data": False}

    def _without(self, dropped):
        """Return these lines without some of them, and without the sections and notes in which nothing is left then.

        :param dropped: `sale.order.line`
        :rtype: sale.order.line
        """
        if not dropped & self:
            return self
        kept = self - dropped
        products = kept.filtered(lambda line: not line.display_type)
        sections = products.parent_id | products.parent_id.parent_id
        return kept.filtered(
            lambda line: (
                not line.display_type
                or line in sections
                or (line.display_type == "line_note" and line.parent_id <= sections)
            )
        )

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
        period = {
            "subscription_id": order.id,
            "subscription_period_start": date_start,
            "subscription_period_end": date_end,
        }
        if "price_unit" not in values:
            # A combo is the heading of its parts, which have the price.
            return period
        share = order.plan_id._get_period_share(order.anchor_date, date_start, date_end)
        return period | {
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
