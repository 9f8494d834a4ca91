from collections import defaultdict

from odoo import api, fields, models

SCHEDULED = "subscription_close_renew.movements"


class SaleOrder(models.Model):
    """The ledger of monthly recurring revenue: what each subscription brings, and what changed it when."""

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
        """Open MRR Analysis of this subscription, with all the orders that it renewed and that renewed it.

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
            # Filled up, months in which nothing happened would be a kind of their own: None.
            "context": {"graph_groupbys": ["date:month", "kind"], "fill_temporal": False},
        }

    def _transition_subscription(self, event, values=None, message=None):
        # A price changed just before is a movement of its own, also when what it comes to is not computed yet.
        self._recompute_recordset(["recurring_monthly"])
        (self & self._get_scheduled_orders())._record_movements()
        if event == "close":
            self.filtered(lambda order: order.subscription_state == "paused")._record_lost_pause()
        res = super()._transition_subscription(event, values, message)
        self.filtered(lambda order: not order._is_mrr_transferred(event))._record_movements(event)
        return res

    @api.model
    def _get_states_with_mrr(self):
        """Return the states in which an order shows MRR. A quotation shows what it would bring.

        :rtype: tuple
        """
        return ("quotation", "renewal", "progress")

    @api.model
    def _get_event_kinds(self):
        """Return which kind of movement an event is. A renewal is none of these: it moves MRR to another order.

        :return: ``{event: kind}``, with keys of :meth:`_get_transitions`
        :rtype: dict
        """
        return {
            "confirm": "new",
            "cancel": "new",  # negative: it never was
            "close": "churn",
            "reopen": "reactivation",
            "pause": "pause",
            "resume": "resume",
        }

    def _is_mrr_transferred(self, event):
        """Return whether an event moves MRR from one order of a chain to another: see :meth:`_take_over_mrr`.

        :param str event: a key of :meth:`_get_transitions`
        :rtype: bool
        """
        self.ensure_one()
        return event not in self._get_event_kinds() or (event in ("confirm", "cancel") and bool(self.subscription_id))

    def _schedule_movements(self):
        """Have the ledger look at these subscriptions at the end of the transaction, when their lines are as they stay."""
        running = self.filtered(lambda order: order._origin == order and order.subscription_state == "progress")
        if not running:
            return
        precommit = self.env.cr.precommit
        if SCHEDULED not in precommit.data:
            precommit.data[SCHEDULED] = set()
            precommit.add(self.browse()._record_scheduled_movements)
        precommit.data[SCHEDULED].update(running.ids)

    @api.model
    def _get_scheduled_orders(self):
        return self.browse(self.env.cr.precommit.data.get(SCHEDULED, ()))

    @api.model
    def _record_scheduled_movements(self):
        scheduled = self._get_scheduled_orders()
        # What changes while this is written down is looked at once more.
        self.env.cr.precommit.data.pop(SCHEDULED, None)
        scheduled.exists()._record_movements()

    def _record_movements(self, event=None):
        """Write down by how much the MRR of these subscriptions differs from what the ledger has of them.

        :param str event: what happened, as a key of :meth:`_get_transitions`; without one, lines were changed
        """
        if not self:
            return
        movements = self.env["sale.subscription.movement"]
        balances, kinds = self._get_mrr_balances(), self._get_event_kinds()
        happened, changes = [], []
        for order in self:
            balance = balances[order.id]
            date = order._get_movement_date(event, balance["date"])
            happened += order._prepare_exchange(balance, date)
            change = order._prepare_change(balance, date, event)
            if event in kinds:
                happened.append(change)
            elif not order.currency_id.is_zero(change["amount"]):
                changes.append(change)
        movements._append(happened)
        if changes:
            movements._append_changes(changes)
        self.env.cr.precommit.data.get(SCHEDULED, set()).difference_update(self.ids)

    def _record_lost_pause(self):
        """Let paused subscriptions that are closed lose what they would bring, not the nothing that they bring."""
        balances = self._get_mrr_balances()
        rows = []
        for order in self:
            amount = order._get_full_mrr()
            date = order._get_movement_date("close", balances[order.id]["date"])
            value = order._convert_mrr(amount, date, to_company=True)
            rows.append(order._prepare_movement("resume", date, amount, value))
        self.env["sale.subscription.movement"]._append(rows)

    def _take_over_mrr(self, source):
        """Move the MRR of one order of a chain to another, which runs from now on; a difference is a change of that.

        :param source: the order that ran until now
        """
        self.ensure_one()
        balances = (self | source)._get_mrr_balances()
        dates = (balances[self.id]["date"], balances[source.id]["date"], self.start_date)
        date = max(filter(None, dates))
        rows = []
        for currency, (amount, amount_company) in balances[source.id]["amounts"].items():
            rows.append(source._prepare_movement("renewal", date, -amount, -amount_company, currency))
            taken = self._convert_mrr(amount_company, date) if currency != self.currency_id else amount
            rows.append(self._prepare_movement("renewal", date, taken, amount_company))
        self.env["sale.subscription.movement"]._append(rows)
        self._record_movements("renew")
        self.env.cr.precommit.data.get(SCHEDULED, set()).difference_update(source.ids)

    def _get_full_mrr(self):
        """Return what the subscription brings in a month when it is in progress, in its currency.

        :rtype: float
        """
        self.ensure_one()
        currency = self.currency_id or self.company_id.currency_id
        return currency.round(self.plan_id._get_monthly_amount(self.recurring_total))

    def _get_current_mrr(self):
        """Return what the subscription brings in a month at present, in its currency: nothing unless it is in progress.

        :rtype: float
        """
        self.ensure_one()
        return self.recurring_monthly if self.subscription_state == "progress" else 0.0

    def _get_mrr_balances(self):
        """Return what the ledger has of each of these subscriptions.

        :return: ``{id: {"amounts": {currency: (amount, amount in company currency)}, "date": of the last, or None}}``
        :rtype: dict
        """
        balances = {order_id: {"amounts": defaultdict(lambda: (0.0, 0.0)), "date": None} for order_id in self.ids}
        # The sums of the ledger are those of the orders, which whoever changes them may know.
        rows = (
            self.env["sale.subscription.movement"]
            .sudo()
            ._read_group(
                [("order_id", "in", self.ids)],
                ["order_id", "currency_id"],
                ["amount:sum", "amount_company:sum", "date:max"],
            )
        )
        for order, currency, amount, amount_company, date in rows:
            balance = balances[order.id]
            balance["amounts"][currency] = order._round_mrr(amount, amount_company, currency)
            balance["date"] = max(filter(None, (balance["date"], date)))
        return balances

    def _round_mrr(self, amount, amount_company, currency):
        self.ensure_one()
        return currency.round(amount), self.company_id.currency_id.round(amount_company)

    def _get_movement_date(self, event, last_date):
        """Return the day from which a movement counts: that of the service, but never before the last movement's.

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

    def _convert_mrr(self, amount, date, to_company=False):
        """Convert an amount between the currencies of the company and of the subscription.

        :param float amount: in the company's currency; or in that of the subscription, if it goes *to_company*
        :param date date: whose rate counts
        :param bool to_company: which way
        :rtype: float
        """
        self.ensure_one()
        company = self.company_id
        currencies = (company.currency_id, self.currency_id)
        source, target = reversed(currencies) if to_company else currencies
        return source._convert(amount, target, company, date)

    def _prepare_exchange(self, balance, date):
        """Return the movements that bring the ledger to the currency of the order, and to the rate of the day.

        :param dict balance: of the order, as from :meth:`_get_mrr_balances`; brought up to date
        :param date date: of the movements
        :rtype: list
        """
        self.ensure_one()
        amounts, rows = balance["amounts"], []
        company_currency = self.company_id.currency_id
        for currency in [currency for currency in amounts if currency != self.currency_id]:
            amount, amount_company = amounts.pop(currency)
            if currency.is_zero(amount) and company_currency.is_zero(amount_company):
                continue
            exchanged = self._convert_mrr(amount_company, date)
            rows += [
                self._prepare_movement("currency", date, -amount, -amount_company, currency),
                self._prepare_movement("currency", date, exchanged, amount_company),
            ]
            before, before_company = amounts[self.currency_id]
            amounts[self.currency_id] = self._round_mrr(
                before + exchanged, before_company + amount_company, self.currency_id
            )
        amount, amount_company = amounts[self.currency_id]
        value = self._convert_mrr(amount, date, to_company=True)
        difference = company_currency.round(value - amount_company)
        changed = not self.currency_id.is_zero(self._get_current_mrr() - amount)
        if changed and not company_currency.is_zero(difference):
            rows.append(self._prepare_movement("currency", date, 0, difference))
            amounts[self.currency_id] = (amount, value)
        return rows

    def _prepare_change(self, balance, date, event=None):
        """Return the movement from what the ledger has to what the subscription brings now.

        :param dict balance: as from :meth:`_get_mrr_balances`, in the order's currency
        :param date date: of the movement
        :param str event: as for :meth:`_record_movements`
        :rtype: dict
        """
        self.ensure_one()
        live = self._get_current_mrr()
        amount, amount_company = balance["amounts"][self.currency_id]
        change = self.currency_id.round(live - amount)
        value = amount_company
        if not self.currency_id.is_zero(change):
            value = self._convert_mrr(live, date, to_company=True)
        kind = self._get_event_kinds().get(event) or self.env["sale.subscription.movement"]._get_change_kind(change)
        return self._prepare_movement(kind, date, change, self.company_id.currency_id.round(value - amount_company))

    def _prepare_movement(self, kind, date, amount, amount_company, currency=None):
        """Return the values of a movement of this order.

        :param str kind: one of the field `kind`
        :param date date: from which it counts
        :param float amount: signed, in the currency
        :param float amount_company: signed, in the company's currency
        :param currency: `res.currency`; without one, that of the order
        :rtype: dict
        """
        self.ensure_one()
        return {
            "order_id": self.id,
            "origin_order_id": self.origin_order_id.id,
            "kind": kind,
            "date": date,
            "amount": amount,
            "currency_id": (currency or self.currency_id).id,
            "amount_company": amount_company,
            "company_id": self.company_id.id,
            "partner_id": self.partner_id.commercial_partner_id.id,
            "plan_id": self.plan_id.id,
        }
