from odoo import api, models
from odoo.exceptions import ValidationError


class AccountPayment(models.Model):
    _inherit = "account.payment"

    @api.constrains("payment_token_id", "partner_id", "company_id")
    def _check_payment_token_owner(self):
        """Refuse to charge a stored payment method of another customer or company: Odoo only hides these in its form.

        :raises ValidationError: for the first such payment
        """
        for payment in self.filtered("payment_token_id"):
            # sudo: the user may not have access to the payment method; Odoo has checked the right to the payment.
            token = payment.payment_token_id.sudo()
            customer = payment.partner_id.commercial_partner_id
            companies = payment.company_id.sudo().parent_ids
            if token.partner_id.commercial_partner_id != customer or token.company_id not in companies:
                raise ValidationError(self.env._("The stored payment method belongs to another customer or company."))
