from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import format_date

# How often in a day a customer gets a new renewal quotation after declining the last: staff are notified of each.
RENEWALS_PER_DAY = 3


class SaleOrder(models.Model):
    """Customers renew their subscription by themselves, or refuse that it is renewed automatically."""

    _inherit = "sale.order"

    def _has_portal_renew_button(self):
        """Tell whether the page of a subscription offers to renew it; pressed too early, the button says what is missing.

        :rtype: bool
        """
        self.ensure_one()
        return self.subscription_state == "progress" and self.plan_id.user_renewable

    def _get_portal_renew_refusal(self):
        """Return why the customer cannot renew a subscription in the portal, and what to do; or False.

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
                "%(order)s cannot be renewed in the portal. Please contact us, and we renew it for you.",
                order=self.name,
            )
        if not refusal:
            return False
        if state_refusal:
            return state_refusal
        if self.payment_exception:
            return self.env._(
                "A payment of %(order)s is being processed. Please try again when its outcome is known.",
                order=self.name,
            )
        if self.state == "sale" and self._get_first_payment_refusal():
            return self.env._(
                "The first period of %(order)s is not paid yet. Please pay its invoice: then you can renew.",
                order=self.name,
            )
        return refusal

    @api.model
    def _get_state_refusals(self, action):
        refusals = super()._get_state_refusals(action)
        if action == "renew_in_portal":
            ended = self.env._("%(order)s has ended, so it cannot be renewed. Please contact us for a new one.")
            refusals |= dict.fromkeys(self._get_ended_states(), ended)
            refusals["paused"] = self.env._(
                "%(order)s is paused. Please contact us: once it goes on, it can be renewed."
            )
        return refusals

    def _is_renewed_too_often(self):
        """Tell whether several renewal quotations of a subscription were made within a day.

        :rtype: bool
        """
        self.ensure_one()
        # Who made them, and may read them, does not matter: they are only counted.
        since = self.env.cr.now() - timedelta(days=1)
        made = self.sudo().renewal_ids.filtered(lambda order: order.create_date > since)
        return len(made) >= RENEWALS_PER_DAY

    def _get_portal_announced_subscription(self):
        """Return the subscription whose automatic renewal the customer can refuse on the page of an order.

        :return: the order itself, or the one that it renews; nothing if no automatic renewal of it is announced
        :rtype: sale.order
        """
        self.ensure_one()
        order = self.subscription_id if self.subscription_state == "renewal" else self
        # A link to the one order is not to give away the other to somebody else.
        same_customer = order.partner_id.commercial_partner_id == self.partner_id.commercial_partner_id
        return order if same_customer and not order._get_portal_refuse_refusal() else order.browse()

    def _get_portal_refuse_refusal(self):
        """Return why the customer cannot refuse the automatic renewal of a subscription, or False.

        :rtype: str | bool
        """
        self.ensure_one()
        if not self._is_renewal_announced() or self.is_closing:
            return self.env._(
                "%(order)s is not about to be renewed automatically, so there is nothing to stop.", order=self.name
            )
        if any(transaction._is_under_way() for transaction in self._get_open_renewals().transaction_ids):
            return self.env._(
                "A payment of %(order)s is being processed. Please try again when its outcome is known.",
                order=self.name,
            )
        return False

    def _get_portal_announcement(self):
        """Return, in words, what happens to a subscription unless its customer refuses the automatic renewal.

        :rtype: str
        """
        self.ensure_one()
        return self.env._(
            "%(order)s will be renewed automatically on %(date)s.",
            order=self.name,
            date=format_date(self.env, max(self.auto_renew_on, self.end_date)),
        )

    def _get_portal_refused_notice(self):
        """Return, in words, what becomes of a subscription that is not renewed automatically.

        :rtype: str
        """
        self.ensure_one()
        today = self.company_id._get_subscription_today()
        return self.env._(
            "Your subscription %(order)s will not be renewed. It ends on %(date)s.",
            order=self.name,
            date=format_date(self.env, max(self.end_date, today)),
        )

    def _refuse_renewal_as_customer(self, user):
        """Let a subscription end with its term as its customer wishes, and send a receipt.

        :param user: the `res.users` who asks for it, as for :meth:`_close_as_customer`
        :raises UserError: if no automatic renewal of it is announced
        """
        self.ensure_one()
        self._lock_for_renewal()
        if refusal := self._get_portal_refuse_refusal():
            raise UserError(refusal)
        order = self._with_customer(user)
        renewals = order.renewal_ids.filtered(lambda renewal: renewal.state in ("draft", "sent"))
        (order | renewals)._track_set_author(self._get_portal_author(user))
        # Staff read the chatter, in their language.
        order._refuse_automatic_renewal(
            self._with_staff_lang().env._(
                "The customer refused the automatic renewal in the portal: the subscription closes at the end of its term."
            )
        )
        # Once the subscription ends with its term, they decline nothing more.
        renewals._action_cancel()
        order._send_customer_receipt("subscription_close_renew.mail_template_not_renewed", user)

    def _get_receipt_time(self):
        """Return the present moment, for a receipt.

        :rtype: str
        """
        self.ensure_one()
        return self._format_moment(fields.Datetime.now())

    def _get_portal_renewal_notice(self):
        """Return, in words, what the customer accepts with a renewal quotation, or False.

        :rtype: str | bool
        """
        self.ensure_one()
        if self.subscription_state != "renewal" or not self.subscription_id:
            return False
        return self.env._(
            "This quotation renews your subscription %(order)s from %(date)s on, with the plan %(plan)s.",
            order=self.subscription_id.name,
            date=format_date(self.env, self.start_date),
            plan=self.plan_id.name,
        )

    def _renew_as_customer(self, user):
        """Make the quotation that renews a subscription as its customer wishes, or find the one that is open.

        :param user: the `res.users` who asks for it, as for :meth:`_close_as_customer`
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
