from odoo import api, fields, models

# What the amount of an invoice comes from; Odoo itself writes the lines of taxes and payment terms.
AMOUNT_FIELDS = frozenset(
    (
        "currency_id",
        "discount",
        "display_type",
        "move_id",
        "price_unit",
        "product_id",
        "product_uom_id",
        "quantity",
        "tax_ids",
    )
)


class AccountMoveLine(models.Model):
    _name = "account.move.line"
    _inherit = ["account.move.line", "sale.subscription.guard.mixin"]

    subscription_id = fields.Many2one(
        comodel_name="sale.order",
        index="btree_not_null",
        copy=False,
        readonly=True,
        guarded=True,
        check_company=True,
        help="The subscription that this line invoices one period of.",
    )
    subscription_period_start = fields.Date(
        copy=False, readonly=True, guarded=True, help="First day of the period that this line invoices."
    )
    subscription_period_end = fields.Date(
        copy=False, readonly=True, guarded=True, help="First day after the period that this line invoices."
    )

    @api.model_create_multi
    def create(self, vals_list):
        added = [vals["move_id"] for vals in vals_list if vals.get("display_type", "product") == "product"]
        self.env["account.move"].browse(added)._check_no_payment_under_way()
        return super().create(vals_list)

    def write(self, vals):
        if AMOUNT_FIELDS & vals.keys():
            self._check_no_payment_under_way()
        return super().write(vals)

    @api.ondelete(at_uninstall=False)
    def _unlink_except_payment_under_way(self):
        self._check_no_payment_under_way()

    def _check_no_payment_under_way(self):
        """Refuse to change or remove what a payment is under way for.

        :raises UserError: naming the invoice and the payment
        """
        self.filtered(lambda line: line.display_type == "product").move_id._check_no_payment_under_way()

    def _copy_data_extend_business_fields(self, values):
        # A credit note takes back what its invoice billed, and the invoice that replaces this bills it again.
        res = super()._copy_data_extend_business_fields(values)
        for name in ("subscription_period_start", "subscription_period_end"):
            values[name] = self[name]
        values["subscription_id"] = self.subscription_id.id
        return res

    def _bills_stretch_of(self, order, date_start):
        """Return whether this line bills what begins on a day, of this subscription.

        :param order: `sale.order`
        :param date date_start: first day
        :rtype: bool
        """
        self.ensure_one()
        return self.subscription_period_start == date_start and self.subscription_id == order
