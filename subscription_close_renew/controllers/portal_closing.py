from odoo.http import request, route

from .portal import SubscriptionPortal


class SubscriptionClosingPortal(SubscriptionPortal):
    """A customer closes a subscription, and changes their mind."""

    @route("/my/subscriptions/<int:order_id>/closing", type="http", auth="public", methods=["GET"], website=True)
    def portal_subscription_closing(self, order_id, access_token=None, **kwargs):
        """Show the form that closes a subscription, as a page of its own.

        :param int order_id: the subscription, as a `sale.order` id
        :param str access_token: what opens the order for whoever has no rights on it
        :return: the page, a page that refuses, or the way to the login
        """
        if request.env.user._is_public() and not access_token:
            return self._redirect_to_login()
        order_sudo = self._get_order_sudo(order_id, access_token)
        return self._refuse_closing(order_sudo) or self._render_closing(order_sudo)

    @route("/my/subscriptions/<int:order_id>/close", type="http", auth="public", methods=["POST"], website=True)
    def portal_subscription_close(self, order_id, reason_id=None, access_token=None, **kwargs):
        """Close a subscription as its customer wishes.

        :param int order_id: the subscription, as a `sale.order` id
        :param str reason_id: why, as a `sale.order.close.reason` id
        :param str access_token: what opens the order for whoever has no rights on it
        :return: the way back to the subscription, or a page that refuses
        """
        order_sudo = self._get_order_sudo(order_id, access_token)
        refusal = self._refuse_closing(order_sudo) or self._refuse_preview(order_sudo)
        if refusal:
            return refusal
        reason_id = self._cast_as_int(reason_id)
        if reason_id not in order_sudo._get_portal_close_reasons().ids:
            error = request.env._("Please choose a reason from the list. Nothing was changed.")
            return self._render_closing(order_sudo, error=error, status=400)
        # The account or the link of whoever asks opens the order, and _refuse_closing checked what may be done.
        order_sudo._close_as_customer(reason_id, request.env.user)
        return request.redirect(order_sudo._get_subscription_url(query_string="&message=subscription_closed"))

    @route("/my/subscriptions/<int:order_id>/keep", type="http", auth="public", methods=["POST"], website=True)
    def portal_subscription_keep(self, order_id, access_token=None, **kwargs):
        """Undo a planned close as the customer wishes, who asked for it before.

        :param int order_id: the subscription, as a `sale.order` id
        :param str access_token: what opens the order for whoever has no rights on it
        :return: the way back to the subscription, or a page that refuses
        """
        order_sudo = self._get_order_sudo(order_id, access_token)
        if not order_sudo:
            return self._render_no_access()
        refused = self._refuse_preview(order_sudo)
        if refused:
            return refused
        refusal = order_sudo._get_portal_keep_refusal()
        if refusal:
            return self._render_refusal(refusal, back_url=order_sudo._get_subscription_url(), status=409)
        if order_sudo._is_kept_too_often():
            message = request.env._(
                "You have changed your mind about closing %(order)s several times today. Please try again tomorrow, or "
                "contact us.",
                order=order_sudo.name,
            )
            return self._render_refusal(message, back_url=order_sudo._get_subscription_url(), status=429)
        # The account or the link of whoever asks opens the order, and there is a close that they may undo.
        order_sudo._keep_as_customer(request.env.user)
        return request.redirect(order_sudo._get_subscription_url(query_string="&message=subscription_kept"))

    def _refuse_closing(self, order_sudo):
        """Return the page that says why a subscription cannot be closed, or None.

        :param order_sudo: the subscription in sudo mode; empty, if whoever asks may not see it
        """
        if not order_sudo:
            return self._render_no_access()
        refusal = order_sudo._get_portal_close_refusal()
        if not refusal:
            return None
        done = order_sudo.is_closing or order_sudo._has_ended()
        return self._render_refusal(refusal, back_url=order_sudo._get_subscription_url(), status=409 if done else 403)

    def _refuse_preview(self, order_sudo):
        """Return the page that refuses what only the customer does, or None.

        :param order_sudo: the subscription in sudo mode
        """
        if not order_sudo._is_portal_preview(request.env.user):
            return None
        message = request.env._(
            "This is a preview of what the customer sees: only the customer can do that here. Use the buttons at the top "
            "of the order instead."
        )
        return self._render_refusal(message, back_url=order_sudo._get_subscription_url())

    def _render_closing(self, order_sudo, error=None, status=200):
        """Return the page with the form that closes a subscription.

        :param order_sudo: the subscription, in sudo mode
        :param str error: what was wrong with the choice
        :param int status: the HTTP status
        """
        values = {
            "page_name": "subscription_closing",
            "sale_order": order_sudo,
            "error": error,
            "res_company": order_sudo.company_id,
        }
        return request.render("subscription_close_renew.portal_closing", values, status=status)
