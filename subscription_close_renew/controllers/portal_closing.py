from odoo.http import request, route

from .portal import SubscriptionPortal


class SubscriptionClosingPortal(SubscriptionPortal):
    """Customers close a subscription, or keep one that is scheduled to close."""

    @route("/my/subscriptions/<int:order_id>/closing", type="http", auth="public", methods=["GET"], website=True)
    def portal_subscription_closing(self, order_id, access_token=None, **kwargs):
        """Show the form that closes a subscription on a separate page.

        :param int order_id: id of the subscription, a `sale.order`
        :param str access_token: token of a link to the order, for users without access to it
        :return: the page, a refusal page, or a redirect to the login
        """
        if request.env.user._is_public() and not access_token:
            return self._redirect_to_login()
        order_sudo, answer = self._open_order(order_id, access_token, self._refuse_closing)
        return answer or self._render_closing(order_sudo)

    @route("/my/subscriptions/<int:order_id>/close", type="http", auth="public", methods=["POST"], website=True)
    def portal_subscription_close(self, order_id, reason_id=None, access_token=None, **kwargs):
        """Close a subscription at the request of its customer.

        :param int order_id: id of the subscription, a `sale.order`
        :param str reason_id: id of the `sale.order.close.reason`
        :param str access_token: token of a link to the order, for users without access to it
        :return: a redirect to the subscription, or a refusal page
        """
        order_sudo, answer = self._open_order(order_id, access_token, self._refuse_closing, self._refuse_preview)
        if answer:
            return answer
        reason_id = self._cast_as_int(reason_id)
        if reason_id not in order_sudo._get_portal_close_reasons().ids:
            error = request.env._("Please choose a reason from the list. Nothing was changed.")
            return self._render_closing(order_sudo, error=error, status=400)
        # sudo: the account or link gives access to the order; _refuse_closing has checked the close.
        order_sudo._close_as_customer(reason_id, request.env.user)
        return request.redirect(order_sudo._get_subscription_url(query_string="&message=subscription_closed"))

    @route("/my/subscriptions/<int:order_id>/keep", type="http", auth="public", methods=["POST"], website=True)
    def portal_subscription_keep(self, order_id, access_token=None, **kwargs):
        """Undo a scheduled close at the request of the customer.

        :param int order_id: id of the subscription, a `sale.order`
        :param str access_token: token of a link to the order, for users without access to it
        :return: a redirect to the subscription, or a refusal page
        """
        order_sudo, answer = self._open_order(order_id, access_token, self._refuse_preview, self._refuse_keeping)
        if answer:
            return answer
        # sudo: the account or link gives access to the order; _refuse_keeping has checked that the close can be undone.
        order_sudo._keep_as_customer(request.env.user)
        return request.redirect(order_sudo._get_subscription_url(query_string="&message=subscription_kept"))

    def _refuse_closing(self, order_sudo):
        """Return the page that gives the reason why a subscription cannot be closed, or None.

        :param order_sudo: the subscription, in sudo mode
        """
        done = order_sudo.is_closing or order_sudo._has_ended()
        return self._refuse(order_sudo, order_sudo._get_portal_close_refusal(), status=409 if done else 403)

    def _refuse_keeping(self, order_sudo):
        """Return the page that gives the reason why a close cannot be undone, or None.

        :param order_sudo: the subscription, in sudo mode
        """
        if refusal := order_sudo._get_portal_keep_refusal():
            return self._refuse(order_sudo, refusal, status=409)
        if not order_sudo._is_kept_too_often():
            return None
        message = request.env._(
            "You have changed your mind about closing %(order)s several times today. Please try again tomorrow or "
            "contact us.",
            order=order_sudo.name,
        )
        return self._refuse(order_sudo, message, status=429)

    def _render_closing(self, order_sudo, error=None, status=200):
        """Return the page with the form that closes a subscription.

        :param order_sudo: the subscription, in sudo mode
        :param str error: message about an invalid choice
        :param int status: the HTTP status
        """
        values = {
            "page_name": "subscription_closing",
            "sale_order": order_sudo,
            "error": error,
            "res_company": order_sudo.company_id,
        }
        return request.render("subscription_close_renew.portal_closing", values, status=status)
