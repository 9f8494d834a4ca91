from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.fields import Command, Domain
from odoo.service.model import PG_CONCURRENCY_EXCEPTIONS_TO_RETRY
from odoo.tools import format_date

from ..billing.sale_order import MAX_PERIODS_PER_RUN
from ..subscription.runner import Runner, Turn, commit

# Banks may date a payment this many days before it was requested.
DAYS_DATED_BACK = 7


class SaleOrder(models.Model):
    """Charging stored payment methods, and payments whose outcome is unknown."""

    _inherit = "sale.order"

    payment_token_id = fields.Many2one(
        comodel_name="payment.token",
        string="Stored Payment Method",
        copy=False,
        index="btree_not_null",
        ondelete="restrict",
        tracking=True,
        sales_only=True,
        help="The customer's card or account to which each period is charged. Without one, invoices are sent and the "
        "customer pays them manually.",
    )
    payment_exception = fields.Boolean(
        string="Contract in exception",
        copy=False,
        tracking=True,
        sales_only=True,
        help="The outcome of a payment is unknown. Nothing is charged or invoiced until this is resolved. If the "
        "payment was not made, untick this box: the next run of the scheduled action processes the subscription.",
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
            # sudo: the user may not have access to the payment method; Odoo has checked the right to the order.
            token = order.payment_token_id.sudo()
            if token and not token._belongs_to(order):
                raise ValidationError(
                    self.env._(
                        "The payment method %(token)s does not belong to the customer and company of %(order)s. Choose "
                        "another one or leave the field empty.",
                        token=token.display_name,
                        order=order.display_name,
                    )
                )

    @api.model_create_multi
    def create(self, vals_list):
        # Checked before the orders exist: creating an order for a customer gives no right to the customer's cards.
        self._check_token_access(vals_list)
        return super().create(vals_list)

    def _write_by_hand(self, vals):
        self._check_token_access([vals])
        is_lifted = "payment_exception" in vals and not vals["payment_exception"]
        lifted = self.filtered("payment_exception") if is_lifted else self.browse()
        res = super()._write_by_hand(vals)
        lifted._set_charges_failed()
        return res

    @api.model
    def _get_fields_without_default(self):
        # A default would bypass the check of access to the payment method.
        return super()._get_fields_without_default() | {"payment_token_id"}

    @api.model
    def _check_token_access(self, vals_list):
        """Refuse payment methods that the user cannot read, and so must not charge.

        :param list vals_list: values of orders
        :raises AccessError: if one of them contains such a payment method
        """
        if not self._is_method():
            chosen = {vals["payment_token_id"] for vals in vals_list if vals.get("payment_token_id")}
            self.env["payment.token"].browse(chosen).check_access("read")

    def action_subscription_resolve_exception(self):
        """Open the pop-up that resolves a payment whose outcome is unknown.

        :return: a window action
        :rtype: dict
        :raises AccessError: if the user may not change the order
        :raises UserError: if no payment has an unknown outcome
        """
        self.ensure_one()
        self._check_subscription_access()
        self._check_payment_exception()
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "subscription_close_renew.sale_subscription_resolve_wizard_action"
        )
        return action | {"context": {"default_order_id": self.id}}

    def _check_payment_exception(self):
        """Refuse orders without a payment to resolve.

        :raises UserError: naming the first such order
        """
        for order in self:
            if not order.is_payment_to_resolve:
                raise UserError(
                    self.env._(
                        "There is nothing to resolve: no payment of %(order)s has an unknown outcome.",
                        order=order.display_name,
                    )
                )

    @api.model
    def _bill_due(self, domain):
        """Process the outcome of earlier charges first: what is due may depend on it."""
        self._settle_late_charges(domain)
        self._report_silence(domain)
        return super()._bill_due(domain)

    def _get_billing_turns(self, domain):
        """Charge subscriptions with a payment method one by one, and retry declined payments."""
        by_card = Domain("payment_token_id", "!=", False) | Domain("period_ids", "any", [("state", "=", "draft")])
        turns = super()._get_billing_turns(domain & ~by_card)
        due = domain & self._get_billing_domain() & by_card
        charge = Turn(
            due, "next_invoice_date", lambda order: order._bill_and_charge(), size=1, limit=MAX_PERIODS_PER_RUN
        )
        retry = charge._replace(domain=domain & self._get_retry_domain(), call=lambda order: order._retry_charges())
        # An unreachable provider stops only the turns of its own payment methods.
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
        # sudo: _prepare_invoice reads the same records; Odoo has checked the right to invoice the orders.
        self.sudo().mapped("transaction_ids")
        return res

    @api.depends("payment_exception", "payment_token_id")
    def _compute_billing_status(self):
        return super()._compute_billing_status()

    def _get_billing_obstacle(self):
        # In any other state, the state itself is the obstacle.
        if self.payment_exception and self.subscription_state == "progress":
            return self.env._(
                "The outcome of a payment of %(order)s is unknown. Nothing is invoiced or charged until this is "
                "resolved.",
                order=self.display_name,
            )
        return super()._get_billing_obstacle()

    def _get_next_invoice_status(self):
        if not self.payment_token_id:
            return super()._get_next_invoice_status()
        return self.env._(
            "%(order)s will next be invoiced on %(date)s, and its payment method charged.",
            order=self.display_name,
            date=format_date(self.env, self.next_invoice_date),
        )

    def _counts_draft_invoices(self):
        # In exception, the invoice of the charge is a draft, and users can create another one manually.
        return super()._counts_draft_invoices() and not self.payment_exception

    def _check_payable(self):
        """Refuse payments of subscriptions with a charge under way as well."""
        for order in self:
            if message := order._get_charge_under_way_message():
                raise UserError(message)
        return super()._check_payable()

    def _get_charge_under_way_message(self):
        """Return the reason why a subscription cannot be paid at the moment, or False if it can.

        :rtype: str | bool
        """
        self.ensure_one()
        if not self.payment_exception:
            return False
        return self.env._(
            "A payment of the subscription %(order)s is being processed. Until its outcome is known, no other payment "
            "can be made.",
            order=self.name,
        )

    def _bill_and_charge(self):
        """Invoice the next period of a subscription, and charge it to the payment method.

        The invoice of a charge remains a draft until the outcome is known.
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
            # The rest is charged in a separate transaction: in this run, or once the payment under way has failed.
            period.retry_date = self.company_id._get_subscription_today()
        # A card that was just declined is not charged for later periods: the oldest period comes first.
        if payable:
            period._postpone_until_paid(waiting.sorted("date_start")[:1])

    def _retry_charges(self):
        """Retry the oldest declined period whose next attempt is due.

        Each call makes one charge in a transaction of its own, so that the next call sees what others did meanwhile.
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
        """Return the domain of the subscriptions with a declined payment to retry today.

        :rtype: Domain
        """
        # The field belongs to periods, which have a company just as orders do.
        return self._get_chargeable_domain() & Domain("period_ids", "any", self._get_due_domain("retry_date"))

    @api.model
    def _get_payment_method_domains(self):
        """Return one domain of subscriptions for each payment provider, and one for those without a payment method.

        :rtype: list
        """
        # sudo: salespeople cannot read all payment methods; only the providers are read, and billing checks the orders.
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
        """Process the outcome of charges whose own process could not, even when Odoo's scheduled action no longer does.

        :param Domain domain: which subscriptions
        """
        waiting = self.env["sale.subscription.period"].search(
            Domain("charge_state", "in", ("unknown", "pending")) & Domain("order_id", "any", domain)
        )
        # sudo: salespeople cannot read payments; the caller has checked the right to bill these subscriptions.
        transactions = waiting.sudo().invoice_ids.transaction_ids
        # Include charges of periods that were invoiced manually in the meantime.
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
        """Ask colleagues to look up payments without an answer: interrupted charges, and payments pending for long.

        :param Domain domain: which subscriptions
        """
        # sudo: salespeople cannot read payments; the domain limits this to subscriptions that the caller can bill.
        orders = self.env["payment.transaction"].sudo()._get_subscriptions_to_look_at()
        if orders:
            silent = domain & Domain("id", "in", orders.ids)
            Runner(self, Turn(silent, "id", lambda order: order._notify_silent_charges(), size=1)).run()

    def _notify_silent_charges(self):
        """Ask colleagues to look up the payments of a subscription without an answer."""
        self.ensure_one()
        # sudo: only the scheduled action and action_subscription_bill call this, which has checked the right to the order.
        for charge in (self.sudo().period_ids.invoice_ids | self.sudo().invoice_ids).transaction_ids:
            if charge._is_abandoned():
                self._notify_charge_unknown(charge)
            elif charge._is_overdue():
                self._notify_charge_overdue(charge)

    def _get_payments_left_over(self):
        """Return the unused payments of cancelled invoices of a subscription, which pay its next invoice.

        :rtype: payment.transaction
        """
        self.ensure_one()
        # sudo: salespeople cannot read payments; Odoo has checked the right to invoice the order.
        lines = self.sudo().order_line.invoice_lines.filtered(lambda line: line.parent_state == "cancel")
        payments = lines.move_id.transaction_ids
        return (payments | payments._get_captured_parts()).filtered(lambda payment: payment._is_left_over())

    def _remake_draft_period(self, period):
        """Replace the outdated draft invoice of the next period.

        :param period: the draft `sale.subscription.period`, without a payment under way
        :return: the new draft period
        :rtype: sale.subscription.period
        """
        self.ensure_one()
        outdated = period.invoice_ids
        # sudo: salespeople cannot write payments; action_subscription_bill has checked the right to the order.
        charges = outdated.sudo().transaction_ids
        period._drop_drafts()
        period = self._make_draft_period()
        # A late notification of an abandoned charge must settle the new invoice.
        links = [Command.link(invoice.id) for invoice in period.invoice_ids]
        charges.invoice_ids = links + [Command.unlink(invoice.id) for invoice in outdated]
        return period

    def _lock_for_payment(self):
        """Lock subscriptions before a payment, so that no two payments start at the same time.

        :raises UserError: if another transaction holds one of them
        """
        if self and self.try_lock_for_update(allow_referencing=True) != self:
            raise UserError(self._get_at_work_message())
        self.invalidate_recordset(["payment_exception", "subscription_state"])

    def _get_at_work_message(self):
        """Return the message for users who have to wait because subscriptions are being billed.

        :rtype: str
        """
        return self.env._(
            "%(orders)s: billing is in progress. Try again in a minute.",
            orders=", ".join(self.mapped("name")),
        )

    def _lift_settled_exception(self, transaction):
        """End the exception of subscriptions that have no other charge with an unknown outcome.

        :param transaction: the `payment.transaction` whose outcome became known
        """
        # sudo: the user may not have access to all charges; only their subscriptions are read.
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
                order.message_post(
                    body=self.env._(
                        "The outcome of the payment is now known. The subscription is no longer in exception."
                    )
                )

    def _get_charges_to_resolve(self):
        """Return the transactions of these subscriptions with an unknown outcome, whatever invoice they pay.

        :rtype: payment.transaction
        """
        # sudo: salespeople cannot read payments; callers have checked the access to the subscription.
        invoices = self.sudo().period_ids.invoice_ids | self.sudo().invoice_ids
        charges = invoices.transaction_ids.filtered(lambda transaction: transaction._is_to_resolve())
        # Payments of an invoice of another subscription are resolved there, even if the invoice is linked to this order.
        return charges.filtered(
            lambda charge: not (paid := charge.invoice_ids._get_subscriptions()) or bool(paid & self)
        )

    def _resolve_as_paid(self, payment_date, reference=None):
        """Record a payment whose outcome was unknown as made: post its invoice and register the payment.

        :param date payment_date: when the payment was made
        :param str reference: the provider's reference of the payment
        :raises UserError: if there is nothing that it can have paid
        """
        self.ensure_one()
        # sudo: salespeople can write neither payments nor invoices; the pop-up has checked the right to the order.
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
        """Return the period paid by a payment without a transaction: the oldest open period, else the period that is due.

        If the due period is not invoiced, its draft invoice is created.

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
                    "%(order)s has no open invoice and nothing is due, so there is no payment to record. To end the "
                    "exception, choose The payment was not made.",
                    order=self.display_name,
                )
            )
        return periods

    def _check_payment_date(self, payment_date, transactions):
        """Refuse a date on which a requested payment cannot have been made.

        :param date payment_date: the date entered by the user
        :param transactions: the `payment.transaction` records in question
        :raises UserError: naming the first and the last possible day
        """
        self.ensure_one()
        today = self.company_id._get_subscription_today()
        asked = [transaction.last_state_change.date() for transaction in transactions] or [self.start_date or today]
        # Banks may backdate payments, and in the user's time zone it may be tomorrow already.
        first, last = min(asked) - timedelta(days=DAYS_DATED_BACK), today + timedelta(days=1)
        if not payment_date or not first <= payment_date <= last:
            raise UserError(
                self.env._(
                    "Enter a Payment Date from %(first)s to %(last)s. The payment of %(order)s was not requested before "
                    "that.",
                    first=format_date(self.env, first),
                    last=format_date(self.env, last),
                    order=self.display_name,
                )
            )

    def _resolve_as_unpaid(self):
        """End an exception whose payment was not made. The payment is requested again, even if invoiced meanwhile."""
        self.message_post(body=self.env._("Payment Failure resolved: not paid. The payment will be requested again."))
        # sudo: salespeople cannot read payments; the pop-up has checked the right to the order.
        charges = self.sudo()._get_charges_to_resolve()
        if self.payment_exception:
            self.payment_exception = False
        else:
            self._set_charges_failed()
        charges._get_subscription_periods()._retry_today()

    def _set_charges_failed(self):
        """Record that the charges whose outcome was unknown have failed, so that they can be made again."""
        # sudo: salespeople cannot write payments; callers have checked the right to change the order.
        for order in self.sudo():
            charges = order._get_charges_to_resolve()
            charges._check_not_waited_for()
            pending = charges.filtered(lambda charge: charge.state in ("pending", "authorized"))
            # A failed charge for several subscriptions leaves a period open in each of them.
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
        """Notify the responsible person that the outcome of a payment is unknown, and what to do.

        :param transaction: `payment.transaction`
        """
        transaction.subscription_lookup_on = fields.Date.today()
        for order in self:
            body = self.env._(
                "The outcome of the payment %(reference)s of %(amount)s is unknown: %(reason)s Nothing more is charged "
                "until this is resolved. Look up the payment at the provider, then use Resolve Payment Failure; or "
                "wait for the provider's notification, which resolves it automatically.",
                reference=transaction.reference,
                amount=transaction.currency_id.format(transaction.amount),
                reason=transaction.state_message or self.env._("there was no answer."),
            )
            order.message_post(body=body)
            order._ask_for_attention(self.env._("Payment Failure"), body)

    def _notify_charge_overdue(self, transaction):
        """Notify the responsible person that the notification of a payment is overdue, and what to do.

        :param transaction: `payment.transaction`
        """
        transaction.subscription_lookup_on = fields.Date.today()
        for order in self:
            body = self.env._(
                "The payment %(reference)s of %(amount)s has been pending since %(date)s. Look up the payment at the "
                "provider, then use Resolve Payment Failure; or wait for the provider's notification.",
                reference=transaction.reference,
                amount=transaction.currency_id.format(transaction.amount),
                date=format_date(self.env, transaction.last_state_change),
            )
            order.message_post(body=body)
            order._ask_for_attention(self.env._("Payment pending"), body)

    def _transition_subscription(self, event, values=None, message=None):
        """Stop further attempts to charge subscriptions that end, however they end."""
        res = super()._transition_subscription(event, values, message)
        # sudo: nobody can write periods; the caller has checked the right to end the subscription.
        stopped = self.filtered(lambda order: not order._is_running()).sudo().period_ids.filtered("retry_date")
        stopped.retry_date = False
        return res

    def _check_cancel_subscription(self):
        res = super()._check_cancel_subscription()
        # sudo: salespeople cannot read payments; Odoo checks the right to cancel the order.
        self.sudo().period_ids.invoice_ids._check_no_payment_under_way()
        return res

    def _close(self):
        """Drop the draft periods, except those with a charge under way: its outcome decides."""
        res = super()._close()
        # sudo: nobody can write periods; the caller has checked the right to close the subscription.
        drafts = self.sudo().period_ids.filtered(
            lambda period: period.state == "draft" and period.charge_state != "unknown"
        )
        drafts._drop_drafts()
        return res

    def _prepare_invoice(self):
        """Leave out the payments that another invoice uses: each counts for one period."""
        values = super()._prepare_invoice()
        if self.plan_id:
            # sudo: salespeople cannot read payments; Odoo has checked the right to invoice the order.
            used = self.sudo().transaction_ids.filtered(
                lambda transaction: any(invoice.state != "cancel" for invoice in transaction.invoice_ids)
            )
            linked = self.sudo().transaction_ids.browse(values["transaction_ids"][0][2]) - used
            # Authorized payments are captured by separate transactions, which Odoo does not consider.
            linked |= linked._get_captured_parts()
            linked |= self._get_payments_left_over()
            values["transaction_ids"] = [Command.set(linked.ids)]
        return values
