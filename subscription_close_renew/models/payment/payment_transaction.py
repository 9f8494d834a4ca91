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

# Only these operations are asked for by Odoo, and leave a draft transaction when no answer comes.
TOKEN_OPERATIONS = ("offline", "online_token")
FAILED_STATES = ("error", "cancel")
# What these bring pays nothing.
UNPAYING_OPERATIONS = ("refund", "validation")
# A wire transfer is promised by the customer alone.
PROMISING_PROVIDERS = ("none", "custom")
# Days that a payment is pending before somebody is asked to look it up.
DAYS_PENDING = 7
# The class of PostgreSQL's advisory locks on charges that are under way, by the id of the transaction.
CHARGE_LOCK = 192027
# The values of a payment whose outcome somebody has found out.
RECORDED_PAYMENT = Guard("subscription_payment_values")
# What a payment under way was asked for and what became of it: only its own code may say otherwise.
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
    """The provider cannot be reached: nothing was asked of it, and more of the same would not help."""


class PaymentTransaction(models.Model):
    _inherit = "payment.transaction"

    subscription_amount_mismatch = fields.Boolean(
        readonly=True, help="The provider speaks of another amount or currency: something may have been paid."
    )

    subscription_holds_exception = fields.Boolean(
        readonly=True,
        copy=False,
        help="Its subscriptions are in exception until the outcome of this payment is known.",
    )
    subscription_lookup_on = fields.Date(
        string="Look-Up Requested On",
        readonly=True,
        copy=False,
        help="When somebody was asked to look this payment up at the provider.",
    )

    subscription_refund_requested_on = fields.Date(
        string="Refund Requested On",
        readonly=True,
        copy=False,
        help="When somebody was asked to refund what this payment brought beyond what was due.",
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
        # Odoo lets bookkeepers write transactions; those of providers write them as superuser.
        if ASKED_FIELDS & vals.keys() and not self.env.su:
            self._check_not_under_way()
        return super().write(vals)

    @api.ondelete(at_uninstall=False)
    def _unlink_except_under_way(self):
        self._check_not_under_way()

    def _check_not_under_way(self):
        """Refuse to change or delete payments of subscriptions that are under way.

        :raises UserError: naming the invoice and the payment
        """
        self.filtered(lambda transaction: transaction._is_under_way()).invoice_ids._check_no_payment_under_way()

    def _charge_with_token(self):
        """Charge for subscriptions so that no crash, time-out or second worker can charge twice.

        That a charge begins is committed before the provider is called, and what it answers right after. Without an
        answer the transaction stays a draft, and its subscriptions are in exception.

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
                # Whatever broke, the provider may have been asked; or its notification came first, and is in the books.
                _logger.warning("The charge %s broke off", self.reference, exc_info=error)
                verdict = attempt.judge()
                self.env.cr.rollback()
                res = None
                if self.state == "draft" and verdict is Verdict.UNKNOWN:
                    self.state_message = self.env._(
                        "the answer could not be understood (%(error)s).", error=repr(error)
                    )
                elif self.state == "draft":
                    self._set_error(str(error))
        self._record_answer(periods, attempt)
        commit(self.env)
        if self._is_not_processed(attempt) and self.operation == "offline":
            raise (ProviderUnreachable if attempt.is_unreachable else UserError)(self.state_message)
        return res

    def _doubt_hasty_failure(self, attempt):
        """Take back a failure that the provider's code wrote past the methods that are meant for it.

        :param attempt: what is known of the requests
        """
        is_hasty = self.state in FAILED_STATES and not self.subscription_amount_mismatch and not attempt.verdict
        if is_hasty and attempt.judge() is Verdict.UNKNOWN:
            self.state = "draft"

    def _is_not_processed(self, attempt):
        """Return whether the provider did not look at a charge at all, which it would do another time.

        :param attempt: what is known of the requests
        :rtype: bool
        """
        self.ensure_one()
        return self.state in FAILED_STATES and attempt.verdict is Verdict.NOT_PROCESSED

    def _write_charge_ahead(self, periods):
        """Commit that a charge begins, unless another payment of the same is under way.

        :param periods: the periods to be paid
        :raises UserError: if another payment is under way, or the invoice is paid
        """
        periods.order_id._lock_for_payment()
        self._lock_what_is_charged()
        self._check_chargeable()
        self._ensure_provider_is_not_disabled()
        self.subscription_holds_exception = True
        periods._set_charge_unknown()
        # From here on the charge is on record, whatever becomes of this process.
        with self._keep_marked():
            commit(self.env)

    @contextmanager
    def _keep_marked(self):
        """Keep a lock across a commit, until the transaction after it ends: this process waits for the answer."""
        self.env.cr.execute(SQL("SELECT pg_advisory_lock(%s, %s)", CHARGE_LOCK, self.id))
        yield
        self.env.cr.execute(SQL("SELECT pg_advisory_xact_lock(%s, %s)", CHARGE_LOCK, self.id))
        self.env.cr.execute(SQL("SELECT pg_advisory_unlock(%s, %s)", CHARGE_LOCK, self.id))

    def _is_abandoned(self):
        """Return whether the process that began a charge has ended without a word.

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
        """Return whether the process that began a charge still waits for its answer.

        :rtype: bool
        """
        self.ensure_one()
        lock = SQL("SELECT pg_try_advisory_xact_lock(%s, %s)", CHARGE_LOCK, self.id)
        [[is_free]] = self.env.execute_query(lock)
        return not is_free

    def _check_not_waited_for(self):
        """Refuse to say by hand what became of charges whose answer may come at any moment: it would be lost.

        :raises UserError: naming their subscriptions
        """
        begun = self.filtered(lambda charge: charge.state == "draft" and charge.subscription_holds_exception)
        waited_for = begun.filtered(lambda charge: charge._is_waited_for())
        if waited_for:
            raise UserError(waited_for.invoice_ids._get_subscriptions()._get_at_work_message())

    def _is_overdue(self):
        """Return whether the notification of a payment is long in coming, and nobody was asked to look it up.

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
        """Return since when a payment has to be pending for somebody to be asked to look it up.

        :rtype: datetime
        """
        return fields.Datetime.now() - timedelta(days=DAYS_PENDING)

    @api.model
    def _get_subscriptions_to_look_at(self):
        """Return the subscriptions with payments that may be waited for in vain, without a word to anybody.

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
        """Let nobody pay, credit or change an invoice, or remove a payment method, while a charge for it begins.

        Who has done so since this transaction began, or is about to, wins: PostgreSQL then refuses the lock, and this
        is tried again from its beginning.
        """
        for records, strength in ((self.invoice_ids, "NO KEY UPDATE"), (self.token_id, "SHARE")):
            if records:
                table = SQL.identifier(records._table)
                self.env.execute_query(
                    SQL("SELECT FROM %s WHERE id IN %s FOR %s NOWAIT", table, tuple(records.ids), SQL(strength))
                )

    def _check_chargeable(self):
        """Refuse to charge for an invoice that is paid, or that another payment is under way for.

        :raises UserError: saying which
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
                raise UserError(self.env._("%(invoice)s is paid, or about to be.", invoice=invoice.display_name))

    def _record_answer(self, periods, attempt):
        """Write down what is known after the provider was called.

        :param periods: the periods to be paid
        :param attempt: what is known of the requests
        """
        if self.state == "draft" or (self.state == "error" and self.subscription_amount_mismatch):
            self.state_message = self.state_message or self.env._("the payment provider gave no clear answer.")
            periods.order_id._notify_charge_unknown(self)
        elif self._is_not_processed(attempt):
            self.is_post_processed = True
            self._release_exception(periods.order_id)
            periods._set_charge_not_made()

    def _update_state(self, allowed_states, target_state, state_message):
        """Leave a charge that got no clear answer a draft: an error would mean that it failed, which nobody knows."""
        unclear = self.browse()
        for transaction in self if target_state in FAILED_STATES else ():
            attempt = get_attempt(transaction.id)
            if attempt and attempt.judge() is Verdict.UNKNOWN:
                transaction.state_message = state_message
                unclear |= transaction
        return super(PaymentTransaction, self - unclear)._update_state(allowed_states, target_state, state_message)

    def _process(self, provider_code, payment_data):
        """Note that an answer is read: what is called a failure meanwhile was understood as one."""
        attempt = payment_data and get_attempt(self.id or None)
        with attempt.reading() if attempt else nullcontext():
            return super()._process(provider_code, payment_data)

    def _validate_amount(self, payment_data):
        before = self.state
        # Another amount is no failure that could be doubted: see subscription_amount_mismatch.
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
        """Let payments that turn out done be booked, though Odoo has cancelled what a bookkeeper had registered.

        Odoo does so with whatever is not done at once, and then waits for a notification.
        """
        for transaction in self.filtered(lambda tx: tx.state == "done" and tx.payment_id.state == "canceled"):
            if transaction.invoice_ids._get_subscriptions():
                transaction.payment_id = False

    def _book_registered_payments(self):
        """Post and reconcile what a bookkeeper had registered, before it is looked at what is open, or paid twice.

        Odoo does so after the provider's answer was carried out; never, if the process was killed in between.
        """
        for transaction in self.filtered(lambda tx: tx.state == "done" and tx.payment_id and tx.operation == "offline"):
            payment, invoices = transaction.payment_id, transaction.invoice_ids
            if not invoices._get_subscriptions():
                continue
            if payment.state == "draft":
                payment.action_post()
            # Without an outstanding account there is no entry before the bank statement, and this link alone.
            payment.invoice_ids |= invoices
            open_lines = (payment.move_id | invoices.filtered(lambda invoice: invoice.state == "posted")).line_ids
            open_lines = open_lines.filtered(
                lambda line, account=payment.destination_account_id: line.account_id == account and not line.reconciled
            )
            if payment.state in ("in_process", "paid") and open_lines & payment.move_id.line_ids:
                open_lines.reconcile()

    def _check_amount_and_confirm_order(self):
        """Keep the money of a subscription that cannot be confirmed in the books, and tell somebody."""
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
                            "%(order)s was paid (%(reference)s), but it cannot be confirmed: %(error)s Correct the order and "
                            "confirm it, or refund the payment.",
                            order=order.display_name,
                            reference=transaction.reference,
                            error=error,
                        ),
                    )
        return confirmed

    def _create_payment(self, **extra_create_values):
        # Somebody found out when the payment was made, and told in a pop-up.
        values = RECORDED_PAYMENT.get(self.env.context, {})
        return super()._create_payment(**values, **extra_create_values)

    def _keep_subscription_token(self):
        """Let subscriptions be charged from now on to the card that their customer has just paid with."""
        for transaction in self.filtered(lambda tx: tx.token_id and tx.state in ("authorized", "done")):
            orders = transaction.sale_order_ids | transaction.invoice_ids._get_subscriptions()
            for order in orders.filtered("plan_id"):
                if transaction.operation != "offline" and transaction.token_id._belongs_to(order):
                    order.payment_token_id = transaction.token_id

    def _settle_subscription_charge(self):
        """Carry out what the outcome of a charge means for the periods that it pays."""
        self.ensure_one()
        # Whoever may process a payment lets it settle what it pays.
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
        """End the exception that this payment has caused, now that its outcome is known.

        :param orders: its subscriptions
        """
        self.ensure_one()
        if self.subscription_holds_exception or self.subscription_amount_mismatch:
            self.write({"subscription_holds_exception": False, "subscription_amount_mismatch": False})
            orders._lift_settled_exception(self)

    def _is_latest_of(self, periods):
        """Tell whether no later transaction tries to pay the same periods: an old failure means nothing then.

        :rtype: bool
        """
        self.ensure_one()
        charges = periods.invoice_ids.transaction_ids.filtered(lambda tx: tx.operation in TOKEN_OPERATIONS)
        return not any(charge.id > self.id for charge in charges)

    def _get_requested_transaction(self):
        """Return the payment that names what is to be paid: the part that is captured of an authorized one names nothing.

        :rtype: payment.transaction
        """
        self.ensure_one()
        source = self.source_transaction_id
        return source if source and source.operation == self.operation else self

    def _get_captured_parts(self):
        """Return the payments by which the money of these arrived, if they had only been authorized.

        :rtype: payment.transaction
        """
        return self.child_transaction_ids.filtered(
            lambda part: part.state == "done" and part.payment_id and part._get_requested_transaction() != part
        )

    def _report_overpayment(self):
        """Ask the responsible person to look at what a payment brought beyond what its invoices needed."""
        self.ensure_one()
        if self.state != "done" or not self.payment_id or self.operation in UNPAYING_OPERATIONS:
            return
        # Whoever may process a payment lets people be told what is left of it.
        transaction = self.sudo()
        asked = transaction._get_requested_transaction()
        orders = asked.invoice_ids._get_subscriptions()
        # Of one that could not be confirmed, somebody was told already.
        orders |= asked.sale_order_ids.filtered(lambda order: order.plan_id and order.state == "sale")
        if not orders:
            return
        amount = transaction._get_overpaid_amount()
        # What somebody is asked to refund pays nothing else.
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
        """Return what of a payment nothing has used: neither its invoices, nor what else of its orders is to invoice.

        :return: in the currency of the transaction; 0 if all was needed
        :rtype: float
        """
        self.ensure_one()
        left = self._get_unused_amount()
        for order in self._get_requested_transaction().sale_order_ids:
            invoiced = order.invoice_ids.filtered(lambda move: move.state == "posted")
            credited = invoiced.filtered(lambda move: move.move_type == "out_refund")
            billed = sum((invoiced - credited).mapped("amount_total")) - sum(credited.mapped("amount_total"))
            # What an earlier payment of the order waits for is not needed once more.
            earlier = (order.transaction_ids | order.transaction_ids._get_captured_parts()).filtered(
                lambda other: other.id != self.id and other.state == "done" and other.payment_id.state != "canceled"
            )
            unused = sum(other._get_unused_amount() for other in earlier.filtered("payment_id"))
            left -= max(order.amount_total - billed - unused, 0)
        return max(self.currency_id.round(left), 0)

    def _get_paid_names(self):
        """Return what a payment was for, as people know it.

        :rtype: list
        """
        self.ensure_one()
        names = [move.name or move.invoice_origin for move in self.invoice_ids]
        return names or self.sale_order_ids.mapped("name")

    def _get_unused_amount(self):
        """Return what of a payment is not reconciled.

        :return: in the currency of the transaction
        :rtype: float
        """
        self.ensure_one()
        payment = self.payment_id
        lines = payment.move_id.line_ids.filtered(lambda line: line.account_id == payment.destination_account_id)
        if lines:
            return -sum(lines.mapped("amount_residual_currency"))
        # Without an outstanding account there is no entry before the bank statement: the payments wait for it together.
        paid = self._get_requested_transaction().invoice_ids
        waiting = paid.matched_payment_ids.filtered(
            lambda other: not other.move_id and other.state in other._valid_payment_states()
        )
        invoices = (waiting.invoice_ids | paid).filtered(lambda move: move.state == "posted")
        return min(self.amount, sum(waiting.mapped("amount")) - sum(invoices.mapped("amount_residual")))

    def _is_left_over(self):
        """Return whether money of a payment is there that neither is refunded nor anybody was asked to refund.

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
        """Return whether all that a payment brought has settled what it was for.

        :rtype: bool
        """
        self.ensure_one()
        # sudo: only what the payment has settled is read.
        charge = self.sudo()
        return bool(charge.payment_id) and charge.currency_id.compare_amounts(charge._get_unused_amount(), 0) <= 0

    def _record_as_paid(self, payment_date, reference=None):
        """Take a transaction of an unknown outcome as paid, as the user found out.

        :param date payment_date: when it was paid
        :param str reference: what the provider calls the payment
        """
        self.ensure_one()
        self.subscription_amount_mismatch = False
        self.provider_reference = reference or self.provider_reference
        self._set_done(state_message=self.env._("Resolved as paid by %(user)s.", user=self.env.user.name))
        values = self._prepare_recorded_payment_values(payment_date, reference)
        RECORDED_PAYMENT.grant(self, values)._post_process()

    def _prepare_recorded_payment_values(self, payment_date, reference=None):
        """Return the values of the payment of a transaction that the user takes as paid.

        :param date payment_date: when it was paid
        :param str reference: what the provider calls the payment
        :rtype: dict
        """
        values = {"date": payment_date, "memo": reference or self.reference}
        if not self.provider_id.journal_id:
            # Of a provider that is out of use, the money arrived at the bank.
            journals = self.env["account.journal"]
            domain = [*journals._check_company_domain(self.company_id), ("type", "=", "bank")]
            journal = journals.search(domain, limit=1)
            line = journal.inbound_payment_method_line_ids[:1]
            values |= {"journal_id": journal.id, "payment_method_line_id": line.id}
        return values

    def _set_not_paid(self):
        """Take transactions of an unknown outcome as failed, as the user says; a late success is still recorded."""
        self.filtered(lambda tx: tx.state not in ("error", "done"))._set_error(
            self.env._("Resolved as not paid by %(user)s.", user=self.env.user.name)
        )
        self.write(
            {"subscription_amount_mismatch": False, "subscription_holds_exception": False, "is_post_processed": True}
        )

    def _is_outcome_unknown(self):
        """Tell whether a charge was asked for that may have succeeded or not.

        :rtype: bool
        """
        self.ensure_one()
        return self.subscription_amount_mismatch or (self.state == "draft" and self.operation in TOKEN_OPERATIONS)

    def _is_to_resolve(self):
        """Return whether a person may say what became of a payment: its outcome is unknown, or does not come.

        :rtype: bool
        """
        self.ensure_one()
        return self._is_outcome_unknown() or (
            self.state in ("pending", "authorized") and bool(self.subscription_lookup_on)
        )

    def _is_under_way(self):
        """Tell whether a payment has begun whose money is not in the books yet.

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
        # Whoever may process a payment lets it settle what it pays.
        invoices = self.sudo().invoice_ids
        return invoices._get_subscriptions()._get_periods_of(invoices)
