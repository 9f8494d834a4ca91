from odoo import api, models
from odoo.tools import float_round

from ...tools.guard import as_method

# The states of payment in which something of a posted invoice is left to pay.
UNPAID_STATES = ("not_paid", "partial")


class AccountMove(models.Model):
    """The periods that an invoice bills, its down payments, and how it is sent."""

    _inherit = "account.move"

    def _post(self, soft=True):
        posted = super()._post(soft)
        posted._claim_subscription_periods()
        return posted

    def copy(self, default=None):
        # Credit notes keep the periods of their invoice. Lines and other records passed by the caller are not trusted.
        brought = {self._fields[name].type for name in (default or {}).keys() & self._fields.keys()}
        if brought & {"one2many", "many2many"} or not self.env.context.get("include_business_fields"):
            return super().copy(default)
        return super(AccountMove, as_method(self)).copy(default).with_env(self.env)

    def button_draft(self):
        res = super().button_draft()
        self._release_subscription_periods()
        return res

    def button_cancel(self):
        res = super().button_cancel()
        self._release_subscription_periods()
        return res

    def _get_mail_template(self):
        # sudo: bookkeepers may not have access to the order; Odoo has checked the right to send the invoice.
        template = self._get_subscriptions().sudo().plan_id.invoice_mail_template_id
        if self.move_type == "out_invoice" and len(template) == 1:
            return template
        return super()._get_mail_template()

    def _get_subscriptions(self):
        """Return the subscriptions that these invoices bill.

        :rtype: sale.order
        """
        return self.invoice_line_ids.subscription_id

    def _get_subscription_payment_url(self):
        """Return the URL where the customer views and pays the invoice of a subscription.

        :return: empty for any other invoice, which must not get an access token when a mail template is tested
        :rtype: str
        """
        self.ensure_one()
        return self.get_base_url() + self.get_portal_url() if self._get_subscriptions() else ""

    def _is_billing(self):
        """Return whether an invoice counts, that is, whether it is posted and not credited in full.

        :rtype: bool
        """
        self.ensure_one()
        if self.state != "posted":
            return False
        credit_notes = self.reversal_move_ids.filtered(lambda move: move.state == "posted")
        if credit_notes.currency_id <= self.currency_id:
            credited = sum(credit_notes.mapped("amount_total"))
            return not credit_notes or self.currency_id.compare_amounts(credited, self.amount_total) < 0
        # Compare credit notes in another currency by their amounts in company currency.
        credited = -sum(credit_notes.mapped("amount_total_signed"))
        return self.company_currency_id.compare_amounts(credited, self.amount_total_signed) < 0

    def _claim_subscription_periods(self):
        """Claim the periods of posted invoices with recurring lines, and release those of credit notes."""
        moves = self.filtered("invoice_line_ids.subscription_id")
        invoices = moves.filtered(lambda move: move.move_type == "out_invoice")
        if invoices:
            # sudo: accountants are not always salespeople; Odoo has checked the right to post the invoice.
            invoices._get_subscriptions().sudo()._claim_periods(invoices.sudo())
        for note in moves.filtered(lambda move: move.move_type == "out_refund" and move.reversed_entry_id):
            # sudo: accountants are not always salespeople; Odoo has checked the right to post the credit note.
            note.sudo().reversed_entry_id._release_credited_periods()

    def _release_subscription_periods(self):
        """Release the periods of invoices that no longer count, so that they can be billed again."""
        for note in self.filtered(lambda move: move.move_type == "out_refund" and move.reversed_entry_id):
            # sudo: Odoo has checked the right to reset the credit note; its invoice counts again.
            note.sudo().reversed_entry_id.filtered(lambda move: move.state == "posted")._claim_subscription_periods()
        # sudo: Odoo has checked the right to reset or cancel the invoice.
        if subscriptions := self._get_subscriptions().sudo():
            subscriptions._get_periods_of(self)._release()

    def _release_credited_periods(self):
        """Release the periods of invoices credited in full, and log in the chatter what happens to them."""
        for period in self._get_subscriptions()._get_periods_of(self)._release():
            period.order_id.message_post(body=period._get_credited_message())

    def _limit_down_payments(self):
        """Deduct down payments from these drafts up to their totals, and leave the rest for the next invoices."""
        for invoice in self:
            taken = invoice.invoice_line_ids.filtered(lambda line: line.is_downpayment and line.quantity < 0)
            total, excess = -sum(taken.mapped("price_total")), -invoice.amount_total
            if not taken or invoice.currency_id.compare_amounts(excess, 0) <= 0 or excess >= total:
                continue
            part = 1 - excess / total
            for line in taken:
                # Quantities have few decimals, and some quantity must remain, so the price absorbs the difference.
                quantity = -max(float_round(-line.quantity * part, precision_digits=2, rounding_method="DOWN"), 0.01)
                price_unit = line.price_unit * line.quantity * part / quantity
                line.write({"quantity": quantity, "price_unit": price_unit, "extra_tax_data": False})
            invoice._round_down_payments(taken)

    def _round_down_payments(self, taken):
        """Correct down payments that exceed the total of this draft, taxes included, because of rounding.

        The excess is left for the next invoices.

        :param taken: the `account.move.line` of the deducted down payments
        """
        self.ensure_one()
        line = taken.sorted("quantity")[:1]
        digits = self.env["decimal.precision"].precision_get("Product Price")
        step = float_round(self.currency_id.rounding / -line.quantity, precision_digits=digits, rounding_method="UP")
        # The price, the line and each tax are rounded, so the excess is at most a few of the smallest coins.
        for _coin in range(10):
            if self.currency_id.compare_amounts(self.amount_total, 0) >= 0 or line.price_unit <= step:
                break
            line.price_unit -= step

    def _schedule_subscription_mail(self):
        """Queue the invoices whose plan has an email template for Odoo's own sender, which runs after the commit."""
        to_send = self.filtered(lambda move: move._get_subscriptions().plan_id.invoice_mail_template_id)
        author = self.env.user
        to_send.sending_data = {"author_user_id": author.id, "author_partner_id": author.partner_id.id}
        # Odoo's sender silently skips contacts without an address.
        for move in to_send.filtered(lambda move: not move.partner_id.email):
            # sudo: the caller has checked the right to the invoice; only the name of the template is read.
            for order in move._get_subscriptions().sudo():
                order._ask_to_call_customer(order._get_no_address_message(order.plan_id.invoice_mail_template_id))

    def _give_up_subscription_mail(self, error):
        """Stop sending an invoice that cannot be sent, and schedule an activity.

        :param Exception error: the error
        """
        self.ensure_one()
        self.sending_data = False
        for order in self._get_subscriptions():
            order._ask_for_attention(
                self.env._("Invoice not sent"),
                self.env._(
                    "%(invoice)s could not be sent: %(error)s Fix the problem, then send the invoice manually.",
                    invoice=self.display_name,
                    error=error,
                ),
            )

    @api.model
    def _trigger_subscription_mails(self):
        """Trigger Odoo's sender of invoices once this transaction is committed."""
        # sudo: users cannot read scheduled actions; this one is only triggered.
        if cron := self.env.ref("account.ir_cron_account_move_send", raise_if_not_found=False):
            cron.sudo()._trigger()
