from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.fields import Domain
from odoo.tools import format_date

# Later dates are mistyped. Up to here, arithmetic with whatever a plan allows stays within the calendar.
LAST_YEAR = 2999
# The furthest look ahead, whatever a plan of an earlier version says.
MAX_DAYS_AHEAD = 36500


class SaleOrder(models.Model):
    """The dates of a subscription, and what day it is where its company is."""

    _inherit = "sale.order"

    start_date = fields.Date(
        copy=False,
        tracking=True,
        sales_only=True,
        help="First day of the subscription. Leave empty to start on the day of the confirmation.",
    )
    anchor_date = fields.Date(
        copy=False,
        readonly=True,
        guarded=True,
        help="The day that the billing dates count from: a subscription of 31 January is invoiced on 28 February and "
        "on 31 March.",
    )
    next_invoice_date = fields.Date(
        copy=False,
        tracking=True,
        sales_only=True,
        help="The subscription is next invoiced on this day.",
    )
    end_date = fields.Date(
        copy=False,
        tracking=True,
        sales_only=True,
        help="The subscription ends on this day: the day before is its last.",
    )

    # The nightly selections look for a few rows among millions of orders.
    _subscription_due_idx = models.Index("(next_invoice_date) WHERE subscription_state = 'progress'")
    _subscription_end_idx = models.Index("(end_date) WHERE subscription_state IN ('progress', 'paused')")

    def write(self, vals):
        self._check_dates_by_hand(vals)
        return super().write(vals)

    def _get_due_domain(self, date_field, days=0):
        """Return the domain of a date that has come, in the time zone of each order's company.

        :param str date_field: name of a date field
        :param int days: also what comes in so many days
        :rtype: Domain
        """
        return Domain.OR(
            Domain("company_id", "in", companies.ids)
            & Domain(date_field, "<=", today + timedelta(days=min(days, MAX_DAYS_AHEAD)))
            for today, companies in self._get_company_days().items()
        )

    def _get_company_days(self):
        """Return which companies have which date today: a scheduled action serves all companies, whatever the user's.

        :return: ``{date: res.company}``
        :rtype: dict
        """
        # Subscriptions of an archived company rest; which day it is where a company is, is no secret.
        companies = self.env["res.company"].sudo().search([("active", "=", True)])
        return companies.grouped(lambda company: company._get_subscription_today())

    def _check_dates_by_hand(self, vals):
        """Refuse dates of confirmed subscriptions with which days would be billed twice, or before the start.

        :param dict vals: as for :meth:`write`
        :raises UserError: naming the first such order
        """
        names = {"end_date", "start_date"} & vals.keys()
        if not names or self._is_method():
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
        """Refuse a date that is so late that it must be mistyped.

        :param str name: name of a date field
        :raises ValidationError: naming the first such order
        """
        for order in self:
            if order[name] and order[name].year > LAST_YEAR:
                raise ValidationError(order._get_out_of_reach_message())

    def _get_out_of_reach_message(self):
        """Return, as a sentence, how late the dates of a subscription may be.

        :rtype: str
        """
        self.ensure_one()
        return self.env._(
            "The dates of %(order)s must be before the year %(year)s.", order=self.display_name, year=LAST_YEAR + 1
        )
