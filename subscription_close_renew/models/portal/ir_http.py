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
        """Return whether a route comes from this addon, also when another one overrides it.

        :param endpoint: of a rule of the routing map
        :rtype: bool
        """
        return any(
            owner.__module__.startswith(_CONTROLLERS) and endpoint.__name__ in vars(owner)
            for owner in type(endpoint.func.__self__).__mro__
        )

    @classmethod
    def _check_subscription_request(cls, methods):
        """Refuse what no page and no form of this addon sends, before anything is done with it.

        Odoo adds OPTIONS to the methods of every route, and asks for no CSRF token then.

        :param list methods: those that the route is made for
        :raises HTTPException: with a response of status 405
        :raises BadRequest: for an uploaded file, or a NUL character in the address, for which PostgreSQL cannot search
        """
        http_request = request.httprequest
        if http_request.method == "OPTIONS" and "OPTIONS" not in methods:
            abort(Response(status=405, headers={"Allow": ", ".join(methods)}))
        if http_request.files or any("\0" in text for text in http_request.args.values()):
            raise BadRequest()
