from odoo import api, fields, models
from odoo.tools import SQL


class SaleSubscriptionReport(models.Model):
    """A measure that needs another table: how long the plan allows an invoice to remain unpaid."""

    _inherit = "sale.subscription.report"

    auto_close_days = fields.Integer(readonly=True)

    @api.model
    def _get_report_columns(self):
        return super()._get_report_columns() | {"auto_close_days": SQL("plan.auto_close_days")}

    @api.model
    def _get_report_tables(self):
        return SQL("%s LEFT JOIN sale_subscription_plan plan ON plan.id = orders.plan_id", super()._get_report_tables())
