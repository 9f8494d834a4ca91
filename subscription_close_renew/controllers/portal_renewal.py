from odoo.http import request, route

from .portal_closing import SubscriptionClosingPortal


class SubscriptionRenewalPortal(SubscriptionClosingPortal):
    """A customer renews a subscription, or refuses that it is renewed automatically."""

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
            status = 409 if order_sudo._has_ended() else 403
            return self._render_refusal(refusal, back_url=order_sudo._get_subscription_url(), status=status)
        # The account or the link of whoever asks opens the order, and the plan lets its customers renew.
        renewal_sudo = order_sudo._renew_as_customer(request.env.user)
        return request.redirect(renewal_sudo.get_portal_url())

    @route("/my/subscriptions/<int:order_id>/not-renewing", type="http", auth="public", methods=["GET"], website=True)
    def portal_subscription_not_renewing(self, order_id, access_token=None, **kwargs):
        """Show the form that refuses the automatic renewal of a subscription.

        :param int order_id: the subscription, as a `sale.order` id
        :param str access_token: what opens the order for whoever has no rights on it
        :return: the page, a page that refuses, or the way to the login
        """
        if request.env.user._is_public() and not access_token:
            return self._redirect_to_login()
        order_sudo = self._get_order_sudo(order_id, access_token)
        refused = self._refuse_not_renewing(order_sudo)
        if refused:
            return refused
        values = {
            "page_name": "subscription_not_renewing",
            "sale_order": order_sudo,
            "res_company": order_sudo.company_id,
        }
        return request.render("subscription_close_renew.portal_not_renewing", values)

    @route("/my/subscriptions/<int:order_id>/do-not-renew", type="http", auth="public", methods=["POST"], website=True)
    def portal_subscription_do_not_renew(self, order_id, access_token=None, **kwargs):
        """Let a subscription end with its term that was to be renewed automatically.

        :param int order_id: the subscription, as a `sale.order` id
        :param str access_token: what opens the order for whoever has no rights on it
        :return: the way back to the subscription, or a page that refuses
        """
        order_sudo = self._get_order_sudo(order_id, access_token)
        refused = self._refuse_not_renewing(order_sudo) or self._refuse_preview(order_sudo)
        if refused:
            return refused
        # The account or the link of whoever asks opens the order, and there is a renewal that they may refuse.
        order_sudo._refuse_renewal_as_customer(request.env.user)
        return request.redirect(order_sudo._get_subscription_url(query_string="&message=subscription_not_renewed"))

    def _refuse_not_renewing(self, order_sudo):
        """Return the page that says why the automatic renewal of a subscription cannot be refused, or None.

        :param order_sudo: the subscription in sudo mode; empty, if whoever asks may not see it
        """
        if not order_sudo:
            return self._render_no_access()
        refusal = order_sudo._get_portal_refuse_refusal()
        if not refusal:
            return None
        return self._render_refusal(refusal, back_url=order_sudo._get_subscription_url(), status=409)
