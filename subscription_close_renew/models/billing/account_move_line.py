from odoo import fields, models


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
        help="The subscription whose period this line invoices.",
    )
    subscription_period_start = fields.Date(
        copy=False, readonly=True, guarded=True, help="First day of the period that this line invoices."
    )
    subscription_period_end = fields.Date(
        copy=False, readonly=True, guarded=True, help="First day after the period that this line invoices."
    )

    def _copy_data_extend_business_fields(self, values):
        # A credit note reverses the period of its invoice, and the invoice that replaces it bills the period again.
        res = super()._copy_data_extend_business_fields(values)
        for name in ("subscription_period_start", "subscription_period_end"):
            values[name] = self[name]
        values["subscription_id"] = self.subscription_id.id
        return res

    def _bills_period(self, order, date_start):
        """Return whether this line bills the period of a subscription that starts on a day.

        :param order: `sale.order`
        :param date date_start: first day of the period
        :rtype: bool
        """
        self.ensure_one()
        return self.subscription_period_start == date_start and self.subscription_id == order
