from datetime import timedelta

from odoo import fields, models
from odoo.tools import format_date, formatLang

from ...tools import recurrence

# In all languages that the addon is translated into.
SENTENCE_ENDS = (".", "!", "?", "…", "؟", "。", "！", "？")


class SaleSubscriptionPeriod(models.Model):
    """Declined payments of a period: the next attempts, and the messages about them."""

    _inherit = "sale.subscription.period"

    attempt_count = fields.Integer(string="Attempts", readonly=True, help="Number of times the payment was declined.")
    declined_on = fields.Date(readonly=True, help="When the payment was first declined.")
    retry_date = fields.Date(
        string="Next Attempt", readonly=True, index="btree_not_null", help="The payment will be retried on this date."
    )

    def _decline(self, message):
        """Record that the payment of these periods was declined, notify the customer, and plan the next attempt.

        :param str message: the reason, in words for users
        """
        for period in self:
            order = period.order_id
            if not period._is_collectable():
                period._set_charge_state(False)
                period._drop_drafts()
                period.exists()._hand_over_declined(message)
                continue
            period._post_drafts()
            period.write(period._prepare_decline_values(message))
            period._set_charge_state("declined")
            order.message_post(body=period._get_decline_note())
            order._send_subscription_mail("subscription_close_renew.mail_template_payment_failed", period)
            if not period.retry_date and not order.plan_id.auto_close_days:
                period._ask_for_another_payment()

    def _hand_over_declined(self, message):
        """Notify colleagues of unpaid invoices of ended subscriptions, which are no longer charged.

        :param str message: the reason why the payment was declined
        """
        for period in self.filtered(lambda period: period.state == "invoiced" and period._is_open()):
            period.charge_error = period._prepare_decline_values(message)["charge_error"]
            period.order_id.message_post(body=period._get_decline_note())
            period._ask_for_another_payment()

    def _ask_for_another_payment(self):
        """Ask a colleague to arrange another payment method with the customer: there is no further attempt."""
        self.ensure_one()
        self.order_id._ask_for_attention(
            self.env._("Payment declined, no further attempts"),
            self.env._("%(note)s Arrange another payment method with the customer.", note=self._get_decline_note()),
        )

    def _postpone_until_paid(self, earlier):
        """Postpone the payment of a period to the next attempt of an earlier, declined one.

        :param earlier: the earlier period, or none
        """
        self.ensure_one()
        if earlier:
            tomorrow = self.company_id._get_subscription_today() + timedelta(days=1)
            env = self.with_context(lang=self.order_id._get_lang()).env
            self.write(
                {
                    "charge_state": "declined",
                    "charge_error": env._("An earlier period has to be paid first."),
                    "retry_date": earlier.retry_date or tomorrow,
                }
            )

    def _retry_today(self):
        """Plan the next attempt for what is open of these periods today."""
        for period in self.filtered(lambda period: period.state == "invoiced" and period._is_collectable()):
            period.retry_date = period.company_id._get_subscription_today()

    def _resume_attempts(self):
        """Continue to charge a period that was declined or waits for an earlier one, if another payment left it open."""
        self.ensure_one()
        self._set_charge_state("declined" if self.attempt_count or self.charge_error else False)
        if self.charge_state == "declined" and not self.retry_date and self._has_attempts_left():
            # The attempts had stopped because of the other payment.
            self.retry_date = self.company_id._get_subscription_today() + timedelta(days=1)

    def _set_charge_not_made(self):
        """Record that a charge was not made, for no fault of the customer: earlier attempts continue unchanged."""
        for period in self.filtered(lambda period: period.charge_state in ("unknown", "pending")):
            period._resume_attempts()

    def _has_attempts_left(self):
        """Return whether an attempt is left: the first one if it had to wait, else those of the recurring plan.

        :rtype: bool
        """
        self.ensure_one()
        if not self.attempt_count:
            return self._is_collectable() and bool(self.charge_error)
        return self._is_collectable() and self.attempt_count <= len(self.order_id.plan_id._get_retry_days())

    def _prepare_decline_values(self, message):
        """Return the values of a period whose payment was declined.

        :param str message: the reason, in words for users
        :rtype: dict
        """
        self.ensure_one()
        today = self.company_id._get_subscription_today()
        declined_on = self.declined_on or today
        days = self.order_id.plan_id._get_retry_days()[self.attempt_count :][:1]
        return {
            "charge_state": "declined",
            "charge_error": message if message.endswith(SENTENCE_ENDS) else f"{message}.",
            "attempt_count": self.attempt_count + 1,
            "declined_on": declined_on,
            "retry_date": max(recurrence.add_days(declined_on, days[0]), today + timedelta(days=1)) if days else False,
        }

    def _prepare_decline_note_values(self):
        """Return the values for a sentence about a declined payment.

        :rtype: dict
        """
        self.ensure_one()
        invoice = self._get_open_invoice()
        return {
            "invoice": invoice.name,
            "amount": formatLang(self.env, invoice.amount_residual, currency_obj=invoice.currency_id),
            "reason": self.charge_error,
        }

    def _get_decline_note(self):
        """Return the chatter message about a declined payment.

        :rtype: str
        """
        self.ensure_one()
        values = self._prepare_decline_note_values() | {"date": format_date(self.env, self.retry_date)}
        if self.retry_date:
            return self.env._(
                "The payment of %(invoice)s (%(amount)s) was declined: %(reason)s It will be retried on %(date)s.",
                **values,
            )
        return self.env._(
            "The payment of %(invoice)s (%(amount)s) was declined: %(reason)s It will not be retried.", **values
        )

    def _get_portal_charge_message(self):
        """Return the message for the customer about a payment that was declined or waits for an earlier one.

        :rtype: str
        """
        self.ensure_one()
        values = self._prepare_decline_note_values()
        if self.attempt_count:
            return self.env._("The payment of %(invoice)s (%(amount)s) was declined: %(reason)s", **values)
        return self.env._("The payment of %(invoice)s (%(amount)s) is on hold: %(reason)s", **values)

    def _get_portal_retry_message(self):
        """Return the message for the customer about the next attempt.

        :rtype: str
        """
        self.ensure_one()
        if not self.retry_date:
            return self.env._("We won't try again.")
        if self.order_id.subscription_state == "paused":
            return self.env._("We won't try again while the subscription is paused.")
        if self.retry_date <= self.company_id._get_subscription_today():
            return self.env._("We will try again today.")
        return self.env._("We will try again on %(date)s.", date=format_date(self.env, self.retry_date))
