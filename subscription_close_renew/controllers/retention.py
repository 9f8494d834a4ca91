import json

from werkzeug.exceptions import BadRequest

from odoo.http import Controller, content_disposition, request, route


class RetentionExport(Controller):
    @route("/subscriptions/retention/xlsx", type="http", auth="user", methods=["POST"], readonly=True)
    def export_retention(self, data, **kwargs):
        """Download the retention grid as a workbook, with what the user may see.

        :param str data: arguments of `sale.subscription.movement.get_retention` as JSON, and the ``context``
        :return: the workbook
        :raises BadRequest: if that is no JSON object
        """
        try:
            arguments = dict(json.loads(data))
        except (TypeError, ValueError) as error:
            raise BadRequest from error
        movements = request.env["sale.subscription.movement"].with_context(**arguments.pop("context", {}))
        workbook = movements._get_retention_xlsx(
            arguments.get("measure"), arguments.get("months"), arguments.get("domain")
        )
        return request.make_response(
            workbook,
            headers=[
                ("Content-Type", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
                ("Content-Disposition", content_disposition(f"{request.env._('Retention')}.xlsx")),
            ],
        )
