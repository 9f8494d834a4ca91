from odoo import api, models
from odoo.fields import Domain
from odoo.tools import format_date

from ..billing.account_move import UNPAID_STATES
from ..subscription.runner import Turn


class SaleOrder(models.Model):
    """Closing subscriptions whose invoices stay unpaid, after a warning."""

    _inherit = "sale.order"

    def subscription_reopen(self):
        res = super().subscription_reopen()
        # sudo: nobody can write periods; super() has checked the right to reopen. The customer gets a new warning.
        self.sudo().period_ids.closing_warned_on = False
        return res

    @api.model
    def _cron_subscription_expiration(self):
        res = super()._cron_subscription_expiration()
        orders = self._with_company_lang()
        # Comes last: which periods count as unpaid depends on the subscriptions just closed or resumed.
        orders._run_turns(orders._get_unpaid_turns())
        return res

    @api.model
    def _get_unpaid_turns(self):
        """Return the turns that close unpaid subscriptions, and warn customers before that.

        :return: the :class:`~..subscription.runner.Turn` objects
        :rtype: list
        """
        # Each turn checks which of them are due, one by one, so that an error in one stops none of the others.
        unpaid = Domain("id", "in", self._get_unpaid_periods(Domain.TRUE).order_id.ids)
        return [
            Turn(unpaid, "id", lambda orders: orders._close_as_unpaid()),
            Turn(unpaid, "id", lambda orders: orders._warn_unpaid()),
        ]

    def _get_unpaid_periods(self, domain):
        """Return the unpaid periods that can close their subscriptions, without those whose payment is under way.

        :param Domain domain: which subscriptions
        :rtype: sale.subscription.period
        """
        orders = (
            domain
            & Domain("subscription_state", "in", self._get_running_states())
            & Domain("plan_id.auto_close_days", ">", 0)
            & Domain("payment_exception", "=", False)
        )
        unpaid = Domain("state", "=", "posted") & Domain("payment_state", "in", UNPAID_STATES)
        return self.env["sale.subscription.period"].search(
            Domain("order_id", "any", orders)
            & Domain("state", "=", "invoiced")
            & Domain("charge_state", "not in", ("unknown", "pending"))
            & Domain("invoice_ids", "any", unpaid),
            order="date_start, id",
        )

    def _warn_unpaid(self):
        """Warn customers that their subscription will close unless they pay. It stays open if nobody can be reached."""
        for period in self._get_unpaid_periods(Domain("id", "in", self.ids)):
            if period._is_warning_due():
                order = period.order_id
                # Written first: the date in the mail depends on it.
                period.closing_warned_on = period.company_id._get_subscription_today()
                if not order._notify_customer("subscription_close_renew.mail_template_about_to_close", period):
                    period.closing_warned_on = False
                    continue
                order.message_post(
                    body=self.env._(
                        "%(invoice)s is unpaid. The customer was notified that the subscription will close on %(date)s.",
                        invoice=period._get_open_invoice().name,
                        date=format_date(self.env, period._get_unpaid_deadline()),
                    )
                )

    def _close_as_unpaid(self):
        """Close subscriptions whose payment deadline has passed."""
        reason = self.env["sale.order.close.reason"]._get_system_reason("unpaid")
        for period in self._get_unpaid_periods(Domain("id", "in", self.ids)):
            order = period.order_id
            if not order._is_running() or not period._is_closing_due():
                continue
            order.message_post(body=period._get_unpaid_note())
            order._write_subscription(
                {"close_reason_id": reason.id, "end_date": order.company_id._get_subscription_today()}
            )
            order._close()
            order._send_subscription_mail("subscription_close_renew.mail_template_closed")
