from math import isfinite
from urllib.parse import urlencode

from odoo.exceptions import AccessError, MissingError
from odoo.http import request, route

from odoo.addons.sale.controllers.portal import CustomerPortal

# What only a form may do to a subscription, by the last part of its address.
FORMS = ("close", "keep", "renew", "do-not-renew")


class SubscriptionPortal(CustomerPortal):
    @route("/my/orders/<int:order_id>/payment-method", type="http", auth="public", methods=["GET"], website=True)
    def portal_order_payment_method(self, order_id, access_token=None, **kwargs):
        """Show the stored payment methods that the customer can choose from for a subscription.

        :param int order_id: the subscription, as a `sale.order` id
        :param str access_token: what opens the order for whoever has no rights on it
        :return: the page, a page that refuses, or the way to the login
        """
        order_sudo, answer = self._open_payment_method(order_id, access_token)
        return answer or self._render_payment_method(order_sudo)

    @route("/my/orders/<int:order_id>/payment-method", type="http", auth="public", methods=["POST"], website=True)
    def portal_order_use_payment_method(self, order_id, token_id=None, access_token=None, **kwargs):
        """Charge a subscription to another stored payment method of the customer from now on.

        :param int order_id: the subscription, as a `sale.order` id
        :param str token_id: the payment method, as a `payment.token` id
        :param str access_token: what opens the order for whoever has no rights on it
        :return: the way back to the order, or a page that refuses
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
        # _open_payment_method checked that it is the customer who asks, and the list has only their payment methods.
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
        """Refuse to do by merely opening an address what only a form may do.

        :param int order_id: the subscription, as a `sale.order` id
        :param str access_token: what opens the order for whoever has no rights on it
        :return: a page that refuses
        """
        order_sudo = self._get_order_sudo(order_id, access_token)
        if not order_sudo:
            return self._render_no_access()
        message = request.env._("Nothing was changed: opening a link is not enough for that. Please use the button.")
        response = self._render_refusal(message, back_url=order_sudo._get_subscription_url(), status=405)
        response.headers["Allow"] = "POST"
        return response

    def _open_payment_method(self, order_id, access_token):
        """Check that the payment method of an order may be seen and changed by whoever asks.

        :param int order_id: a `sale.order` id
        :param str access_token: what opens the order for whoever has no rights on it
        :return: the order in sudo mode and None; or None and what to answer instead
        :rtype: tuple
        """
        if request.env.user._is_public():
            return None, self._redirect_to_login()
        order_sudo = self._get_order_sudo(order_id, access_token)
        if not order_sudo:
            return None, self._render_no_access()
        refusal = order_sudo._get_payment_method_refusal(request.env.user)
        if refusal:
            return None, self._render_refusal(refusal, back_url=order_sudo.get_portal_url())
        return order_sudo, None

    def _get_order_sudo(self, order_id, access_token):
        """Return an order that whoever asks may see, because of their account or of the link that they have.

        :param int order_id: a `sale.order` id, as anybody may type it in
        :param str access_token: what opens the order for whoever has no rights on it
        :return: the order in sudo mode, or an empty recordset
        :rtype: sale.order
        """
        try:
            return self._document_check_access("sale.order", order_id, access_token=access_token)
        except (AccessError, MissingError):
            return request.env["sale.order"]

    @staticmethod
    def _cast_as_float(str_value):
        # Odoo fails on what is a number for Python, and no amount of money.
        value = CustomerPortal._cast_as_float(str_value)
        return None if value is None or not isfinite(value) else value

    def _document_check_access(self, model_name, document_id, access_token=None):
        if model_name == "sale.order":
            # Odoo fails on numbers and tokens that cannot be those of an order.
            if not 0 < document_id < 2**31:
                raise MissingError(request.env._("This order does not exist."))
            if not isinstance(access_token, str) or not access_token.isascii():
                access_token = None
        return super()._document_check_access(model_name, document_id, access_token=access_token)

    def _render_no_access(self):
        """Return the page for an order that does not exist, or is not open to whoever asks: nobody learns which."""
        return self._render_refusal(
            request.env._(
                "This order does not exist, or is not open to your account. Please log in with the account of the "
                "customer, or use the link in our latest email."
            )
        )

    def _redirect_to_login(self):
        """Return the way to the login, and back here afterwards."""
        return request.redirect(f"/web/login?{urlencode({'redirect': request.httprequest.full_path})}")

    def _render_refusal(self, message, back_url="/my", status=403):
        """Return a page that says why something is refused.

        :param str message: why, for the customer
        :param str back_url: where to go from there
        :param int status: the HTTP status
        """
        values = {"page_name": "subscription_refusal", "message": message, "back_url": back_url}
        return request.render("subscription_close_renew.portal_refusal", values, status=status)

    def _render_payment_method(self, order_sudo, error=None, status=200):
        """Return the page on which the customer chooses the payment method of a subscription.

        :param order_sudo: the subscription, in sudo mode
        :param str error: what was wrong with the choice
        :param int status: the HTTP status
        """
        values = self._prepare_payment_method_values(order_sudo) | {"error": error}
        return request.render("subscription_close_renew.portal_payment_method", values, status=status)

    def _prepare_payment_method_values(self, order_sudo):
        """Return what the page shows on which the customer chooses the payment method of a subscription.

        :param order_sudo: the subscription, in sudo mode
        :rtype: dict
        """
        return {
            "page_name": "subscription_payment_method",
            "sale_order": order_sudo,
            "tokens_sudo": order_sudo._get_usable_payment_tokens(request.env.user),
            "res_company": order_sudo.company_id,
        }
