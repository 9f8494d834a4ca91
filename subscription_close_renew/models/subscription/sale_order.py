from odoo import api, fields, models
from odoo.exceptions import UserError

SUBSCRIPTION_STATES = [
    ("quotation", "Quotation"),
    ("renewal", "Renewal Quotation"),
    ("progress", "In Progress"),
    ("paused", "Paused"),
    ("renewed", "Renewed"),
    ("churned", "Churned"),
]


class SaleOrder(models.Model):
    """A sales order with a recurring plan: its states, the transitions between them, and its chain of renewals."""

    _inherit = "sale.order"

    plan_id = fields.Many2one(
        comodel_name="sale.subscription.plan",
        string="Recurring Plan",
        index="btree_not_null",
        ondelete="restrict",
        check_company=True,
        tracking=True,
        sales_only=True,
        help="How often this order is invoiced. An order with a recurring plan is a subscription.",
    )
    plan_by_default = fields.Boolean(
        string="Plan Added Automatically",
        readonly=True,
        sales_only=True,
        help="The plan was added with a subscription product and is removed with the last one.",
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
    recurring_total = fields.Monetary(
        compute="_compute_recurring_total",
        store=True,
        guarded=True,
        help="Price of one period, without taxes.",
    )
    subscription_id = fields.Many2one(
        comodel_name="sale.order",
        string="Renews",
        copy=False,
        readonly=True,
        guarded=True,
        index="btree_not_null",
        ondelete="restrict",
        check_company=True,
        help="The subscription that this order renews.",
    )
    renewal_ids = fields.One2many(
        comodel_name="sale.order",
        inverse_name="subscription_id",
        string="Renewals",
        readonly=True,
        guarded=True,
    )
    origin_order_id = fields.Many2one(
        comodel_name="sale.order",
        string="First Order",
        compute="_compute_origin_order_id",
        store=True,
        guarded=True,
        index="btree_not_null",
        recursive=True,
        help="First order in the chain of renewals of this order. An order that renews no other is its own first order.",
    )

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
        """Set the state of quotations; once confirmed, only :meth:`_transition_subscription` changes it."""
        for order in self:
            # In a form, only the origin of the edited record knows the state.
            current = order._origin.subscription_state
            order.subscription_state = current if current and order.state == "sale" else order._get_quotation_state()

    @api.depends("plan_id", "order_line.is_recurring", "order_line.price_subtotal")
    def _compute_recurring_total(self):
        subscriptions = self.filtered("plan_id")
        (self - subscriptions).recurring_total = 0
        for order in subscriptions:
            order.recurring_total = sum(line.price_subtotal for line in order.order_line if line.is_recurring)

    @api.depends("plan_id", "subscription_id.origin_order_id")
    def _compute_origin_order_id(self):
        subscriptions = self.filtered("plan_id")
        (self - subscriptions).origin_order_id = False
        for order in subscriptions:
            # In a form, an unsaved link must not reveal anything about another order.
            order.origin_order_id = order._origin.subscription_id.origin_order_id or order._origin

    @api.model
    def default_get(self, fields):
        values = super().default_get(fields)
        if self.env.context.get("subscription_quotation") and "plan_id" in fields and not values.get("plan_id"):
            values["plan_id"] = self.env.company._get_default_subscription_plan().id
        return values

    @api.onchange("order_line")
    def _onchange_order_line_default_plan(self):
        """Propose the default plan when a subscription product is added to an order without a plan."""
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
        # An import can create orders that are already confirmed.
        if confirmed := orders.filtered(lambda order: order.plan_id and order.state == "sale"):
            confirmed._start_subscription()
        return orders

    def _write_by_hand(self, vals):
        if "plan_id" not in vals:
            return super()._write_by_hand(vals)
        self._check_plan_change(vals["plan_id"])
        res = super()._write_by_hand({"plan_by_default": False, **vals})
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
        # Do not ask customers to sign an order that cannot be confirmed afterwards.
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
        """Add the default plan to quotations with a subscription product, however it was added.

        :raises UserError: if one of the orders is confirmed, because its plan can no longer be set
        """
        for order in self:
            if order.state == "sale":
                raise UserError(order._get_plan_error_message())
            plan = order.company_id._get_default_subscription_plan()
            order.write({"plan_id": plan.id, "plan_by_default": bool(plan)})

    def _compute_with_late_plan(self, vals):
        """Recompute the fields that Odoo computed before the lines of a new order added its plan.

        :param dict vals: values the order was created with
        """
        for name in self._get_fields_computed_from_plan() - vals.keys():
            self.env.add_to_compute(self._fields[name], self)

    @api.model
    def _get_fields_computed_from_plan(self):
        """Return the names of the fields of a new order that are computed before its lines, and so before its plan is known.

        :rtype: set
        """
        return {"subscription_state"}

    def _has_subscription_product(self, lines=None):
        """Return whether an order has a product that is sold by subscription.

        :param lines: the `sale.order.line` to look at; all lines by default
        :rtype: bool
        """
        lines = self.order_line if lines is None else lines
        return any(lines.product_id.mapped("recurring_invoice"))

    def _is_plan_needless(self):
        """Return whether the plan was added automatically for a product that is no longer ordered.

        :rtype: bool
        """
        self.ensure_one()
        return (
            self.plan_by_default
            and self.state in ("draft", "sent")
            and not self._has_subscription_product(self.order_line.filtered("product_uom_qty"))
        )

    def _drop_needless_plan(self):
        """Remove the plan from quotations without a subscription product, unless somebody chose it."""
        if needless := self.filtered(lambda order: order._is_plan_needless()):
            needless.write({"plan_id": False})

    def _update_recurring_discounts(self):
        """Recompute the discounts of subscription products after the plan has changed; other lines keep theirs."""
        self.order_line.filtered(lambda line: line.product_id.recurring_invoice)._compute_discount()

    def _get_plan_error_message(self):
        """Return the reason why the plan and the products of an order do not match, or False."""
        self.ensure_one()
        # Optional products have no quantity.
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
                "Subscriptions box is ticked, or clear the Recurring Plan.",
                order=self.display_name,
                plan=self.plan_id.name,
            )
        return False

    def _check_payable(self):
        """Check that quotations to be paid can be confirmed afterwards.

        :raises UserError: with the reason, if one cannot
        """
        for order in self.filtered(lambda order: order.state in ("draft", "sent")):
            if message := order._get_plan_error_message():
                raise UserError(message)

    def _register_hook(self):
        """Extend the cart checks of Odoo's shop, where it is installed: they are not part of `sale`."""
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
        """Start the subscriptions of newly confirmed orders."""
        for order in self:
            order._transition_subscription("confirm", order._prepare_subscription_start_values())

    def _prepare_subscription_start_values(self):
        """Return the dates of a subscription that starts.

        :rtype: dict
        """
        self.ensure_one()
        start_date = self.start_date or self.company_id._get_subscription_today()
        return {
            "start_date": start_date,
            "anchor_date": self.anchor_date or start_date,
            # A given date skips the time before it, which was billed elsewhere.
            "next_invoice_date": max(self.next_invoice_date or start_date, start_date),
        }

    @api.model
    def _get_transitions(self):
        """Return the events of a subscription, and the states they lead to.

        :return: ``{event: {state before: state after}}``
        :rtype: dict
        """
        return {
            "confirm": {"quotation": "progress", "renewal": "progress"},
            "cancel": dict.fromkeys(("progress", "paused", "churned"), "quotation"),  # or "renewal"
            "close": {"progress": "churned", "paused": "churned"},
            "reopen": {"churned": "progress"},
            "pause": {"progress": "paused"},
            "resume": {"paused": "progress"},
            "renew": {"progress": "renewed"},
            "unrenew": {"renewed": "progress"},
        }

    @api.model
    def _get_running_states(self):
        """Return the states of confirmed subscriptions that have not ended.

        :rtype: tuple
        """
        return ("progress", "paused")

    @api.model
    def _get_ended_states(self):
        """Return the states of confirmed subscriptions that have ended.

        :rtype: tuple
        """
        return ("renewed", "churned")

    def _is_running(self):
        """Return whether a subscription is confirmed and has not ended.

        :rtype: bool
        """
        return self.subscription_state in self._get_running_states()

    def _has_ended(self):
        """Return whether a subscription is confirmed and has ended.

        :rtype: bool
        """
        return self.subscription_state in self._get_ended_states()

    def _transition_subscription(self, event, values=None, message=None):
        """Move subscriptions to the state that an event leads to. No other method writes the state.

        The chatter shows the message, the old and the new state, and the user as author.

        :param str event: a key of :meth:`_get_transitions`
        :param dict values: other fields to write at the same time
        :param message: reason, as a sentence for the chatter (str or Markup)
        :raises UserError: if the event is impossible in the state of one of the subscriptions
        """
        self._check_transition(event)
        if message:
            self._track_set_log_message(message)
        for target, orders in self.grouped(lambda order: order._get_transition_target(event)).items():
            orders._write_subscription({**(values or {}), "subscription_state": target})

    def _check_transition(self, event):
        """Check that an event is possible in the state of each of these orders.

        :param str event: a key of :meth:`_get_transitions`
        :raises UserError: for the first order whose state rules the event out
        """
        for order in self:
            if refusal := order._get_state_refusal(event):
                raise UserError(refusal)

    def _get_transition_target(self, event):
        self.ensure_one()
        target = self._get_transitions()[event][self.subscription_state]
        return self._get_quotation_state() if target == "quotation" else target

    def _get_state_refusal(self, action):
        """Return the reason why an action is impossible in the state of a subscription, or False if the state allows it.

        :param str action: an event (a key of :meth:`_get_transitions`), or another key of :meth:`_get_state_refusals`
        :rtype: str | bool
        """
        self.ensure_one()
        state = self.plan_id and self.subscription_state
        if sentence := self._get_state_refusals(action).get(state or False):
            return sentence % self._prepare_refusal_values()
        transitions = self._get_transitions()
        if action not in transitions or state in transitions[action]:
            return False
        if not self.plan_id:
            return self.env._("%(order)s is not a subscription: it has no recurring plan.", order=self.display_name)
        labels = dict(self._fields["subscription_state"]._description_selection(self.env))
        return self.env._(
            "This is not possible while %(order)s has the subscription status %(state)s.",
            order=self.display_name,
            state=labels.get(state, self.env._("none")),
        )

    @api.model
    def _get_state_refusals(self, action):
        """Return the messages for the states in which an action is impossible.

        Any other state allows the action, or gets a general message if the action is an event without a transition from
        that state. Conditions that depend on more than the state are checked elsewhere.

        :param str action: as for :meth:`_get_state_refusal`
        :return: ``{state: message}``, with False for orders without a plan; the messages contain placeholders for
            :meth:`_prepare_refusal_values`
        :rtype: dict
        """
        return {}

    def _prepare_refusal_values(self):
        """Return the values for the placeholders of :meth:`_get_state_refusals`.

        :rtype: dict
        """
        self.ensure_one()
        return {"order": self.display_name}

    def _get_quotation_state(self):
        """Return the state of an unconfirmed subscription, or False without a plan."""
        self.ensure_one()
        if not self.plan_id:
            return False
        return "renewal" if self.subscription_id else "quotation"

    def _check_plan_change(self, plan_id):
        """Check that no confirmed order changes its plan, on which its periods are based."""
        for order in self:
            if order.state == "sale" and order.plan_id != order.plan_id.browse(plan_id):
                raise UserError(
                    self.env._(
                        "%(order)s is confirmed, so its recurring plan cannot be changed. Close it and create a "
                        "new quotation with the other plan.",
                        order=order.display_name,
                    )
                )
