from odoo import fields, models
from odoo.exceptions import UserError
from odoo.fields import Command, Domain
from odoo.tools import SQL, format_date


class SaleOrder(models.Model):
    """The periods of a subscription: those that invoices bill, and the one to bill next."""

    _inherit = "sale.order"

    period_ids = fields.One2many(
        comodel_name="sale.subscription.period",
        inverse_name="order_id",
        string="Billed Periods",
        readonly=True,
        guarded=True,
    )
    resumed_on = fields.Date(
        copy=False,
        readonly=True,
        guarded=True,
        help="When the subscription was last resumed or reopened. The time missed before is never invoiced.",
    )

    def _check_dates_by_hand(self, vals):
        res = super()._check_dates_by_hand(vals)
        day = fields.Date.to_date(vals.get("next_invoice_date"))
        if day:
            changed = self.filtered(lambda order: order.plan_id and order.state == "sale")
            for order in changed.filtered(lambda order: order.next_invoice_date != day):
                order._check_next_invoice_date(day)
        return res

    def _cancel_subscription(self):
        res = super()._cancel_subscription()
        # sudo: Odoo has checked the right to cancel the order; none of these periods has an invoice.
        self.sudo().period_ids.unlink()
        return res

    def _prepare_cancel_values(self):
        return super()._prepare_cancel_values() | {"resumed_on": False}

    def _get_event_date(self, event):
        if event == "resume" and self.resumed_on:
            return self.resumed_on
        return super()._get_event_date(event)

    def _claim_periods(self, invoices):
        """Record the periods of these subscriptions that the invoices bill, and move their next invoice date.

        An invoice that is posted again claims its previous period, whatever the state of the subscription. Any other
        invoice bills the period on its lines, as long as the subscription is running. An invoice that only adds what was
        not billed yet (more seats, a line left out before) is added to a period that is already billed.

        :param invoices: posted `account.move` with recurring lines of the subscriptions
        :raises UserError: if a period is already billed
        """
        starts = invoices.invoice_line_ids.mapped("subscription_period_start") + self.mapped("next_invoice_date")
        periods = self.env["sale.subscription.period"].search(
            Domain("order_id", "in", self.ids)
            & (Domain("invoice_ids", "in", invoices.ids) | Domain("date_start", "in", list(filter(None, starts))))
        )
        own = periods.filtered(lambda period: period.invoice_ids & invoices)
        own._claim()
        claimed = {
            (invoice, period.order_id)
            for period in own.filtered(lambda period: period.state == "invoiced")
            for invoice in period.invoice_ids
        }
        vals_list = []
        for invoice in invoices:
            for order in invoice._get_subscriptions() & self:
                if (invoice, order) not in claimed and order._is_running():
                    vals_list += order._claim_period(invoice, periods)
        self.env["sale.subscription.period"].create(vals_list)
        self._update_next_invoice_date()

    def _claim_period(self, invoice, periods):
        """Claim the period on the lines of an invoice, or the next period.

        :param invoice: a posted `account.move` with recurring lines of the subscription
        :param periods: `sale.subscription.period` to search for that period
        :return: values of the periods to create
        :rtype: list
        :raises UserError: if the period is already billed
        """
        self.ensure_one()
        self._check_claim(invoice)
        values = self._prepare_period_values(*self._get_invoiced_period(invoice), invoice)
        period = periods.filtered(
            lambda period: (
                (period.order_id, period.date_start) == (self, values["date_start"]) and period.state != "cancelled"
            )
        )
        if not period:
            return [values]
        if period.state == "draft":
            period._take_over(invoice)
        elif not any(invoice.invoice_line_ids.filtered(lambda line: line.subscription_id == self).mapped("quantity")):
            # An invoice of zero quantity must not keep the period billed when the other invoice is credited.
            return []
        elif self._is_completing(period, invoice) or period._is_credit_taken_back_by(invoice):
            period.invoice_ids = [Command.link(invoice.id)]
        else:
            raise UserError(
                self.env._(
                    "%(invoice)s would invoice %(order)s from %(start)s to %(end)s again: %(billed)s already did. Delete it, "
                    "or remove its subscription lines.",
                    invoice=invoice.display_name,
                    order=self.display_name,
                    start=format_date(self.env, period.date_start),
                    end=format_date(self.env, period.date_last),
                    billed=", ".join(period.invoice_ids.mapped("display_name")),
                )
            )
        return []

    def _check_claim(self, invoice):
        """Check that the lines of an invoice come from this subscription and bill one of its periods.

        :param invoice: a posted `account.move`
        :raises UserError: if a line comes from another order, or its dates are not a period
        """
        self.ensure_one()
        for line in invoice.invoice_line_ids.filtered(lambda line: line.subscription_id == self):
            start, end = line.subscription_period_start, line.subscription_period_end
            if (
                invoice.company_id != self.company_id
                or line.sale_line_ids.order_id != self
                or (start and not (self._can_begin_period(start) and end == self._get_period_end(start)))
            ):
                raise UserError(
                    self.env._(
                        "%(invoice)s cannot be posted: its line “%(line)s” does not invoice a period of %(order)s. Delete "
                        "the line, and invoice the subscription with Create Invoice.",
                        invoice=invoice.display_name,
                        line=line.name,
                        order=self.display_name,
                    )
                )

    def _get_invoiced_period(self, invoice):
        """Return the first day that an invoice bills, and the first day after the period.

        :rtype: tuple
        """
        self.ensure_one()
        lines = invoice.invoice_line_ids.filtered(
            lambda line: line.subscription_id == self and line.subscription_period_start
        )[:1]
        if lines:
            return lines.subscription_period_start, lines.subscription_period_end
        date_start = self.next_invoice_date or self._get_next_unbilled_date()
        return date_start, self._get_period_end(date_start)

    def _is_completing(self, period, invoice):
        """Return whether an invoice bills only what the other invoices of a period left out.

        :rtype: bool
        """
        self.ensure_one()
        billing = period.invoice_ids.filtered(lambda move: move._is_billing()) - invoice
        for line in self.order_line.filtered("is_recurring"):
            sign = -1 if line.product_uom_qty < 0 else 1
            added, before = (
                line._get_billed_quantity(line.invoice_lines & moves.invoice_line_ids, sign)
                for moves in (invoice, billing)
            )
            if added and added + before > sign * line.product_uom_qty:
                return False
        return True

    def _update_next_invoice_date(self):
        """Set the next invoice date of running subscriptions to their earliest unbilled period."""
        running = self.filtered(lambda order: order._is_running())
        if not running:
            return
        dates = running._get_next_unbilled_dates()
        # The Billing tab shows the billed periods; the chatter only shows what people do.
        for date, orders in running._without_tracking().grouped(lambda order: dates[order.id]).items():
            orders._write_subscription({"next_invoice_date": date})

    def _is_to_invoice(self):
        """Return whether the next period is due, or the current one not fully invoiced.

        :rtype: bool
        """
        self.ensure_one()
        date_start = self._get_period_to_invoice()
        return bool(date_start) and date_start <= self.company_id._get_subscription_today()

    def _get_period_to_invoice(self):
        """Return the first day of the period that an invoice created now would bill.

        This is the current period while part of it is left to invoice, and otherwise the next period, even before it is
        due.

        :return: False while nothing can be invoiced
        :rtype: date | bool
        """
        self.ensure_one()
        if self.subscription_state != "progress" or not self.next_invoice_date:
            return False
        today = self.company_id._get_subscription_today()
        if self.next_invoice_date <= today:
            return self.next_invoice_date
        recurring = self.order_line.filtered("is_recurring")
        current = max(
            (
                line.subscription_period_start
                for line in recurring.invoice_lines
                if line.subscription_id == self
                and line.parent_state == "posted"
                and line.subscription_period_end
                and line.subscription_period_end > today
            ),
            default=False,
        )
        if current and any(line._get_quantity_left(current) for line in recurring):
            return current
        return self.next_invoice_date

    def _prepare_period_values(self, date_start, date_end, invoice):
        """Return the values of the period that an invoice bills.

        :rtype: dict
        """
        self.ensure_one()
        return {
            "order_id": self.id,
            "date_start": date_start,
            "date_end": date_end,
            "invoice_ids": [Command.link(invoice.id)],
        }

    def _get_period_end(self, date_start):
        """Return the first day after the period that starts on a day.

        A released period keeps its end; the end of any other period is counted from the anchor.

        :param date date_start: first day of the period
        :rtype: date
        """
        self.ensure_one()
        freed = self.period_ids.filtered(lambda period: period.date_start == date_start)
        date_end = self.plan_id._get_next_period_start(self.anchor_date, date_start)
        return min(freed[:1].date_end or date_end, date_end)

    def _can_begin_period(self, date_start):
        """Return whether a period of this subscription can start on a day.

        :param date date_start: first day of the period, according to an invoice
        :rtype: bool
        """
        self.ensure_one()
        if self.start_date and date_start < self.start_date:
            return False
        next_date = self.next_invoice_date or date_start
        # The periods after a released period can be invoiced before it.
        if date_start > max(self.period_ids.mapped("date_end"), default=next_date) and date_start > next_date:
            return False
        known = {self.start_date, self.next_invoice_date, self.resumed_on, *self.period_ids.mapped("date_start")}
        return date_start in known or self.plan_id._get_period_start(self.anchor_date, date_start) == date_start

    def _get_periods_of(self, invoices):
        """Return the periods of these subscriptions that the invoices bill.

        :param invoices: `account.move`
        :rtype: sale.subscription.period
        """
        periods = self.env["sale.subscription.period"]
        if not self or not invoices:
            return periods
        return periods.search([("order_id", "in", self.ids), ("invoice_ids", "in", invoices.ids)])

    def _get_billed_periods(self):
        return self.period_ids.filtered(lambda period: period.state == "invoiced")

    def _get_billed_until(self):
        """Return the first day that no invoice covers, or False if nothing has been invoiced yet.

        :rtype: date | bool
        """
        self.ensure_one()
        return max(self._get_billed_periods().mapped("date_end"), default=False)

    def _get_next_unbilled_date(self):
        """Return the first day of the earliest period to bill; see :meth:`_get_next_unbilled_dates`.

        :rtype: date
        """
        self.ensure_one()
        return self._get_next_unbilled_dates()[self.id]

    def _get_next_unbilled_dates(self):
        """Return the first day of each subscription's earliest period to bill: an open period, or the one after the last.

        The time between the last period and the day the subscription was last resumed or reopened is never billed.

        :return: ``{id: date}``
        :rtype: dict
        """
        self.env["sale.subscription.period"].flush_model()
        rows = self.env.execute_query(
            SQL(
                """
                SELECT period.order_id,
                       MAX(period.date_end) FILTER (WHERE period.state = 'invoiced'),
                       MIN(period.date_start) FILTER (WHERE period.state != 'invoiced' AND NOT EXISTS (
                           SELECT FROM sale_subscription_period twin
                            WHERE (twin.order_id, twin.date_start) = (period.order_id, period.date_start)
                              AND twin.state = 'invoiced'
                       ))
                  FROM sale_subscription_period period
                 WHERE period.order_id IN %s
              GROUP BY period.order_id
                """,
                tuple(self.ids),
            )
        )
        known = {order_id: (billed_until, open_start) for order_id, billed_until, open_start in rows}
        dates = {}
        for order in self:
            billed_until, open_start = known.get(order.id, (None, None))
            # Imported subscriptions have a next invoice date, but no periods.
            following = max(
                filter(None, (billed_until or order.next_invoice_date or order.start_date, order.resumed_on))
            )
            dates[order.id] = max(filter(None, (open_start or following, order.start_date)))
        return dates

    def _check_next_invoice_date(self, day):
        """Check that a next invoice date is not before the start, already invoiced, or in a time without service.

        :param date day: the date entered
        :raises UserError: with the earliest possible date
        """
        self.ensure_one()
        # sudo: only the earliest possible date is shown, to users who can read the order.
        order = self.sudo()
        freed = order.period_ids.filtered(lambda period: period.date_start == day and period.state == "cancelled")
        earliest = max(filter(None, (order._get_billed_until(), order.resumed_on, order.start_date)), default=day)
        if day < earliest and not freed:
            raise UserError(
                self.env._(
                    "The next invoice date of %(order)s cannot be before %(date)s: earlier days are already invoiced or "
                    "were not part of the subscription.",
                    order=self.display_name,
                    date=format_date(self.env, earliest),
                )
            )

    def _get_draft_period(self):
        """Return the draft period and its draft invoice, if any.

        :rtype: sale.subscription.period
        """
        self.ensure_one()
        drafts = self.period_ids.filtered(lambda period: period.state == "draft")
        # The invoice may have been deleted or cancelled, so that the period needs a new one.
        empty = drafts.filtered(lambda period: not period._get_open_invoice())
        empty.unlink()
        return (drafts - empty)[:1]

    def _make_draft_period(self):
        """Create the draft invoice of the next period.

        :return: the draft period
        :rtype: sale.subscription.period
        """
        self.ensure_one()
        orders = self.with_company(self.company_id)
        orders._make_period_invoices()
        return self._get_draft_period()
