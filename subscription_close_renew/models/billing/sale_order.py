from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command, Domain
from odoo.tools import format_date

from ..subscription.runner import Turn
from ..subscription.sale_subscription_guard_mixin import as_method

# Periods of one subscription that one run invoices: a customer who was not billed for years gets no flood of invoices.
MAX_PERIODS_PER_RUN = 12
UPCOMING_PERIODS = 12


class SaleOrder(models.Model):
    """Invoicing a period: which subscriptions are due, their invoices, and what the Billing tab says."""

    _inherit = "sale.order"

    billing_status = fields.Char(compute="_compute_billing_status")
    is_billing_due = fields.Boolean(compute="_compute_is_billing_due")
    upcoming_periods = fields.Html(string="Next Periods", compute="_compute_upcoming_periods", sanitize=False)

    @api.model
    def _cron_subscription_billing(self):
        """Invoice all subscriptions whose next invoice date has come.

        Any number of these actions may run at once, on any number of machines.
        """
        self._with_company_lang()._bill_due(Domain.TRUE)

    def action_subscription_bill(self):
        """Do for these subscriptions at once what the scheduled action does at night.

        :return: a notification that tells how many were invoiced
        :rtype: dict
        :raises AccessError: if the user may not change one of the orders
        :raises UserError: if none of the subscriptions is due
        """
        self._check_subscription_access()
        if not self.filtered_domain(self._get_bill_now_domain()):
            raise UserError("\n".join(order._get_billing_status() for order in self))
        # _on_behalf: the right to the orders was checked above; Odoo's own button invoices with it, too.
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
        """Invoice what is due, in transactions of its own.

        :param Domain domain: which subscriptions
        :return: the subscriptions that were dealt with
        :rtype: sale.order
        """
        billed = self._run_turns(self._get_billing_turns(domain))
        self.env["account.move"]._trigger_subscription_mails()
        return billed

    def _is_billing_successful(self):
        """Return whether nothing went wrong with subscriptions that were just invoiced.

        :rtype: bool
        """
        return True

    def _get_billing_turns(self, domain):
        """Return the turns of the scheduled action.

        :param Domain domain: which subscriptions
        :return: of :class:`~..subscription.runner.Turn`
        :rtype: list
        """
        due = domain & self._get_billing_domain()
        # What failed today would take its hundred with it once more: it comes later, alone.
        today = fields.Date.today()
        apart = Domain("id", "in", self.search(due & Domain("set_aside_on", ">=", today)).ids)
        together = Domain("set_aside_on", "=", False) | Domain("set_aside_on", "<", today)
        turn = Turn(due & together, "next_invoice_date", lambda orders: orders._bill(), limit=MAX_PERIODS_PER_RUN)
        return [turn, turn._replace(domain=due & apart, size=1)]

    def _get_billing_domain(self):
        """Return the domain of the subscriptions to invoice today. One that closes today is not: the close wins.

        :rtype: Domain
        """
        return self._get_chargeable_domain() & self._get_due_domain("next_invoice_date")

    def _get_bill_now_domain(self):
        """Return the domain of the subscriptions for which the scheduled action has something to do.

        :rtype: Domain
        """
        return self._get_billing_domain()

    def _get_chargeable_domain(self):
        """Return the domain of the subscriptions that may be invoiced and charged at this moment.

        :rtype: Domain
        """
        return Domain("subscription_state", "=", "progress") & self._get_billable_end_domain()

    def _get_billable_end_domain(self):
        """Return the domain of the subscriptions that have something to bill before their end.

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
        """Make a draft invoice of the next period of each of these subscriptions, which are of one company.

        :rtype: account.move
        """
        self._prefetch_for_invoices()
        stretches = self._get_next_periods()
        moves = (
            as_method(self.env["account.move"])
            .sudo()
            .with_context(default_move_type="out_invoice", tracking_disable=True, mail_create_nolog=True)
        )
        vals_list = [order._prepare_period_invoice(*stretches[order.id]) for order in self]
        self._set_default_journals(vals_list)
        invoices = moves.create(vals_list).with_env(self.sudo().env)
        self.env["sale.subscription.period"].sudo().create(
            [
                {**order._prepare_period_values(*stretches[order.id], invoice), "state": "draft"}
                for order, invoice in zip(self, invoices, strict=True)
            ]
        )
        invoices._limit_down_payments()
        for order, invoice in zip(self, invoices, strict=True):
            order._check_period_amount(invoice, *stretches[order.id])
        invoices._message_log_batch(
            {
                invoice.id: self.env._("Made for the subscription %(order)s.", order=order._get_html_link())
                for order, invoice in zip(self, invoices, strict=True)
            }
        )
        return invoices

    def _prefetch_for_invoices(self):
        """Read for all orders at once what invoicing would read one by one, and what has changed with the day."""
        lines = self.order_line
        recurring = lines.filtered("is_recurring")
        if recurring.filtered(lambda line: line.qty_to_invoice != line.product_uom_qty):
            recurring._compute_qty_to_invoice()
        for names in ("tax_ids", "invoice_lines"):
            lines.mapped(names)
        # An order asks for the language of its customer, and the first invoice of a customer for its contacts.
        customers = self.partner_id | self.partner_invoice_id
        customers.mapped("is_public")
        customers.filtered(lambda customer: not customer.customer_rank).mapped("child_ids")

    def _set_default_journals(self, vals_list):
        """Give invoices the journal that each would look for by itself, looked for once.

        :param list vals_list: values of invoices of one company
        """
        journals = {}
        for values in vals_list:
            key = values["currency_id"]
            if "journal_id" not in values and key not in journals:
                names = ("move_type", "company_id", "currency_id")
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
        stretches = {}
        for order in self:
            start = order.next_invoice_date
            whole = order.plan_id._get_next_period_start(order.anchor_date, start)
            stretches[order.id] = (start, min(ends.get((order, start), whole), whole))
        return stretches

    def _prepare_period_invoice(self, date_start, date_end):
        """Return the values of the invoice of a period: its recurring lines, and what else is to invoice by now.

        :param date date_start: first day of the period
        :param date date_end: first day after it
        :rtype: dict
        :raises UserError: if a draft invoice of that period exists already
        """
        self.ensure_one()
        order = self.with_context(lang=self.partner_invoice_id.lang)
        if any(line.is_recurring and line.qty_to_invoice != line.product_uom_qty for line in order.order_line):
            raise UserError(
                self.env._(
                    "A draft invoice of %(order)s exists already: post it, and it is the invoice of this period; or "
                    "delete it.",
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
        """Return whether what a draft invoice bills is no longer to invoice.

        :rtype: bool
        """
        self.ensure_one()
        return True

    def _get_lines_to_bill(self):
        """Return the lines that the scheduled action invoices now, with their sections and notes.

        Down payments are taken off; what else was invoiced too much, or credited, is nothing to decide at night.

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
        # A discount of every period belongs to its invoice, whether or not down payments are taken off.
        return (
            super()
            ._get_invoiceable_lines(True)
            ._without((self.order_line - recurring - lines).filtered(lambda line: not line.display_type))
        )

    def _check_period_amount(self, invoice, date_start, date_end):
        """Refuse to invoice another price for a period than the order says, and with it portal, mails and MRR.

        :param invoice: the draft `account.move` of the period
        :param date date_start: first day of the period
        :param date date_end: first day after it
        :raises UserError: naming both amounts
        """
        self.ensure_one()
        if not self._has_agreed_amount(invoice, date_start, date_end):
            agreed, invoiced, _tolerance = self._get_period_amounts(invoice, date_start, date_end)
            raise UserError(
                self.env._(
                    "The period of %(order)s that begins on %(start)s costs %(agreed)s without taxes, but its invoice "
                    "would say %(invoiced)s. Correct the lines of the order, or invoice this period manually.",
                    order=self.display_name,
                    start=format_date(self.env, date_start),
                    agreed=self.currency_id.format(agreed),
                    invoiced=self.currency_id.format(invoiced),
                )
            )

    def _has_agreed_amount(self, invoice, date_start, date_end):
        """Return whether an invoice says the price of a period that the order says.

        :param invoice: the draft `account.move` of the period
        :param date date_start: first day of the period
        :param date date_end: first day after it
        :rtype: bool
        """
        self.ensure_one()
        agreed, invoiced, tolerance = self._get_period_amounts(invoice, date_start, date_end)
        return self.currency_id.compare_amounts(abs(agreed - invoiced), tolerance) <= 0

    def _get_period_amounts(self, invoice, date_start, date_end):
        """Return what a period costs without taxes, what its invoice says, and by how much rounding lets them differ.

        :param invoice: the draft `account.move` of the period
        :param date date_start: first day of the period
        :param date date_end: first day after it
        :rtype: tuple
        """
        self.ensure_one()
        lines = invoice.invoice_line_ids.filtered(lambda line: line.subscription_id == self)
        share = float(self.plan_id._get_period_share(self.anchor_date, date_start, date_end))
        # Each line is rounded on its own.
        tolerance = self.currency_id.rounding * len(lines)
        return self.recurring_total * share, sum(lines.mapped("price_subtotal")), tolerance

    def _create_account_invoices(self, invoice_vals_list, final):
        """Let Odoo's own invoicing say on its lines what they bill, as :meth:`_prepare_invoice_line` has prepared it."""
        if not any(order.plan_id for order in self):
            return super()._create_account_invoices(invoice_vals_list, final)
        invoices = super(SaleOrder, as_method(self))._create_account_invoices(invoice_vals_list, final)
        return invoices.with_env(self.sudo().env)

    @api.depends("next_invoice_date", "subscription_state")
    def _compute_is_billing_due(self):
        # sudo: only whether something is due is given away, to users who may read the order.
        due = self.sudo().filtered_domain(self._get_bill_now_domain())
        for order in self:
            order.is_billing_due = order in due

    @api.depends("next_invoice_date", "end_date", "subscription_state")
    def _compute_billing_status(self):
        for order in self:
            order.billing_status = order._get_billing_status() if order.plan_id else False

    def _get_billing_status(self):
        """Return why a subscription is, or is not, invoiced now and next, as a sentence.

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
                "%(order)s is due since %(date)s: the next run of the scheduled action invoices it.",
                order=self.display_name,
                date=format_date(self.env, self.next_invoice_date),
            )
        return self._get_next_invoice_status()

    def _get_billing_obstacle(self):
        """Return why a subscription is not invoiced at all for the time being, or False.

        :rtype: str | bool
        """
        self.ensure_one()
        if refusal := self._get_state_refusal("bill"):
            return refusal
        if self.next_invoice_date:
            return False
        return self.env._(
            "%(order)s has no next invoice date, so it is not invoiced. Pause and resume it to get one.",
            order=self.display_name,
        )

    @api.model
    def _get_state_refusals(self, action):
        refusals = super()._get_state_refusals(action)
        if action == "bill":
            quotation = self.env._("%(order)s is not confirmed: it is invoiced from its start date on.")
            ended = self.env._("%(order)s has ended: nothing more is invoiced.")
            refusals |= dict.fromkeys(("quotation", "renewal"), quotation)
            refusals |= dict.fromkeys(self._get_ended_states(), ended)
            refusals["paused"] = self.env._("%(order)s is paused: nothing is invoiced until it is resumed.")
        return refusals

    def _get_next_invoice_status(self):
        """Return when a subscription is invoiced next, and what happens with the invoice, as a sentence.

        :rtype: str
        """
        self.ensure_one()
        return self.env._(
            "%(order)s is next invoiced on %(date)s, and the invoice sent to the customer.",
            order=self.display_name,
            date=format_date(self.env, self.next_invoice_date),
        )

    def _is_billed_to_end(self, today):
        """Tell whether nothing more is invoiced before the end date.

        :param date today: where the company is
        :rtype: bool
        """
        self.ensure_one()
        return bool(self.end_date) and (self.end_date <= today or self.end_date <= self.next_invoice_date)

    def _get_end_status(self):
        """Return what becomes of a subscription on its end date, before which nothing more is invoiced, as a sentence.

        :rtype: str
        """
        self.ensure_one()
        return self.env._(
            "%(order)s closes on %(date)s: nothing more is invoiced.",
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
        """Return the periods that are invoiced next, as far as anything is planned.

        :return: for each: ``date_start``, ``date_end`` (first day after it), ``amount`` (without taxes)
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
        """Let what could not be invoiced on its day be found among the orders to invoice, too."""
        res = super()._set_aside(error)
        self.order_line._compute_invoice_status()
        return res

    def _get_billing_summary(self, billed):
        """Return what became of subscriptions that were to be invoiced, as a sentence.

        :param billed: those that were dealt with
        :rtype: str
        """
        if self <= billed:
            return self.env._("Invoiced: %(orders)s", orders=", ".join(self.mapped("name")))
        return self.env._(
            "Invoiced: %(count)s. Not due, or in need of attention (see their activities): %(orders)s",
            count=len(billed),
            orders=", ".join((self - billed).mapped("name")),
        )
