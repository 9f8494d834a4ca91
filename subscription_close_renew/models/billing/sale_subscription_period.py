from datetime import timedelta

from markupsafe import Markup

from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.fields import Command
from odoo.tools import SQL, format_date


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
    currency_id = fields.Many2one(related="order_id.currency_id")
    date_start = fields.Date(string="From", required=True, help="First day of the period.")
    date_end = fields.Date(
        string="Until", required=True, help="First day of the next period: the day before is the last of this one."
    )
    date_last = fields.Date(string="To", compute="_compute_date_last", help="Last day of the period.")
    state = fields.Selection(
        selection=[("draft", "In Preparation"), ("invoiced", "Invoiced"), ("cancelled", "Cancelled")],
        required=True,
        default="invoiced",
        help="A period in preparation has a draft invoice, whose payment is asked for first. A cancelled one has no "
        "valid invoice any more, and is billed again.",
    )
    invoice_ids = fields.Many2many(
        comodel_name="account.move",
        relation="sale_subscription_period_invoice_rel",
        column1="period_id",
        column2="invoice_id",
        string="Invoices",
    )
    amount = fields.Monetary(
        compute="_compute_amount", compute_sudo=True, help="Total of the invoices of this period, with taxes."
    )

    _one_invoice_per_period = models.UniqueIndex(
        "(order_id, date_start) WHERE state != 'cancelled'",
        "This period of the subscription is invoiced already.",
    )
    _dates_in_order = models.Constraint(
        "CHECK (date_start < date_end)",
        "A period ends after it begins.",
    )

    @api.depends("date_end")
    def _compute_date_last(self):
        for period in self:
            period.date_last = period.date_end and period.date_end - timedelta(days=1)

    @api.depends("invoice_ids.amount_total", "invoice_ids.state")
    def _compute_amount(self):
        for period in self:
            valid = period.invoice_ids.filtered(lambda invoice: invoice.state != "cancel")
            period.amount = sum(valid.mapped("amount_total"))

    @api.constrains("order_id", "date_start", "date_end", "state")
    def _check_no_overlap(self):
        self.flush_model(["order_id", "date_start", "date_end", "state"])
        overlaps = self.env.execute_query(
            SQL(
                """
                SELECT later.id, earlier.id
                  FROM sale_subscription_period later
                  JOIN sale_subscription_period earlier USING (order_id)
                 WHERE (later.id IN %(ids)s OR earlier.id IN %(ids)s)
                   AND later.state != 'cancelled' AND earlier.state != 'cancelled'
                   AND later.date_start >= earlier.date_start AND later.date_start < earlier.date_end
                   AND later.id != earlier.id
                 LIMIT 1
                """,
                ids=tuple(self.ids),
            )
        )
        for later, earlier in overlaps:
            period, billed = self.browse(later), self.browse(earlier)
            raise ValidationError(
                self.env._(
                    "%(order)s is invoiced until %(end)s already, so no period can begin on %(start)s. Set its "
                    "next invoice date to %(end)s.",
                    order=period.order_id.display_name,
                    start=format_date(self.env, period.date_start),
                    end=format_date(self.env, billed.date_end),
                )
            )

    @api.depends("order_id", "date_start", "date_end")
    @api.depends_context("lang")
    def _compute_display_name(self):
        for period in self:
            period.display_name = self.env._(
                "%(order)s, %(start)s to %(end)s",
                order=period.order_id.name,
                start=format_date(self.env, period.date_start),
                end=format_date(self.env, period.date_last),
            )

    def _is_free(self):
        """Tell whether a period was billed once, and neither this row nor another bills it now."""
        self.ensure_one()
        twins = self.order_id.period_ids.filtered(lambda period: period.date_start == self.date_start)
        return set(twins.mapped("state")) == {"cancelled"}

    def _is_credit_taken_back_by(self, invoice):
        """Return whether an invoice asks for no more than what was credited of this period, which is still billed.

        :param invoice: a posted `account.move`
        :rtype: bool
        """
        self.ensure_one()
        note = invoice.reversed_entry_id
        billed = self.invoice_ids.filtered(lambda move: move._is_billing())
        return bool(note) and note.reversed_entry_id in billed and invoice.amount_total <= note.amount_total

    def _take_over(self, invoice):
        """Let an invoice made manually bill a draft period, in place of the draft invoice that was made for it.

        :param invoice: a posted `account.move`
        """
        self.ensure_one()
        drafts = self.invoice_ids
        self.write(self._prepare_take_over_values(invoice))
        drafts.button_cancel()

    def _prepare_take_over_values(self, invoice):
        """Return the values of a draft period that another invoice bills.

        :param invoice: a posted `account.move`
        :rtype: dict
        """
        return {"state": "invoiced", "invoice_ids": [Command.set(invoice.ids)]}

    def _claim(self):
        """Let the periods be billed by an invoice of theirs that was just posted."""
        self.filtered(lambda period: period.state == "draft" or period._is_free()).state = "invoiced"

    def _release(self):
        """Free the periods none of whose invoices counts any longer, and bill them again from the earliest.

        :return: the periods that were freed
        :rtype: sale.subscription.period
        """
        released = self.filtered(
            lambda period: period.state == "invoiced" and not any(move._is_billing() for move in period.invoice_ids)
        )
        released.write(self._prepare_release_values())
        # The index must see it before the period is claimed again.
        released.flush_recordset(["state"])
        released.order_id._update_next_invoice_date()
        return released

    @api.model
    def _prepare_release_values(self):
        """Return the values of a period that is to be billed again.

        :rtype: dict
        """
        return {"state": "cancelled"}

    def _get_credited_message(self):
        """Return what the chatter says about a period whose invoice was credited in full.

        :rtype: Markup
        """
        self.ensure_one()
        values = {
            "invoice": Markup(", ").join(invoice._get_html_link() for invoice in self.invoice_ids),
            "start": format_date(self.env, self.date_start),
            "end": format_date(self.env, self.date_last),
        }
        if self.order_id._has_ended():
            return self.env._(
                "%(invoice)s is credited in full: its period (%(start)s to %(end)s) will not be invoiced again, because "
                "the subscription has ended.",
                **values,
            )
        if self.order_id.subscription_state == "paused":
            return self.env._(
                "%(invoice)s is credited in full: its period (%(start)s to %(end)s) will be invoiced again when the "
                "subscription is resumed.",
                **values,
            )
        return self.env._(
            "%(invoice)s is credited in full: its period (%(start)s to %(end)s) will be invoiced again, unless the "
            "subscription is closed or paused before.",
            **values,
        )

    def _is_paid(self):
        """Tell whether nothing is left to pay for a period.

        :rtype: bool
        """
        self.ensure_one()
        posted = self.invoice_ids.filtered(lambda invoice: invoice.state == "posted")
        return bool(posted) and set(posted.mapped("payment_state")) <= {"paid", "in_payment", "reversed"}

    def _get_open_invoice(self):
        """Return the invoice of a period that is still to be paid, be it a draft or posted: of several, the first made.

        :rtype: account.move
        """
        self.ensure_one()
        unpaid = ("not_paid", "partial")
        return self.invoice_ids.filtered(
            lambda invoice: invoice.state == "draft" or (invoice.state == "posted" and invoice.payment_state in unpaid)
        ).sorted("id")[:1]

    def _post_drafts(self):
        """Post the draft invoices of periods in preparation, which claim these."""
        drafts = self.invoice_ids.filtered(lambda invoice: invoice.state == "draft")
        for invoice in drafts:
            invoice.invoice_date = invoice.company_id._get_subscription_today()
        drafts._post(soft=False)

    def _drop_drafts(self):
        """Give up periods in preparation: their draft invoices are cancelled, and nothing of them is left."""
        reserved = self.filtered(lambda period: period.state == "draft")
        reserved.invoice_ids.filtered(lambda invoice: invoice.state == "draft").button_cancel()
        reserved.unlink()
