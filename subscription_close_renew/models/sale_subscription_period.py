from odoo import api, fields, models


class SaleSubscriptionPeriod(models.Model):
    _name = "sale.subscription.period"
    _description = "Billed Subscription Period"
    _order = "date_start desc, id desc"

    order_id = fields.Many2one(
        comodel_name="sale.order",
        string="Subscription",
        required=True,
        index=True,
        ondelete="cascade",
    )
    company_id = fields.Many2one(related="order_id.company_id", store=True, index=True)
    date_start = fields.Date(string="From", required=True, help="First day of the period.")
    date_end = fields.Date(
        string="Until", required=True, help="First day of the next period: the day before is the last of this one."
    )
    state = fields.Selection(
        selection=[("invoiced", "Invoiced"), ("cancelled", "Cancelled")],
        required=True,
        default="invoiced",
        help="A cancelled period has no valid invoice any more, and is billed again.",
    )
    invoice_ids = fields.Many2many(
        comodel_name="account.move",
        relation="sale_subscription_period_invoice_rel",
        column1="period_id",
        column2="invoice_id",
        string="Invoices",
    )

    _one_invoice_per_period = models.UniqueIndex(
        "(order_id, date_start) WHERE state != 'cancelled'",
        "This period of the subscription is invoiced already.",
    )
    _dates_in_order = models.Constraint(
        "CHECK (date_start < date_end)",
        "A period ends after it begins.",
    )

    @api.depends("order_id", "date_start", "date_end")
    def _compute_display_name(self):
        for period in self:
            period.display_name = self.env._(
                "%(order)s, %(start)s to %(end)s",
                order=period.order_id.name,
                start=period.date_start,
                end=period.date_end,
            )

    def _is_free(self):
        """Tell whether a period was billed once, and neither this row nor another bills it now."""
        self.ensure_one()
        twins = self.order_id.period_ids.filtered(lambda period: period.date_start == self.date_start)
        return set(twins.mapped("state")) == {"cancelled"}

    def _release(self):
        """Free periods whose invoice no longer counts, and bill them again from the earliest."""
        released = self.filtered(lambda period: period.state != "cancelled")
        released.state = "cancelled"
        # The index must see it before the period is claimed again.
        released.flush_recordset(["state"])
        released.order_id._update_next_invoice_date()
