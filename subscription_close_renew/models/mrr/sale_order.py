from odoo import api, fields, models

from ...tools import ledger

SCHEDULED = "subscription_close_renew.movements"


class SaleOrder(models.Model):
    """The ledger of monthly recurring revenue: what each subscription brings in, what changed it, and when."""

    _inherit = "sale.order"

    recurring_monthly = fields.Monetary(
        string="MRR",
        compute="_compute_recurring_monthly",
        store=True,
        guarded=True,
        help="Monthly recurring revenue: the price of one period, spread over its months. Zero while the subscription "
        "is paused, and once it has ended.",
    )
    movement_ids = fields.One2many(
        comodel_name="sale.subscription.movement",
        inverse_name="order_id",
        string="MRR Movements",
        readonly=True,
        guarded=True,
    )

    @api.depends(
        "recurring_total",
        "subscription_state",
        "currency_id",
        "plan_id.billing_period_value",
        "plan_id.billing_period_unit",
    )
    def _compute_recurring_monthly(self):
        subscriptions = self.filtered("plan_id")
        (self - subscriptions).recurring_monthly = 0
        states = self._get_states_with_mrr()
        for order in subscriptions:
            order.recurring_monthly = order._get_full_mrr() if order.subscription_state in states else 0
        subscriptions._schedule_movements()

    def action_subscription_mrr(self):
        """Open MRR Analysis for this subscription and all the orders in its chain of renewals.

        :return: a window action
        :rtype: dict
        """
        self.ensure_one()
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "subscription_close_renew.sale_subscription_movement_action"
        )
        return action | {
            "display_name": self.env._("MRR Analysis of %(order)s", order=self.name),
            "domain": [("origin_order_id", "=", self.origin_order_id.id)],
            # With empty months filled in, the graph would show a kind called None.
            "context": {"graph_groupbys": ["date:month", "kind"], "fill_temporal": False},
        }

    def _transition_subscription(self, event, values=None, message=None):
        # A price that changed just before is a movement of its own, even if its effect has not been computed yet.
        self._recompute_recordset(["recurring_monthly"])
        (self & self._get_scheduled_orders())._record_movements()
        paused = self.filtered(lambda order: order.subscription_state == "paused")
        if event == "close" and paused:
            paused._record_lost_pause()
        res = super()._transition_subscription(event, values, message)
        self.filtered(lambda order: not order._is_mrr_transferred(event))._record_movements(event)
        return res

    @api.model
    def _get_states_with_mrr(self):
        """Return the states in which an order shows MRR. A quotation shows what it would bring in.

        :rtype: tuple
        """
        return ("quotation", "renewal", "progress")

    @api.model
    def _get_event_kinds(self):
        """Return the kind of movement that each event causes. A renewal is not among them: it moves MRR to another order.

        :return: ``{event: kind}``, with keys of :meth:`_get_transitions`
        :rtype: dict
        """
        return {
            "confirm": "new",
            "cancel": "new",  # a negative one, which takes the first back
            "close": "churn",
            "reopen": "reactivation",
            "pause": "pause",
            "resume": "resume",
        }

    def _is_mrr_transferred(self, event):
        """Return whether an event moves MRR from one order of a chain to another; see :meth:`_take_over_mrr`.

        :param str event: a key of :meth:`_get_transitions`
        :rtype: bool
        """
        self.ensure_one()
        return event not in self._get_event_kinds() or (event in ("confirm", "cancel") and bool(self.subscription_id))

    def _schedule_movements(self):
        """Have the ledger check these subscriptions at the end of the transaction, once their lines are final."""
        running = self.filtered(lambda order: order._origin == order and order.subscription_state == "progress")
        if not running:
            return
        precommit = self.env.cr.precommit
        if SCHEDULED not in precommit.data:
            precommit.data[SCHEDULED] = set()
            precommit.add(self.browse()._record_scheduled_movements)
        precommit.data[SCHEDULED].update(running.ids)

    def _unschedule_movements(self):
        """Take these subscriptions off the list that the ledger checks at the end of the transaction."""
        self.env.cr.precommit.data.get(SCHEDULED, set()).difference_update(self.ids)

    @api.model
    def _get_scheduled_orders(self):
        return self.browse(self.env.cr.precommit.data.get(SCHEDULED, ()))

    @api.model
    def _record_scheduled_movements(self):
        scheduled = self._get_scheduled_orders()
        # A change made while this is recorded is scheduled again.
        self.env.cr.precommit.data.pop(SCHEDULED, None)
        scheduled.exists()._record_movements()

    def _record_movements(self, event=None):
        """Record the difference between the MRR of these subscriptions and what the ledger has for them.

        :param str event: what happened, as a key of :meth:`_get_transitions`; without one, lines were changed
        """
        if not self:
            return
        movements = self.env["sale.subscription.movement"]
        balances, event_kind = self._get_mrr_balances(), self._get_event_kinds().get(event)
        happened, changes = [], []
        for order in self:
            balance, last_date = balances[order.id]
            date = order._get_movement_date(event, last_date)
            exchanged, change = balance.entries_to(order._get_current_mrr(), order.currency_id, order._get_market(date))
            happened += [order._prepare_movement("currency", date, entry) for entry in exchanged]
            kind = event_kind or movements._get_change_kind(change.amount)
            values = order._prepare_movement(kind, date, change)
            if event_kind:
                happened.append(values)
            elif change.amount:
                changes.append(values)
        movements._append(happened)
        if changes:
            movements._append_changes(changes)
        self._unschedule_movements()

    def _record_lost_pause(self):
        """Resume paused subscriptions in the ledger before they close, so that churn is what they would bring in."""
        balances = self._get_mrr_balances()
        rows = []
        for order in self:
            _balance, last_date = balances[order.id]
            date = order._get_movement_date("close", last_date)
            _exchanged, entry = ledger.Balance().entries_to(
                order._get_full_mrr(), order.currency_id, order._get_market(date)
            )
            rows.append(order._prepare_movement("resume", date, entry))
        self.env["sale.subscription.movement"]._append(rows)

    def _take_over_mrr(self, source):
        """Move the MRR of another order of the chain to this one. Any difference is an expansion or a contraction.

        :param source: the order that was in progress until now
        """
        self.ensure_one()
        balances = (self | source)._get_mrr_balances()
        balance, source_date = balances[source.id]
        date = max(filter(None, (balances[self.id][1], source_date, self.start_date)))
        rows = []
        for taken, given in balance.transfer(self.currency_id, self._get_market(date)):
            rows.append(source._prepare_movement("renewal", date, taken))
            rows.append(self._prepare_movement("renewal", date, given))
        self.env["sale.subscription.movement"]._append(rows)
        self._record_movements("renew")
        source._unschedule_movements()

    def _get_full_mrr(self):
        """Return what the subscription brings in a month while it is in progress, in its currency.

        :rtype: float
        """
        self.ensure_one()
        currency = self.currency_id or self.company_id.currency_id
        return currency.round(self.plan_id._get_monthly_amount(self.recurring_total))

    def _get_current_mrr(self):
        """Return what the subscription brings in a month now, in its currency: 0 unless it is in progress.

        :rtype: float
        """
        self.ensure_one()
        return self.recurring_monthly if self.subscription_state == "progress" else 0.0

    def _get_mrr_balances(self):
        """Return what the ledger has for each of these subscriptions.

        :return: ``{id: (Balance, date of the last movement or None)}``
        :rtype: dict
        """
        # sudo: the sums of the ledger are those of the orders, which the caller may change.
        rows = (
            self.env["sale.subscription.movement"]
            .sudo()
            ._read_group(
                [("order_id", "in", self.ids)],
                ["order_id", "currency_id"],
                ["amount:sum", "amount_company:sum", "date:max"],
            )
        )
        balances = {order_id: (ledger.Balance(), None) for order_id in self.ids}
        for order, currency, amount, amount_company, date in rows:
            balance, last_date = balances[order.id]
            home = order.company_id.currency_id
            entry = ledger.Entry(currency, currency.round(amount), home.round(amount_company))
            balances[order.id] = (balance.plus([entry]), max(filter(None, (last_date, date))))
        return balances

    def _get_market(self, date):
        """Return the exchange rates of a day for the arithmetic of the ledger.

        :param date date: the day of the rates
        :rtype: ledger.Market
        """
        self.ensure_one()
        company = self.company_id
        return ledger.Market(
            home=company.currency_id,
            round=lambda amount, currency: currency.round(amount),
            convert=lambda amount, source, target: source._convert(amount, target, company, date),
        )

    def _get_movement_date(self, event, last_date):
        """Return the day from which a movement counts: when the service changes, but never before the last movement.

        :param str event: as for :meth:`_record_movements`
        :param date last_date: of the last movement, or None
        :rtype: date
        """
        self.ensure_one()
        return max(filter(None, (self._get_event_date(event), last_date)))

    def _get_event_date(self, event):
        """Return the day on which an event changes the service.

        :param str event: as for :meth:`_record_movements`
        :rtype: date
        """
        self.ensure_one()
        today = self.company_id._get_subscription_today()
        if event in ("confirm", "renew"):
            return self.start_date or today
        if event == "close" and self.end_date:
            return min(self.end_date, today)
        return today

    def _prepare_movement(self, kind, date, entry):
        """Return the values of a movement of this order.

        :param str kind: a value of the field `kind`
        :param date date: from which it counts
        :param ledger.Entry entry: the amount, and its value in the company's currency
        :rtype: dict
        """
        self.ensure_one()
        return {
            "order_id": self.id,
            "origin_order_id": self.origin_order_id.id,
            "kind": kind,
            "date": date,
            "amount": entry.amount,
            "currency_id": entry.currency.id,
            "amount_company": entry.value,
            "company_id": self.company_id.id,
            "partner_id": self.partner_id.commercial_partner_id.id,
            "plan_id": self.plan_id.id,
        }
