from odoo import models


class AccountPaymentRegister(models.TransientModel):
    _inherit = "account.payment.register"

    def _create_payments(self):
        invoices = self.line_ids.move_id
        # A charge that begins at this moment waits for this payment, or this payment for the charge.
        invoices._get_subscriptions().sudo()._lock_for_payment()
        invoices._check_no_charge_under_way()
        return super()._create_payments()
