from math import isfinite
from urllib.parse import urlencode

from odoo.exceptions import AccessError, MissingError
from odoo.http import request, route

from odoo.addons.sale.controllers.portal import CustomerPortal

# Last parts of the URLs that change a subscription, and so accept a submitted form only.
FORMS = ("close", "keep", "renew", "do-not-renew")


class SubscriptionPortal(CustomerPortal):
    """What the portal pages of a subscription share, and the page that changes its payment method."""

    @route("/my/orders/<int:order_id>/payment-method", type="http", auth="public", methods=["GET"], website=True)
    def portal_order_payment_method(self, order_id, access_token=None, **kwargs):
        """Show the stored payment methods that the customer can choose for a subscription.

        :param int order_id: id of the subscription, a `sale.order`
        :param str access_token: token of a link to the order, for users without access to it
        :return: the page, a refusal page, or a redirect to the login
        """
        order_sudo, answer = self._open_payment_method(order_id, access_token)
        return answer or self._render_payment_method(order_sudo)

    @route("/my/orders/<int:order_id>/payment-method", type="http", auth="public", methods=["POST"], website=True)
    def portal_order_use_payment_method(self, order_id, token_id=None, access_token=None, **kwargs):
        """Charge a subscription to another stored payment method of the customer from now on.

        :param int order_id: id of the subscription, a `sale.order`
        :param str token_id: id of the payment method, a `payment.token`
        :param str access_token: token of a link to the order, for users without access to it
        :return: a redirect to the order, or a refusal page
        """
        order_sudo, answer = self._open_payment_method(order_id, access_token)
        if answer:
            return answer
        token_id = self._cast_as_int(token_id)
        tokens_sudo = order_sudo._get_usable_payment_tokens(request.env.user)
        token_sudo = tokens_sudo.filtered(lambda token: token.id == token_id)
        if not token_sudo:
            error = request.env._("Please choose one of your payment methods from the list. Nothing was changed.")
            return self._render_payment_method(order_sudo, error=error, status=400)
        # sudo: _open_payment_method has checked that the user is the customer; the list has only their payment methods.
        order_sudo.with_user(request.env.user).sudo()._use_payment_token(token_sudo)
        return request.redirect(order_sudo.get_portal_url(query_string="&message=payment_method_ok"))

    @route(
        [f"/my/subscriptions/<int:order_id>/{form}" for form in FORMS],
        type="http",
        auth="public",
        methods=["GET", "OPTIONS", "PUT", "PATCH", "DELETE"],
        csrf=False,
        website=True,
    )
    def portal_subscription_by_link(self, order_id, access_token=None, **kwargs):
        """Refuse to change a subscription when its URL is merely opened, without the form.

        :param int order_id: id of the subscription, a `sale.order`
        :param str access_token: token of a link to the order, for users without access to it
        :return: a refusal page
        """
        order_sudo, answer = self._open_order(order_id, access_token)
        if answer:
            return answer
        message = request.env._("Nothing was changed: opening a link isn't enough for that. Please use the button.")
        response = self._refuse(order_sudo, message, status=405)
        response.headers["Allow"] = "POST"
        return response

    def _open_order(self, order_id, access_token, *checks):
        """Return an order that the user may open, and the page that answers instead if a check refuses it.

        :param int order_id: id of a `sale.order`
        :param str access_token: token of a link to the order, for users without access to it
        :param checks: methods that take the order in sudo mode and return a refusal page or None, run in this order
        :return: the order in sudo mode, empty if it may not be opened; and the page that answers instead, or None
        :rtype: tuple
        """
        order_sudo = self._get_order_sudo(order_id, access_token)
        if not order_sudo:
            return order_sudo, self._render_no_access()
        return order_sudo, next(filter(None, (check(order_sudo) for check in checks)), None)

    def _open_payment_method(self, order_id, access_token):
        """Return an order whose payment method the user may see and change, or the page that answers instead.

        :param int order_id: id of a `sale.order`
        :param str access_token: token of a link to the order, for users without access to it
        :return: as for :meth:`_open_order`
        :rtype: tuple
        """
        if request.env.user._is_public():
            return request.env["sale.order"], self._redirect_to_login()
        return self._open_order(order_id, access_token, self._refuse_payment_method)

    def _get_order_sudo(self, order_id, access_token):
        """Return an order that the user may see, thanks to their account or to a link.

        :param int order_id: id of a `sale.order`, as entered in the URL
        :param str access_token: token of a link to the order, for users without access to it
        :return: the order in sudo mode, or an empty recordset
        :rtype: sale.order
        """
        try:
            return self._document_check_access("sale.order", order_id, access_token=access_token)
        except (AccessError, MissingError):
            return request.env["sale.order"]

    @staticmethod
    def _cast_as_float(str_value):
        # Odoo fails on values that Python accepts as numbers but that are no amounts, such as infinity.
        value = CustomerPortal._cast_as_float(str_value)
        return None if value is None or not isfinite(value) else value

    def _document_check_access(self, model_name, document_id, access_token=None):
        if model_name == "sale.order":
            # Odoo fails on ids and tokens that no order can have.
            if not 0 < document_id < 2**31:
                raise MissingError(request.env._("This order doesn't exist."))
            if not isinstance(access_token, str) or not access_token.isascii():
                access_token = None
        return super()._document_check_access(model_name, document_id, access_token=access_token)

    def _render_no_access(self):
        """Return the page for orders that do not exist or that the user may not see, without revealing which."""
        return self._render_refusal(
            request.env._(
                "This order doesn't exist, or your account doesn't have access to it. Please log in with the customer's "
                "account, or use the link in our latest email."
            )
        )

    def _redirect_to_login(self):
        """Return a redirect to the login, which leads back to this page."""
        return request.redirect(f"/web/login?{urlencode({'redirect': request.httprequest.full_path})}")

    def _render_refusal(self, message, back_url="/my", status=403):
        """Return a page that gives the reason why something is refused.

        :param str message: the reason, for the customer
        :param str back_url: target of the button Go back
        :param int status: the HTTP status
        """
        values = {"page_name": "subscription_refusal", "message": message, "back_url": back_url}
        return request.render("subscription_close_renew.portal_refusal", values, status=status)

    def _refuse(self, order_sudo, reason, status=403):
        """Return the page that gives the reason why something is refused and leads back, or None without a reason.

        :param order_sudo: the subscription, in sudo mode
        :param reason: the reason, for the customer; or False
        :param int status: the HTTP status
        """
        if not reason:
            return None
        return self._render_refusal(reason, back_url=order_sudo._get_subscription_url(), status=status)

    def _refuse_preview(self, order_sudo):
        """Return the page that refuses actions reserved for the customer, or None.

        :param order_sudo: the subscription, in sudo mode
        """
        if not order_sudo._is_portal_preview(request.env.user):
            return None
        message = request.env._(
            "This is a preview of what the customer sees: only the customer can do that here. Use the buttons at the top "
            "of the order instead."
        )
        return self._refuse(order_sudo, message)

    def _refuse_payment_method(self, order_sudo):
        """Return the page that gives the reason why the user cannot change the payment method, or None.

        :param order_sudo: the subscription, in sudo mode
        """
        refusal = order_sudo._get_payment_method_refusal(request.env.user)
        return self._render_refusal(refusal, back_url=order_sudo.get_portal_url()) if refusal else None

    def _render_payment_method(self, order_sudo, error=None, status=200):
        """Return the page on which the customer chooses the payment method.

        :param order_sudo: the subscription, in sudo mode
        :param str error: message about an invalid choice
        :param int status: the HTTP status
        """
        values = self._prepare_payment_method_values(order_sudo) | {"error": error}
        return request.render("subscription_close_renew.portal_payment_method", values, status=status)

    def _prepare_payment_method_values(self, order_sudo):
        """Return the values of the page on which the customer chooses the payment method.

        :param order_sudo: the subscription, in sudo mode
        :rtype: dict
        """
        return {
            "page_name": "subscription_payment_method",
            "sale_order": order_sudo,
            "tokens_sudo": order_sudo._get_usable_payment_tokens(request.env.user),
            "res_company": order_sudo.company_id,
        }
