from odoo import fields, models


class PaymentToken(models.Model):
    _inherit = "payment.token"

    valid_until = fields.Date(help="The last day of the card, if it is known. It is not charged afterwards.")

    def _get_charge_refusal(self, order):
        """Return why a payment method must not be charged for a subscription, or False if it may be.

        :param order: `sale.order`
        :rtype: str | bool
        """
        # Whoever may bill the subscription learns whether its payment method can be used, and nothing else of it.
        token = self.sudo()
        if not token:
            return self.env._("No payment method is stored.")
        if not token.active:
            return self.env._("The stored payment method was removed.")
        if token.valid_until and token.valid_until < order.company_id._get_subscription_today():
            return self.env._("The stored payment method has expired.")
        if token.provider_id.state == "disabled" or not token.payment_method_id.active:
            return self.env._("The provider of the stored payment method is disabled.")
        if not token._belongs_to(order):
            return self.env._("The stored payment method belongs to another customer or company.")
        return False

    def _belongs_to(self, order):
        """Tell whether a payment method is one of the customer of an order, in its company.

        :param order: `sale.order`
        :rtype: bool
        """
        self.ensure_one()
        customers = (order.partner_id | order.partner_invoice_id).commercial_partner_id
        # A branch uses the providers of the companies above it; which these are is no secret.
        companies = order.company_id.sudo().parent_ids
        return self.partner_id.commercial_partner_id in customers and self.company_id in companies
