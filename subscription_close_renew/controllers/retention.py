import json

import psycopg2
from werkzeug.exceptions import BadRequest

from odoo.exceptions import UserError
from odoo.http import Controller, content_disposition, request, route


class RetentionExport(Controller):
    @route("/subscriptions/retention/xlsx", type="http", auth="user", methods=["POST"], readonly=True)
    def export_retention(self, data=None, **kwargs):
        """Download the retention grid as a workbook, limited to what the user may see.

        :param str data: JSON object with the arguments of `sale.subscription.movement.get_retention` and the ``context``
        :return: the workbook
        :raises BadRequest: if this is no JSON object, or its values are invalid
        """
        try:
            arguments = dict(json.loads(data))
            context = dict(arguments.get("context") or {})
            # The rest of the context is irrelevant here.
            context = {name: context[name] for name in ("allowed_company_ids", "lang") if name in context}
            movements = request.env["sale.subscription.movement"].with_context(**context)
            workbook = movements._get_retention_xlsx(
                arguments.get("measure"), arguments.get("months"), arguments.get("domain")
            )
        except UserError:
            raise
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise BadRequest() from error
        except psycopg2.DataError as error:
            raise BadRequest() from error
        return request.make_response(
            workbook,
            headers=[
                ("Content-Type", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
                ("Content-Disposition", content_disposition(f"{request.env._('Retention')}.xlsx")),
            ],
        )
