from datetime import timedelta

from odoo import api, models
from odoo.tools import format_date


class SaleOrderLine(models.Model):
    """Quantities to invoice, and the period on invoice lines."""

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
        """Set recurring lines to “to invoice” while part of a period is due, and to “invoiced” otherwise."""
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
        """Return the fraction of a recurring line to invoice now, from 0 to 1."""
        self.ensure_one()
        due = self.invoice_status == "to invoice" and self.product_uom_qty
        return self.qty_to_invoice / self.product_uom_qty if due else 0

    def _get_quantity_left(self, date_start):
        """Return the quantity of this recurring line that no invoice of a period bills.

        Partial credits are ignored: an invoice counts until it is credited in full.

        :param date date_start: first day of the period
        :return: quantity in the unit of the line; negative for lines of negative quantity, such as discounts
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
        """Return the quantity of this line that the scheduled action invoices.

        For one-time lines, this is the quantity never invoiced before. Credited quantities stay to invoice, but only with
        Odoo's own button.

        :return: quantity in the unit of the line, with the sign of the ordered quantity
        :rtype: float
        """
        self.ensure_one()
        if self.is_recurring or not self.qty_to_invoice:
            return self.qty_to_invoice
        valid = self.invoice_lines.filtered(lambda line: line.parent_state != "cancel")
        return self._subtract_billed(self.qty_to_invoice + self.qty_invoiced, valid)

    def _subtract_billed(self, agreed, invoice_lines):
        """Return the part of a quantity of this line that is not billed yet.

        :param float agreed: the quantity, in the unit of the line
        :param invoice_lines: `account.move.line` of this line; those that credit it are ignored
        :return: zero, or the part of the quantity that is left, with the same sign
        :rtype: float
        """
        self.ensure_one()
        sign = -1 if agreed < 0 else 1
        billed = self._get_billed_quantity(invoice_lines, sign)
        return sign * max(sign * agreed - billed, 0)

    def _get_billed_quantity(self, invoice_lines, sign):
        """Return the quantity of this line that invoice lines bill, ignoring those that credit it.

        :param invoice_lines: `account.move.line`
        :param int sign: 1 if positive quantities bill the line, -1 if negative ones do
        :return: quantity in the unit of the line, never negative
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
        """Return the values specific to a one-time line that the scheduled action invoices.

        :return: values of the invoice line; empty for sections and notes
        :rtype: dict
        """
        self.ensure_one()
        if self.display_type:
            return {}
        if not self.is_downpayment:
            return {"quantity": self._get_quantity_to_bill()}
        # Deduct the whole down payment, like Odoo's own invoicing, or the rest that earlier invoices were too small for.
        if self.qty_to_invoice > -1:
            return self._prepare_down_payment_rest()
        taxes = self.env["account.tax"]
        return {
            "quantity": -1.0,
            "extra_tax_data": taxes._reverse_quantity_base_line_extra_tax_data(self.extra_tax_data),
        }

    def _prepare_down_payment_rest(self):
        """Return the values that deduct the rest of a down payment, after earlier invoices deducted a part.

        :return: values of the invoice line
        :rtype: dict
        """
        self.ensure_one()
        valid = self.invoice_lines.filtered(lambda line: line.parent_state != "cancel")
        rest = sum(-line.move_id.direction_sign * line.quantity * line.price_unit for line in valid)
        quantity = self.qty_to_invoice
        return {"quantity": quantity, "price_unit": -rest / quantity, "extra_tax_data": False}

    def _without(self, dropped):
        """Return these lines without some of them, and without sections and notes that would be left empty.

        :param dropped: the `sale.order.line` to leave out
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
        """Return the values of the invoice line of a recurring line that depend on its period.

        :param dict values: values of the invoice line, with the period if already known
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
            # A combo is a heading; its parts have the price.
            return period
        share = order.plan_id._get_period_share(order.anchor_date, date_start, date_end)
        return period | {
            "name": f"{values['name']}\n{self._get_period_text(date_start, date_end)}",
            # The rest of a period after an interruption is prorated by days.
            "price_unit": values["price_unit"] * float(share),
        }

    def _get_period_text(self, date_start, date_end):
        """Return a period as shown to the customer, from the first to the last day.

        :rtype: str
        """
        env = self.with_context(lang=self.order_id._get_lang()).env
        return env._(
            "%(start)s to %(end)s",
            start=format_date(env, date_start),
            end=format_date(env, date_end - timedelta(days=1)),
        )
