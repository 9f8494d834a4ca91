from contextlib import closing

from odoo import fields, models
from odoo.fields import Command

CHARGE_STATES = [
    ("unknown", "Outcome Unknown"),
    ("pending", "Pending"),
    ("declined", "Declined"),
    ("done", "Charged"),
]


class SaleSubscriptionPeriod(models.Model):
    """Charging the price of a period to the payment method of its subscription."""

    _inherit = "sale.subscription.period"

    transaction_ids = fields.Many2many(
        comodel_name="payment.transaction",
        compute="_compute_transaction_ids",
        compute_sudo=True,
        groups="account.group_account_invoice",
        string="Transactions",
    )
    charge_state = fields.Selection(
        selection=CHARGE_STATES,
        readonly=True,
        help="Outcome of the last charge. While it is unknown, nothing is charged again.",
    )
    charge_error = fields.Char(string="Reason", readonly=True, help="Why the last charge failed.")
    status = fields.Selection(
        selection=[
            ("draft", "Draft"),
            ("unknown", "Unknown"),
            ("pending", "Pending"),
            ("declined", "Declined"),
            ("invoiced", "Invoiced"),
            ("paid", "Paid"),
            ("cancelled", "Cancelled"),
        ],
        compute="_compute_status",
        compute_sudo=True,
    )

    _draft_idx = models.Index("(order_id) WHERE state = 'draft'")

    def _compute_transaction_ids(self):
        for period in self:
            period.transaction_ids = period.invoice_ids.transaction_ids

    def _compute_status(self):
        for period in self:
            if period.state == "invoiced" and period._is_paid():
                period.status = "paid"
            elif period.state != "cancelled" and period.charge_state in ("unknown", "pending", "declined"):
                period.status = period.charge_state
            else:
                period.status = period.state

    def _is_collectable(self):
        """Return whether the payment of a period still has to be collected.

        :rtype: bool
        """
        self.ensure_one()
        if not self.order_id._is_running():
            return False
        return self.state == "draft" or (self.state == "invoiced" and bool(self._get_open_invoice()))

    def _is_open(self):
        """Return whether a part of a period is left to pay and no payment is under way.

        :rtype: bool
        """
        self.ensure_one()
        invoice = self._get_open_invoice()
        return bool(invoice) and invoice.amount_total > 0 and not invoice._has_payment_under_way()

    def _is_outdated(self):
        """Return whether the order has changed since the draft invoice of a draft period was created.

        :rtype: bool
        """
        self.ensure_one()
        order, invoice = self.order_id, self._get_open_invoice()
        if invoice._has_payment_under_way():
            return False
        is_next = self.date_start == order.next_invoice_date
        return not is_next or not order._has_agreed_amount(invoice, self.date_start, self.date_end)

    def _is_paid_in_part(self):
        """Return whether a period was paid in part, such as with the quotation, and no payment of the rest is under way.

        :rtype: bool
        """
        self.ensure_one()
        return self._is_open() and self._get_open_invoice().payment_state == "partial"

    def _charge(self):
        """Charge the price of a period to the payment method of its subscription.

        Commits twice: the start of the charge, then the answer of the provider. Call this at the beginning of a
        transaction, to see what others did before, such as closing.
        """
        self.ensure_one()
        invoice = self._get_open_invoice()
        if not invoice or not self.order_id.filtered_domain(self.order_id._get_chargeable_domain()):
            return
        token = self.order_id.payment_token_id.with_context(lang=self.order_id._get_lang())
        refusal = token._get_charge_refusal(self.order_id)
        if refusal:
            self._decline(refusal)
            return
        self._check_postable()
        # sudo: salespeople cannot create payments; the caller has checked the right to bill the subscription.
        transaction = self.env["payment.transaction"].sudo().create(self._prepare_transaction_values(invoice))
        transaction._charge_with_token()
        if transaction.state != "draft":
            transaction._post_process()

    def _check_postable(self):
        """Refuse to charge for invoices that Odoo would refuse to post once paid: post them, and undo that.

        :raises UserError: as posting does, for a negative total or an archived account for example
        """
        drafts = self.invoice_ids.filtered(lambda invoice: invoice.state == "draft")
        if drafts:
            with closing(self.env.cr.savepoint()):
                # The posting is undone: it must not send mails.
                self.with_context(mail_notify_force_send=False)._post_drafts()
                self.env.cr.flush()

    def _prepare_transaction_values(self, invoice):
        """Return the values of a new payment transaction: no transaction is sent twice.

        :param invoice: `account.move` to pay
        :rtype: dict
        """
        self.ensure_one()
        token = self.order_id.payment_token_id
        # sudo: users cannot read payment transactions; the billing methods have checked the right to the order.
        transactions = self.env["payment.transaction"].sudo()
        return {
            "provider_id": token.provider_id.id,
            "payment_method_id": token.payment_method_id.id,
            "token_id": token.id,
            "operation": "offline",
            "reference": transactions._compute_reference(
                token.provider_code, prefix=f"{self.order_id.name}-{self.date_start:%Y%m%d}"
            ),
            "amount": invoice.amount_residual if invoice.state == "posted" else invoice.amount_total,
            "currency_id": invoice.currency_id.id,
            "partner_id": invoice.partner_id.id,
            "invoice_ids": [Command.set(invoice.ids)],
        }

    def _set_charge_unknown(self):
        """Record that a charge is under way, so that nothing charges these periods again, whatever happens."""
        self.charge_state = "unknown"
        # The exception is logged only if no answer comes.
        self.order_id._without_tracking()._write_subscription({"payment_exception": True})

    def _set_charge_done(self, charge):
        """Record that a payment of these periods succeeded. Periods paid in part are charged further if they were before.

        :param charge: the `payment.transaction`
        """
        # If a payment is not used up, a bookkeeper has to check what is open: it must not be charged again.
        in_part = self.filtered("retry_date") | self.filtered(lambda period: period._has_attempts_left())
        in_part = in_part.filtered(lambda period: period._is_open() and charge._is_used_up())
        whole = self - in_part
        whole.write(whole._prepare_paid_values())
        whole._set_charge_state("done")
        for period in in_part:
            period._resume_attempts()
        self.invoice_ids.filtered(lambda invoice: not invoice.is_move_sent)._schedule_subscription_mail()

    def _set_charge_pending(self):
        """Record that the outcome will be known later. Meanwhile the amount due is invoiced."""
        self._post_drafts()
        self.retry_date = False
        self._set_charge_state("pending")

    def _set_charge_state(self, state):
        """Record the outcome of a charge of these periods, unless another charge has no outcome yet.

        :param state: one of :data:`CHARGE_STATES`, or False
        """
        for period in self:
            # sudo: users cannot read payment transactions; only the state of the charge follows from them.
            charges = period.sudo().invoice_ids.transaction_ids
            if any(charges.mapped("subscription_holds_exception")):
                period.charge_state = "unknown"
            elif any(charge.state in ("pending", "authorized") and charge._is_under_way() for charge in charges):
                period.charge_state = "pending"
            else:
                period.charge_state = state

    def _set_paid(self):
        """End the dunning of periods whose invoices were paid, however they were paid."""
        if paid := self.filtered(lambda period: period.state == "invoiced" and period._is_paid()):
            # A declined payment is settled, but a charge under way still has an outcome to come.
            paid.filtered(lambda period: period.charge_state == "declined").charge_state = False
            paid.write(paid._prepare_paid_values())

    def _prepare_paid_values(self):
        """Return the values of a period with nothing left to pay.

        :rtype: dict
        """
        return {"retry_date": False, "charge_error": False}

    def _claim(self):
        """Forget the unknown outcome of periods that are invoiced manually: the user knows what became of the charge."""
        unknown = self.filtered(lambda period: period.state == "draft" and period.charge_state)
        res = super()._claim()
        unknown.charge_state = False
        # The attempts continue for an invoice that was declined, corrected and posted again.
        for period in self.filtered(lambda period: period.charge_error and not period.charge_state):
            if period._is_collectable() and period._is_open():
                period._resume_attempts()
        return res

    def _prepare_release_values(self):
        # The reason of the decline stays: it is needed if the same invoice is posted again.
        return super()._prepare_release_values() | {"charge_state": False, "retry_date": False}

    def _take_over(self, invoice):
        # A late notification of the charge must settle the new invoice.
        # sudo: salespeople cannot write payments; Odoo has checked the right to post the invoice.
        links = [Command.link(invoice.id), *(Command.unlink(draft.id) for draft in self.invoice_ids)]
        self.sudo().invoice_ids.transaction_ids.invoice_ids = links
        return super()._take_over(invoice)

    def _prepare_take_over_values(self, invoice):
        return super()._prepare_take_over_values(invoice) | {"charge_state": False}

    def _register_payment(self, payment_date, reference=None):
        """Post the invoices of periods, and register a payment of the open amount that has no transaction.

        :param date payment_date: when the payment was made
        :param str reference: the reference of the provider or the bank
        """
        self._post_drafts()
        for period in self.filtered(lambda period: period._get_open_invoice()):
            invoice = period._get_open_invoice()
            wizards = self.env["account.payment.register"].with_context(
                active_model="account.move", active_ids=invoice.ids
            )
            wizards.create(
                {
                    "payment_date": payment_date,
                    "communication": reference or invoice.name,
                    "currency_id": invoice.currency_id.id,
                    "amount": invoice.amount_residual,
                    "payment_difference_handling": "open",
                }
            )._create_payments()
        self.charge_state = False
