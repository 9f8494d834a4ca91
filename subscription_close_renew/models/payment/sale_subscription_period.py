from contextlib import closing
from datetime import timedelta

from odoo import fields, models
from odoo.fields import Command
from odoo.tools import format_date, formatLang

from ...tools import recurrence

# Of the languages that the addon is translated into.
SENTENCE_ENDS = (".", "!", "?", "…", "؟", "。", "！", "？")

CHARGE_STATES = [
    ("unknown", "Outcome Unknown"),
    ("pending", "Pending"),
    ("declined", "Declined"),
    ("done", "Charged"),
]


class SaleSubscriptionPeriod(models.Model):
    """How the price of a period is collected with the payment method of its subscription."""

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
        help="What is known of the last charge. Nothing is charged again while its outcome is unknown.",
    )
    charge_error = fields.Char(string="Reason", readonly=True, help="Why the last charge did not succeed.")
    attempt_count = fields.Integer(string="Attempts", readonly=True, help="How often the payment was declined.")
    declined_on = fields.Date(readonly=True, help="When the payment was first declined.")
    retry_date = fields.Date(
        string="Next Attempt", readonly=True, index="btree_not_null", help="The payment is tried again on this day."
    )
    status = fields.Selection(
        selection=[
            ("draft", "In Preparation"),
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
        """Tell whether the payment of a period is still to be collected.

        :rtype: bool
        """
        self.ensure_one()
        if not self.order_id._is_running():
            return False
        return self.state == "draft" or (self.state == "invoiced" and bool(self._get_open_invoice()))

    def _is_open(self):
        """Return whether something of a period is left to pay, which no payment is under way for.

        :rtype: bool
        """
        self.ensure_one()
        invoice = self._get_open_invoice()
        return bool(invoice) and invoice.amount_total > 0 and not invoice._has_payment_under_way()

    def _is_outdated(self):
        """Return whether the order says something else by now than the draft invoice of a period in preparation.

        :rtype: bool
        """
        self.ensure_one()
        order, invoice = self.order_id, self._get_open_invoice()
        if invoice._has_payment_under_way():
            return False
        is_next = self.date_start == order.next_invoice_date
        return not is_next or not order._has_agreed_amount(invoice, self.date_start, self.date_end)

    def _is_paid_in_part(self):
        """Return whether a part of a period was paid, as with the quotation, and nothing is under way for the rest.

        :rtype: bool
        """
        self.ensure_one()
        return self._is_open() and self._get_open_invoice().payment_state == "partial"

    def _charge(self):
        """Collect the price of a period with the payment method of its subscription.

        Commits: first that a charge begins, then what the provider answered. To be called at the beginning of a
        transaction: what others did before counts, such as closing.
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
        # A payment transaction is nobody's document: whoever may bill the subscription may charge for it.
        transaction = self.env["payment.transaction"].sudo().create(self._prepare_transaction_values(invoice))
        transaction._charge_with_token()
        if transaction.state != "draft":
            transaction._post_process()

    def _check_postable(self):
        """Refuse to charge for what Odoo would refuse to post once it is paid: that is tried, and undone.

        :raises UserError: as posting does, such as for a negative total or an archived account
        """
        drafts = self.invoice_ids.filtered(lambda invoice: invoice.state == "draft")
        if drafts:
            with closing(self.env.cr.savepoint()):
                # What is undone is mailed to nobody.
                self.with_context(mail_notify_force_send=False)._post_drafts()
                self.env.cr.flush()

    def _prepare_transaction_values(self, invoice):
        """Return the values of a new payment transaction: a transaction is never sent twice.

        :param invoice: `account.move` to pay
        :rtype: dict
        """
        self.ensure_one()
        token = self.order_id.payment_token_id
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
        """Write down that a charge is under way: whatever happens now, nothing charges these periods again."""
        self.charge_state = "unknown"
        # The chatter hears of it only if no answer comes.
        self.order_id._without_tracking()._write_subscription({"payment_exception": True})

    def _set_charge_done(self, charge):
        """Write down that a payment of these periods succeeded; what it did not pay is collected on, if it was before.

        :param charge: the `payment.transaction`
        """
        # What is open because the payment was not used is for a bookkeeper to look at, and not to be charged again.
        in_part = self.filtered("retry_date") | self.filtered(lambda period: period._has_attempts_left())
        in_part = in_part.filtered(lambda period: period._is_open() and charge._is_used_up())
        whole = self - in_part
        whole.write(whole._prepare_paid_values())
        whole._set_charge_state("done")
        for period in in_part:
            period._resume_attempts()
        self.invoice_ids.filtered(lambda invoice: not invoice.is_move_sent)._schedule_subscription_mail()

    def _set_charge_pending(self):
        """Write down that the provider will tell the outcome later. What is owed is invoiced meanwhile."""
        self._post_drafts()
        self.retry_date = False
        self._set_charge_state("pending")

    def _set_charge_not_made(self):
        """Write down that a charge did not happen, for no reason of the customer's: it is tried again as it was."""
        for period in self.filtered(lambda period: period.charge_state in ("unknown", "pending")):
            period._resume_attempts()

    def _resume_attempts(self):
        """Go on collecting what was declined, or waits for an earlier period, if another payment did not pay it all."""
        self.ensure_one()
        self._set_charge_state("declined" if self.attempt_count or self.charge_error else False)
        if self.charge_state == "declined" and not self.retry_date and self._has_attempts_left():
            # It had given way to the other payment.
            self.retry_date = self.company_id._get_subscription_today() + timedelta(days=1)

    def _retry_today(self):
        """Let the next run ask once more for what is open of these periods."""
        for period in self.filtered(lambda period: period.state == "invoiced" and period._is_collectable()):
            period.retry_date = period.company_id._get_subscription_today()

    def _set_charge_state(self, state):
        """Write down what became of a charge of these periods, unless another is still to come to something.

        :param state: one of :data:`CHARGE_STATES`, or False
        """
        for period in self:
            charges = period.sudo().invoice_ids.transaction_ids
            if any(charges.mapped("subscription_holds_exception")):
                period.charge_state = "unknown"
            elif any(charge.state in ("pending", "authorized") and charge._is_under_way() for charge in charges):
                period.charge_state = "pending"
            else:
                period.charge_state = state

    def _has_attempts_left(self):
        """Return whether there is a further attempt: the first, if that had to wait; else as many as the plan has.

        :rtype: bool
        """
        self.ensure_one()
        if not self.attempt_count:
            return self._is_collectable() and bool(self.charge_error)
        return self._is_collectable() and self.attempt_count <= len(self.order_id.plan_id._get_retry_days())

    def _set_paid(self):
        """End the dunning of the periods whose invoices were paid, by whatever way."""
        paid = self.filtered(lambda period: period.state == "invoiced" and period._is_paid())
        # What was declined is settled; a charge that is under way still has an outcome to come.
        paid.filtered(lambda period: period.charge_state == "declined").charge_state = False
        paid.write(self._prepare_paid_values())

    def _prepare_paid_values(self):
        """Return the values of a period that nothing is left to pay for.

        :rtype: dict
        """
        return {"retry_date": False, "charge_error": False}

    def _decline(self, message):
        """Write down that the payment of these periods was declined, tell the customer, and plan the next attempt.

        :param str message: why, for people
        """
        for period in self:
            order = period.order_id
            if not period._is_collectable():
                period._set_charge_state(False)
                period._drop_drafts()
                period.exists()._hand_over_declined(message)
                continue
            period._post_drafts()
            period.write(period._prepare_decline_values(message))
            period._set_charge_state("declined")
            order.message_post(body=period._get_decline_note())
            order._send_subscription_mail("subscription_close_renew.mail_template_payment_failed", period)
            if not period.retry_date and not order.plan_id.auto_close_days:
                period._ask_for_another_payment()

    def _hand_over_declined(self, message):
        """Tell people that invoices of subscriptions that have ended stay unpaid: nothing asks for them any more.

        :param str message: why the payment was declined
        """
        for period in self.filtered(lambda period: period.state == "invoiced" and period._is_open()):
            period.charge_error = period._prepare_decline_values(message)["charge_error"]
            period.order_id.message_post(body=period._get_decline_note())
            period._ask_for_another_payment()

    def _ask_for_another_payment(self):
        """Ask somebody of the staff to agree with the customer on what no further attempt will collect."""
        self.ensure_one()
        self.order_id._ask_for_attention(
            self.env._("Payment declined for good"),
            self.env._("%(note)s Agree with the customer on another way to pay.", note=self._get_decline_note()),
        )

    def _postpone_until_paid(self, earlier):
        """Let the payment of a period be tried when that of an earlier one is, which was declined.

        :param earlier: the earlier period, or none
        """
        self.ensure_one()
        if earlier:
            tomorrow = self.company_id._get_subscription_today() + timedelta(days=1)
            env = self.with_context(lang=self.order_id._get_lang()).env
            self.write(
                {
                    "charge_state": "declined",
                    "charge_error": env._("An earlier period is to be paid first."),
                    "retry_date": earlier.retry_date or tomorrow,
                }
            )

    def _prepare_decline_values(self, message):
        """Return the values of a period whose payment was declined once more.

        :param str message: why, for people
        :rtype: dict
        """
        self.ensure_one()
        today = self.company_id._get_subscription_today()
        declined_on = self.declined_on or today
        days = self.order_id.plan_id._get_retry_days()[self.attempt_count :][:1]
        return {
            "charge_state": "declined",
            "charge_error": message if message.endswith(SENTENCE_ENDS) else f"{message}.",
            "attempt_count": self.attempt_count + 1,
            "declined_on": declined_on,
            "retry_date": max(recurrence.add_days(declined_on, days[0]), today + timedelta(days=1)) if days else False,
        }

    def _prepare_decline_note_values(self):
        """Return what a sentence about a declined payment names.

        :rtype: dict
        """
        self.ensure_one()
        invoice = self._get_open_invoice()
        return {
            "invoice": invoice.name,
            "amount": formatLang(self.env, invoice.amount_residual, currency_obj=invoice.currency_id),
            "reason": self.charge_error,
        }

    def _get_decline_note(self):
        """Return what the chatter says about a declined payment.

        :rtype: str
        """
        self.ensure_one()
        values = self._prepare_decline_note_values() | {"date": format_date(self.env, self.retry_date)}
        if self.retry_date:
            return self.env._(
                "The payment of %(invoice)s (%(amount)s) was declined: %(reason)s It is tried again on %(date)s.",
                **values,
            )
        return self.env._(
            "The payment of %(invoice)s (%(amount)s) was declined: %(reason)s It is not tried again.", **values
        )

    def _get_portal_charge_message(self):
        """Return what the customer reads about a payment that was declined, or waits for an earlier one.

        :rtype: str
        """
        self.ensure_one()
        values = self._prepare_decline_note_values()
        if self.attempt_count:
            return self.env._("The payment of %(invoice)s (%(amount)s) was declined: %(reason)s", **values)
        return self.env._("The payment of %(invoice)s (%(amount)s) waits: %(reason)s", **values)

    def _get_portal_retry_message(self):
        """Return what the customer reads about the next attempt.

        :rtype: str
        """
        self.ensure_one()
        if not self.retry_date:
            return self.env._("We do not try again.")
        if self.order_id.subscription_state == "paused":
            return self.env._("We do not try again while the subscription is paused.")
        if self.retry_date <= self.company_id._get_subscription_today():
            return self.env._("We try again today.")
        return self.env._("We try again on %(date)s.", date=format_date(self.env, self.retry_date))

    def _claim(self):
        """Let go of the charge of a period that somebody invoices by hand: what the charge comes to is known to them."""
        unknown = self.filtered(lambda period: period.state == "draft" and period.charge_state)
        res = super()._claim()
        unknown.charge_state = False
        # An invoice that was declined, corrected and posted again is collected on.
        for period in self.filtered(lambda period: period.charge_error and not period.charge_state):
            if period._is_collectable() and period._is_open():
                period._resume_attempts()
        return res

    def _prepare_release_values(self):
        # Why it was declined is needed if the same invoice is posted again.
        return super()._prepare_release_values() | {"charge_state": False, "retry_date": False}

    def _take_over(self, invoice):
        # A late notification of the charge settles the invoice that counts.
        # sudo: Odoo has checked the right to post the invoice; the link to the payment follows from it.
        links = [Command.link(invoice.id), *(Command.unlink(draft.id) for draft in self.invoice_ids)]
        self.sudo().invoice_ids.transaction_ids.invoice_ids = links
        return super()._take_over(invoice)

    def _prepare_take_over_values(self, invoice):
        return super()._prepare_take_over_values(invoice) | {"charge_state": False}

    def _register_payment(self, payment_date, reference=None):
        """Post and settle the invoices of periods by a payment that no transaction tells of: all that is open of them.

        :param date payment_date: when it was paid
        :param str reference: what the provider or the bank calls the payment
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
