from odoo import models
from odoo.fields import Command

from .sale_order import RUNNING_STATES


class SaleOrder(models.Model):
    _inherit = "sale.order"

    def _claim_period(self, invoice):
        """Record which period of each of these subscriptions an invoice bills, and move their next invoice date.

        An invoice that is posted again takes back the period that it had, whatever has become of the subscription.
        One that completes the last billed period (more seats, a line left out before) belongs to that period. Any
        other bills the next period of a subscription that runs, and none of one that has ended.

        :param invoice: a posted `account.move` with recurring lines of the subscriptions
        """
        own = self.period_ids.filtered(lambda period: invoice in period.invoice_ids)
        own.filtered(lambda period: period._is_free()).state = "invoiced"
        billed = own.filtered(lambda period: period.state != "cancelled").order_id
        claiming = (self - billed).filtered(lambda order: order.subscription_state in RUNNING_STATES)
        for order in claiming:
            if period := order._get_completed_period(invoice):
                period.invoice_ids = [Command.link(invoice.id)]
                claiming -= order
        self.env["sale.subscription.period"].create([order._prepare_period_values(invoice) for order in claiming])
        self._update_next_invoice_date()

    def _get_completed_period(self, invoice):
        """Return the last billed period if an invoice only adds to it what was not billed yet, else none.

        :param invoice: a posted `account.move` with recurring lines of the subscription
        :rtype: sale.subscription.period
        """
        self.ensure_one()
        period = self._get_billed_periods().sorted("date_start")[-1:]
        for line in self.order_line.filtered("is_recurring"):
            added = sum((line.invoice_lines & invoice.invoice_line_ids).mapped("quantity"))
            before = sum((line.invoice_lines & period.invoice_ids.invoice_line_ids).mapped("quantity"))
            if added and added + before > line.product_uom_qty:
                return period.browse()
        return period

    def _update_next_invoice_date(self):
        """Let subscriptions that run bill their earliest unbilled period next."""
        for order in self.filtered(lambda order: order.subscription_state in RUNNING_STATES):
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

        What lies between the last period and the day on which the subscription last went on, after a pause or a
        close, is never billed.

        :rtype: date
        """
        self.ensure_one()
        freed_starts = self.period_ids.filtered(lambda period: period._is_free()).mapped("date_start")
        # A subscription taken over from elsewhere has a next invoice date, and no periods.
        billed_until = self._get_billed_until() or self.next_invoice_date or self.start_date
        following = max(filter(None, (billed_until, self.resumed_on)))
        return min(freed_starts, default=following)
