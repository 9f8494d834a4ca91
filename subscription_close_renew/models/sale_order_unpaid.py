from odoo import api, models
from odoo.fields import Domain
from odoo.tools import format_date

from .sale_order import RUNNING_STATES


class SaleOrder(models.Model):
    _inherit = "sale.order"

    def subscription_reopen(self):
        res = super().subscription_reopen()
        # Whoever may reopen the subscription gives its customer time anew.
        self.sudo().period_ids.closing_warned_on = False
        return res

    @api.model
    def _close_unpaid(self):
        """Warn the customers of subscriptions that are about to close unpaid, and close those whose time is up."""
        unpaid = Domain("id", "in", self._get_unpaid_periods(Domain.TRUE).order_id.ids)
        # Which of them are due is found out one by one: what is wrong with one stops none of the others.
        for method in ("_close_as_unpaid", "_warn_unpaid"):
            self._run_for_due(unpaid, "id", method)

    def _get_unpaid_periods(self, domain):
        """Return the unpaid periods that may close their subscriptions; none whose payment is under way.

        :param Domain domain: which subscriptions
        :rtype: sale.subscription.period
        """
        orders = (
            domain
            & Domain("subscription_state", "in", RUNNING_STATES)
            & Domain("plan_id.auto_close_days", ">", 0)
            & Domain("payment_exception", "=", False)
        )
        unpaid = Domain("state", "=", "posted") & Domain("payment_state", "in", ("not_paid", "partial"))
        return self.env["sale.subscription.period"].search(
            Domain("order_id", "any", orders)
            & Domain("state", "=", "invoiced")
            & Domain("charge_state", "not in", ("unknown", "pending"))
            & Domain("invoice_ids", "any", unpaid),
            order="date_start, id",
        )

    def _warn_unpaid(self):
        """Tell customers that their subscription closes unless they pay; it does not while nobody can be told."""
        for period in self._get_unpaid_periods(Domain("id", "in", self.ids)):
            if period._is_warning_due():
                order = period.order_id
                # The mail names the day that follows from this one.
                period.closing_warned_on = period.company_id._get_subscription_today()
                if not order._notify_customer("subscription_close_renew.mail_template_about_to_close", period):
                    period.closing_warned_on = False
                    continue
                order.message_post(
                    body=self.env._(
                        "%(invoice)s is unpaid. The customer was told that the subscription closes on %(date)s.",
                        invoice=period._get_open_invoice().name,
                        date=format_date(self.env, period._get_unpaid_deadline()),
                    )
                )

    def _close_as_unpaid(self):
        """Close subscriptions whose time to pay is up."""
        reason = self.env["sale.order.close.reason"]._get_system_reason("unpaid")
        for period in self._get_unpaid_periods(Domain("id", "in", self.ids)):
            order = period.order_id
            if order.subscription_state not in RUNNING_STATES or not period._is_closing_due():
                continue
            order.message_post(body=period._get_unpaid_note())
            order._write_subscription(
                {"close_reason_id": reason.id, "end_date": order.company_id._get_subscription_today()}
            )
            order._close()
            order._send_subscription_mail("subscription_close_renew.mail_template_closed")
