from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError

from ..billing.account_move import UNPAID_STATES

# The fields that must not change while a payment of the invoice is under way. AMOUNT_FIELDS are those of its lines.
PAID_FIELDS = frozenset(
    (
        "company_id",
        "currency_id",
        "fiscal_position_id",
        "invoice_cash_rounding_id",
        "invoice_line_ids",
        "journal_id",
        "line_ids",
        "move_type",
        "partner_id",
        "transaction_ids",
    )
)


class AccountMove(models.Model):
    """Invoices of subscriptions: their payments, and what is refused while one is under way."""

    _inherit = "account.move"

    def _post(self, soft=True):
        posted = super()._post(soft)
        posted._assign_matched_payments()
        return posted

    def _release_credited_periods(self):
        self._check_no_payment_under_way()
        return super()._release_credited_periods()

    def write(self, vals):
        # Odoo's buttons Reset to Draft and Cancel write the state.
        if PAID_FIELDS & vals.keys() or vals.get("state") in ("draft", "cancel"):
            self._check_no_payment_under_way()
        return super().write(vals)

    @api.ondelete(at_uninstall=False)
    def _unlink_except_payment_under_way(self):
        self._check_no_payment_under_way()

    def _reverse_moves(self, default_values_list=None, cancel=False):
        self._check_no_payment_under_way()
        return super()._reverse_moves(default_values_list, cancel)

    def _assign_matched_payments(self):
        """Reconcile invoices with payments already confirmed by the bank statement, which Odoo itself leaves out."""
        for invoice in self.filtered("invoice_line_ids.subscription_id"):
            payments = invoice.transaction_ids.payment_id.filtered(lambda payment: payment.state == "paid")
            lines = payments.move_id.line_ids.filtered(
                lambda line: line.account_type == "asset_receivable" and not line.reconciled
            )
            for line in lines:
                invoice.js_assign_outstanding_line(line.id)

    def _invoice_paid_hook(self):
        res = super()._invoice_paid_hook()
        # sudo: nobody can write periods; Odoo has checked the right to register the payment.
        self._get_subscriptions().sudo()._get_periods_of(self)._set_paid()
        return res

    def _has_to_be_paid(self):
        return super()._has_to_be_paid() and not self._get_charge_under_way_message()

    def _get_online_payment_error(self):
        under_way = self.payment_state in UNPAID_STATES and self._get_charge_under_way_message()
        messages = super()._get_online_payment_error(), under_way
        return "\n".join(filter(None, messages))

    def _get_charge_under_way_message(self):
        """Return the reason why these invoices cannot be paid at the moment, or False if they can.

        :rtype: str | bool
        """
        # sudo: the payer may not have access to the order; Odoo has checked the right to pay the invoice.
        for order in self._get_subscriptions().sudo():
            if message := order._get_charge_under_way_message():
                return message
        return False

    def _check_no_charge_under_way(self):
        """Refuse another payment while the outcome of one is unknown: both could succeed.

        :raises UserError: naming the subscription
        """
        if message := self._get_charge_under_way_message():
            raise UserError(message)

    def _check_no_payment_under_way(self):
        """Refuse to change, cancel, credit or delete invoices with a payment under way: they could be collected twice.

        :raises UserError: naming the invoice and the payment
        """
        for invoice in self.filtered("line_ids.subscription_id"):
            # sudo: the user may not have access to transactions or orders; Odoo checks the right to change the invoice.
            payments = invoice.sudo().transaction_ids.filtered(lambda transaction: transaction._is_under_way())
            if payments:
                raise UserError(
                    self.env._(
                        "A payment of %(invoice)s is being processed (%(reference)s, %(amount)s). Until its outcome is "
                        "known, the invoice cannot be changed, cancelled, credited or deleted. Wait, or look up the "
                        "payment at the provider and choose Resolve Payment Failure on %(orders)s.",
                        invoice=invoice.display_name,
                        reference=payments[0].reference,
                        amount=payments[0].currency_id.format(payments[0].amount),
                        orders=", ".join(invoice._get_subscriptions().sudo().mapped("name")),
                    )
                )

    def _has_payment_under_way(self, besides=None):
        """Return whether a payment of this invoice has started but is not in the books yet.

        :param besides: a `payment.transaction` to ignore
        :rtype: bool
        """
        self.ensure_one()
        transactions = self.transaction_ids - besides if besides else self.transaction_ids
        return any(transaction._is_under_way() for transaction in transactions)

    def _has_checkout_under_way(self):
        """Return whether the customer may be paying this invoice on a page of the provider at the moment.

        :rtype: bool
        """
        self.ensure_one()
        # Providers forget an unfinished checkout after a day.
        since = fields.Datetime.now() - timedelta(days=1)
        return any(
            transaction.state == "draft" and transaction.create_date > since for transaction in self.transaction_ids
        )

    def _is_paid_or_under_way(self):
        """Return whether the customer has paid already, when accepting the quotation for example, or is about to.

        :rtype: bool
        """
        self.ensure_one()
        return any(transaction.state == "done" or transaction._is_under_way() for transaction in self.transaction_ids)
