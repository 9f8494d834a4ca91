from odoo.http import request, route

from ..models.sale_order import ENDED_STATES
from .portal_closing import SubscriptionClosingPortal


class SubscriptionRenewalPortal(SubscriptionClosingPortal):
    """A customer renews a subscription."""

    @route("/my/subscriptions/<int:order_id>/renew", type="http", auth="public", methods=["POST"], website=True)
    def portal_subscription_renew(self, order_id, access_token=None, **kwargs):
        """Open the quotation that renews a subscription to be signed and paid: made now, or found.

        :param int order_id: the subscription, as a `sale.order` id
        :param str access_token: what opens the order for whoever has no rights on it
        :return: the way to the quotation, or a page that refuses
        """
        order_sudo = self._get_order_sudo(order_id, access_token)
        if not order_sudo:
            return self._render_no_access()
        refused = self._refuse_preview(order_sudo)
        if refused:
            return refused
        refusal = order_sudo._get_portal_renew_refusal()
        if refusal:
            status = 409 if order_sudo.subscription_state in ENDED_STATES else 403
            return self._render_refusal(refusal, back_url=order_sudo._get_subscription_url(), status=status)
        # The account or the link of whoever asks opens the order, and the plan lets its customers renew.
        renewal_sudo = order_sudo._renew_as_customer(request.env.user)
        return request.redirect(renewal_sudo.get_portal_url())
