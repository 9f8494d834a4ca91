from datetime import timedelta

from odoo import api, models
from odoo.tools import format_date


class SaleOrderLine(models.Model):
    """What of a line is to invoice, and what its invoice line says about the period."""

    _inherit = "sale.order.line"

    @api.depends("order_id.subscription_state", "order_id.next_invoice_date")
    def _compute_qty_to_invoice(self):
        res = super()._compute_qty_to_invoice()
        for order, lines in self.filtered("is_recurring").grouped("order_id").items():
            date_start = order._get_period_to_invoice()
            for line in lines:
                line.qty_to_invoice = line._get_quantity_left(date_start) if date_start else 0
        return res

    @api.depends("order_id.subscription_state", "order_id.next_invoice_date")
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

    def _get_quantity_left(self, date_start):
        """Return how much of this recurring line no invoice of a period has.

        What was credited in part is not left: only an invoice that is credited in full does not count any more.

        :param date date_start: first day of the period
        :return: in the unit of the line; negative for a line of negative quantity, such as a discount
        :rtype: float
        """
        self.ensure_one()
        drafts_count = self.order_id._counts_draft_invoices()
        billing = self.invoice_lines.filtered(
            lambda line: (
                line._bills_period(self.order_id, date_start)
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

    def _prepare_one_time_values(self):
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
            return self._prepare_down_payment_rest()
        taxes = self.env["account.tax"]
        return {
            "quantity": -1.0,
            "extra_tax_data": taxes._reverse_quantity_base_line_extra_tax_data(self.extra_tax_data),
        }

    def _prepare_down_payment_rest(self):
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
