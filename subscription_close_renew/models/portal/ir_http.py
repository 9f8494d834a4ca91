from werkzeug.exceptions import BadRequest, abort

from odoo import models
from odoo.http import Response, request

_CONTROLLERS = f"{__name__.partition('.models.')[0]}.controllers."


class IrHttp(models.AbstractModel):
    _inherit = "ir.http"

    @classmethod
    def _pre_dispatch(cls, rule, args):
        if cls._is_subscription_route(rule.endpoint):
            cls._check_subscription_request(rule.endpoint.routing["methods"])
        return super()._pre_dispatch(rule, args)

    @classmethod
    def _is_subscription_route(cls, endpoint):
        """Return whether this addon defines a route, even if another addon overrides it.

        :param endpoint: endpoint of a rule in the routing map
        :rtype: bool
        """
        return any(
            owner.__module__.startswith(_CONTROLLERS) and endpoint.__name__ in vars(owner)
            for owner in type(endpoint.func.__self__).__mro__
        )

    @classmethod
    def _check_subscription_request(cls, methods):
        """Reject requests that no page or form of this addon sends, before they are processed.

        Odoo adds OPTIONS to the methods of every route, and requires no CSRF token for it.

        :param list methods: HTTP methods that the route declares
        :raises HTTPException: with a response of status 405
        :raises BadRequest: for an uploaded file, or a NUL character in the URL, which PostgreSQL cannot search for
        """
        http_request = request.httprequest
        if http_request.method == "OPTIONS" and "OPTIONS" not in methods:
            abort(Response(status=405, headers={"Allow": ", ".join(methods)}))
        if http_request.files or any("\0" in text for text in http_request.args.values()):
            raise BadRequest()
