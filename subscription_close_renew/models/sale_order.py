from datetime import date, timedelta

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.fields import Domain
from odoo.tools import format_date

from ..tools.guard import Guard
from .sale_subscription_guard_mixin import as_method

SUBSCRIPTION_STATES = [
    ("quotation", "Quotation"),
    ("renewal", "Renewal Quotation"),
    ("progress", "In Progress"),
    ("paused", "Paused"),
    ("renewed", "Renewed"),
    ("churned", "Churned"),
]

# What may happen to a subscription, and the state that it leads to: {event: {state before: state after}}.
TRANSITIONS = {
    "confirm": {"quotation": "progress", "renewal": "progress"},
    "cancel": dict.fromkeys(("progress", "paused", "churned"), "quotation"),  # or "renewal", as it was
    "close": {"progress": "churned", "paused": "churned"},
    "reopen": {"churned": "progress"},
    "pause": {"progress": "paused"},
    "resume": {"paused": "progress"},
    "renew": {"progress": "renewed"},
    "unrenew": {"renewed": "progress"},
}
RUNNING_STATES = ("progress", "paused")
ENDED_STATES = ("renewed", "churned")
# A quotation shows what it would bring.
STATES_WITH_MRR = ("quotation", "renewal", "progress")
# What decides when and for how long a subscription is billed, and how it is paid: only Sales writes it.
STEERING_FIELDS = frozenset(
    (
        "close_reason_id",
        "end_date",
        "next_invoice_date",
        "payment_exception",
        "payment_token_id",
        "plan_by_default",
        "plan_id",
        "resume_date",
        "start_date",
        "term_end_action",
        "term_periods",
    )
)
# Whose a subscription is and what prices it has: while it runs, only Sales writes it, too.
AGREED_FIELDS = frozenset(("company_id", "currency_id", "partner_id", "pricelist_id"))
# Beyond this, dates are mistyped: no arithmetic with what plans allow leads out of the calendar.
LAST_YEAR = 2999
# More days than that are never looked ahead, whatever a plan of earlier versions says.
MOST_DAYS_AHEAD = 36500

# What counts of a caller's context where a method does what the caller may not do alone.
CALLERS_KEYS = ("allowed_company_ids", "lang", "tz")

# Granted to Odoo's own cancelling, once it was checked that the subscription may be cancelled.
CANCELLING = Guard("subscription_cancelling")
# Granted to methods that change many subscriptions, in ways of which the chatter is not to speak.
_UNTRACKED = Guard("subscription_untracked")
# What a caller may put into the context to keep changes out of the chatter.
UNTRACKED_KEYS = ("tracking_disable", "mail_notrack")


