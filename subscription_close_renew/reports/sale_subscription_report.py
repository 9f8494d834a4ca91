from odoo import api, fields, models
from odoo.tools import SQL


class SaleSubscriptionReport(models.Model):
    """Subscription revenue, with a row per recurring line of confirmed subscriptions."""

    _name = "sale.subscription.report"
    _inherit = ["sale.subscription.currency.mixin"]
    _description = "Subscriptions Analysis"
    _auto = False
    _order = "start_date desc, id desc"
    _rec_name = "order_id"
    _report_currency_field = "currency_id"
    _depends = {
        "product.product": ["product_tmpl_id"],
        "product.template": ["categ_id", "uom_id"],
        "res.partner": ["commercial_partner_id", "country_id"],
        "sale.order": [
            "close_reason_id",
            "company_id",
            "currency_rate",
            "end_date",
            "partner_id",
            "plan_id",
            "recurring_monthly",
            "recurring_total",
            "start_date",
            "state",
            "subscription_state",
            "team_id",
            "user_id",
        ],
        "sale.order.line": [
            "is_recurring",
            "order_id",
            "price_subtotal",
            "product_id",
            "product_uom_id",
            "product_uom_qty",
        ],
        "uom.uom": ["factor"],
    }

    order_id = fields.Many2one(comodel_name="sale.order", string="Subscription", readonly=True)
    order_count = fields.Integer(
        string="Subscriptions",
        aggregator="count_distinct",
        readonly=True,
        help="Number of subscriptions. A subscription with several products counts once.",
    )
    plan_id = fields.Many2one(comodel_name="sale.subscription.plan", string="Recurring Plan", readonly=True)
    subscription_state = fields.Selection(
        selection="_get_subscription_states", string="Subscription Status", readonly=True
    )
    start_date = fields.Date(readonly=True)
    end_date = fields.Date(readonly=True)
    close_reason_id = fields.Many2one(comodel_name="sale.order.close.reason", readonly=True)
    partner_id = fields.Many2one(comodel_name="res.partner", string="Customer", readonly=True)
    country_id = fields.Many2one(comodel_name="res.country", readonly=True)
    user_id = fields.Many2one(comodel_name="res.users", string="Salesperson", readonly=True)
    team_id = fields.Many2one(comodel_name="crm.team", string="Sales Team", readonly=True)
    company_id = fields.Many2one(comodel_name="res.company", readonly=True)
    currency_id = fields.Many2one(comodel_name="res.currency", readonly=True)
    product_id = fields.Many2one(comodel_name="product.product", string="Product Variant", readonly=True)
    product_tmpl_id = fields.Many2one(comodel_name="product.template", string="Product", readonly=True)
    categ_id = fields.Many2one(comodel_name="product.category", string="Product Category", readonly=True)
    quantity = fields.Float(readonly=True, help="In the unit of the product.")
    recurring_monthly = fields.Monetary(
        string="MRR",
        readonly=True,
        help="Monthly recurring revenue. Zero while a subscription is paused, and once it has ended.",
    )
    recurring_yearly = fields.Monetary(
        string="ARR", readonly=True, help="Annual recurring revenue: twelve times the MRR."
    )

    @api.model
    def _get_subscription_states(self):
        # Include states added by other addons.
        return self.env["sale.order"]._fields["subscription_state"]._description_selection(self.env)

    @property
    def _table_query(self):
        return self._get_report_query()

    @api.readonly
    def action_open_order(self):
        """Open the subscription of this row.

        :return: a window action
        :rtype: dict
        """
        self.ensure_one()
        return {
            "type": "ir.actions.act_window",
            "res_model": "sale.order",
            "res_id": self.order_id.id,
            "views": [(self.env.ref("sale.view_order_form").id, "form")],
        }

    @api.model
    def _get_report_currency(self):
        # The amounts of all companies are converted to this currency.
        return self.env.company.currency_id

    @api.model
    def _get_report_query(self):
        """Return the query for the rows of the report.

        :rtype: SQL
        """
        columns = self._get_report_columns()
        return SQL(
            "SELECT %(columns)s FROM %(tables)s WHERE %(condition)s",
            columns=SQL(", ").join(
                SQL("%s AS %s", expression, SQL.identifier(name)) for name, expression in columns.items()
            ),
            tables=self._get_report_tables(),
            condition=self._get_report_condition(),
        )

    @api.model
    def _get_report_tables(self):
        """Return the tables of the report; other addons can join their own.

        PostgreSQL skips a LEFT JOIN on a primary key if a query does not use its columns.

        :rtype: SQL
        """
        return SQL(
            """
            sale_order_line line
              JOIN sale_order orders ON orders.id = line.order_id
              JOIN %(rates)s ON account_currency_table.company_id = orders.company_id
         LEFT JOIN res_partner contact ON contact.id = orders.partner_id
         LEFT JOIN res_partner customer ON customer.id = contact.commercial_partner_id
         LEFT JOIN product_product product ON product.id = line.product_id
         LEFT JOIN product_template template ON template.id = product.product_tmpl_id
         LEFT JOIN uom_uom line_uom ON line_uom.id = line.product_uom_id
         LEFT JOIN uom_uom product_uom ON product_uom.id = template.uom_id
            """,
            rates=self.env["res.currency"]._get_simple_currency_table(self.env.companies),
        )

    @api.model
    def _get_report_condition(self):
        """Return the condition for order lines to be rows of the report.

        :rtype: SQL
        """
        return SQL("line.is_recurring AND orders.plan_id IS NOT NULL AND orders.state = 'sale'")

    @api.model
    def _get_report_columns(self):
        """Return the columns of the report; other addons can add their own.

        :return: SQL expressions by field name
        :rtype: dict
        """
        # Distribute the rounded MRR of an order over its lines, so that the report has the same totals as the orders.
        monthly = SQL(
            """
            COALESCE(orders.recurring_monthly * line.price_subtotal / NULLIF(orders.recurring_total, 0), 0)
                / COALESCE(NULLIF(orders.currency_rate, 0), 1) * account_currency_table.rate
            """
        )
        return {
            "id": SQL("line.id"),
            "order_id": SQL("orders.id"),
            "order_count": SQL("orders.id"),
            "plan_id": SQL("orders.plan_id"),
            "subscription_state": SQL("orders.subscription_state"),
            "start_date": SQL("orders.start_date"),
            "end_date": SQL("orders.end_date"),
            "close_reason_id": SQL("orders.close_reason_id"),
            "partner_id": SQL("contact.commercial_partner_id"),
            "country_id": SQL("customer.country_id"),
            "user_id": SQL("orders.user_id"),
            "team_id": SQL("orders.team_id"),
            "company_id": SQL("orders.company_id"),
            "currency_id": SQL("%s::int", self.env.company.currency_id.id),
            "product_id": SQL("line.product_id"),
            "product_tmpl_id": SQL("product.product_tmpl_id"),
            "categ_id": SQL("template.categ_id"),
            "quantity": SQL("line.product_uom_qty * line_uom.factor / product_uom.factor"),
            "recurring_monthly": monthly,
            "recurring_yearly": SQL("12 * %s", monthly),
        }
