import logging
from contextlib import contextmanager, nullcontext
from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.service.model import PG_CONCURRENCY_EXCEPTIONS_TO_RETRY
from odoo.tools import SQL

from ...tools.attempt import Verdict, charging, get_attempt
from ...tools.guard import Guard
from ..subscription.runner import StopRun, commit

_logger = logging.getLogger(__name__)

# Odoo itself requests these operations; without an answer, their transaction stays a draft.
TOKEN_OPERATIONS = ("offline", "online_token")
FAILED_STATES = ("error", "cancel")
# These operations pay nothing.
UNPAYING_OPERATIONS = ("refund", "validation")
# With these, a pending payment is only a promise of the customer, such as a wire transfer.
PROMISING_PROVIDERS = ("none", "custom")
# Days a payment can be pending before somebody is asked to look it up.
DAYS_PENDING = 7
# First key of PostgreSQL's advisory locks on charges under way; the second is the id of the transaction.
CHARGE_LOCK = 192027
# Values of a payment that is resolved as paid.
RECORDED_PAYMENT = Guard("subscription_payment_values")
# The request and the outcome of a payment: while it is under way, only its own code can change them.
ASKED_FIELDS = frozenset(
    (
        "amount",
        "currency_id",
        "subscription_holds_exception",
        "invoice_ids",
        "operation",
        "provider_id",
        "sale_order_ids",
        "state",
        "token_id",
    )
)


class ProviderUnreachable(StopRun):
    """The provider cannot be reached: it received no request, and further requests would fail as well."""


