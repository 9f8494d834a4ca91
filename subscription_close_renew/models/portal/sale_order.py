from odoo import SUPERUSER_ID, api, models
from odoo.exceptions import UserError
from odoo.tools import format_date, format_datetime


class SaleOrder(models.Model):
    """What customers see of their subscription in the portal, and how they change its payment method."""

    _inherit = "sale.order"

    def write(self, vals):
        customers = {}
        if "partner_id" in vals:
            # sudo: who belongs together is no secret, and only compared.
            subscriptions = self.sudo().filtered(lambda order: order._is_portal_subscription())
            customers = {order: order.partner_id.commercial_partner_id for order in subscriptions}
        res = super().write(vals)
        for order, customer in customers.items():
            if order.partner_id.commercial_partner_id != customer:
                # Who has the link acts as the customer, which the one before is not any more.
                order.access_token = False
        return res

    def _is_customer(self, user):
        """Tell whether a user is logged in, and is or works for whoever buys or pays a subscription.

        :param user: `res.users`
        :rtype: bool
        """
        self.ensure_one()
        customers = (self.partner_id | self.partner_invoice_id).commercial_partner_id
        return not user._is_public() and user.partner_id.commercial_partner_id in customers

    def _is_portal_preview(self, user):
        """Tell whether a user of the back office looks at what the customer sees: the buttons do nothing then.

        :param user: `res.users`
        :rtype: bool
        """
        self.ensure_one()
        return user._is_internal() and user.partner_id not in self.partner_id | self.partner_invoice_id

    def _is_portal_subscription(self):
        """Tell whether the order is one that the portal lists as a subscription: it was confirmed.

        :rtype: bool
        """
        self.ensure_one()
        return self.state == "sale" and (self._is_running() or self._has_ended())

    def _prefetch_for_portal(self):
        """Read the periods of a subscription at once: the page shows all of them, or none."""
        self.ensure_one()
        # Odoo would read their ids first, and then what they say.
        periods = self.env["sale.subscription.period"].search_fetch([("order_id", "=", self.id)])
        self._fields["period_ids"]._insert_cache(self, [periods._ids])

    def _get_portal_status(self):
        """Return how the portal labels a subscription, and the colour of the label (of Bootstrap).

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
        """Return how the portal labels the states. Any other state has the label that staff see.

        :return: ``{state: (label, colour of Bootstrap)}``
        :rtype: dict
        """
        return {
            "progress": (self.env._("In Progress"), "success"),
            "paused": (self.env._("Paused"), "info"),
            "renewed": (self.env._("Renewed"), "primary"),
            "churned": (self.env._("Closed"), "dark"),
        }

    def _get_subscription_url(self, path="", query_string=""):
        """Return the address of the portal page of a subscription, or of something below it.

        Like Odoo's own links to an order, it works for whoever has it.

        :param str path: what follows, such as ``/close``
        :param str query_string: what is appended, beginning with ``&``
        :rtype: str
        """
        self.ensure_one()
        return f"/my/subscriptions/{self.id}{path}?access_token={self._portal_ensure_token()}{query_string}"

    def _has_next_invoice(self):
        """Tell whether a subscription will be invoiced once more, as far as anybody knows today.

        :rtype: bool
        """
        self.ensure_one()
        if self.subscription_state != "progress" or not self.next_invoice_date:
            return False
        return not self.end_date or self.next_invoice_date < self.end_date

    def _get_next_invoice_amount(self):
        """Return what the next invoice amounts to, with taxes, or False if a down payment is to be taken off it.

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
        """Return what a whole period costs, with taxes.

        :rtype: float
        """
        self.ensure_one()
        return sum(line.price_total for line in self.order_line if line.is_recurring)

    def _get_portal_summary(self):
        """Return what a subscription is about, in a line: its recurring products.

        :rtype: str
        """
        self.ensure_one()
        lines = self.order_line.filtered("is_recurring")
        return ", ".join(line.name.partition("\n")[0] for line in lines)

    def _get_portal_invoice_to_pay(self):
        """Return the oldest invoice of a subscription that its customer can pay online at this moment.

        :rtype: account.move
        """
        self.ensure_one()
        if self.payment_exception:
            return self.env["account.move"]
        # The page shows the invoices of the order anyway: those of its periods are not read once more.
        unpaid = self.invoice_ids.filtered(lambda invoice: invoice.state == "posted").sorted("invoice_date_due")
        payable = (invoice for invoice in unpaid if invoice._has_to_be_paid() and not invoice._has_payment_under_way())
        return next(payable, unpaid.browse())

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
        if not self._is_running():
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
        staff = self.with_context(lang=self.user_id.filtered("active").lang or self.company_id.partner_id.lang)
        self._track_set_log_message(staff.env._("The customer changed the payment method in the portal."))
        self.payment_token_id = token
        self._get_declined_periods().retry_date = self.company_id._get_subscription_today()

    def _get_declined_periods(self):
        """Return the periods that are still to be paid because their payment was declined, the oldest first.

        :rtype: sale.subscription.period
        """
        self.ensure_one()
        declined = self.period_ids.filtered(lambda period: period.charge_state == "declined")
        return declined.filtered(lambda period: period.status == "declined" and period._get_open_invoice()).sorted(
            "date_start"
        )

    def _get_portal_declined_periods(self):
        """Return the declined periods that the customer is asked to pay: none while a payment of it is under way.

        :rtype: sale.subscription.period
        """
        self.ensure_one()
        periods = self.browse().period_ids if self.payment_exception else self._get_declined_periods()
        return periods.filtered(lambda period: not period._get_open_invoice()._has_payment_under_way())

    def _get_portal_payment_refusal(self):
        """Return why the stored payment method cannot be charged any more, as far as its customer can tell, or False.

        :rtype: str | bool
        """
        self.ensure_one()
        token = self.payment_token_id
        # Odoo archives the payment methods of a provider that is disabled: it need not be read.
        if token and (not token.active or token.subscription_valid_until):
            return token._get_charge_refusal(self)
        return False

    def _is_payment_under_way(self):
        """Tell whether a payment of a subscription has begun whose outcome is not known yet.

        :rtype: bool
        """
        self.ensure_one()
        if self.payment_exception:
            return True
        # What was charged and paid, as nearly all was, is told by this field alone: no invoice is read for it.
        charges = self.period_ids.filtered(lambda period: period.charge_state in ("unknown", "pending"))
        if any(period.status not in ("paid", "cancelled") for period in charges):
            return True
        unpaid = self.invoice_ids.filtered(lambda invoice: invoice.payment_state in ("not_paid", "partial"))
        return any(invoice._has_payment_under_way() for invoice in unpaid)

    def _send_customer_receipt(self, template_xml_id, user):
        """Write to the customer, and to whoever of the customer's company did it, what was done.

        :param str template_xml_id: external id of a `mail.template`
        :param user: the `res.users` who did it
        """
        self.ensure_one()
        doer = user.partner_id if self._is_customer(user) else self.partner_id
        # Odoo writes to nobody what they have done themselves, but a receipt is for exactly that.
        order = self.with_user(SUPERUSER_ID)
        order._send_subscription_mail(template_xml_id, partners=self.partner_id | doer)

    def _with_customer(self, user):
        """Return the subscription as whoever acts in the portal, whose right to do so was checked before."""
        return self.with_user(user).sudo().with_company(self.company_id)

    def _with_staff_lang(self):
        """Return the subscription in the language of those who read its chatter."""
        return self.with_context(lang=self.user_id.filtered("active").lang or self.company_id.partner_id.lang)

    def _get_portal_author(self, user):
        """Return who does something in the portal: whoever has the link without logging in is taken for the customer.

        :rtype: res.partner
        """
        return self.partner_id if user._is_public() else user.partner_id

    def _format_moment(self, moment):
        """Return a moment as a receipt names it: with the time zone of the company.

        :param datetime moment: in UTC
        :rtype: str
        """
        self.ensure_one()
        zone = self.company_id._get_subscription_zone()
        return f"{format_datetime(self.env, moment, tz=zone)} ({zone})"

    def _get_payment_method_url(self):
        """Return the address of the portal page where the customer changes the payment method.

        :rtype: str
        """
        self.ensure_one()
        return self.get_portal_url(suffix="/payment-method")
