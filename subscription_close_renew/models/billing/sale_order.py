from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command, Domain
from odoo.tools import format_date

from ...tools.guard import as_method
from ..subscription.runner import Turn

# Periods of one subscription per run, so that a customer not billed for years is not flooded with invoices.
MAX_PERIODS_PER_RUN = 12
UPCOMING_PERIODS = 12


class SaleOrder(models.Model):
    """Invoicing of periods: due subscriptions, their invoices, and the contents of the Billing tab."""

    _inherit = "sale.order"

    billing_status = fields.Char(compute="_compute_billing_status")
    is_billing_due = fields.Boolean(compute="_compute_is_billing_due")
    upcoming_periods = fields.Html(string="Next Periods", compute="_compute_upcoming_periods", sanitize=False)

    @api.model
    def _cron_subscription_billing(self):
        """Invoice all subscriptions whose next invoice date has come.

        Any number of these actions can run in parallel, on any number of machines.
        """
        self._with_company_lang()._bill_due(Domain.TRUE)

    def action_subscription_bill(self):
        """Invoice these subscriptions immediately, as the scheduled action would.

        :return: a notification with the number of invoiced subscriptions
        :rtype: dict
        :raises AccessError: if the user has no right to change one of the orders
        :raises UserError: if none of the subscriptions is due
        """
        self._check_subscription_access()
        if not self.filtered_domain(self._get_bill_now_domain()):
            raise UserError("\n".join(order._get_billing_status() for order in self))
        # sudo: the right to the orders was checked above, and is enough for Odoo's own button as well.
        billed = self._on_behalf()._bill_due(Domain("id", "in", self.ids))
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "success" if billed and billed._is_billing_successful() else "warning",
                "message": self._get_billing_summary(billed),
                "next": {"type": "ir.actions.act_window_close"},
            },
        }

    @api.model
    def _bill_due(self, domain):
        """Invoice the due subscriptions of a domain, in separate transactions.

        :param Domain domain: subscriptions to invoice
        :return: the subscriptions that were processed
        :rtype: sale.order
        """
        billed = self._run_turns(self._get_billing_turns(domain))
        self.env["account.move"]._trigger_subscription_mails()
        return billed

    def _is_billing_successful(self):
        """Return whether the subscriptions were just invoiced without problems.

        :rtype: bool
        """
        return True

    def _get_billing_turns(self, domain):
        """Return the turns of the scheduled action.

        :param Domain domain: subscriptions to invoice
        :return: :class:`~..subscription.runner.Turn` objects
        :rtype: list
        """
        due = domain & self._get_billing_domain()
        # Subscriptions that failed today would fail their whole batch again, so they run last, one by one.
        today = fields.Date.today()
        apart = Domain("id", "in", self.search(due & Domain("set_aside_on", ">=", today)).ids)
        together = Domain("set_aside_on", "=", False) | Domain("set_aside_on", "<", today)
        turn = Turn(due & together, "next_invoice_date", lambda orders: orders._bill(), limit=MAX_PERIODS_PER_RUN)
        return [turn, turn._replace(domain=due & apart, size=1)]

    def _get_billing_domain(self):
        """Return the domain of the subscriptions to invoice today, without those that close today.

        :rtype: Domain
        """
        return self._get_chargeable_domain() & self._get_due_domain("next_invoice_date")

    def _get_bill_now_domain(self):
        """Return the domain of the subscriptions that the scheduled action would process.

        :rtype: Domain
        """
        return self._get_billing_domain()

    def _get_chargeable_domain(self):
        """Return the domain of the subscriptions that can be invoiced and charged now.

        :rtype: Domain
        """
        return Domain("subscription_state", "=", "progress") & self._get_billable_end_domain()

    def _get_billable_end_domain(self):
        """Return the domain of the subscriptions whose end date has not come yet.

        :rtype: Domain
        """
        return Domain("end_date", "=", False) | ~self._get_due_domain("end_date")

    def _bill(self):
        """Invoice the next period of each of these subscriptions, and post the invoices."""
        for company, orders in self.grouped("company_id").items():
            invoices = orders.with_company(company)._make_period_invoices()
            invoices.with_context(tracking_disable=True)._post(soft=False)
            invoices._schedule_subscription_mail()

    def _make_period_invoices(self):
        """Create a draft invoice for the next period of each of these subscriptions, which belong to one company.

        :rtype: account.move
        """
        self._prefetch_for_invoices()
        periods = self._get_next_periods()
        # sudo: action_subscription_bill has checked the right to the orders; salespeople cannot create invoices or periods.
        moves = (
            as_method(self.env["account.move"])
            .sudo()
            .with_context(default_move_type="out_invoice", tracking_disable=True, mail_create_nolog=True)
        )
        vals_list = [order._prepare_period_invoice(*periods[order.id]) for order in self]
        self._set_default_journals(vals_list)
        invoices = moves.create(vals_list).with_env(self.sudo().env)
        self.env["sale.subscription.period"].sudo().create(
            [
                {**order._prepare_period_values(*periods[order.id], invoice), "state": "draft"}
                for order, invoice in zip(self, invoices, strict=True)
            ]
        )
        invoices._limit_down_payments()
        for order, invoice in zip(self, invoices, strict=True):
            order._check_period_amount(invoice, *periods[order.id])
        invoices._message_log_batch(
            {
                invoice.id: self.env._("Created for the subscription %(order)s.", order=order._get_html_link())
                for order, invoice in zip(self, invoices, strict=True)
            }
        )
        return invoices

    def _prefetch_for_invoices(self):
        """Prefetch what invoicing would read order by order, and recompute quantities that depend on the date."""
        lines = self.order_line
        recurring = lines.filtered("is_recurring")
        if recurring.filtered(lambda line: line.qty_to_invoice != line.product_uom_qty):
            recurring._compute_qty_to_invoice()
        for names in ("tax_ids", "invoice_lines"):
            lines.mapped(names)
        # Odoo reads the language of each order's customer, and the contacts of customers on their first invoice.
        customers = self.partner_id | self.partner_invoice_id
        customers.mapped("is_public")
        customers.filtered(lambda customer: not customer.customer_rank).mapped("child_ids")

    def _set_default_journals(self, vals_list):
        """Set the default journal of the invoices, searched only once per currency.

        :param list vals_list: values of invoices of one company
        """
        journals = {}
        for values in vals_list:
            key = values["currency_id"]
            if "journal_id" not in values and key not in journals:
                names = ("move_type", "company_id", "currency_id")
                # sudo: the record is never saved; as for the invoices themselves, the right to the orders was checked.
                journals[key] = (
                    self.env["account.move"].sudo().new({name: values[name] for name in names}).journal_id.id
                )
            values.setdefault("journal_id", journals.get(key))

    def _get_next_periods(self):
        """Return the next period of each subscription.

        :return: ``{id: (first day, first day after)}``
        :rtype: dict
        """
        freed = self.env["sale.subscription.period"].search(
            [
                ("order_id", "in", self.ids),
                ("date_start", "in", self.mapped("next_invoice_date")),
                ("state", "=", "cancelled"),
            ]
        )
        ends = {(period.order_id, period.date_start): period.date_end for period in freed}
        periods = {}
        for order in self:
            start = order.next_invoice_date
            whole = order.plan_id._get_next_period_start(order.anchor_date, start)
            periods[order.id] = (start, min(ends.get((order, start), whole), whole))
        return periods

    def _prepare_period_invoice(self, date_start, date_end):
        """Return the values of the invoice of a period: its recurring lines, and other lines to invoice.

        :param date date_start: first day of the period
        :param date date_end: first day after it
        :rtype: dict
        :raises UserError: if the period already has a draft invoice
        """
        self.ensure_one()
        order = self.with_context(lang=self.partner_invoice_id.lang)
        if any(line.is_recurring and line.qty_to_invoice != line.product_uom_qty for line in order.order_line):
            raise UserError(
                self.env._(
                    "%(order)s already has a draft invoice. Post it as the invoice of this period, or delete it.",
                    order=self.display_name,
                )
            )
        values = order._prepare_invoice()
        values["invoice_date"] = self.company_id._get_subscription_today()
        period = {"subscription_period_start": date_start, "subscription_period_end": date_end}
        values["invoice_line_ids"] = [
            Command.create(line_values)
            for sequence, line in enumerate(order._get_lines_to_bill())
            for line_values in line._prepare_invoice_lines_vals_list(
                sequence=sequence, **(period if line.is_recurring else line._prepare_one_time_values())
            )
        ]
        return values

    def _counts_draft_invoices(self):
        """Return whether quantities on draft invoices count as invoiced.

        :rtype: bool
        """
        self.ensure_one()
        return True

    def _get_lines_to_bill(self):
        """Return the lines that the scheduled action invoices now, with their sections and notes.

        Down payments are deducted. Other lines that were overinvoiced or credited are left to users.

        :rtype: sale.order.line
        """
        self.ensure_one()
        lines = self._get_invoiceable_lines(final=True)
        return lines._without(
            lines.filtered(
                lambda line: not line.display_type and not line.is_downpayment and not line._get_quantity_to_bill()
            )
        )

    def _get_invoiceable_lines(self, final=False):
        lines = super()._get_invoiceable_lines(final)
        recurring = self.order_line.filtered("is_recurring") if self.plan_id and not final else self.order_line.browse()
        if not any(line.qty_to_invoice < 0 for line in recurring):
            return lines
        # A recurring discount belongs on the invoice of its period, whether or not down payments are deducted.
        return (
            super()
            ._get_invoiceable_lines(True)
            ._without((self.order_line - recurring - lines).filtered(lambda line: not line.display_type))
        )

    def _check_period_amount(self, invoice, date_start, date_end):
        """Check that an invoice has the price agreed in the order, which the portal, mails and MRR show.

        :param invoice: the draft `account.move` of the period
        :param date date_start: first day of the period
        :param date date_end: first day after it
        :raises UserError: with both amounts, if they differ
        """
        self.ensure_one()
        if not self._has_agreed_amount(invoice, date_start, date_end):
            agreed, invoiced, _tolerance = self._get_period_amounts(invoice, date_start, date_end)
            raise UserError(
                self.env._(
                    "The period of %(order)s starting on %(start)s costs %(agreed)s without taxes, but its invoice would "
                    "be for %(invoiced)s. Correct the order lines, or invoice this period manually.",
                    order=self.display_name,
                    start=format_date(self.env, date_start),
                    agreed=self.currency_id.format(agreed),
                    invoiced=self.currency_id.format(invoiced),
                )
            )

    def _has_agreed_amount(self, invoice, date_start, date_end):
        """Return whether an invoice has the price of a period agreed in the order.

        :param invoice: the draft `account.move` of the period
        :param date date_start: first day of the period
        :param date date_end: first day after it
        :rtype: bool
        """
        self.ensure_one()
        agreed, invoiced, tolerance = self._get_period_amounts(invoice, date_start, date_end)
        return self.currency_id.compare_amounts(abs(agreed - invoiced), tolerance) <= 0

    def _get_period_amounts(self, invoice, date_start, date_end):
        """Return the price of a period and the amount of its invoice, without taxes, and the tolerance for rounding.

        :param invoice: the draft `account.move` of the period
        :param date date_start: first day of the period
        :param date date_end: first day after it
        :rtype: tuple
        """
        self.ensure_one()
        lines = invoice.invoice_line_ids.filtered(lambda line: line.subscription_id == self)
        share = float(self.plan_id._get_period_share(self.anchor_date, date_start, date_end))
        # Each line is rounded separately.
        tolerance = self.currency_id.rounding * len(lines)
        return self.recurring_total * share, sum(lines.mapped("price_subtotal")), tolerance

    def _create_account_invoices(self, invoice_vals_list, final):
        """Allow Odoo's own invoicing to write the billed periods prepared by :meth:`_prepare_invoice_line`."""
        if not any(order.plan_id for order in self):
            return super()._create_account_invoices(invoice_vals_list, final)
        invoices = super(SaleOrder, as_method(self))._create_account_invoices(invoice_vals_list, final)
        # sudo: Odoo returns these invoices in sudo mode, after it has checked the right to create them.
        return invoices.with_env(self.sudo().env)

    @api.depends("next_invoice_date", "subscription_state")
    def _compute_is_billing_due(self):
        # sudo: only whether the order is due is shown, to users who can read the order.
        due = self.sudo().filtered_domain(self._get_bill_now_domain())
        for order in self:
            order.is_billing_due = order in due

    @api.depends("next_invoice_date", "end_date", "subscription_state")
    def _compute_billing_status(self):
        for order in self:
            order.billing_status = order._get_billing_status() if order.plan_id else False

    def _get_billing_status(self):
        """Return when a subscription will be invoiced next, or the reason why it will not, as a sentence.

        :rtype: str
        """
        self.ensure_one()
        if obstacle := self._get_billing_obstacle():
            return obstacle
        today = self.company_id._get_subscription_today()
        if self._is_billed_to_end(today):
            return self._get_end_status()
        if self.next_invoice_date <= today:
            return self.env._(
                "%(order)s has been due since %(date)s. The next run of the scheduled action will invoice it.",
                order=self.display_name,
                date=format_date(self.env, self.next_invoice_date),
            )
        return self._get_next_invoice_status()

    def _get_billing_obstacle(self):
        """Return the reason why a subscription is currently not invoiced, or False.

        :rtype: str | bool
        """
        self.ensure_one()
        if refusal := self._get_state_refusal("bill"):
            return refusal
        if self.next_invoice_date:
            return False
        return self.env._(
            "%(order)s has no next invoice date, so it will not be invoiced. Pause and resume it to set one.",
            order=self.display_name,
        )

    @api.model
    def _get_state_refusals(self, action):
        refusals = super()._get_state_refusals(action)
        if action == "bill":
            quotation = self.env._(
                "%(order)s is not confirmed. Once confirmed, it will be invoiced from its start date."
            )
            ended = self.env._("%(order)s has ended and will not be invoiced again.")
            refusals |= dict.fromkeys(("quotation", "renewal"), quotation)
            refusals |= dict.fromkeys(self._get_ended_states(), ended)
            refusals["paused"] = self.env._("%(order)s is paused and will not be invoiced until it is resumed.")
        return refusals

    def _get_next_invoice_status(self):
        """Return when a subscription will be invoiced next, and what happens to the invoice, as a sentence.

        :rtype: str
        """
        self.ensure_one()
        return self.env._(
            "%(order)s will next be invoiced on %(date)s, and the invoice will be sent to the customer.",
            order=self.display_name,
            date=format_date(self.env, self.next_invoice_date),
        )

    def _is_billed_to_end(self, today):
        """Return whether nothing more will be invoiced before the end date.

        :param date today: current date of the company
        :rtype: bool
        """
        self.ensure_one()
        return bool(self.end_date) and (self.end_date <= today or self.end_date <= self.next_invoice_date)

    def _get_end_status(self):
        """Return what happens to a fully invoiced subscription on its end date, as a sentence.

        :rtype: str
        """
        self.ensure_one()
        return self.env._(
            "%(order)s is scheduled to close on %(date)s and will not be invoiced again.",
            order=self.display_name,
            date=format_date(self.env, self.end_date),
        )

    @api.depends("next_invoice_date", "end_date", "recurring_total", "subscription_state")
    def _compute_upcoming_periods(self):
        for order in self:
            order.upcoming_periods = order.subscription_state == "progress" and self.env["ir.qweb"]._render(
                "subscription_close_renew.upcoming_periods", {"order": order, "periods": order._get_upcoming_periods()}
            )

    def _get_upcoming_periods(self):
        """Return the next periods to invoice, up to the end date or a limit.

        :return: a dict per period: ``date_start``, ``date_end`` (first day after it), ``amount`` (without taxes)
        :rtype: list
        """
        self.ensure_one()
        periods, start = [], self.next_invoice_date
        while start and len(periods) < UPCOMING_PERIODS and not (self.end_date and start >= self.end_date):
            end = self._get_period_end(start)
            share = self.plan_id._get_period_share(self.anchor_date, start, end)
            amount = self.currency_id.round(self.recurring_total * float(share))
            periods.append({"date_start": start, "date_end": end, "amount": amount})
            start = end
        return periods

    def _set_aside(self, error):
        """Update the invoice status, so that overdue orders appear among those to invoice."""
        res = super()._set_aside(error)
        self.order_line._compute_invoice_status()
        return res

    def _get_billing_summary(self, billed):
        """Return the result of invoicing these subscriptions, as a sentence.

        :param billed: the subscriptions that were processed
        :rtype: str
        """
        if self <= billed:
            return self.env._("Invoiced: %(orders)s", orders=", ".join(self.mapped("name")))
        return self.env._(
            "Invoiced: %(count)s. Not due, or in need of attention (see their activities): %(orders)s",
            count=len(billed),
            orders=", ".join((self - billed).mapped("name")),
        )
