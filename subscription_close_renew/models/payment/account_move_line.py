from odoo import api, models

# The fields that determine the amount of an invoice; Odoo itself writes the lines of taxes and payment terms.
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
    _inherit = "account.move.line"

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
        """Refuse to change or remove product lines of invoices with a payment under way.

        :raises UserError: naming the invoice and the payment
        """
        self.filtered(lambda line: line.display_type == "product").move_id._check_no_payment_under_way()
