from odoo import api, models
from odoo.exceptions import UserError

from .sale_order import RUNNING_STATES


class SaleOrder(models.Model):
    """What customers see of the payments of their subscription in the portal, and change by themselves."""

    _inherit = "sale.order"

    def _is_customer(self, user):
        """Tell whether a user is logged in, and is or works for whoever buys or pays a subscription.

        :param user: `res.users`
        :rtype: bool
        """
        self.ensure_one()
        customers = (self.partner_id | self.partner_invoice_id).commercial_partner_id
        return not user._is_public() and user.partner_id.commercial_partner_id in customers

    def _can_see_payment_method(self, user):
        """Tell whether a user may see which payment method is stored: a link to the order is not enough.

        :param user: `res.users`
        :rtype: bool
        """
        self.ensure_one()
        return self._is_customer(user) or (
            user._is_internal() and self.payment_token_id.with_user(user).has_access("read")
        )

    @api.model
    def _get_payment_method_name(self, token):
        """Return what the customer knows a stored payment method by, such as ``VISA •••• 4242``.

        :param token: `payment.token`
        :rtype: str
        """
        return f"{token.payment_method_id.name} {token.display_name}"

    def _get_payment_method_refusal(self, user):
        """Return why a user cannot change the payment method of a subscription in the portal, or False.

        :param user: `res.users`
        :rtype: str | bool
        """
        self.ensure_one()
        if not self._is_customer(user):
            return self.env._(
                "Only the customer of %(order)s can see and change how it is paid. Please log in with the account of "
                "the customer.",
                order=self.name,
            )
        if self.subscription_state not in RUNNING_STATES:
            return self.env._(
                "%(order)s is not a running subscription, so there is no payment method to change.", order=self.name
            )
        return False

    def _get_usable_payment_tokens(self, user):
        """Return the stored payment methods of a user, and of their company, that a subscription can be charged to.

        :param user: `res.users`
        :rtype: payment.token
        """
        self.ensure_one()
        tokens = self.env["payment.token"]._get_available_tokens(None, user.partner_id.id, is_validation=True)
        return tokens.filtered(lambda token: not token._get_charge_refusal(self))

    def _use_payment_token(self, token):
        """Charge a subscription to another payment method from now on, as the user wishes.

        What was declined is tried with it at the next run.

        :param token: `payment.token`
        :raises UserError: if it cannot be charged for this subscription
        """
        self.ensure_one()
        if refusal := token._get_charge_refusal(self):
            raise UserError(refusal)
        if token == self.payment_token_id:
            return
        # Staff read the chatter, in their language.
        staff = self.with_context(lang=self.user_id.lang or self.company_id.partner_id.lang)
        self._track_set_log_message(staff.env._("The customer changed the payment method in the portal."))
        self.payment_token_id = token
        self._get_declined_periods().retry_date = self.company_id._get_subscription_today()

    def _get_declined_periods(self):
        """Return the periods that are still to be paid because their payment was declined, the oldest first.

        :rtype: sale.subscription.period
        """
        self.ensure_one()
        return self.period_ids.filtered(
            lambda period: period.status == "declined" and period._get_open_invoice()
        ).sorted("date_start")

    def _get_portal_declined_periods(self):
        """Return the declined periods that the customer is asked to pay: none while a payment of it is under way.

        :rtype: sale.subscription.period
        """
        self.ensure_one()
        periods = self.browse().period_ids if self.payment_exception else self._get_declined_periods()
        return periods.filtered(lambda period: not period._get_open_invoice()._is_being_paid())

    def _is_payment_under_way(self):
        """Tell whether a payment of a subscription has begun whose outcome is not known yet.

        :rtype: bool
        """
        self.ensure_one()
        if self.payment_exception:
            return True
        open_periods = self.period_ids.filtered(lambda period: period.status not in ("paid", "cancelled"))
        return any(
            period.charge_state in ("unknown", "pending")
            or any(invoice._is_being_paid() for invoice in period.invoice_ids)
            for period in open_periods
        )
