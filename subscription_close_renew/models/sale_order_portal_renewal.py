from odoo import models
from odoo.exceptions import UserError
from odoo.tools import format_date

from .sale_order import ENDED_STATES


class SaleOrder(models.Model):
    """Customers renew their subscription by themselves."""

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
        values = {"order": self.name}
        refusal = False if self._get_open_renewals() else self._get_renew_refusal()
        if self.plan_id and self.subscription_state in ENDED_STATES:
            return self.env._(
                "%(order)s has ended, so it cannot be renewed. Please contact us for a new one.", **values
            )
        if not self.plan_id.user_renewable:
            return self.env._(
                "%(order)s cannot be renewed in the portal. Please contact us, and we renew it for you.", **values
            )
        if not refusal:
            return False
        if self.subscription_state == "paused":
            return self.env._("%(order)s is paused. Please contact us: once it goes on, it can be renewed.", **values)
        if self.payment_exception:
            return self.env._(
                "A payment of %(order)s is being processed. Please try again when its outcome is known.", **values
            )
        if self.state == "sale" and self._get_first_payment_refusal():
            return self.env._(
                "The first period of %(order)s is not paid yet. Please pay its invoice: then you can renew.", **values
            )
        return refusal

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
