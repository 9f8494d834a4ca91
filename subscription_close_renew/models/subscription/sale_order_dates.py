from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.fields import Domain
from odoo.tools import format_date

# Later dates are typing errors. Up to this year, no plan can exceed the range of dates.
LAST_YEAR = 2999
# Limit for looking ahead: plans of earlier versions can have higher numbers.
MAX_DAYS_AHEAD = 36500


class SaleOrder(models.Model):
    """The dates of a subscription, and the current date in the time zone of its company."""

    _inherit = "sale.order"

    start_date = fields.Date(
        copy=False,
        tracking=True,
        sales_only=True,
        help="First day of the subscription. Leave empty to start on the confirmation date.",
    )
    anchor_date = fields.Date(
        copy=False,
        readonly=True,
        guarded=True,
        help="Billing dates are counted from this day: a subscription starting on 31 January is invoiced on 28 February "
        "and on 31 March.",
    )
    next_invoice_date = fields.Date(
        copy=False,
        tracking=True,
        sales_only=True,
        help="The subscription will next be invoiced on this day.",
    )
    end_date = fields.Date(
        copy=False,
        tracking=True,
        sales_only=True,
        help="The subscription ends on this day: the day before is its last.",
    )

    # The scheduled actions look for a few rows among millions of orders.
    _subscription_due_idx = models.Index("(next_invoice_date) WHERE subscription_state = 'progress'")
    _subscription_end_idx = models.Index("(end_date) WHERE subscription_state IN ('progress', 'paused')")

    def _write_by_hand(self, vals):
        self._check_dates_by_hand(vals)
        return super()._write_by_hand(vals)

    @api.model
    def _parse_date(self, value):
        """Return the date that a caller has sent, or None if it is not a date.

        :param value: anything; JSON-2 passes on what it receives
        :rtype: date | None
        """
        try:
            return fields.Date.to_date(value)
        except (KeyError, TypeError, ValueError):
            return None

    def _get_due_domain(self, date_field, days=0):
        """Return the domain of the orders whose date has come, in the time zone of their company.

        :param str date_field: name of a date field
        :param int days: number of days to look ahead
        :rtype: Domain
        """
        return Domain.OR(
            Domain("company_id", "in", companies.ids)
            & Domain(date_field, "<=", today + timedelta(days=min(days, MAX_DAYS_AHEAD)))
            for today, companies in self._get_company_days().items()
        )

    def _get_company_days(self):
        """Return all companies by their current date: a scheduled action serves every company, not only the user's.

        :return: ``{date: res.company}``
        :rtype: dict
        """
        # sudo: the current date of a company is not confidential. Archived companies are not billed.
        companies = self.env["res.company"].sudo().search([("active", "=", True)])
        return companies.grouped(lambda company: company._get_subscription_today())

    def _check_dates_by_hand(self, vals):
        """Check that new dates of confirmed subscriptions bill no day twice, and none before the start.

        :param dict vals: as for :meth:`write`
        :raises UserError: for the first order with an impossible date
        """
        names = {"end_date", "start_date"} & vals.keys()
        if not names:
            return
        values = {name: fields.Date.to_date(vals[name]) for name in names}
        for order in self.filtered(lambda order: order.plan_id and order.state == "sale"):
            if "start_date" in values and values["start_date"] != order.start_date:
                raise UserError(
                    self.env._("%(order)s is confirmed, so its start date cannot be changed.", order=order.display_name)
                )
            if values.get("end_date") and order.start_date and values["end_date"] < order.start_date:
                raise UserError(
                    self.env._(
                        "%(order)s starts on %(date)s, so it cannot end before that.",
                        order=order.display_name,
                        date=format_date(self.env, order.start_date),
                    )
                )

    @api.constrains("start_date", "next_invoice_date", "end_date")
    def _check_dates_in_reach(self):
        for name in ("start_date", "next_invoice_date", "end_date"):
            self._refuse_out_of_reach(name)

    def _refuse_out_of_reach(self, name):
        """Check that a date is not so late that it must be a typing error.

        :param str name: name of a date field
        :raises ValidationError: for the first order with such a date
        """
        for order in self:
            if order[name] and order[name].year > LAST_YEAR:
                raise ValidationError(order._get_out_of_reach_message())

    def _get_out_of_reach_message(self):
        """Return the message for dates of a subscription that are too late.

        :rtype: str
        """
        self.ensure_one()
        return self.env._(
            "The dates of %(order)s must be before the year %(year)s.", order=self.display_name, year=LAST_YEAR + 1
        )
