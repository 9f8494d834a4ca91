from datetime import timedelta

from markupsafe import Markup

from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.fields import Command
from odoo.tools import SQL, format_date

from .account_move import UNPAID_STATES


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
        string="Until", required=True, help="First day of the next period; the day before is the last day of this one."
    )
    date_last = fields.Date(string="To", compute="_compute_date_last", help="Last day of the period.")
    state = fields.Selection(
        selection=[("draft", "Draft"), ("invoiced", "Invoiced"), ("cancelled", "Cancelled")],
        required=True,
        default="invoiced",
        help="A draft period has a draft invoice, whose payment is requested before it is posted. A cancelled period no "
        "longer has a valid invoice and will be invoiced again.",
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
        "This period of the subscription is already invoiced.",
    )
    _dates_in_order = models.Constraint(
        "CHECK (date_start < date_end)",
        "A period must end after it starts.",
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
                    "%(order)s is already invoiced until %(end)s, so no period can start on %(start)s. Set its next "
                    "invoice date to %(end)s.",
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
        """Return whether a period was billed before, but neither this record nor another one bills it now."""
        self.ensure_one()
        twins = self.order_id.period_ids.filtered(lambda period: period.date_start == self.date_start)
        return set(twins.mapped("state")) == {"cancelled"}

    def _is_credit_taken_back_by(self, invoice):
        """Return whether an invoice reverses a credit note of this still billed period, for at most the same amount.

        :param invoice: a posted `account.move`
        :rtype: bool
        """
        self.ensure_one()
        note = invoice.reversed_entry_id
        billed = self.invoice_ids.filtered(lambda move: move._is_billing())
        return bool(note) and note.reversed_entry_id in billed and invoice.amount_total <= note.amount_total

    def _take_over(self, invoice):
        """Replace the draft invoice of a draft period with an invoice created manually.

        :param invoice: a posted `account.move`
        """
        self.ensure_one()
        drafts = self.invoice_ids
        self.write(self._prepare_take_over_values(invoice))
        drafts.button_cancel()

    def _prepare_take_over_values(self, invoice):
        """Return the values of a draft period that is billed by another invoice.

        :param invoice: a posted `account.move`
        :rtype: dict
        """
        return {"state": "invoiced", "invoice_ids": [Command.set(invoice.ids)]}

    def _claim(self):
        """Mark these periods as invoiced after one of their invoices was posted."""
        self.filtered(lambda period: period.state == "draft" or period._is_free()).state = "invoiced"

    def _release(self):
        """Release the periods whose invoices no longer count, so that they are billed again, the earliest first.

        :return: the released periods
        :rtype: sale.subscription.period
        """
        released = self.filtered(
            lambda period: period.state == "invoiced" and not any(move._is_billing() for move in period.invoice_ids)
        )
        if released:
            released.write(self._prepare_release_values())
            # The unique index must see the new state before the period is claimed again.
            released.flush_recordset(["state"])
            released.order_id._update_next_invoice_date()
        return released

    @api.model
    def _prepare_release_values(self):
        """Return the values of a period to be billed again.

        :rtype: dict
        """
        return {"state": "cancelled"}

    def _get_credited_message(self):
        """Return the chatter message for a period whose invoice was credited in full.

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
            "subscription is closed or paused before then.",
            **values,
        )

    def _is_paid(self):
        """Return whether a period is fully paid.

        :rtype: bool
        """
        self.ensure_one()
        posted = self.invoice_ids.filtered(lambda invoice: invoice.state == "posted")
        return bool(posted) and set(posted.mapped("payment_state")) <= {"paid", "in_payment", "reversed"}

    def _get_open_invoice(self):
        """Return the first draft or unpaid invoice of a period.

        :rtype: account.move
        """
        self.ensure_one()
        return self.invoice_ids.filtered(
            lambda invoice: (
                invoice.state == "draft" or (invoice.state == "posted" and invoice.payment_state in UNPAID_STATES)
            )
        ).sorted("id")[:1]

    def _post_drafts(self):
        """Post the draft invoices of draft periods, which are then claimed."""
        drafts = self.invoice_ids.filtered(lambda invoice: invoice.state == "draft")
        for invoice in drafts:
            invoice.invoice_date = invoice.company_id._get_subscription_today()
        drafts._post(soft=False)

    def _drop_drafts(self):
        """Delete draft periods and cancel their draft invoices."""
        if drafts := self.filtered(lambda period: period.state == "draft"):
            drafts.invoice_ids.filtered(lambda invoice: invoice.state == "draft").button_cancel()
            drafts.unlink()
