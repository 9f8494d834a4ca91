from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import format_date

# How many times a day a customer can get a new renewal quotation after declining one: each time notifies staff.
RENEWALS_PER_DAY = 3


class SaleOrder(models.Model):
    """Customers renew their subscription in the portal, or refuse its automatic renewal."""

    _inherit = "sale.order"

    def _has_portal_renew_button(self):
        """Return whether the page of a subscription has a renew button; if used too early, it says what is missing.

        :rtype: bool
        """
        self.ensure_one()
        return self.subscription_state == "progress" and self.plan_id.user_renewable

    def _get_portal_renew_refusal(self):
        """Return the reason why the customer cannot renew in the portal and what to do instead, or False.

        :rtype: str | bool
        """
        self.ensure_one()
        renewal = self._get_open_renewals()
        refusal = renewal._get_renewed_customer_refusal() if renewal else self._get_renew_refusal()
        state_refusal = self._get_state_refusal("renew_in_portal")
        if self._has_ended():
            return state_refusal
        if not self.plan_id.user_renewable or (not renewal and self._is_renewed_too_often()):
            return self.env._(
                "%(order)s can't be renewed online. Please contact us and we will renew it for you.",
                order=self.name,
            )
        if not refusal:
            return False
        if state_refusal:
            return state_refusal
        if self.payment_exception:
            return self.env._(
                "A payment for %(order)s is being processed. Please try again once its outcome is known.",
                order=self.name,
            )
        if self.state == "sale" and self._get_first_payment_refusal():
            return self.env._(
                "The first period of %(order)s hasn't been paid yet. Please pay its invoice, then you can renew.",
                order=self.name,
            )
        return refusal

    @api.model
    def _get_state_refusals(self, action):
        refusals = super()._get_state_refusals(action)
        if action == "renew_in_portal":
            ended = self.env._("%(order)s has ended, so it can't be renewed. Please contact us for a new subscription.")
            refusals |= dict.fromkeys(self._get_ended_states(), ended)
            refusals["paused"] = self.env._(
                "%(order)s is paused. Please contact us to resume it, then it can be renewed."
            )
        return refusals

    def _is_renewed_too_often(self):
        """Return whether several renewal quotations of a subscription were created within a day.

        :rtype: bool
        """
        self.ensure_one()
        # sudo: the quotations may belong to other users; the controller has checked the access, and they are only counted.
        since = self.env.cr.now() - timedelta(days=1)
        made = self.sudo().renewal_ids.filtered(lambda order: order.create_date > since)
        return len(made) >= RENEWALS_PER_DAY

    def _get_portal_announced_subscription(self):
        """Return the subscription whose announced renewal the customer can refuse on the page of an order.

        :return: the order itself or the order that it renews; empty if no automatic renewal is announced
        :rtype: sale.order
        """
        self.ensure_one()
        order = self.subscription_id if self.subscription_state == "renewal" else self
        # A link to one order must not reveal the other to a different customer.
        same_customer = order.partner_id.commercial_partner_id == self.partner_id.commercial_partner_id
        return order if same_customer and not order._get_portal_refuse_refusal() else order.browse()

    def _get_portal_refuse_refusal(self):
        """Return the reason why the customer cannot refuse the automatic renewal, or False.

        :rtype: str | bool
        """
        self.ensure_one()
        if not self._is_renewal_announced() or self.is_closing:
            return self.env._(
                "%(order)s isn't about to renew automatically, so there is nothing to stop.", order=self.name
            )
        if any(transaction._is_under_way() for transaction in self._get_open_renewals().transaction_ids):
            return self.env._(
                "A payment for %(order)s is being processed. Please try again once its outcome is known.",
                order=self.name,
            )
        return False

    def _get_portal_announcement(self):
        """Return the sentence that announces the automatic renewal to the customer.

        :rtype: str
        """
        self.ensure_one()
        return self.env._(
            "%(order)s will be renewed automatically on %(date)s.",
            order=self.name,
            date=format_date(self.env, max(self.auto_renew_on, self.end_date)),
        )

    def _get_portal_refused_notice(self):
        """Return the sentence that confirms to the customer that the subscription will not be renewed.

        :rtype: str
        """
        self.ensure_one()
        today = self.company_id._get_subscription_today()
        return self.env._(
            "Your subscription %(order)s won't be renewed. It ends on %(date)s.",
            order=self.name,
            date=format_date(self.env, max(self.end_date, today)),
        )

    def _refuse_renewal_as_customer(self, user):
        """Close a subscription at the end of its term at the request of its customer, and send a receipt.

        :param user: the `res.users` who requests it, as for :meth:`_close_as_customer`
        :raises UserError: if no automatic renewal is announced
        """
        self.ensure_one()
        self._lock_for_renewal()
        if refusal := self._get_portal_refuse_refusal():
            raise UserError(refusal)
        order = self._with_customer(user)
        renewals = order.renewal_ids.filtered(lambda renewal: renewal.state in ("draft", "sent"))
        (order | renewals)._track_set_author(self._get_portal_author(user))
        # Staff read the chatter in their language.
        order._refuse_automatic_renewal(
            self._with_staff_lang().env._(
                "The customer refused the automatic renewal in the portal. The subscription will close at the end of its "
                "term."
            )
        )
        # Cancelled last: without an announced renewal, this no longer counts as declining one.
        renewals._action_cancel()
        order._send_customer_receipt("subscription_close_renew.mail_template_not_renewed", user)

    def _get_receipt_time(self):
        """Return the current date and time, for a receipt.

        :rtype: str
        """
        self.ensure_one()
        return self._format_moment(fields.Datetime.now())

    def _get_portal_renewal_notice(self):
        """Return a sentence that says what the customer accepts with a renewal quotation, or False.

        :rtype: str | bool
        """
        self.ensure_one()
        if self.subscription_state != "renewal" or not self.subscription_id:
            return False
        return self.env._(
            "This quotation renews your subscription %(order)s from %(date)s, with the plan %(plan)s.",
            order=self.subscription_id.name,
            date=format_date(self.env, self.start_date),
            plan=self.plan_id.name,
        )

    def _renew_as_customer(self, user):
        """Create the renewal quotation at the request of the customer, or return the open one.

        :param user: the `res.users` who requests it, as for :meth:`_close_as_customer`
        :return: the quotation, in sudo mode
        :rtype: sale.order
        :raises UserError: if the customer cannot renew it
        """
        self.ensure_one()
        if refusal := self._get_portal_renew_refusal():
            raise UserError(refusal)
        found = self._get_open_renewals()
        order = self._with_customer(user)
        renewal = order.browse(order.subscription_renew())
        if renewal not in found:
            renewal.action_quotation_sent()
            renewal.message_post(
                author_id=self._get_portal_author(user).id,
                body=self._with_staff_lang().env._("The customer asked for this renewal in the portal."),
            )
        return renewal
