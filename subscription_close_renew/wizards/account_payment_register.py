from odoo import models


class AccountPaymentRegister(models.TransientModel):
    _inherit = "account.payment.register"

    def _create_payments(self):
        invoices = self.line_ids.move_id
        # sudo: bookkeepers may not have access to the orders; Odoo has checked the right to register the payment. The lock
        # keeps a charge from starting at the same time.
        invoices._get_subscriptions().sudo()._lock_for_payment()
        invoices._check_no_charge_under_way()
        return super()._create_payments()
