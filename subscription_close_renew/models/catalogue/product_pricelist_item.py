from odoo import api, fields, models


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
