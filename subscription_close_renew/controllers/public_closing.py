from werkzeug.exceptions import NotFound

from odoo.http import Controller, request, route

from ..models.portal.sale_subscription_close_request import PUBLIC_CLOSING_PATH


class PublicClosing(Controller):
    """The public page that closes subscriptions without a login; off unless a company enables it."""

    @route(PUBLIC_CLOSING_PATH, type="http", auth="public", methods=["GET"], website=True, sitemap=False)
    def public_closing(self, **kwargs):
        """Ask for the subscription to close and the email address of its order.

        :return: the page
        """
        return self._render(self._get_requests(), "form")

    @route(PUBLIC_CLOSING_PATH, type="http", auth="public", methods=["POST"], website=True, sitemap=False)
    def public_closing_ask(self, reference="", email="", **kwargs):
        """Request a link to the email address if it belongs to the order. The answer is the same if it does not.

        :param str reference: order reference as entered
        :param str email: email address as entered
        :return: the page that confirms it, or the form with an error
        """
        requests = self._get_requests()
        reference, email = reference.replace("\0", "").strip(), email.replace("\0", "").strip()
        if not reference or "@" not in email:
            error = request.env._("Please enter both your order reference and your email address.")
            return self._render(requests, "form", status=400, error=error, reference=reference, email=email)
        if not requests._ask(reference, email, request.httprequest.remote_addr):
            error = request.env._("There have been too many requests from your network. Please try again in an hour.")
            return self._render(requests, "form", status=429, error=error, reference=reference, email=email)
        return self._render(requests, "asked", email=email)

    @route(
        f"{PUBLIC_CLOSING_PATH}/<string:token>",
        type="http",
        auth="public",
        methods=["GET"],
        website=True,
        sitemap=False,
    )
    def public_closing_confirmation(self, token, **kwargs):
        """Show the subscription and when it closes, with the button to confirm.

        :param str token: signed last part of the link sent to the customer
        :return: the page, or a refusal page
        """
        requests = self._get_requests()
        order_sudo = requests._read_link(token)
        return self._refuse(requests, order_sudo) or self._render(requests, "confirm", sale_order=order_sudo)

    @route(
        f"{PUBLIC_CLOSING_PATH}/<string:token>",
        type="http",
        auth="public",
        methods=["POST"],
        website=True,
        sitemap=False,
    )
    def public_closing_close(self, token, **kwargs):
        """Close the subscription.

        :param str token: signed last part of the link sent to the customer
        :return: the page that confirms it, or a refusal page
        """
        requests = self._get_requests()
        order_sudo = requests._read_link(token)
        refused = self._refuse(requests, order_sudo)
        if refused:
            return refused
        # sudo: _read_link has checked the link, which only the customer has.
        order_sudo._close_on_public_page()
        return self._render(requests, "done", sale_order=order_sudo)

    def _get_requests(self):
        """Return the model of close requests.

        :raises NotFound: if no company has enabled the public page
        """
        requests = request.env["sale.subscription.close.request"]
        if not requests._is_open():
            raise NotFound()
        return requests

    def _refuse(self, requests, order_sudo):
        """Return the page that gives the reason why a link closes nothing, or None.

        :param order_sudo: the subscription, in sudo mode; empty if the link is not genuine, expired or used
        """
        if not order_sudo:
            error = request.env._("This link is no longer valid. Please request a new one here.")
            return self._render(requests, "form", status=403, error=error)
        refusal = order_sudo._get_close_refusal()
        return self._render(requests, "refused", status=409, error=refusal) if refusal else None

    def _render(self, requests, step, status=200, **values):
        """Return a step of the public page.

        :param str step: ``form``, ``asked``, ``confirm``, ``done`` or ``refused``
        :param int status: the HTTP status
        :param values: values that the step shows
        """
        title, button = requests._get_legal_labels()
        values = {"page_name": "public_closing", "no_breadcrumbs": True, "step": step, **values}
        values |= {"closing_title": title, "closing_button": button, "closing_path": PUBLIC_CLOSING_PATH}
        return request.render("subscription_close_renew.public_closing", values, status=status)
