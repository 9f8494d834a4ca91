from datetime import timedelta
from itertools import pairwise

from odoo import api, fields, models
from odoo.exceptions import ValidationError

from ...tools import mrr, recurrence
from ...tools.guard import Guard

# Customers are warned before an automatic closing, and have up to this many days to prevent it.
WARNING_DAYS = 3
TERM_END_ACTIONS = [
    ("close", "Close"),
    ("renew", "Renew automatically"),
    ("continue", "Continue indefinitely"),
]
# Granted to the bulk renewal: a percentage that overrides the plan's.
RENEWAL_INCREASE = Guard("renewal_increase")
PERIOD_FIELDS = {"billing_period_value", "billing_period_unit"}
# Higher numbers are typing errors, and would exceed the range of dates.
LIMITS = {"billing_period_value": 120, "auto_close_days": 3650, "term_periods": 1200, "renewal_notice_days": 3650}
MAX_RETRY_DAYS = 365


class SaleSubscriptionPlan(models.Model):
    _name = "sale.subscription.plan"
    _inherit = ["sale.subscription.shared.mixin"]
    _description = "Recurring Plan"
    _order = "sequence, id"
    _check_company_auto = True
    _subscription_field = "plan_id"
    # Each company can reorder shared plans and add prices of its own pricelists.
    _harmless_fields = frozenset(("sequence", "pricing_ids"))

    name = fields.Char(required=True, translate=True)
    sequence = fields.Integer(default=10)
    active = fields.Boolean(default=True)
    company_id = fields.Many2one(
        comodel_name="res.company",
        index=True,
        help="Leave empty to share the plan between all companies.",
    )
    billing_period_value = fields.Integer(
        string="Billing Period",
        required=True,
        default=1,
        help="A subscription is invoiced once per period, at the beginning.",
    )
    billing_period_unit = fields.Selection(
        selection=[("week", "Weeks"), ("month", "Months"), ("year", "Years")],
        required=True,
        default="month",
    )
    user_closable = fields.Boolean(
        string="Closable",
        help="Customers can close their subscription in the portal.",
    )
    user_closable_when = fields.Selection(
        selection=[("now", "Immediately"), ("period_end", "At the end of the paid period")],
        string="Closes",
        required=True,
        default="period_end",
        help="When a subscription closes after its customer requests it.",
    )
    user_renewable = fields.Boolean(
        string="Renew",
        help="Customers can renew their subscription in the portal.",
    )
    auto_close_days = fields.Integer(
        string="Automatic Closing",
        help="Number of days an invoice may remain unpaid before the subscription closes automatically. 0 means never.",
    )
    retry_days = fields.Char(
        string="Payment Retries",
        default="1, 3, 5, 7",
        help="Days after a payment is first declined on which it is retried, each time with an email to the customer. "
        "Leave empty for no retries.",
    )
    invoice_mail_template_id = fields.Many2one(
        comodel_name="mail.template",
        string="Invoice Email Template",
        domain="[('model', '=', 'account.move')]",
        help="Sent to the customer with each invoice. Leave empty to send no email.",
    )
    renewal_pricing = fields.Selection(
        selection=[
            ("keep", "Keep prices"),
            ("pricelist", "Follow the pricelist"),
            ("increase", "Raise by a percentage"),
        ],
        required=True,
        default="keep",
        help="Prices of a renewal quotation: those of the subscription, those of today's pricelist, or those of the "
        "subscription plus a percentage.",
    )
    renewal_increase = fields.Float(
        string="Raise Prices by",
        digits=(16, 2),
        help="Percentage by which a renewal quotation raises the prices of the subscription.",
    )
    term_periods = fields.Integer(
        string="Term",
        help="Number of billing periods after which a subscription closes or is renewed. 0 means no fixed term. Each "
        "quotation can have its own term.",
    )
    term_end_action = fields.Selection(
        selection=TERM_END_ACTIONS,
        string="At the End",
        required=True,
        default="close",
        help="What happens to a subscription at the end of its term.",
    )
    renewal_notice_days = fields.Integer(
        string="Renewal Notice",
        default=14,
        help="Number of days before the end of the term when customers are notified of the automatic renewal. The "
        "subscription is never renewed sooner than this many days after the notice.",
    )
    pricing_ids = fields.One2many(
        comodel_name="product.pricelist.item",
        inverse_name="plan_id",
        string="Recurring Prices",
        copy=True,
    )
    _billing_period_value_positive = models.Constraint(
        "CHECK (billing_period_value > 0)",
        "The billing period of a recurring plan must be at least one week, month or year.",
    )
    _auto_close_days_not_negative = models.Constraint(
        "CHECK (auto_close_days >= 0)",
        "Automatic Closing is a number of days: enter 0 for never, or a positive number.",
    )

    _term_periods_not_negative = models.Constraint(
        "CHECK (term_periods >= 0)",
        "A term is a number of billing periods: enter 0 for no fixed term, or a positive number.",
    )
    _renewal_notice_days_not_negative = models.Constraint(
        "CHECK (renewal_notice_days >= 0)",
        "The renewal notice is a number of days before the end of the term: enter 0 or a positive number.",
    )
    _renewal_increase_possible = models.Constraint(
        "CHECK (renewal_increase > -100 AND renewal_increase <= 1000)",
        "A renewal cannot lower prices by 100 percent or more, nor raise them by more than 1,000 percent.",
    )

    def _get_used_message(self, count):
        return self.env._(
            "The recurring plan %(plan)s is in use (orders: %(count)s) and cannot be deleted. Archive it "
            "instead: its subscriptions will continue, but no new ones can use it.",
            plan=self.name,
            count=count,
        )

    @api.constrains(*LIMITS)
    def _check_limits(self):
        for plan in self:
            for name, most in LIMITS.items():
                if plan[name] > most:
                    raise ValidationError(plan._get_limit_message(name, most))

    def _get_limit_message(self, name, most):
        """Return the message for a field of a plan that exceeds its limit.

        :param str name: name of the field
        :param int most: the highest number allowed
        :rtype: str
        """
        self.ensure_one()
        return self.env._(
            "%(field)s of the recurring plan %(plan)s cannot be higher than %(most)s.",
            field=self._fields[name]._description_string(self.env),
            plan=self.name,
            most=most,
        )

    @api.constrains("retry_days")
    def _check_retry_days(self):
        for plan in self:
            try:
                days = plan._get_retry_days()
            except ValueError:
                days = [0]
            if any(later <= earlier for earlier, later in pairwise([0, *days])):
                raise ValidationError(
                    self.env._(
                        "The payment retries of %(plan)s must be numbers of days, each greater than the one before, for "
                        "example: 1, 3, 5, 7",
                        plan=plan.name,
                    )
                )
            if days[-1:] > [MAX_RETRY_DAYS]:
                raise ValidationError(plan._get_limit_message("retry_days", MAX_RETRY_DAYS))

    def _get_retry_days(self):
        """Return the days of the retries, counted from the day a payment was first declined.

        :rtype: list
        """
        self.ensure_one()
        return [int(days) for days in (self.retry_days or "").split(",") if days.strip()]

    def _get_closing_warning(self):
        """Return how long before an automatic closing the customer is warned.

        :rtype: timedelta
        """
        self.ensure_one()
        return timedelta(days=min(WARNING_DAYS, self.auto_close_days))

    def _has_same_periods(self, other):
        """Return whether another plan has the same billing period.

        :param other: `sale.subscription.plan`
        :rtype: bool
        """
        self.ensure_one()
        return all(self[name] == other[name] for name in PERIOD_FIELDS)

    def _get_renewal_increase(self):
        """Return the percentage by which a renewal raises prices, or None if the renewal uses pricelist prices.

        A percentage granted by :data:`RENEWAL_INCREASE` overrides the plan's.

        :rtype: float | None
        """
        self.ensure_one()
        if increase := RENEWAL_INCREASE.get(self.env.context):
            return increase
        return {"keep": 0.0, "increase": self.renewal_increase, "pricelist": None}[self.renewal_pricing]

    def _get_period_start(self, anchor, day):
        """Return the first day of the period that contains a day."""
        self.ensure_one()
        interval = self.billing_period_value, self.billing_period_unit
        return recurrence.period_start(anchor, recurrence.period_index(anchor, day, *interval), *interval)

    def _get_next_period_start(self, anchor, day):
        """Return the first day of the period after the one that contains a day; see :func:`~..tools.recurrence.next_start`."""
        self.ensure_one()
        return recurrence.next_start(anchor, day, self.billing_period_value, self.billing_period_unit)

    def _get_period_share(self, anchor, start, end):
        """Return the fraction of a whole period that a range of days covers; see :func:`~..tools.recurrence.share`."""
        self.ensure_one()
        return recurrence.share(anchor, start, end, self.billing_period_value, self.billing_period_unit)

    def _get_monthly_amount(self, amount):
        """Return the monthly value of the price of one period; see :func:`~..tools.mrr.monthly_amount`."""
        self.ensure_one()
        return mrr.monthly_amount(amount, self.billing_period_value, self.billing_period_unit)