class SaleOrder(models.Model):
    _name = "sale.order"
    _inherit = ["sale.order", "sale.subscription.guard.mixin"]

    plan_id = fields.Many2one(
        comodel_name="sale.subscription.plan",
        string="Recurring Plan",
        index="btree_not_null",
        ondelete="restrict",
        check_company=True,
        tracking=True,
        help="How often this order is invoiced. With a recurring plan, it is a subscription.",
    )
    plan_by_default = fields.Boolean(
        string="Plan Added Automatically",
        readonly=True,
        help="The plan was added along with a subscription product, and is removed with the last one.",
    )
    is_subscription = fields.Boolean(compute="_compute_is_subscription", search="_search_is_subscription")
    subscription_state = fields.Selection(
        selection=SUBSCRIPTION_STATES,
        string="Subscription Status",
        compute="_compute_subscription_state",
        store=True,
        precompute=True,
        index="btree_not_null",
        copy=False,
        tracking=True,
        guarded=True,
    )
    start_date = fields.Date(
        copy=False,
        tracking=True,
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
        help="The subscription is next invoiced on this day.",
    )
    recurring_total = fields.Monetary(
        compute="_compute_recurring_amounts",
        store=True,
        guarded=True,
        help="Price of one period, without taxes.",
    )
    recurring_monthly = fields.Monetary(
        string="MRR",
        compute="_compute_recurring_amounts",
        store=True,
        guarded=True,
        help="Monthly recurring revenue: the price of one period, spread over its months. Zero while the subscription "
        "is paused, and once it has ended.",
    )

    # The nightly selections look for a few rows among millions of orders.
    _subscription_due_idx = models.Index("(next_invoice_date) WHERE subscription_state = 'progress'")
    _subscription_end_idx = models.Index("(end_date) WHERE subscription_state IN ('progress', 'paused')")

    @api.depends("plan_id")
    def _compute_is_subscription(self):
        for order in self:
            order.is_subscription = bool(order.plan_id)

    def _search_is_subscription(self, operator, value):
        if operator != "in":
            return NotImplemented
        return [("plan_id", "!=" if True in value else "=", False)]

    @api.depends("plan_id", "subscription_id")
    def _compute_subscription_state(self):
        """Name a quotation's state; once confirmed, only :meth:`_transition_subscription` changes it."""
        for order in self:
            # In a form, the record being edited does not know its state: the one it comes from does.
            current = order._origin.subscription_state
            order.subscription_state = current if current and order.state == "sale" else order._get_quotation_state()

    @api.depends(
        "order_line.is_recurring",
        "order_line.price_subtotal",
        "subscription_state",
        "plan_id.billing_period_value",
        "plan_id.billing_period_unit",
    )
    def _compute_recurring_amounts(self):
        subscriptions = self.filtered("plan_id")
        ordinary = self - subscriptions
        ordinary.recurring_total = 0
        ordinary.recurring_monthly = 0
        for order in subscriptions:
            order.recurring_total = sum(line.price_subtotal for line in order.order_line if line.is_recurring)
            order.recurring_monthly = order._get_running_mrr() if order._has_mrr() else 0

    @api.model
    def default_get(self, fields):
        values = super().default_get(fields)
        if self.env.context.get("subscription_quotation") and "plan_id" in fields and not values.get("plan_id"):
            values["plan_id"] = self.env.company._get_default_subscription_plan().id
        return values

    @api.onchange("order_line")
    def _onchange_order_line_default_plan(self):
        """Propose the default plan as soon as a subscription product is on an order without one."""
        if not self.plan_id and self._has_subscription_product():
            self.plan_id = self.company_id._get_default_subscription_plan()
            self.plan_by_default = bool(self.plan_id)
        elif self.plan_by_default and not self._has_subscription_product():
            self.plan_id = False

    @api.onchange("plan_id")
    def _onchange_plan_id_discounts(self):
        if self.plan_id != self.company_id._get_default_subscription_plan():
            self.plan_by_default = False
        self._update_recurring_discounts()

    @api.model_create_multi
    def create(self, vals_list):
        orders = super().create(vals_list)
        for order, vals in zip(orders, vals_list, strict=True):
            if order.plan_by_default:
                order._compute_with_late_plan(vals)
        # An import may bring orders that are confirmed already.
        orders.filtered(lambda order: order.plan_id and order.state == "sale")._start_subscription()
        return orders

    def write(self, vals):
        if STEERING_FIELDS & vals.keys() and not self._is_method():
            self._check_sales_user()
        if AGREED_FIELDS & vals.keys() and not self._is_method():
            self._check_sales_user_if_running()
        self._check_dates_by_hand(vals)
        self._check_state_by_hand(vals)
        order = self._with_tracking(vals)
        if "plan_id" not in vals:
            return super(SaleOrder, order).write(vals)
        self._check_plan_change(vals["plan_id"])
        res = super(SaleOrder, order).write({"plan_by_default": False, **vals})
        self.filtered(lambda order: order.state != "sale")._update_recurring_discounts()
        return res

    def _action_confirm(self):
        res = super()._action_confirm()
        self.filtered("plan_id")._start_subscription()
        return res

    def action_confirm(self):
        self.filtered("plan_by_default")._drop_needless_plan()
        return super().action_confirm()

    def _confirmation_error_message(self):
        return super()._confirmation_error_message() or self._get_plan_error_message()

    def _has_to_be_signed(self):
        # A customer is not asked for what could not be confirmed afterwards.
        return super()._has_to_be_signed() and not self._get_plan_error_message()

    def _has_to_be_paid(self):
        return super()._has_to_be_paid() and not self._get_plan_error_message()

    def _get_product_catalog_order_data(self, products, **kwargs):
        res = super()._get_product_catalog_order_data(products, **kwargs)
        recurring = products.filtered("recurring_invoice") if self.plan_id else products.browse()
        prices = self.pricelist_id._get_products_price(
            recurring,
            quantity=1.0,
            currency=self.currency_id,
            date=self.date_order,
            subscription_plan=self.plan_id,
            **kwargs,
        )
        for product in recurring:
            res[product.id]["price"] = prices[product.id]
        return res

    def _add_plan(self):
        """Give the default plan to quotations on which a subscription product was put, by whatever way.

        :raises UserError: if one of the orders is confirmed: its plan cannot come afterwards
        """
        for order in self:
            if order.state == "sale":
                raise UserError(order._get_plan_error_message())
            plan = order.company_id._get_default_subscription_plan()
            order.write({"plan_id": plan.id, "plan_by_default": bool(plan)})

    def _compute_with_late_plan(self, vals):
        """Compute what Odoo computes before the lines of a new order, with which the plan came.

        :param dict vals: with which the order was made
        """
        names = {"subscription_state", "term_periods", "term_end_action"} - vals.keys()
        for name in names:
            self.env.add_to_compute(self._fields[name], self)

    def _has_subscription_product(self, lines=None):
        """Return whether an order is about a product that is sold by subscription.

        :param lines: the `sale.order.line` that count; without them, all
        :rtype: bool
        """
        lines = self.order_line if lines is None else lines
        return any(lines.product_id.mapped("recurring_invoice"))

    def _is_plan_needless(self):
        """Return whether the plan came automatically, for a product that is not ordered any more.

        :rtype: bool
        """
        self.ensure_one()
        return (
            self.plan_by_default
            and self.state in ("draft", "sent")
            and not self._has_subscription_product(self.order_line.filtered("product_uom_qty"))
        )

    def _drop_needless_plan(self):
        """Let quotations without a subscription product be ordinary ones, if nobody chose their plan."""
        self.filtered(lambda order: order._is_plan_needless()).write({"plan_id": False})

    def _update_recurring_discounts(self):
        """Let the discounts of subscription products follow the plan, and leave those of other lines alone."""
        self.order_line.filtered(lambda line: line.product_id.recurring_invoice)._compute_discount()

    def _get_plan_error_message(self):
        """Return why the plan and the products of an order do not go together, or False."""
        self.ensure_one()
        # What is only offered, as an option, has no quantity.
        lines = self.order_line.filtered("product_uom_qty")
        recurring_products = lines.product_id.filtered("recurring_invoice")
        if recurring_products and not self.plan_id:
            return self.env._(
                "%(product)s is sold by subscription, but %(order)s has no recurring plan. Choose a Recurring Plan, "
                "or remove the product.",
                product=recurring_products[0].display_name,
                order=self.display_name,
            )
        if self.plan_id and not any(lines.mapped("is_recurring")) and not self._is_plan_needless():
            return self.env._(
                "%(order)s has the recurring plan %(plan)s, but no subscription product. Add a product whose "
                "Subscriptions box is ticked, or empty the Recurring Plan.",
                order=self.display_name,
                plan=self.plan_id.name,
            )
        return False

    def _check_payable(self):
        """Refuse to take money for orders that could not be confirmed afterwards, or that a charge is under way for.

        :raises UserError: saying why
        """
        for order in self:
            if message := self.env["account.move"]._get_order_in_flight_message(order):
                raise UserError(message)
        for order in self.filtered(lambda order: order.state in ("draft", "sent")):
            if message := order._get_plan_error_message():
                raise UserError(message)

    def _register_hook(self):
        """Have Odoo's shop ask before payment, too, where it is installed: its check is none that it shares with `sale`."""
        res = super()._register_hook()
        orders = self.env.registry[self._name]
        if hasattr(orders, "_is_cart_ready"):
            is_ready, check_ready = orders._is_cart_ready, orders._check_cart_is_ready_to_be_paid

            def _is_cart_ready(self):
                return is_ready(self) and not any(order._get_plan_error_message() for order in self)

            def _check_cart_is_ready_to_be_paid(self):
                self._check_payable()
                return check_ready(self)

            orders._is_cart_ready = _is_cart_ready
            orders._check_cart_is_ready_to_be_paid = _check_cart_is_ready_to_be_paid
        return res

    def _unregister_hook(self):
        orders = self.env.registry[self._name]
        for name in {"_is_cart_ready", "_check_cart_is_ready_to_be_paid"} & vars(orders).keys():
            delattr(orders, name)
        return super()._unregister_hook()

    def _start_subscription(self):
        """Begin the subscriptions of orders that were just confirmed."""
        for order in self:
            order._transition_subscription("confirm", order._prepare_subscription_start_values())

    def _prepare_subscription_start_values(self):
        """Return the dates with which a subscription begins.

        :rtype: dict
        """
        self.ensure_one()
        start_date = self.start_date or self.company_id._get_subscription_today()
        return {
            "start_date": start_date,
            "anchor_date": self.anchor_date or start_date,
            # One that was given leaves out what lies before it: that was billed elsewhere.
            "next_invoice_date": max(self.next_invoice_date or start_date, start_date),
        }

    def _transition_subscription(self, event, values=None, message=None):
        """Move subscriptions to the state that an event leads to: nothing else writes it.

        The chatter shows the old and new state, with the message above them and the user as author.

        :param str event: a key of :data:`TRANSITIONS`
        :param dict values: other fields to write in the same breath
        :param message: why, as a sentence for the chatter (str or Markup)
        :raises UserError: if one of the subscriptions is in a state from which the event cannot come
        """
        self._check_transition(event)
        if message:
            self._track_set_log_message(message)
        for target, orders in self.grouped(lambda order: order._get_transition_target(event)).items():
            orders._write_subscription({**(values or {}), "subscription_state": target})

    def _write_subscription(self, values):
        """Write fields that are refused to everybody else.

        :param dict values: as for :meth:`write`
        """
        return as_method(self).write(values)

    def _check_transition(self, event):
        """Refuse an event that cannot come to one of these orders in its state.

        :param str event: a key of :data:`TRANSITIONS`
        :raises UserError: naming the first such order and its state
        """
        for order in self:
            if order.subscription_state not in TRANSITIONS[event]:
                raise UserError(order._get_transition_error_message())

    def _get_transition_target(self, event):
        self.ensure_one()
        target = TRANSITIONS[event][self.subscription_state]
        return self._get_quotation_state() if target == "quotation" else target

    def _get_transition_error_message(self):
        self.ensure_one()
        if not self.plan_id:
            return self.env._("%(order)s is not a subscription: it has no recurring plan.", order=self.display_name)
        states = dict(self._fields["subscription_state"]._description_selection(self.env))
        return self.env._(
            "This is not possible while %(order)s has the subscription status %(state)s.",
            order=self.display_name,
            state=states.get(self.subscription_state, self.env._("none")),
        )

    def _get_quotation_state(self):
        """Return the state of a subscription that is not confirmed."""
        self.ensure_one()
        if not self.plan_id:
            return False
        return "renewal" if self.subscription_id else "quotation"

    def _get_running_mrr(self):
        """Return what the subscription brings in a month when it runs, in its currency.

        :rtype: float
        """
        self.ensure_one()
        currency = self.currency_id or self.company_id.currency_id
        return currency.round(self.plan_id._get_monthly_amount(self.recurring_total))

    def _has_mrr(self):
        """Tell whether the subscription brings, or as a quotation would bring, revenue."""
        self.ensure_one()
        return self.subscription_state in STATES_WITH_MRR

    def _get_due_domain(self, date_field, days=0):
        """Return the domain of a date that has come, in the time zone of each order's company.

        :param str date_field: name of a date field
        :param int days: also what comes in so many days
        :rtype: Domain
        """
        return Domain.OR(
            Domain("company_id", "in", companies.ids)
            & Domain(date_field, "<=", today + timedelta(days=min(days, MOST_DAYS_AHEAD)))
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

    def _without_tracking(self):
        """Return the same records for a method of whose changes the chatter is not to speak."""
        return _UNTRACKED.grant(self.with_context(tracking_disable=True))

    def _with_tracking(self, vals):
        """Return the same records with a context that lets the chatter speak of a change, whatever the caller says.

        :param dict vals: as for :meth:`write`
        """
        context = self.env.context
        if not any(context.get(key) for key in UNTRACKED_KEYS) or _UNTRACKED.get(context):
            return self
        if not vals.keys() & self._get_always_tracked_fields():
            return self
        return self.with_context(**dict.fromkeys(UNTRACKED_KEYS, False))

    @api.model
    def _get_always_tracked_fields(self):
        """Return the names of the fields whose changes the chatter shows, whatever the context of the caller says.

        :rtype: set
        """
        return {name for name in self._track_get_fields() if "subscription_close_renew" in self._fields[name]._modules}

    def _on_behalf(self):
        """Return the same orders in sudo mode, for what a public method does beyond the rights of its caller.

        What else the caller has put into the context stays behind: Odoo's own keys would leave out taxes or checks.
        """
        context = {key: self.env.context[key] for key in CALLERS_KEYS if key in self.env.context}
        return self.with_env(self.env(context=context, su=True))

    def _check_subscription_access(self):
        """Check that the user may act on these subscriptions: with rights of Sales, and on each of them.

        Who invoices or delivers may write orders, too, and has nothing to decide here.

        :raises AccessError: if the user has no rights in Sales, or may not change one of the orders
        """
        self._check_sales_user()
        self.check_access("write")

    def _check_sales_user(self):
        """Check that the user has rights in Sales.

        :raises AccessError: if not
        """
        if not self._is_sales_user():
            raise AccessError(self.env._("Only users with rights in Sales can change subscriptions."))

    def _check_sales_user_if_running(self):
        """Check that the user has rights in Sales, if one of these orders is a subscription that runs.

        :raises AccessError: if not
        """
        # The orders are read only for who has none.
        if not self._is_sales_user() and any(order.subscription_state in RUNNING_STATES for order in self):
            self._check_sales_user()

    @api.model
    def _is_sales_user(self):
        return self.env.su or self.env.user.has_group("sales_team.group_sale_salesman")

    @api.model
    def _check_used_by_own_companies(self, name, records):
        """Refuse to change what subscriptions of companies use that the user has nothing to do with.

        :param str name: a field of orders
        :param records: what is changed, of the model of that field
        :raises UserError: naming the first such record
        """
        if self.env.su or not records.ids:
            return
        # Every order counts, also those that the user may not see.
        others = [
            (name, "in", records.ids),
            ("state", "=", "sale"),
            ("company_id", "not in", self.env.user.company_ids.ids),
        ]
        for (record,) in self.sudo()._read_group(others, [name], limit=1):
            raise UserError(
                self.env._(
                    "%(record)s is used by subscriptions of companies that you cannot access, so you cannot change it. "
                    "Create your own instead.",
                    record=record.display_name,
                )
            )

    def _check_dates_by_hand(self, vals):
        """Refuse dates of confirmed subscriptions with which days would be billed twice, or before the start.

        :param dict vals: as for :meth:`write`
        :raises UserError: naming the first such order
        """
        names = {"end_date", "next_invoice_date", "start_date"} & vals.keys()
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
            if values.get("next_invoice_date") and values["next_invoice_date"] != order.next_invoice_date:
                order._check_next_invoice_date(values["next_invoice_date"])

    def _check_state_by_hand(self, vals):
        """Refuse to take the order of a subscription that was confirmed back to another state, past its own methods.

        It would be billed on as a quotation, without what is checked of a confirmed order, or as a cancelled one.

        :param dict vals: as for :meth:`write`
        :raises UserError: if one of the orders would leave its state
        """
        if "state" not in vals or self._is_method() or CANCELLING.get(self.env.context):
            return
        for order in self:
            if order.subscription_state in (*RUNNING_STATES, *ENDED_STATES) and order.state != vals["state"]:
                raise UserError(order._get_by_hand_message("state"))

    def _check_next_invoice_date(self, day):
        """Refuse a next invoice date before the start, in what is invoiced already, or in a time without service.

        :param date day: as it was entered
        :raises UserError: with the earliest possible day
        """
        self.ensure_one()
        # Which days are billed is told to whoever may change the order.
        order = self.sudo()
        freed = order.period_ids.filtered(lambda period: period.date_start == day and period.state == "cancelled")
        earliest = max(filter(None, (order._get_billed_until(), order.resumed_on, order.start_date)), default=day)
        if day < earliest and not freed:
            raise UserError(
                self.env._(
                    "%(order)s is next invoiced on %(date)s at the earliest: what lies before is invoiced already, or "
                    "was no part of the subscription.",
                    order=self.display_name,
                    date=format_date(self.env, earliest),
                )
            )

    @api.constrains("start_date", "next_invoice_date", "end_date", "resume_date")
    def _check_dates_in_reach(self):
        for order in self:
            dates = filter(None, (order.start_date, order.next_invoice_date, order.end_date, order.resume_date))
            if max(dates, default=date.min).year > LAST_YEAR:
                raise ValidationError(order._get_out_of_reach_message())

    def _get_out_of_reach_message(self):
        """Return, as a sentence, how late the dates of a subscription may be.

        :rtype: str
        """
        self.ensure_one()
        return self.env._(
            "The dates of %(order)s must be before the year %(year)s.", order=self.display_name, year=LAST_YEAR + 1
        )

    def _check_plan_change(self, plan_id):
        """Refuse to change the plan of a confirmed order: its periods count on it."""
        for order in self:
            if order.state == "sale" and order.plan_id != order.plan_id.browse(plan_id):
                raise UserError(
                    self.env._(
                        "%(order)s is confirmed, so its recurring plan cannot be changed. Close it and make a new "
                        "quotation with the other plan.",
                        order=order.display_name,
                    )
                )
