from datetime import timedelta

from odoo import fields, models
from odoo.tools import format_date, formatLang

from ...tools import recurrence


class SaleSubscriptionPeriod(models.Model):
    _name = "sale.subscription.period"
    _inherit = ["sale.subscription.period", "sale.subscription.notice.mixin"]

    closing_warned_on = fields.Date(
        readonly=True,
        help="When the customer was notified that the subscription will close if this period remains unpaid.",
    )

    def _prepare_paid_values(self):
        return super()._prepare_paid_values() | {"closing_warned_on": False}

    def _prepare_release_values(self):
        return super()._prepare_release_values() | {"closing_warned_on": False}

    def _is_warned(self):
        """Return whether the customer was warned of the close, and the notice was not lost.

        :rtype: bool
        """
        self.ensure_one()
        return bool(self.closing_warned_on) and not self._is_notice_lost()

    def _get_unpaid_deadline(self):
        """Return the day on which a period that remains unpaid closes its subscription.

        It is counted from the first day of the period or the due date of its invoice, whichever is later, and leaves time
        after a warning.

        :rtype: date
        """
        self.ensure_one()
        plan = self.order_id.plan_id
        due = max(filter(None, (self.date_start, self._get_open_invoice().invoice_date_due)))
        deadline = recurrence.add_days(due, plan.auto_close_days)
        warned_until = self._is_warned() and self.closing_warned_on + plan._get_closing_warning()
        return max(deadline, warned_until or deadline)

    def _is_warning_due(self):
        """Return whether to warn the customer today that the subscription will close if this period remains unpaid.

        :rtype: bool
        """
        self.ensure_one()
        today = self.company_id._get_subscription_today()
        warning = self.order_id.plan_id._get_closing_warning()
        return not self._is_warned() and today >= self._get_unpaid_deadline() - warning

    def _is_closing_due(self):
        """Return whether to close the subscription today because this period remained unpaid.

        :rtype: bool
        """
        self.ensure_one()
        today = self.company_id._get_subscription_today()
        return self._is_warned() and today >= self._get_unpaid_deadline()

    def _get_unpaid_note(self):
        """Return the reason for an automatic close, for the chatter.

        :rtype: str
        """
        self.ensure_one()
        invoice = self._get_open_invoice()
        return self.env._(
            "Closed automatically: %(invoice)s (%(amount)s open, due on %(due)s) for %(start)s to %(end)s was not paid "
            "within %(days)s days. The customer was warned on %(warned)s.",
            invoice=invoice.name,
            amount=formatLang(self.env, invoice.amount_residual, currency_obj=invoice.currency_id),
            due=format_date(self.env, invoice.invoice_date_due),
            start=format_date(self.env, self.date_start),
            end=format_date(self.env, self.date_end - timedelta(days=1)),
            days=self.order_id.plan_id.auto_close_days,
            warned=format_date(self.env, self.closing_warned_on),
        )
