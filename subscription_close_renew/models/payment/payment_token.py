from odoo import api, fields, models
from odoo.fields import Domain


class PaymentToken(models.Model):
    _inherit = "payment.token"

    subscription_valid_until = fields.Date(
        string="Valid Until",
        help="The last day on which the card is valid, if known. The card is not charged after this date.",
    )

    is_of_own_customer = fields.Boolean(
        compute="_compute_is_of_own_customer",
        search="_search_is_of_own_customer",
        help="The user has access to an order of the customer who owns this payment method.",
    )

    @api.depends_context("uid", "allowed_company_ids")
    @api.depends("partner_id")
    def _compute_is_of_own_customer(self):
        domain = self._get_own_customer_domain()
        # sudo: the record rule that asks for this restricts the user; only ids are compared.
        own = self.sudo().with_context(active_test=False).search(Domain("id", "in", self.ids) & domain)
        for token in self:
            token.is_of_own_customer = token._origin.id in own.ids

    def _search_is_of_own_customer(self, operator, value):
        if operator != "in":
            return NotImplemented
        domain = self._get_own_customer_domain()
        return domain if True in value else ~domain

    @api.model
    def _get_own_customer_domain(self):
        """Return the domain of the payment methods of customers whose orders the user can read, with all their contacts.

        It restricts salespeople limited to their own documents, who in Odoo see the payment methods of all customers.

        :rtype: Domain
        """
        # Record rules evaluate this with all rights: look at those of the user.
        user = self.env.user
        sees_all = "sales_team.group_sale_salesman_all_leads", "account.group_account_invoice"
        if not user.has_group("sales_team.group_sale_salesman") or any(map(user.has_group, sees_all)):
            return Domain.TRUE
        orders = self.env["sale.order"].sudo(False)
        readable = orders._search([])
        # sudo: some contacts may be hidden from the user; only which ones belong together is read.
        partners = self.env["res.partner"].sudo().with_context(active_test=False)
        buyers = Domain("sale_order_ids", "any", Domain("id", "in", readable))
        payers = Domain("id", "in", orders._search([]).select("partner_invoice_id"))
        customers = partners._search(buyers | payers).select("commercial_partner_id")
        return Domain("partner_id.commercial_partner_id", "in", customers) | Domain(
            "partner_id", "=", user.partner_id.id
        )

    def _get_charge_refusal(self, order):
        """Return the reason why a payment method cannot be charged for a subscription, or False if it can.

        :param order: `sale.order`
        :rtype: str | bool
        """
        # sudo: the user may not have access to the payment method; callers have checked the right to the subscription.
        token = self.sudo()
        if not token:
            return self.env._("No payment method is stored.")
        if not token.active:
            return self.env._("The stored payment method was removed.")
        if (
            token.subscription_valid_until
            and token.subscription_valid_until < order.company_id._get_subscription_today()
        ):
            return self.env._("The stored payment method has expired.")
        if token.provider_id.state == "disabled" or not token.payment_method_id.active:
            return self.env._("The provider of the stored payment method is disabled.")
        if not token._belongs_to(order):
            return self.env._("The stored payment method belongs to another customer or company.")
        return False

    def _belongs_to(self, order):
        """Return whether a payment method belongs to the customer and the company of an order.

        :param order: `sale.order`
        :rtype: bool
        """
        self.ensure_one()
        customers = (order.partner_id | order.partner_invoice_id).commercial_partner_id
        # sudo: users of a branch cannot read the companies above it, whose providers it uses; they are only compared.
        companies = order.company_id.sudo().parent_ids
        return self.partner_id.commercial_partner_id in customers and self.company_id in companies
