from odoo import models


class AccountMove(models.Model):
    _inherit = "account.move"

    def _post(self, soft=True):
        posted = super()._post(soft)
        posted._claim_subscription_periods()
        return posted

    def button_draft(self):
        res = super().button_draft()
        self._release_subscription_periods()
        return res

    def button_cancel(self):
        res = super().button_cancel()
        self._release_subscription_periods()
        return res

    def _claim_subscription_periods(self):
        """Let each posted invoice with recurring lines claim a period of its subscriptions."""
        for invoice in self:
            if invoice.move_type == "out_invoice" and invoice.invoice_line_ids.subscription_id:
                # Whoever may post the invoice may bill the period: an accountant need not be a salesperson.
                invoice.invoice_line_ids.subscription_id.sudo()._claim_period(invoice)

    def _release_subscription_periods(self):
        """Free the periods of invoices that no longer count, so that they can be billed again."""
        subscriptions = self.invoice_line_ids.subscription_id
        if subscriptions:
            # Whoever may reset the invoice may free its period, as for the claim.
            periods = subscriptions.sudo().period_ids.filtered(lambda period: period.invoice_ids & self)
            periods._release()
