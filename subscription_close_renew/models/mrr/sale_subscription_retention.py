import io
from datetime import date
from itertools import accumulate

from dateutil.relativedelta import relativedelta

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import SQL, format_date

MEASURES = ("customers", "mrr")
MAX_MONTHS = 60


class SaleSubscriptionMovement(models.Model):
    """Retention: how much of what started in a month is left some months later."""

    _inherit = "sale.subscription.movement"

    @api.model
    @api.readonly
    def get_retention(self, measure="customers", months=12, domain=None):
        """Return how many of the customers who started in a month, or how much of their MRR, are left in each month since.

        A customer, with all companies and contacts below it, starts once: in the month of its first MRR. It is left as
        long as it brings in MRR at the end of a month (today, for the current month). A paused customer does not count,
        and one that comes back counts again. MRR added since counts too, so a share may exceed 1. Amounts of other
        companies are converted into the currency of the current company at today's rates.

        :param str measure: ``customers`` or ``mrr``
        :param int months: number of rows, counted back from the current month; at most 60
        :param list domain: only these movements
        :return: ``measure``, ``currency_id``, ``months`` and ``rows``, the first month first; and ``total``, of all rows.
            Each has ``month`` (its first day, ``YYYY-MM-DD``), ``started``, and ``cells``, one for each month that has
            passed, with ``value`` (what is left), ``base`` (of what) and ``share`` (between 0 and 1, or more)
        :rtype: dict
        :raises AccessError: if the user may not read MRR movements
        :raises UserError: for an unknown measure or an invalid number of months
        """
        self._check_retention_arguments(measure, months)
        this_month = self.env.company._get_subscription_today().replace(day=1)
        first_month = this_month - relativedelta(months=months - 1)
        changes = self._get_retention_changes(Domain(domain or Domain.TRUE), first_month)
        rows = []
        for age in reversed(range(months)):
            month = this_month - relativedelta(months=age)
            started = changes.get((month, month), {}).get(f"started_{measure}", 0)
            if started:
                left = (
                    changes.get((month, month + relativedelta(months=later)), {}).get(f"left_{measure}", 0)
                    for later in range(age + 1)
                )
                rows.append(self._prepare_retention_row(month, started, accumulate(left)))
        return {
            "measure": measure,
            "currency_id": self.env.company.currency_id.id,
            "months": months,
            "rows": rows,
            "total": self._prepare_retention_total(rows),
        }

    @api.model
    def _check_retention_arguments(self, measure, months):
        """Refuse an unknown measure or an invalid number of months.

        :raises UserError: naming the valid ones
        """
        if measure not in MEASURES:
            raise UserError(
                self.env._("Retention is measured in customers or mrr, not in %(measure)s.", measure=measure)
            )
        if not isinstance(months, int) or not 1 <= months <= MAX_MONTHS:
            raise UserError(self.env._("Retention is shown for 1 to %(months)s months.", months=MAX_MONTHS))

    @api.model
    def _get_retention_changes(self, domain, first_month):
        """Return what changed in each month, by the month in which it started.

        :param Domain domain: only these movements
        :param date first_month: anything that started before is left out
        :return: by month of the start and month: ``started_customers``, ``started_mrr``, ``left_customers`` and
            ``left_mrr``, the latter two as differences to the month before
        :rtype: dict
        """
        # The ledger already has what begins later, and today is not the same day in all companies.
        due = self.env["sale.order"]._get_due_domain("date")
        self.flush_model()
        query = self._search(domain & due)
        rows = self.env.execute_query_dict(
            SQL(
                """
                WITH starting AS (
                    SELECT %(partner)s AS partner_id
                      FROM %(tables)s
                     WHERE %(condition)s AND %(kind)s IN ('new', 'renewal')
                  GROUP BY 1
                    HAVING COALESCE(SUM(%(amount)s) FILTER (WHERE %(date)s < %(first_month)s), 0) <= 0
                ), changes AS (
                    SELECT starting.partner_id, %(month)s AS month, SUM(%(amount)s) AS amount,
                           SUM(%(amount)s) FILTER (WHERE %(kind)s IN ('new', 'renewal')) AS started
                      FROM %(tables)s
                      JOIN starting ON starting.partner_id = %(partner)s
                     WHERE %(condition)s AND %(date)s >= %(first_month)s
                  GROUP BY 1, 2
                ), balances AS (
                    SELECT month, amount, started,
                           MIN(month) FILTER (WHERE started > 0) OVER (PARTITION BY partner_id) AS start_month,
                           SUM(amount) OVER (PARTITION BY partner_id ORDER BY month) AS balance
                      FROM changes
                )
                SELECT start_month, month,
                       COUNT(*) FILTER (WHERE month = start_month) AS started_customers,
                       (SUM(started) FILTER (WHERE month = start_month))::float AS started_mrr,
                       COUNT(*) FILTER (WHERE balance > 0 AND balance - amount <= 0)
                     - COUNT(*) FILTER (WHERE balance <= 0 AND balance - amount > 0) AS left_customers,
                       SUM(amount)::float AS left_mrr
                  FROM balances
                 WHERE month >= start_month
              GROUP BY start_month, month
                """,
                partner=SQL.identifier(self._table, "partner_id"),
                date=SQL.identifier(self._table, "date"),
                # Without a time zone, which would take longer.
                month=SQL("DATE_TRUNC('month', %s::timestamp)::date", SQL.identifier(self._table, "date")),
                kind=SQL.identifier(self._table, "kind"),
                amount=self._get_retention_amount(),
                tables=query.from_clause,
                condition=query.where_clause or SQL("TRUE"),
                first_month=first_month,
            )
        )
        return {(row["start_month"], row["month"]): row for row in rows}

    @api.model
    def _get_retention_amount(self):
        """Return the amount of a movement in the currency of the current company.

        :rtype: SQL
        """
        amount = SQL.identifier(self._table, "amount_company")
        company = self.env.company
        others = self.env.companies.filtered(lambda other: other.currency_id != company.currency_id)
        if not others:
            return amount
        currencies, today = self.env["res.currency"], company._get_subscription_today()
        rates = SQL(" ").join(
            SQL(
                "WHEN %s THEN %s",
                other.id,
                currencies._get_conversion_rate(other.currency_id, company.currency_id, company, today),
            )
            for other in others
        )
        return SQL("%s * CASE %s %s ELSE 1 END", amount, SQL.identifier(self._table, "company_id"), rates)

    @api.model
    def _prepare_retention_row(self, month, started, left):
        """Return one row of the grid.

        :param date month: the month in which it started
        :param float started: number of customers, or MRR
        :param left: what is left at the end of that month and of each month since
        :rtype: dict
        """
        return {
            "month": fields.Date.to_string(month),
            "started": started,
            "cells": [self._prepare_retention_cell(value, started) for value in left],
        }

    @api.model
    def _prepare_retention_cell(self, value, base):
        # Floating-point sums leave a remainder in the last decimals.
        value = round(value, 6)
        return {"value": value, "base": base, "share": value / base if base else 0}

    @api.model
    def _prepare_retention_total(self, rows):
        """Return the row of totals. Each month counts only the rows that are old enough.

        :param list rows: as from :meth:`_prepare_retention_row`
        :rtype: dict
        """
        oldest = max((len(row["cells"]) for row in rows), default=0)
        cells = []
        for later in range(oldest):
            old_enough = [row["cells"][later] for row in rows if later < len(row["cells"])]
            cells.append(
                self._prepare_retention_cell(
                    sum(cell["value"] for cell in old_enough), sum(cell["base"] for cell in old_enough)
                )
            )
        return {"month": False, "started": sum(row["started"] for row in rows), "cells": cells}

    @api.model
    def _get_retention_xlsx(self, measure, months, domain=None):
        """Return the grid as a workbook, with one sheet of shares and one of figures.

        :param str measure: as for :meth:`get_retention`, like the others
        :rtype: bytes
        """
        import xlsxwriter

        retention = self.get_retention(measure, months, domain)
        output = io.BytesIO()
        with xlsxwriter.Workbook(output, {"in_memory": True}) as workbook:
            formats = {
                "bold": workbook.add_format({"bold": True}),
                "share": workbook.add_format({"num_format": "0%"}),
                "value": workbook.add_format({"num_format": "#,##0" if measure == "customers" else "#,##0.00"}),
            }
            titles = {"share": self.env._("Percentage"), "value": self.env._("Value")}
            for key, title in titles.items():
                self._write_retention_sheet(workbook.add_worksheet(title), retention, key, formats)
        return output.getvalue()

    @api.model
    def _write_retention_sheet(self, sheet, retention, key, formats):
        """Write the grid to a sheet of a workbook.

        :param sheet: of `xlsxwriter`
        :param dict retention: as from :meth:`get_retention`
        :param str key: ``share`` or ``value``
        :param dict formats: of `xlsxwriter`, by name
        """
        headers = [self.env._("Started in"), self._get_retention_title(retention)]
        headers += range(len(retention["total"]["cells"]))
        sheet.write_row(0, 0, headers, formats["bold"])
        sheet.set_column(0, 1, 18)
        sheet.freeze_panes(1, 2)
        for number, row in enumerate([*retention["rows"], retention["total"]], start=1):
            sheet.write(number, 0, self._format_retention_month(row["month"]), formats["bold"])
            sheet.write(number, 1, row["started"], formats["value"])
            for column, cell in enumerate(row["cells"], start=2):
                sheet.write(number, column, cell[key], formats[key])

    @api.model
    def _get_retention_title(self, retention):
        if retention["measure"] == "customers":
            return self.env._("Customers")
        return self.env._("MRR (%(currency)s)", currency=self.env.company.currency_id.name)

    @api.model
    def _format_retention_month(self, month):
        return format_date(self.env, date.fromisoformat(month), date_format="MMM y") if month else self.env._("All")
