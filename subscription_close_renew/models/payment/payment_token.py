from odoo import api, fields, models
from odoo.fields import Domain


class PaymentToken(models.Model):
    _inherit = "payment.token"

    subscription_valid_until = fields.Date(
        help="The last day of the card, if it is known. It is not charged afterwards."
    )

    is_of_own_customer = fields.Boolean(
        compute="_compute_is_of_own_customer",
        search="_search_is_of_own_customer",
        help="The user may read an order of the customer whose payment method this is.",
    )

    @api.depends_context("uid", "allowed_company_ids")
    @api.depends("partner_id")
    def _compute_is_of_own_customer(self):
        domain = self._get_own_customer_domain()
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
        """Return the domain of the payment methods of customers, with all their contacts, whose orders the user may read.

        It limits salespeople with own documents: Odoo shows them those of all customers.

        :rtype: Domain
        """
        # Rules ask with all rights, on behalf of the user.
        user = self.env.user
        sees_all = "sales_team.group_sale_salesman_all_leads", "account.group_account_invoice"
        if not user.has_group("sales_team.group_sale_salesman") or any(map(user.has_group, sees_all)):
            return Domain.TRUE
        orders = self.env["sale.order"].sudo(False)
        readable = orders._search([])
        # Of the customers, only who belongs together is looked up.
        partners = self.env["res.partner"].sudo().with_context(active_test=False)
        buyers = Domain("sale_order_ids", "any", Domain("id", "in", readable))
        payers = Domain("id", "in", orders._search([]).select("partner_invoice_id"))
        customers = partners._search(buyers | payers).select("commercial_partner_id")
        return Domain("partner_id.commercial_partner_id", "in", customers) | Domain(
            "partner_id", "=", user.partner_id.id
        )

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
        """Tell whether a payment method is one of the customer of an order, in its company.

        :param order: `sale.order`
        :rtype: bool
        """
        self.ensure_one()
        customers = (order.partner_id | order.partner_invoice_id).commercial_partner_id
        # A branch uses the providers of the companies above it; which these are is no secret.
        companies = order.company_id.sudo().parent_ids
        return self.partner_id.commercial_partner_id in customers and self.company_id in companies
