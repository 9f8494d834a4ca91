from itertools import pairwise

from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.tools import format_date


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

    @api.constrains("order_id", "date_start", "date_end", "state")
    def _check_no_overlap(self):
        for order in self.order_id:
            periods = order._get_billed_periods().sorted("date_start")
            for period, following in pairwise(periods):
                if following.date_start < period.date_end:
                    raise ValidationError(
                        self.env._(
                            "%(order)s is invoiced until %(end)s already, so no period can begin on %(start)s. Set its "
                            "next invoice date to %(end)s.",
                            order=order.display_name,
                            start=format_date(self.env, following.date_start),
                            end=format_date(self.env, period.date_end),
                        )
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
        """Free the periods none of whose invoices counts any longer, and bill them again from the earliest."""
        released = self.filtered(
            lambda period: period.state != "cancelled" and "posted" not in period.invoice_ids.mapped("state")
        )
        released.state = "cancelled"
        # The index must see it before the period is claimed again.
        released.flush_recordset(["state"])
        released.order_id._update_next_invoice_date()
