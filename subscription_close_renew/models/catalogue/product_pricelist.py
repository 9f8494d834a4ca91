from odoo import api, fields, models
from odoo.fields import Domain


class ProductPricelist(models.Model):
    _inherit = "product.pricelist"

    def _get_applicable_rules(self, products, date, **kwargs):
        """Return the rules of the plan first, starting with those of this pricelist.

        A subscription without a pricelist still gets the prices that apply to all pricelists.
        """
        if not kwargs.get("subscription_plan"):
            return super()._get_applicable_rules(products, date, **kwargs)
        rules = self.env["product.pricelist.item"].search(self._get_applicable_rules_domain(products, date, **kwargs))
        return rules.sorted(lambda rule: (not rule.plan_id, not rule.pricelist_id))

    def _get_applicable_rules_domain(self, products, date, **kwargs):
        """Exclude recurring prices from ordinary orders, and add them to subscriptions.

        With the argument ``subscription_plan``, return the rules for a recurring product sold with that plan.
        """
        subscription_plan = kwargs.pop("subscription_plan", None)
        domain = Domain(super()._get_applicable_rules_domain(products, date, **kwargs))
        if not subscription_plan:
            return list(domain & Domain("plan_id", "=", False))
        all_pricelists = Domain(
            super(ProductPricelist, self.browse())._get_applicable_rules_domain(products, date, **kwargs)
        )
        plan_rules = Domain("plan_id", "=", subscription_plan.id) & (domain | all_pricelists)
        ordinary_rules = domain & Domain("plan_id", "=", False) if self else Domain.FALSE
        return list(plan_rules | ordinary_rules)


class ProductPricelistItem(models.Model):
    _inherit = "product.pricelist.item"

    plan_id = fields.Many2one(
        comodel_name="sale.subscription.plan",
        string="Recurring Plan",
        index="btree_not_null",
        ondelete="cascade",
        check_company=True,
        help="The price per period of a subscription with this plan. Ordinary orders ignore it.",
    )

    @api.depends("plan_id.company_id")
    def _compute_company_id(self):
        res = super()._compute_company_id()
        for item in self.filtered(lambda item: item.plan_id and not item.company_id):
            item.company_id = item.plan_id.company_id
        return res

    @api.depends("plan_id")
    def _compute_is_pricelist_required(self):
        res = super()._compute_is_pricelist_required()
        # A recurring price can apply to all pricelists.
        self.filtered("plan_id").is_pricelist_required = False
        return res

    def _compute_price(self, product, quantity, uom, date, currency=None, **kwargs):
        """Convert a fixed recurring price that applies to all pricelists to the requested currency."""
        price = super()._compute_price(product, quantity, uom, date, currency=currency, **kwargs)
        if currency and self.plan_id and not self.pricelist_id and self.compute_price == "fixed":
            price = self.currency_id._convert(price, currency, self.company_id or self.env.company, date, round=False)
        return price
