from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.fields import Command, Domain
from odoo.service.model import PG_CONCURRENCY_EXCEPTIONS_TO_RETRY
from odoo.tools import format_date

from ..billing.sale_order import MAX_PERIODS_PER_RUN
from ..subscription.runner import Runner, Turn, commit

# How long before it was asked for a payment may be dated by a bank.
DAYS_DATED_BACK = 7


class SaleOrder(models.Model):
    """Collecting with a stored payment method, and payments whose outcome is unknown."""

    _inherit = "sale.order"

    payment_token_id = fields.Many2one(
        comodel_name="payment.token",
        string="Stored Payment Method",
        copy=False,
        index="btree_not_null",
        ondelete="restrict",
        tracking=True,
        sales_only=True,
        help="Each period is charged to this card or account of the customer. Without one, invoices are sent and the "
        "customer pays them.",
    )
    payment_exception = fields.Boolean(
        string="Contract in exception",
        copy=False,
        tracking=True,
        sales_only=True,
        help="The outcome of a payment is unknown: nothing is charged or invoiced until that is resolved. Untick it if "
        "the payment did not happen: the next run handles the subscription.",
    )
    is_payment_to_resolve = fields.Boolean(compute="_compute_is_payment_to_resolve")
    payment_failure = fields.Boolean(
        compute="_compute_payment_failure",
        search="_search_payment_failure",
        help="A payment was declined, or its outcome is unknown.",
    )

    @api.depends("payment_exception")
    def _compute_is_payment_to_resolve(self):
        for order in self:
            order.is_payment_to_resolve = order.payment_exception or bool(
                order.plan_id and order._get_charges_to_resolve()
            )

    @api.depends("payment_exception", "period_ids.charge_state")
    def _compute_payment_failure(self):
        for order in self:
            order.payment_failure = order.payment_exception or "declined" in order.period_ids.mapped("charge_state")

    def _search_payment_failure(self, operator, value):
        if operator != "in":
            return NotImplemented
        failed = Domain("payment_exception", "=", True) | Domain(
            "period_ids", "any", Domain("charge_state", "=", "declined")
        )
        return failed if True in value else ~failed

    @api.constrains("payment_token_id", "partner_id", "partner_invoice_id", "company_id")
    def _check_payment_token(self):
        for order in self:
            # Only whose the payment method is, for whoever may change the order.
            token = order.payment_token_id.sudo()
            if token and not token._belongs_to(order):
                raise ValidationError(
                    self.env._(
                        "The payment method %(token)s is not one of the customer of %(order)s, in its company. Choose "
                        "another, or leave it empty.",
                        token=token.display_name,
                        order=order.display_name,
                    )
                )

    @api.model_create_multi
    def create(self, vals_list):
        # Before the orders are there: one that somebody makes for a customer is no right to the customer's cards yet.
        self._check_token_access(vals_list)
        return super().create(vals_list)

    def write(self, vals):
        by_hand = "payment_exception" in vals and not vals["payment_exception"] and not self._is_method()
        lifted = self.filtered("payment_exception") if by_hand else self.browse()
        self._check_token_access([vals])
        res = super().write(vals)
        lifted._set_charges_failed()
        return res

    @api.model
    def _get_fields_without_default(self):
        # One that comes as a default would pass the check of who may see it.
        return super()._get_fields_without_default() | {"payment_token_id"}

    @api.model
    def _check_token_access(self, vals_list):
        """Refuse payment methods that the user cannot see: they are not theirs to charge.

        :param list vals_list: values of orders
        :raises AccessError: if one of them names such a payment method
        """
        if not self._is_method():
            chosen = {vals["payment_token_id"] for vals in vals_list if vals.get("payment_token_id")}
            self.env["payment.token"].browse(chosen).check_access("read")

    def action_subscription_resolve_exception(self):
        """Open the pop-up that asks whether the payment happened whose outcome is unknown.

        :return: a window action
        :rtype: dict
        :raises AccessError: if the user may not change the order
        :raises UserError: if no outcome is unknown
        """
        self.ensure_one()
        self._check_subscription_access()
        self._check_payment_exception()
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "subscription_close_renew.sale_subscription_resolve_wizard_action"
        )
        return action | {"context": {"default_order_id": self.id}}

    def _check_payment_exception(self):
        """Refuse to resolve what is not in exception.

        :raises UserError: naming the first such order
        """
        for order in self:
            if not order.is_payment_to_resolve:
                raise UserError(
                    self.env._(
                        "No payment of %(order)s has an unknown outcome, so there is nothing to resolve.",
                        order=order.display_name,
                    )
                )

    @api.model
    def _bill_due(self, domain):
        """Settle the outcome of earlier charges first: what is due may depend on it."""
        self._settle_late_charges(domain)
        self._report_silence(domain)
        return super()._bill_due(domain)

    def _get_billing_turns(self, domain):
        """Charge what has a payment method, one by one, and retry what was declined."""
        by_card = Domain("payment_token_id", "!=", False) | Domain("period_ids", "any", [("state", "=", "draft")])
        turns = super()._get_billing_turns(domain & ~by_card)
        due = domain & self._get_billing_domain() & by_card
        charge = Turn(due, "next_invoice_date", lambda order: order._bill_and_charge(), 1, MAX_PERIODS_PER_RUN)
        retry = charge._replace(domain=domain & self._get_retry_domain(), call=lambda order: order._retry_charges())
        # A provider that cannot be reached stops only its own payment methods.
        for method in self._get_payment_method_domains():
            turns += [turn._replace(domain=turn.domain & method) for turn in (charge, retry)]
        return turns

    def _get_chargeable_domain(self):
        return super()._get_chargeable_domain() & Domain("payment_exception", "=", False)

    def _get_bill_now_domain(self):
        return super()._get_bill_now_domain() | self._get_retry_domain()

    def _is_billing_successful(self):
        return super()._is_billing_successful() and not any(self.mapped("payment_failure"))

    def _prefetch_for_invoices(self):
        res = super()._prefetch_for_invoices()
        # sudo: what the invoices use is read anyway, in _prepare_invoice.
        self.sudo().mapped("transaction_ids")
        return res

    @api.depends("payment_exception", "payment_token_id")
    def _compute_billing_status(self):
        return super()._compute_billing_status()

    def _get_billing_obstacle(self):
        refusal = self._get_state_refusal("bill")
        if self.payment_exception and not refusal:
            return self.env._(
                "The outcome of a payment of %(order)s is unknown: nothing is invoiced or charged until that is resolved.",
                order=self.display_name,
            )
        return super()._get_billing_obstacle()

    def _get_next_invoice_status(self):
        if not self.payment_token_id:
            return super()._get_next_invoice_status()
        return self.env._(
            "%(order)s is next invoiced on %(date)s, and its payment method charged.",
            order=self.display_name,
            date=format_date(self.env, self.next_invoice_date),
        )

    def _counts_draft_invoices(self):
        # In exception, the invoice made for the charge is a draft, and somebody may make another manually.
        return super()._counts_draft_invoices() and not self.payment_exception

    def _check_payable(self):
        """Refuse to take money for subscriptions that a charge is under way for, too."""
        for order in self:
            if message := order._get_charge_under_way_message():
                raise UserError(message)
        return super()._check_payable()

    def _get_charge_under_way_message(self):
        """Return why a subscription cannot be paid at this moment, or False if it can.

        :rtype: str | bool
        """
        self.ensure_one()
        if not self.payment_exception:
            return False
        return self.env._(
            "A payment of the subscription %(order)s is being processed, so that nothing more can be paid for it "
            "before its outcome is known.",
            order=self.name,
        )

    def _bill_and_charge(self):
        """Invoice the next period of a subscription, and collect it with its payment method.

        What is charged is invoiced once the outcome is known; until then, the invoice is a draft.
        """
        self.ensure_one()
        period = self._get_draft_period()
        if period and period._is_outdated():
            period = self._remake_draft_period(period)
        period = period or self._make_draft_period()
        invoice = period._get_open_invoice()
        waiting = self.period_ids.filtered(lambda earlier: earlier.charge_state == "declined" and earlier.retry_date)
        payable = (
            invoice.currency_id.compare_amounts(invoice.amount_total, 0) > 0 and not invoice._is_paid_or_under_way()
        )
        if self.payment_token_id and payable and not waiting:
            period._charge()
            return
        period._post_drafts()
        invoice._schedule_subscription_mail()
        if self.payment_token_id and (period._is_paid_in_part() or invoice._has_payment_under_way()):
            # What is left is charged in a transaction of its own, still in this run; or once a payment came to nothing.
            period.retry_date = self.company_id._get_subscription_today()
        # A card that was just declined is not asked for still more: the oldest period comes first.
        if payable:
            period._postpone_until_paid(waiting.sorted("date_start")[:1])

    def _retry_charges(self):
        """Charge once more the oldest of what was declined and is to be tried today.

        One charge a call, each in a transaction of its own: what others did while the provider was asked counts for
        the next.
        """
        self.ensure_one()
        today = self.company_id._get_subscription_today()
        declined = self.period_ids.filtered("retry_date").sorted("date_start")
        for number, period in enumerate(declined):
            invoice = period._get_open_invoice()
            if period.retry_date > today:
                continue
            postponed = declined[:number].filtered(lambda earlier: earlier.retry_date and earlier.retry_date > today)
            if not self.payment_token_id or not invoice:
                period.retry_date = False
            elif invoice._has_payment_under_way() or invoice._has_checkout_under_way():
                period.retry_date = today + timedelta(days=1)
            elif postponed:
                period._postpone_until_paid(postponed[:1])
            else:
                period._charge()
                return

    def _get_retry_domain(self):
        """Return the domain of the subscriptions of which a declined payment is to be tried again today.

        :rtype: Domain
        """
        # The field is one of periods, which have a company as orders have.
        return self._get_chargeable_domain() & Domain("period_ids", "any", self._get_due_domain("retry_date"))

    @api.model
    def _get_payment_method_domains(self):
        """Return the domains of the subscriptions of each payment provider, and of those without a payment method.

        :rtype: list
        """
        # Which providers there are is needed by whoever bills, and nothing else of them.
        tokens = self.env["payment.token"].sudo().with_context(active_test=False)
        providers = [provider for (provider,) in tokens._read_group([], ["provider_id"])]
        return [
            Domain("payment_token_id", "=", False),
            *(
                Domain("payment_token_id", "in", tokens._search([("provider_id", "=", provider.id)]))
                for provider in providers
            ),
        ]

    @api.model
    def _settle_late_charges(self, domain):
        """Carry out what became of charges, if whoever asked for them could not: also long after Odoo's own action.

        :param Domain domain: which subscriptions
        """
        waiting = self.env["sale.subscription.period"].search(
            Domain("charge_state", "in", ("unknown", "pending")) & Domain("order_id", "any", domain)
        )
        # Whoever bills a subscription lets its payments be settled.
        transactions = waiting.sudo().invoice_ids.transaction_ids
        # Also that of a period that somebody has invoiced by hand meanwhile.
        transactions |= transactions.search([("subscription_holds_exception", "=", True), ("state", "!=", "draft")])
        for transaction in transactions:
            orders = transaction.invoice_ids._get_subscriptions()
            if transaction.state == "draft" or transaction.is_post_processed or not orders.filtered_domain(domain):
                continue
            try:
                transaction._post_process()
                self.env.cr.flush()
            except PG_CONCURRENCY_EXCEPTIONS_TO_RETRY:
                self.env.cr.rollback()
            except Exception as error:
                self.env.cr.rollback()
                for order in orders:
                    order._set_aside_safely(error)
            commit(self.env)

    @api.model
    def _report_silence(self, domain):
        """Ask people to look up payments that nobody would hear of: killed before the answer, or pending for long.

        :param Domain domain: which subscriptions
        """
        # Whoever bills a subscription lets it be told what became of its payments.
        orders = self.env["payment.transaction"].sudo()._get_subscriptions_to_look_at()
        if orders:
            silent = domain & Domain("id", "in", orders.ids)
            Runner(self, Turn(silent, "id", lambda order: order._notify_silent_charges(), size=1)).run()

    def _notify_silent_charges(self):
        """Ask people to look up the payments of a subscription that nobody would hear of."""
        self.ensure_one()
        for charge in (self.sudo().period_ids.invoice_ids | self.sudo().invoice_ids).transaction_ids:
            if charge._is_abandoned():
                self._notify_charge_unknown(charge)
            elif charge._is_overdue():
                self._notify_charge_overdue(charge)

    def _get_payments_left_over(self):
        """Return the payments of cancelled invoices of a subscription whose money is still there: it pays the next one.

        :rtype: payment.transaction
        """
        self.ensure_one()
        # sudo: salespeople cannot read payments; Odoo has checked the right to invoice the order.
        lines = self.sudo().order_line.invoice_lines.filtered(lambda line: line.parent_state == "cancel")
        payments = lines.move_id.transaction_ids
        return (payments | payments._get_captured_parts()).filtered(lambda payment: payment._is_left_over())

    def _remake_draft_period(self, period):
        """Make the draft invoice of the next period in the place of one that the subscription has outgrown.

        :param period: the `sale.subscription.period` in preparation, for which no payment is under way
        :return: the period in preparation
        :rtype: sale.subscription.period
        """
        self.ensure_one()
        outdated = period.invoice_ids
        # sudo: salespeople cannot write payments; action_subscription_bill has checked the right to the order.
        charges = outdated.sudo().transaction_ids
        period._drop_drafts()
        period = self._make_draft_period()
        # A late notification of a charge that was given up settles the invoice that counts.
        links = [Command.link(invoice.id) for invoice in period.invoice_ids]
        charges.invoice_ids = links + [Command.unlink(invoice.id) for invoice in outdated]
        return period

    def _lock_for_payment(self):
        """Lock subscriptions that are about to be paid or charged, so that no two payments begin at once.

        :raises UserError: if somebody else holds one of them
        """
        if self and self.try_lock_for_update(allow_referencing=True) != self:
            raise UserError(self._get_at_work_message())
        self.invalidate_recordset(["payment_exception", "subscription_state"])

    def _get_at_work_message(self):
        """Return what people read who have to wait until billing is done with subscriptions.

        :rtype: str
        """
        return self.env._(
            "%(orders)s: billing is at work on this at the moment. Try again in a minute.",
            orders=", ".join(self.mapped("name")),
        )

    def _lift_settled_exception(self, transaction):
        """End the exception of subscriptions once no other charge of theirs has an unknown outcome.

        :param transaction: the `payment.transaction` whose outcome became known
        """
        # Only which subscriptions they are of is read.
        charges = transaction.sudo().search(
            [
                ("subscription_holds_exception", "=", True),
                ("invoice_ids.invoice_line_ids.subscription_id", "in", self.ids),
            ]
        )
        settled = self.filtered("payment_exception") - charges.invoice_ids._get_subscriptions()
        settled._without_tracking()._write_subscription({"payment_exception": False})
        if transaction.subscription_lookup_on:
            for order in settled:
                order.message_post(body=self.env._("The outcome of the payment is known: the exception is over."))

    def _get_charges_to_resolve(self):
        """Return the transactions of these subscriptions that nobody knows the outcome of, whatever invoice they pay.

        :rtype: payment.transaction
        """
        # Which payments are to be looked up is told to whoever may change the subscription.
        invoices = self.sudo().period_ids.invoice_ids | self.sudo().invoice_ids
        charges = invoices.transaction_ids.filtered(lambda transaction: transaction._is_to_resolve())
        # The invoice of another subscription may be linked to a line of this order: its payments are resolved there.
        return charges.filtered(
            lambda charge: not (paid := charge.invoice_ids._get_subscriptions()) or bool(paid & self)
        )

    def _resolve_as_paid(self, payment_date, reference=None):
        """Record a payment whose outcome was unknown: post its invoice, and register the payment.

        :param date payment_date: when it was made
        :param str reference: what the provider calls it
        :raises UserError: if there is nothing that it can have paid
        """
        self.ensure_one()
        # Whoever may resolve the exception records the payment: neither transactions nor invoices need be theirs.
        order = self._on_behalf()
        transactions = order._get_charges_to_resolve()
        transactions._check_not_waited_for()
        order._check_payment_date(payment_date, transactions)
        for transaction in transactions:
            transaction._record_as_paid(payment_date, reference)
        order._write_subscription({"payment_exception": False})
        if not transactions:
            order._get_period_to_record()._register_payment(payment_date, reference)
        order.message_post(
            body=self.env._(
                "Payment Failure resolved: paid on %(date)s, reference %(reference)s.",
                date=format_date(self.env, payment_date),
                reference=reference or self.env._("none"),
            )
        )

    def _get_period_to_record(self):
        """Return the period that was paid, if no transaction tells: the oldest that is open, else the one that is due.

        What is due and not invoiced gets its draft invoice.

        :rtype: sale.subscription.period
        :raises UserError: if nothing is open or due
        """
        self.ensure_one()
        periods = self.period_ids.sorted("date_start").filtered(lambda period: period._is_open())[:1]
        if not periods and self.filtered_domain(self._get_billing_domain()):
            periods = self._make_draft_period().filtered(lambda period: period._is_open())
        if not periods:
            raise UserError(
                self.env._(
                    "%(order)s has no open invoice and nothing is due, so there is no payment to record. To lift the "
                    "exception, choose that the payment was not made.",
                    order=self.display_name,
                )
            )
        return periods

    def _check_payment_date(self, payment_date, transactions):
        """Refuse a day on which a payment that was asked for cannot have been made.

        :param date payment_date: when it was made, as the user says
        :param transactions: the `payment.transaction` that it may be
        :raises UserError: naming the days between which it lies
        """
        self.ensure_one()
        today = self.company_id._get_subscription_today()
        asked = [transaction.last_state_change.date() for transaction in transactions] or [self.start_date or today]
        # Banks date back; and it may be tomorrow where the user is.
        first, last = min(asked) - timedelta(days=DAYS_DATED_BACK), today + timedelta(days=1)
        if not payment_date or not first <= payment_date <= last:
            raise UserError(
                self.env._(
                    "Enter a Payment Date from %(first)s to %(last)s: the payment of %(order)s was not requested before.",
                    first=format_date(self.env, first),
                    last=format_date(self.env, last),
                    order=self.display_name,
                )
            )

    def _resolve_as_unpaid(self):
        """End an exception because its payment was not made: it is asked for again, however it was invoiced meanwhile."""
        self.message_post(body=self.env._("Payment Failure resolved: not paid. It is asked for anew."))
        # sudo: salespeople cannot read payments; the pop-up has checked the right to the order.
        charges = self.sudo()._get_charges_to_resolve()
        if self.payment_exception:
            self.payment_exception = False
        else:
            self._set_charges_failed()
        charges._get_subscription_periods()._retry_today()

    def _set_charges_failed(self):
        """Take the charges whose outcome was unknown as failed, as somebody found out: they may be made again."""
        # Whoever may change the order says what became of its payments.
        for order in self.sudo():
            charges = order._get_charges_to_resolve()
            charges._check_not_waited_for()
            pending = charges.filtered(lambda charge: charge.state in ("pending", "authorized"))
            # What one charge was to pay of several subscriptions is open in all of them.
            periods = order.period_ids | charges._get_subscription_periods()
            periods = periods.filtered(lambda period: period.charge_state == "unknown")
            periods |= pending._get_subscription_periods()
            charges._set_not_paid()
            for charge in charges:
                (charge.invoice_ids._get_subscriptions() - order)._lift_settled_exception(charge)
            periods.charge_state = False
            periods._retry_today()
            periods.filtered(lambda period: not period.order_id._is_running())._drop_drafts()

    def _notify_charge_unknown(self, transaction):
        """Tell whoever is responsible that the outcome of a payment is unknown, and what to do.

        :param transaction: `payment.transaction`
        """
        transaction.subscription_lookup_on = fields.Date.today()
        for order in self:
            body = self.env._(
                "The outcome of the payment %(reference)s of %(amount)s is unknown: %(reason)s Nothing more is charged "
                "until it is resolved. Look it up at the payment provider, then use Resolve Payment Failure; or "
                "wait: a notification of the provider resolves it by itself.",
                reference=transaction.reference,
                amount=transaction.currency_id.format(transaction.amount),
                reason=transaction.state_message or self.env._("there was no answer."),
            )
            order.message_post(body=body)
            order._ask_for_attention(self.env._("Payment Failure"), body)

    def _notify_charge_overdue(self, transaction):
        """Tell whoever is responsible that the notification of a payment is long in coming, and what to do.

        :param transaction: `payment.transaction`
        """
        transaction.subscription_lookup_on = fields.Date.today()
        for order in self:
            body = self.env._(
                "The payment %(reference)s of %(amount)s has been pending since %(date)s. Look it up at the payment "
                "provider, then use Resolve Payment Failure; or wait for the provider's notification.",
                reference=transaction.reference,
                amount=transaction.currency_id.format(transaction.amount),
                date=format_date(self.env, transaction.last_state_change),
            )
            order.message_post(body=body)
            order._ask_for_attention(self.env._("Payment pending"), body)

    def _write_subscription(self, values):
        """Plan no further attempt for subscriptions that end, by whatever way."""
        res = super()._write_subscription(values)
        if values.get("subscription_state", "progress") not in self._get_running_states():
            # Whoever may end the subscription ends its dunning.
            self.sudo().period_ids.filtered("retry_date").retry_date = False
        return res

    def _check_cancel_subscription(self):
        res = super()._check_cancel_subscription()
        # sudo: whoever may cancel the order, as Odoo checks, is told which payment holds it.
        self.sudo().period_ids.invoice_ids._check_no_payment_under_way()
        return res

    def _close(self):
        """Leave no invoice in preparation behind, but for a charge that is under way: its outcome decides."""
        res = super()._close()
        # Whoever may close the subscription may cancel the draft invoice that billing had prepared.
        reserved = self.sudo().period_ids.filtered(
            lambda period: period.state == "draft" and period.charge_state != "unknown"
        )
        reserved._drop_drafts()
        return res

    def _prepare_invoice(self):
        """Leave out the payments that an earlier invoice has used: each counts for one period."""
        values = super()._prepare_invoice()
        if self.plan_id:
            # Payments are nobody's document: whoever may invoice the order gives it those that were made for it.
            used = self.sudo().transaction_ids.filtered(
                lambda transaction: any(invoice.state != "cancel" for invoice in transaction.invoice_ids)
            )
            linked = self.sudo().transaction_ids.browse(values["transaction_ids"][0][2]) - used
            # The money of one that was authorized came in parts of its own, which Odoo does not look at.
            linked |= linked._get_captured_parts()
            linked |= self._get_payments_left_over()
            values["transaction_ids"] = [Command.set(linked.ids)]
        return values
