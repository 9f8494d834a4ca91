from odoo.http import request, route

from .portal import SubscriptionPortal


class SubscriptionRenewalPortal(SubscriptionPortal):
    """Customers renew a subscription, or refuse its automatic renewal."""

    @route("/my/subscriptions/<int:order_id>/renew", type="http", auth="public", methods=["POST"], website=True)
    def portal_subscription_renew(self, order_id, access_token=None, **kwargs):
        """Open the renewal quotation of a subscription to sign and pay it, and create it if there is none.

        :param int order_id: id of the subscription, a `sale.order`
        :param str access_token: token of a link to the order, for users without access to it
        :return: a redirect to the quotation, or a refusal page
        """
        order_sudo, answer = self._open_order(order_id, access_token, self._refuse_preview, self._refuse_renewing)
        if answer:
            return answer
        # sudo: the account or link gives access to the order; _refuse_renewing has checked that the plan allows it.
        renewal_sudo = order_sudo._renew_as_customer(request.env.user)
        return request.redirect(renewal_sudo.get_portal_url())

    @route("/my/subscriptions/<int:order_id>/not-renewing", type="http", auth="public", methods=["GET"], website=True)
    def portal_subscription_not_renewing(self, order_id, access_token=None, **kwargs):
        """Show the form that refuses the automatic renewal of a subscription.

        :param int order_id: id of the subscription, a `sale.order`
        :param str access_token: token of a link to the order, for users without access to it
        :return: the page, a refusal page, or a redirect to the login
        """
        if request.env.user._is_public() and not access_token:
            return self._redirect_to_login()
        order_sudo, answer = self._open_order(order_id, access_token, self._refuse_not_renewing)
        if answer:
            return answer
        values = {
            "page_name": "subscription_not_renewing",
            "sale_order": order_sudo,
            "res_company": order_sudo.company_id,
        }
        return request.render("subscription_close_renew.portal_not_renewing", values)

    @route("/my/subscriptions/<int:order_id>/do-not-renew", type="http", auth="public", methods=["POST"], website=True)
    def portal_subscription_do_not_renew(self, order_id, access_token=None, **kwargs):
        """Close a subscription at the end of its term instead of renewing it automatically.

        :param int order_id: id of the subscription, a `sale.order`
        :param str access_token: token of a link to the order, for users without access to it
        :return: a redirect to the subscription, or a refusal page
        """
        order_sudo, answer = self._open_order(order_id, access_token, self._refuse_not_renewing, self._refuse_preview)
        if answer:
            return answer
        # sudo: the account or link gives access to the order; _refuse_not_renewing has checked the announced renewal.
        order_sudo._refuse_renewal_as_customer(request.env.user)
        return request.redirect(order_sudo._get_subscription_url(query_string="&message=subscription_not_renewed"))

    def _refuse_renewing(self, order_sudo):
        """Return the page that gives the reason why a subscription cannot be renewed, or None.

        :param order_sudo: the subscription, in sudo mode
        """
        status = 409 if order_sudo._has_ended() else 403
        return self._refuse(order_sudo, order_sudo._get_portal_renew_refusal(), status=status)

    def _refuse_not_renewing(self, order_sudo):
        """Return the page that gives the reason why the automatic renewal cannot be refused, or None.

        :param order_sudo: the subscription, in sudo mode
        """
        return self._refuse(order_sudo, order_sudo._get_portal_refuse_refusal(), status=409)