class PaymentTransaction(models.Model):
    _inherit = "payment.transaction"

    subscription_amount_mismatch = fields.Boolean(
        string="Amount Mismatch",
        readonly=True,
        help="The provider reports a different amount or currency: a payment may have been made.",
    )

    subscription_holds_exception = fields.Boolean(
        string="Holds Exception",
        readonly=True,
        copy=False,
        help="The subscriptions are in exception until the outcome of this payment is known.",
    )
    subscription_lookup_on = fields.Date(
        string="Look-Up Requested On",
        readonly=True,
        copy=False,
        help="When a colleague was asked to look up this payment at the provider.",
    )

    subscription_refund_requested_on = fields.Date(
        string="Refund Requested On",
        readonly=True,
        copy=False,
        help="When a colleague was asked to refund the overpayment.",
    )

    _subscription_holds_exception_idx = models.Index("(id) WHERE subscription_holds_exception")

    @api.model_create_multi
    def create(self, vals_list):
        transactions = super().create(vals_list)
        paying = transactions.filtered(lambda transaction: transaction.operation not in UNPAYING_OPERATIONS)
        paying.invoice_ids._check_no_charge_under_way()
        paying.sale_order_ids._check_payable()
        return transactions

    def write(self, vals):
        # Odoo lets bookkeepers write transactions; the code of providers writes them as superuser.
        if ASKED_FIELDS & vals.keys() and not self.env.su:
            self._check_not_under_way()
        return super().write(vals)

    @api.ondelete(at_uninstall=False)
    def _unlink_except_under_way(self):
        self._check_not_under_way()

    def _check_not_under_way(self):
        """Refuse to change or delete payments under way of subscriptions.

        :raises UserError: naming the invoice and the payment
        """
        self.filtered(lambda transaction: transaction._is_under_way()).invoice_ids._check_no_payment_under_way()

    def _charge_with_token(self):
        """Charge for subscriptions so that no crash, time-out or second worker can charge twice.

        The start of the charge is committed before the provider is called, and its answer right after. Without an
        answer, the transaction stays a draft and its subscriptions are in exception.

        :raises UserError: if another payment of the same is under way, or the provider did not process this one
        """
        periods = self._get_subscription_periods()
        if not periods:
            return super()._charge_with_token()
        self._write_charge_ahead(periods)
        with charging(self.id) as attempt:
            try:
                res = super()._charge_with_token()
                self._doubt_hasty_failure(attempt)
                self.flush_recordset()
            except Exception as error:
                # The provider may have received the request; or its notification came first and is already recorded.
                _logger.warning("The charge %s broke off", self.reference, exc_info=error)
                verdict = attempt.judge()
                self.env.cr.rollback()
                res = None
                if self.state == "draft" and verdict is Verdict.UNKNOWN:
                    self.state_message = self.env._("the answer could not be read (%(error)s).", error=repr(error))
                elif self.state == "draft":
                    self._set_error(str(error))
        self._record_answer(periods, attempt)
        commit(self.env)
        if self._is_not_processed(attempt) and self.operation == "offline":
            raise (ProviderUnreachable if attempt.is_unreachable else UserError)(self.state_message)
        return res

    def _doubt_hasty_failure(self, attempt):
        """Reset to draft a failure that the provider's code wrote without the methods meant for it.

        :param attempt: the attempt, which knows its requests to the provider
        """
        is_hasty = self.state in FAILED_STATES and not self.subscription_amount_mismatch and not attempt.verdict
        if is_hasty and attempt.judge() is Verdict.UNKNOWN:
            self.state = "draft"

    def _is_not_processed(self, attempt):
        """Return whether the provider did not process a charge at all, so that it can be sent again.

        :param attempt: the attempt, which knows its requests to the provider
        :rtype: bool
        """
        self.ensure_one()
        return self.state in FAILED_STATES and attempt.verdict is Verdict.NOT_PROCESSED

    def _write_charge_ahead(self, periods):
        """Commit the start of a charge, unless another payment of the same periods is under way.

        :param periods: the periods to be paid
        :raises UserError: if another payment is under way, or the invoice is paid
        """
        periods.order_id._lock_for_payment()
        self._lock_what_is_charged()
        self._check_chargeable()
        self._ensure_provider_is_not_disabled()
        self.subscription_holds_exception = True
        periods._set_charge_unknown()
        # From here on, the charge is on record even if this process is killed.
        with self._keep_marked():
            commit(self.env)

    @contextmanager
    def _keep_marked(self):
        """Keep a lock until the transaction after the commit ends, to show that this process waits for the answer."""
        self.env.cr.execute(SQL("SELECT pg_advisory_lock(%s, %s)", CHARGE_LOCK, self.id))
        yield
        self.env.cr.execute(SQL("SELECT pg_advisory_xact_lock(%s, %s)", CHARGE_LOCK, self.id))
        self.env.cr.execute(SQL("SELECT pg_advisory_unlock(%s, %s)", CHARGE_LOCK, self.id))

    def _is_abandoned(self):
        """Return whether the process that started a charge has ended without recording an answer.

        :rtype: bool
        """
        self.ensure_one()
        return (
            self.state == "draft"
            and self.subscription_holds_exception
            and not self.subscription_lookup_on
            and not self._is_waited_for()
        )

    def _is_waited_for(self):
        """Return whether the process that started a charge still waits for the answer.

        :rtype: bool
        """
        self.ensure_one()
        lock = SQL("SELECT pg_try_advisory_xact_lock(%s, %s)", CHARGE_LOCK, self.id)
        [[is_free]] = self.env.execute_query(lock)
        return not is_free

    def _check_not_waited_for(self):
        """Refuse to resolve charges manually whose answer may arrive at any moment: it would be lost.

        :raises UserError: naming their subscriptions
        """
        begun = self.filtered(lambda charge: charge.state == "draft" and charge.subscription_holds_exception)
        waited_for = begun.filtered(lambda charge: charge._is_waited_for())
        if waited_for:
            raise UserError(waited_for.invoice_ids._get_subscriptions()._get_at_work_message())

    def _is_overdue(self):
        """Return whether the notification of a payment is overdue, and nobody was asked to look it up.

        :rtype: bool
        """
        self.ensure_one()
        return (
            self.state in ("pending", "authorized")
            and not self.subscription_lookup_on
            and self.last_state_change <= self._get_overdue_since()
            and self._is_under_way()
        )

    @api.model
    def _get_overdue_since(self):
        """Return the time before which a pending payment counts as overdue.

        :rtype: datetime
        """
        return fields.Datetime.now() - timedelta(days=DAYS_PENDING)

    @api.model
    def _get_subscriptions_to_look_at(self):
        """Return the subscriptions with payments that may never get an answer, and that nobody was asked to look up.

        :rtype: sale.order
        """
        silent = [
            ("subscription_holds_exception", "=", True),
            ("state", "=", "draft"),
            ("subscription_lookup_on", "=", False),
        ]
        pending = [
            ("state", "in", ("pending", "authorized")),
            ("last_state_change", "<=", self._get_overdue_since()),
            ("subscription_lookup_on", "=", False),
            ("provider_id.code", "not in", PROMISING_PROVIDERS),
            ("invoice_ids.invoice_line_ids.subscription_id", "!=", False),
        ]
        return (self.search(silent) | self.search(pending)).invoice_ids._get_subscriptions()

    def _lock_what_is_charged(self):
        """Lock invoices and payment methods, so that nobody can pay, change or remove them while their charge starts.

        If somebody has done so since this transaction began, or is about to, PostgreSQL refuses the lock and the
        transaction is retried from its beginning.
        """
        for records, strength in ((self.invoice_ids, "NO KEY UPDATE"), (self.token_id, "SHARE")):
            if records:
                table = SQL.identifier(records._table)
                self.env.execute_query(
                    SQL("SELECT FROM %s WHERE id IN %s FOR %s NOWAIT", table, tuple(records.ids), SQL(strength))
                )

    def _check_chargeable(self):
        """Refuse to charge for an invoice that is paid or has another payment under way.

        :raises UserError: naming the invoice
        """
        self.invoice_ids._check_no_charge_under_way()
        if self.currency_id.compare_amounts(self.amount, 0) <= 0:
            raise UserError(
                self.env._(
                    "There is nothing to pay for %(invoices)s.",
                    invoices=", ".join(self.invoice_ids.mapped("display_name")),
                )
            )
        for invoice in self.invoice_ids:
            if invoice._has_payment_under_way(besides=self) or (
                invoice.state == "posted" and invoice.currency_id.is_zero(invoice.amount_residual)
            ):
                raise UserError(self.env._("%(invoice)s is paid or about to be paid.", invoice=invoice.display_name))

    def _record_answer(self, periods, attempt):
        """Record the result of the call to the provider.

        :param periods: the periods to be paid
        :param attempt: the attempt, which knows its requests to the provider
        """
        if self.state == "draft" or (self.state == "error" and self.subscription_amount_mismatch):
            self.state_message = self.state_message or self.env._("the payment provider gave no clear answer.")
            periods.order_id._notify_charge_unknown(self)
        elif self._is_not_processed(attempt):
            self.is_post_processed = True
            self._release_exception(periods.order_id)
            periods._set_charge_not_made()

    def _update_state(self, allowed_states, target_state, state_message):
        """Keep charges without a clear answer in draft: an error would mean that they failed, which is unknown."""
        unclear = self.browse()
        for transaction in self if target_state in FAILED_STATES else ():
            attempt = get_attempt(transaction.id)
            if attempt and attempt.judge() is Verdict.UNKNOWN:
                transaction.state_message = state_message
                unclear |= transaction
        return super(PaymentTransaction, self - unclear)._update_state(allowed_states, target_state, state_message)

    def _process(self, provider_code, payment_data):
        """Mark the attempt as reading an answer: a failure set meanwhile is one that the answer reports."""
        attempt = payment_data and get_attempt(self.id or None)
        with attempt.reading() if attempt else nullcontext():
            return super()._process(provider_code, payment_data)

    def _validate_amount(self, payment_data):
        before = self.state
        # A different amount is not an unclear failure: see subscription_amount_mismatch.
        with charging(None):
            res = super()._validate_amount(payment_data)
        is_paying = self.operation not in UNPAYING_OPERATIONS
        if is_paying and self.state == "error" and before != "error" and self._get_subscription_periods():
            self.subscription_amount_mismatch = True
        return res

    def _post_process(self):
        self._forget_cancelled_payments()
        res = super()._post_process()
        self._book_registered_payments()
        self._keep_subscription_token()
        for transaction in self:
            transaction._settle_subscription_charge()
            transaction._report_overpayment()
        return res

    def _forget_cancelled_payments(self):
        """Unlink cancelled payments from successful transactions, so that these get a new payment.

        Odoo cancels a registered payment whose transaction is not done at once, and then waits for a notification.
        """
        for transaction in self.filtered(lambda tx: tx.state == "done" and tx.payment_id.state == "canceled"):
            if transaction.invoice_ids._get_subscriptions():
                transaction.payment_id = False

    def _book_registered_payments(self):
        """Post and reconcile registered payments before the code checks what is open or paid twice.

        Odoo does so after the provider's answer was processed, or never if the process was killed in between.
        """
        for transaction in self.filtered(lambda tx: tx.state == "done" and tx.payment_id and tx.operation == "offline"):
            payment, invoices = transaction.payment_id, transaction.invoice_ids
            if not invoices._get_subscriptions():
                continue
            if payment.state == "draft":
                payment.action_post()
            # Without an outstanding account, this link is all there is until the bank statement.
            payment.invoice_ids |= invoices
            open_lines = (payment.move_id | invoices.filtered(lambda invoice: invoice.state == "posted")).line_ids
            open_lines = open_lines.filtered(
                lambda line, account=payment.destination_account_id: line.account_id == account and not line.reconciled
            )
            if payment.state in ("in_process", "paid") and open_lines & payment.move_id.line_ids:
                open_lines.reconcile()

    def _check_amount_and_confirm_order(self):
        """Keep the payment of a subscription that cannot be confirmed in the books, and notify a colleague."""
        confirmed = self.env["sale.order"]
        for transaction in self:
            confirm = super(PaymentTransaction, transaction)._check_amount_and_confirm_order
            orders = transaction.sale_order_ids
            if not any(order.plan_id or order._has_subscription_product() for order in orders):
                confirmed |= confirm()
                continue
            try:
                with self.env.cr.savepoint():
                    confirmed |= confirm()
            except PG_CONCURRENCY_EXCEPTIONS_TO_RETRY:
                raise
            except Exception as error:
                _logger.warning("Orders paid by %s cannot be confirmed", transaction.reference, exc_info=error)
                for order in orders:
                    order._ask_for_attention(
                        self.env._("Paid, but not confirmed"),
                        self.env._(
                            "%(order)s was paid (%(reference)s) but cannot be confirmed: %(error)s Correct the order and "
                            "confirm it, or refund the payment.",
                            order=order.display_name,
                            reference=transaction.reference,
                            error=error,
                        ),
                    )
        return confirmed

    def _create_payment(self, **extra_create_values):
        # The date and the reference were entered in the pop-up that resolves the payment failure.
        values = RECORDED_PAYMENT.get(self.env.context, {})
        return super()._create_payment(**values, **extra_create_values)

    def _keep_subscription_token(self):
        """Store the card that the customer has just paid with as the payment method of the subscriptions."""
        for transaction in self.filtered(lambda tx: tx.token_id and tx.state in ("authorized", "done")):
            orders = transaction.sale_order_ids | transaction.invoice_ids._get_subscriptions()
            for order in orders.filtered("plan_id"):
                if transaction.operation != "offline" and transaction.token_id._belongs_to(order):
                    order.payment_token_id = transaction.token_id

    def _settle_subscription_charge(self):
        """Apply the outcome of a charge to the periods that it pays."""
        self.ensure_one()
        # sudo: the user may not read the orders of the invoices; Odoo has checked the right to process the payment.
        orders = self.sudo().invoice_ids._get_subscriptions()
        if not orders or self.state == "draft" or self.operation in UNPAYING_OPERATIONS:
            return
        periods = self._get_subscription_periods()
        if self.subscription_amount_mismatch and self.state == "error":
            self.subscription_holds_exception = True
            periods._set_charge_unknown()
            if not self.subscription_lookup_on:
                orders._notify_charge_unknown(self)
            return
        self._release_exception(orders)
        if self.state == "done":
            periods._set_charge_done(self)
        elif self.state in ("pending", "authorized"):
            if self._is_under_way():
                periods._set_charge_pending()
        elif self.operation == "offline" and self._is_latest_of(periods):
            env = self.with_context(lang=orders[:1]._get_lang()).env
            periods._decline(self.state_message or env._("The payment provider gave no reason."))
        else:
            periods._set_charge_not_made()

    def _release_exception(self, orders):
        """End the exception caused by this payment, now that its outcome is known.

        :param orders: its subscriptions
        """
        self.ensure_one()
        if self.subscription_holds_exception or self.subscription_amount_mismatch:
            self.write({"subscription_holds_exception": False, "subscription_amount_mismatch": False})
            orders._lift_settled_exception(self)

    def _is_latest_of(self, periods):
        """Return whether no later transaction tries to pay the same periods, in which case an old failure is irrelevant.

        :rtype: bool
        """
        self.ensure_one()
        charges = periods.invoice_ids.transaction_ids.filtered(lambda tx: tx.operation in TOKEN_OPERATIONS)
        return not any(charge.id > self.id for charge in charges)

    def _get_requested_transaction(self):
        """Return the payment linked to the invoices or orders: the captured part of an authorized payment is not.

        :rtype: payment.transaction
        """
        self.ensure_one()
        source = self.source_transaction_id
        return source if source and source.operation == self.operation else self

    def _get_captured_parts(self):
        """Return the payments that captured the amounts of these payments, if they were only authorized.

        :rtype: payment.transaction
        """
        return self.child_transaction_ids.filtered(
            lambda part: part.state == "done" and part.payment_id and part._get_requested_transaction() != part
        )

    def _report_overpayment(self):
        """Ask the responsible person to check and refund what a payment brought beyond the amount due."""
        self.ensure_one()
        if self.state != "done" or not self.payment_id or self.operation in UNPAYING_OPERATIONS:
            return
        # sudo: the user may not read what the payment is for; Odoo has checked the right to process it.
        transaction = self.sudo()
        asked = transaction._get_requested_transaction()
        orders = asked.invoice_ids._get_subscriptions()
        # If an order could not be confirmed, a colleague was already notified.
        orders |= asked.sale_order_ids.filtered(lambda order: order.plan_id and order.state == "sale")
        if not orders:
            return
        amount = transaction._get_overpaid_amount()
        # What is to be refunded must not pay anything else.
        transaction.subscription_refund_requested_on = bool(amount) and fields.Date.today()
        if not amount:
            return
        others = asked.invoice_ids._get_reconciled_amls().move_id - transaction.payment_id.move_id
        for order in orders:
            body = self.env._(
                "%(amount)s of the payment %(reference)s is not needed for %(invoices)s. Also settled by: %(others)s. "
                "Check what was paid twice, then refund the overpayment.",
                amount=self.currency_id.format(amount),
                reference=self.reference,
                invoices=", ".join(asked._get_paid_names()),
                others=", ".join(others.mapped("display_name")) or self.env._("none"),
            )
            order.message_post(body=body)
            order._ask_for_attention(self.env._("Paid twice"), body)

    def _get_overpaid_amount(self):
        """Return the amount of a payment that neither its invoices use nor the rest of its orders will use.

        :return: the amount in the currency of the transaction; 0 if all of it is needed
        :rtype: float
        """
        self.ensure_one()
        left = self._get_unused_amount()
        for order in self._get_requested_transaction().sale_order_ids:
            invoiced = order.invoice_ids.filtered(lambda move: move.state == "posted")
            credited = invoiced.filtered(lambda move: move.move_type == "out_refund")
            billed = sum((invoiced - credited).mapped("amount_total")) - sum(credited.mapped("amount_total"))
            # Earlier payments of the order already cover a part of what is left to invoice.
            earlier = (order.transaction_ids | order.transaction_ids._get_captured_parts()).filtered(
                lambda other: other.id != self.id and other.state == "done" and other.payment_id.state != "canceled"
            )
            unused = sum(other._get_unused_amount() for other in earlier.filtered("payment_id"))
            left -= max(order.amount_total - billed - unused, 0)
        return max(self.currency_id.round(left), 0)

    def _get_paid_names(self):
        """Return the names of the invoices or orders that a payment is for.

        :rtype: list
        """
        self.ensure_one()
        names = [move.name or move.invoice_origin for move in self.invoice_ids]
        return names or self.sale_order_ids.mapped("name")

    def _get_unused_amount(self):
        """Return the amount of a payment that is not reconciled.

        :return: the amount in the currency of the transaction
        :rtype: float
        """
        self.ensure_one()
        payment = self.payment_id
        lines = payment.move_id.line_ids.filtered(lambda line: line.account_id == payment.destination_account_id)
        if lines:
            return -sum(lines.mapped("amount_residual_currency"))
        # Without an outstanding account there is no entry before the bank statement: compare all payments without one.
        paid = self._get_requested_transaction().invoice_ids
        waiting = paid.matched_payment_ids.filtered(
            lambda other: not other.move_id and other.state in other._valid_payment_states()
        )
        invoices = (waiting.invoice_ids | paid).filtered(lambda move: move.state == "posted")
        return min(self.amount, sum(waiting.mapped("amount")) - sum(invoices.mapped("amount_residual")))

    def _is_left_over(self):
        """Return whether a part of a payment is unused, not refunded, and nobody was asked to refund it.

        :rtype: bool
        """
        self.ensure_one()
        if self.state != "done" or self.operation in UNPAYING_OPERATIONS or self.subscription_refund_requested_on:
            return False
        refunds = self.child_transaction_ids.filtered(
            lambda child: child.operation == "refund" and child.state not in FAILED_STATES
        )
        is_booked = self.payment_id.state in ("in_process", "paid")
        return is_booked and not refunds and self.currency_id.compare_amounts(self._get_unused_amount(), 0) > 0

    def _is_used_up(self):
        """Return whether the whole amount of a payment is used.

        :rtype: bool
        """
        self.ensure_one()
        # sudo: the user may not read payments; Odoo has checked the right to process this one, and only amounts are read.
        charge = self.sudo()
        return bool(charge.payment_id) and charge.currency_id.compare_amounts(charge._get_unused_amount(), 0) <= 0

    def _record_as_paid(self, payment_date, reference=None):
        """Record that a transaction whose outcome was unknown was paid.

        :param date payment_date: when it was paid
        :param str reference: the provider's reference of the payment
        """
        self.ensure_one()
        self.subscription_amount_mismatch = False
        self.provider_reference = reference or self.provider_reference
        self._set_done(state_message=self.env._("Resolved as paid by %(user)s.", user=self.env.user.name))
        values = self._prepare_recorded_payment_values(payment_date, reference)
        RECORDED_PAYMENT.grant(self, values)._post_process()

    def _prepare_recorded_payment_values(self, payment_date, reference=None):
        """Return the values of the payment of a transaction that is resolved as paid.

        :param date payment_date: when it was paid
        :param str reference: the provider's reference of the payment
        :rtype: dict
        """
        values = {"date": payment_date, "memo": reference or self.reference}
        if not self.provider_id.journal_id:
            # The provider is no longer in use: the money arrived at the bank.
            journals = self.env["account.journal"]
            domain = [*journals._check_company_domain(self.company_id), ("type", "=", "bank")]
            journal = journals.search(domain, limit=1)
            line = journal.inbound_payment_method_line_ids[:1]
            values |= {"journal_id": journal.id, "payment_method_line_id": line.id}
        return values

    def _set_not_paid(self):
        """Record that transactions whose outcome was unknown were not paid; a late success is still recorded."""
        self.filtered(lambda tx: tx.state not in ("error", "done"))._set_error(
            self.env._("Resolved as not paid by %(user)s.", user=self.env.user.name)
        )
        self.write(
            {"subscription_amount_mismatch": False, "subscription_holds_exception": False, "is_post_processed": True}
        )

    def _is_outcome_unknown(self):
        """Return whether it is unknown if a requested charge has succeeded.

        :rtype: bool
        """
        self.ensure_one()
        return self.subscription_amount_mismatch or (self.state == "draft" and self.operation in TOKEN_OPERATIONS)

    def _is_to_resolve(self):
        """Return whether a user can resolve a payment: its outcome is unknown or overdue.

        :rtype: bool
        """
        self.ensure_one()
        return self._is_outcome_unknown() or (
            self.state in ("pending", "authorized") and bool(self.subscription_lookup_on)
        )

    def _is_under_way(self):
        """Return whether a payment has started but is not in the books yet.

        :rtype: bool
        """
        self.ensure_one()
        if self.operation in UNPAYING_OPERATIONS:
            return False
        if self.state in ("pending", "authorized"):
            return self.provider_code not in PROMISING_PROVIDERS
        return self._is_outcome_unknown() or (self.state == "done" and not self.is_post_processed)

    def _get_subscription_periods(self):
        """Return the periods that these transactions pay.

        :rtype: sale.subscription.period
        """
        # sudo: the user may not read the orders of the invoices; Odoo has checked the right to process the payment.
        invoices = self.sudo().invoice_ids
        return invoices._get_subscriptions()._get_periods_of(invoices)
