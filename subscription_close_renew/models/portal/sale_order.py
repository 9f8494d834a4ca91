from odoo import SUPERUSER_ID, api, models
from odoo.exceptions import UserError
from odoo.tools import format_date, format_datetime

from ..billing.account_move import UNPAID_STATES


class SaleOrder(models.Model):
    """The portal pages of a subscription, and the change of its payment method."""

    _inherit = "sale.order"

    def _write_by_hand(self, vals):
        customers = {}
        if "partner_id" in vals:
            # sudo: the customers are only compared; super() checks the right to write.
            subscriptions = self.sudo().filtered(lambda order: order._is_portal_subscription())
            customers = {order: order.partner_id.commercial_partner_id for order in subscriptions}
        res = super()._write_by_hand(vals)
        for order, customer in customers.items():
            if order.partner_id.commercial_partner_id != customer:
                # Anyone with the link acts as the customer, which the previous customer no longer is.
                order.access_token = False
        return res

    def _is_customer(self, user):
        """Return whether a logged-in user is, or works for, the customer who buys or pays for the subscription.

        :param user: `res.users`
        :rtype: bool
        """
        self.ensure_one()
        customers = (self.partner_id | self.partner_invoice_id).commercial_partner_id
        return not user._is_public() and user.partner_id.commercial_partner_id in customers

    def _is_portal_preview(self, user):
        """Return whether an internal user previews the page of the customer, where the buttons are disabled.

        :param user: `res.users`
        :rtype: bool
        """
        self.ensure_one()
        return user._is_internal() and user.partner_id not in self.partner_id | self.partner_invoice_id

    def _is_portal_subscription(self):
        """Return whether the portal lists the order as a subscription: only once it is confirmed.

        :rtype: bool
        """
        self.ensure_one()
        return self.state == "sale" and (self._is_running() or self._has_ended())

    def _prefetch_for_portal(self):
        """Read all periods of a subscription at once: the page shows either all of them or none."""
        self.ensure_one()
        # Odoo would use two queries: one for the ids, one for the values.
        periods = self.env["sale.subscription.period"].search_fetch([("order_id", "=", self.id)])
        self._fields["period_ids"]._insert_cache(self, [periods._ids])

    def _get_portal_status(self):
        """Return the label of a subscription in the portal, and its Bootstrap colour.

        :return: ``(label, colour)``
        :rtype: tuple
        """
        self.ensure_one()
        if self.is_closing:
            return self.env._("Closes on %(date)s", date=format_date(self.env, self.end_date)), "warning"
        labels = dict(self._fields["subscription_state"]._description_selection(self.env))
        other = labels.get(self.subscription_state, ""), "secondary"
        return self._get_portal_statuses().get(self.subscription_state, other)

    @api.model
    def _get_portal_statuses(self):
        """Return the portal labels of subscription states. Other states keep the label that staff see.

        :return: ``{state: (label, Bootstrap colour)}``
        :rtype: dict
        """
        return {
            "progress": (self.env._("In Progress"), "success"),
            "paused": (self.env._("Paused"), "info"),
            "renewed": (self.env._("Renewed"), "primary"),
            "churned": (self.env._("Closed"), "dark"),
        }

    def _get_subscription_url(self, path="", query_string=""):
        """Return the URL of the portal page of a subscription, or of a page below it.

        Like Odoo's own links to an order, it works for anyone who has it.

        :param str path: path below the page, such as ``/close``
        :param str query_string: further parameters, starting with ``&``
        :rtype: str
        """
        self.ensure_one()
        return f"/my/subscriptions/{self.id}{path}?access_token={self._portal_ensure_token()}{query_string}"

    def _has_next_invoice(self):
        """Return whether another invoice of a subscription is expected as of today.

        :rtype: bool
        """
        self.ensure_one()
        if self.subscription_state != "progress" or not self.next_invoice_date:
            return False
        return not self.end_date or self.next_invoice_date < self.end_date

    def _get_next_invoice_amount(self):
        """Return the amount of the next invoice including taxes, or False if a down payment will be deducted.

        :rtype: float | bool
        """
        self.ensure_one()
        if any(line.is_downpayment for line in self.order_line):
            return False
        start = self.next_invoice_date
        share = self.plan_id._get_period_share(self.anchor_date, start, self._get_period_end(start))
        total = self._get_recurring_amount() * float(share)
        for line in self.order_line:
            if not line.is_recurring and line.product_uom_qty:
                total += line.price_total * line._get_quantity_to_bill() / line.product_uom_qty
        return self.currency_id.round(total)

    def _get_recurring_amount(self):
        """Return the price of a full period, including taxes.

        :rtype: float
        """
        self.ensure_one()
        return sum(line.price_total for line in self.order_line if line.is_recurring)

    def _get_portal_summary(self):
        """Return a one-line summary of a subscription: its recurring products.

        :rtype: str
        """
        self.ensure_one()
        lines = self.order_line.filtered("is_recurring")
        return ", ".join(line.name.partition("\n")[0] for line in lines)

    def _get_portal_invoice_to_pay(self):
        """Return the oldest invoice of a subscription that its customer can pay online now.

        :rtype: account.move
        """
        self.ensure_one()
        if self.payment_exception:
            return self.env["account.move"]
        # The page reads the invoices of the order anyway, so reading those of the periods would be an extra query.
        unpaid = self.invoice_ids.filtered(lambda invoice: invoice.state == "posted").sorted("invoice_date_due")
        payable = (invoice for invoice in unpaid if invoice._has_to_be_paid() and not invoice._has_payment_under_way())
        return next(payable, unpaid.browse())

    def _can_see_payment_method(self, user):
        """Return whether a user may see the stored payment method: a link to the order is not enough.

        :param user: `res.users`
        :rtype: bool
        """
        self.ensure_one()
        return self._is_customer(user) or (
            user._is_internal() and self.payment_token_id.with_user(user).has_access("read")
        )

    @api.model
    def _get_payment_method_name(self, token):
        """Return the name of a stored payment method that customers recognize, such as ``VISA •••• 4242``.

        :param token: `payment.token`
        :rtype: str
        """
        return f"{token.payment_method_id.name} {token.display_name}"

    def _get_payment_method_refusal(self, user):
        """Return the reason why a user cannot change the payment method in the portal, or False.

        :param user: `res.users`
        :rtype: str | bool
        """
        self.ensure_one()
        if not self._is_customer(user):
            return self.env._(
                "Only the customer of %(order)s can view and change its payment method. Please log in with the "
                "customer's account.",
                order=self.name,
            )
        if not self._is_running():
            return self.env._(
                "%(order)s isn't an active subscription, so there is no payment method to change.", order=self.name
            )
        return False

    def _get_usable_payment_tokens(self, user):
        """Return the stored payment methods of a user and their company that can be charged for a subscription.

        :param user: `res.users`
        :rtype: payment.token
        """
        self.ensure_one()
        tokens = self.env["payment.token"]._get_available_tokens(None, user.partner_id.id, is_validation=True)
        return tokens.filtered(lambda token: not token._get_charge_refusal(self))

    def _use_payment_token(self, token):
        """Charge a subscription to another payment method from now on, at the request of the user.

        The next run retries declined payments with it.

        :param token: `payment.token`
        :raises UserError: if it cannot be charged for this subscription
        """
        self.ensure_one()
        if refusal := token._get_charge_refusal(self):
            raise UserError(refusal)
        if token == self.payment_token_id:
            return
        # Staff read the chatter in their language.
        staff = self._with_staff_lang()
        self._track_set_log_message(staff.env._("The customer changed the payment method in the portal."))
        self.payment_token_id = token
        self._get_declined_periods().retry_date = self.company_id._get_subscription_today()

    def _get_declined_periods(self):
        """Return the unpaid periods whose payment was declined, oldest first.

        :rtype: sale.subscription.period
        """
        self.ensure_one()
        declined = self.period_ids.filtered(lambda period: period.charge_state == "declined")
        return declined.filtered(lambda period: period.status == "declined" and period._get_open_invoice()).sorted(
            "date_start"
        )

    def _get_portal_declined_periods(self):
        """Return the declined periods that the customer is asked to pay: only those without a payment under way.

        :rtype: sale.subscription.period
        """
        self.ensure_one()
        periods = self.browse().period_ids if self.payment_exception else self._get_declined_periods()
        return periods.filtered(lambda period: not period._get_open_invoice()._has_payment_under_way())

    def _get_portal_payment_refusal(self):
        """Return the reason why the stored payment method can no longer be charged, or False if the customer knows none.

        :rtype: str | bool
        """
        self.ensure_one()
        token = self.payment_token_id
        # Odoo archives the payment methods of a disabled provider, so the provider need not be read.
        if token and (not token.active or token.subscription_valid_until):
            return token._get_charge_refusal(self)
        return False

    def _is_payment_under_way(self):
        """Return whether a payment of a subscription has started but its outcome is not known yet.

        :rtype: bool
        """
        self.ensure_one()
        if self.payment_exception:
            return True
        # This field is enough to rule out what was charged and paid, which is nearly everything: no invoice is read.
        charges = self.period_ids.filtered(lambda period: period.charge_state in ("unknown", "pending"))
        if any(period.status not in ("paid", "cancelled") for period in charges):
            return True
        unpaid = self.invoice_ids.filtered(lambda invoice: invoice.payment_state in UNPAID_STATES)
        return any(invoice._has_payment_under_way() for invoice in unpaid)

    def _send_customer_receipt(self, template_xml_id, user):
        """Send a receipt to the customer, and to the user of the customer's company who acted.

        :param str template_xml_id: external id of a `mail.template`
        :param user: the `res.users` who acted
        """
        self.ensure_one()
        acting_partner = user.partner_id if self._is_customer(user) else self.partner_id
        # Odoo does not notify authors of their own messages, but a receipt is meant for exactly them.
        order = self.with_user(SUPERUSER_ID)
        order._send_subscription_mail(template_xml_id, partners=self.partner_id | acting_partner)

    def _with_customer(self, user):
        """Return the subscription in sudo mode, with the user who acts in the portal."""
        # sudo: customers cannot write orders; the controller has checked their account or link.
        return self.with_user(user).sudo().with_company(self.company_id)

    def _with_staff_lang(self):
        """Return the subscription in the language of the staff who read its chatter."""
        return self.with_context(lang=self.user_id.filtered("active").lang or self.company_id.partner_id.lang)

    def _get_portal_author(self, user):
        """Return the author of an action in the portal: the customer, if a link is used without logging in.

        :rtype: res.partner
        """
        return self.partner_id if user._is_public() else user.partner_id

    def _format_moment(self, moment):
        """Return a date and time as shown on receipts, with the time zone of the company.

        :param datetime moment: in UTC
        :rtype: str
        """
        self.ensure_one()
        zone = self.company_id._get_subscription_zone()
        return f"{format_datetime(self.env, moment, tz=zone)} ({zone})"

    def _get_payment_method_url(self):
        """Return the URL of the portal page on which the customer changes the payment method.

        :rtype: str
        """
        self.ensure_one()
        return self.get_portal_url(suffix="/payment-method")
