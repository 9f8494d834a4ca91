from odoo import models
from odoo.fields import Command


class SaleOrder(models.Model):
    _inherit = "sale.order"

    def _claim_period(self, invoice):
        """Record that an invoice bills the next period of these subscriptions, and move their next invoice date.

        :param invoice: a posted `account.move` with recurring lines of the subscriptions
        """
        self.env["sale.subscription.period"].create([order._prepare_period_values(invoice) for order in self])
        for order in self:
            order.next_invoice_date = order._get_next_unbilled_date()

    def _prepare_period_values(self, invoice):
        """Return the values of the period that begins on the next invoice date.

        :rtype: dict
        """
        self.ensure_one()
        date_start = self.next_invoice_date or self._get_next_unbilled_date()
        return {
            "order_id": self.id,
            "date_start": date_start,
            "date_end": self._get_period_end(date_start),
            "invoice_ids": [Command.link(invoice.id)],
        }

    def _get_period_end(self, date_start):
        """Return the first day after the period that begins on a day.

        A period that was billed before and freed keeps its end; any other ends where the anchor says.

        :param date date_start: first day of the period
        :rtype: date
        """
        self.ensure_one()
        freed = self.period_ids.filtered(lambda period: period.date_start == date_start)
        return freed[:1].date_end or self.plan_id._get_next_period_start(self.anchor_date, date_start)

    def _get_billed_periods(self):
        return self.period_ids.filtered(lambda period: period.state != "cancelled")

    def _get_billed_until(self):
        """Return the first day that no invoice covers, or False when nothing was invoiced yet.

        :rtype: date | bool
        """
        self.ensure_one()
        return max(self._get_billed_periods().mapped("date_end"), default=False)

    def _get_next_unbilled_date(self):
        """Return the first day of the earliest period to bill: a freed one, else what follows the last.

        :rtype: date
        """
        self.ensure_one()
        billed_starts = set(self._get_billed_periods().mapped("date_start"))
        freed_starts = set(self.period_ids.mapped("date_start")) - billed_starts
        return min(freed_starts, default=None) or self._get_billed_until() or self.start_date
