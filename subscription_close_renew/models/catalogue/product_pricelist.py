from odoo import models
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
