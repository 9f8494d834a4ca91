from datetime import timedelta

from dateutil.relativedelta import relativedelta

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import SQL, format_date

from ..catalogue.sale_subscription_plan import LIMITS, TERM_END_ACTIONS
from ..subscription.runner import Turn
from ..subscription.sale_order_dates import LAST_YEAR
from ..subscription.sale_subscription_notice_mixin import LOST_STATUSES

RENEWAL_NOTICE = "subscription_close_renew.mail_template_renewal_notice"


class SaleOrder(models.Model):
    """Terms of subscriptions, and what happens at their end: close, renew or continue indefinitely."""

    _name = "sale.order"
    _inherit = ["sale.order", "sale.subscription.notice.mixin"]

    term_periods = fields.Integer(
        string="Term",
        compute="_compute_term",
        store=True,
        readonly=False,
        precompute=True,
        sales_only=True,
        help="Number of billing periods until the end date. With 0, the subscription has no end unless you set an end date.",
    )
    term_end_action = fields.Selection(
        selection=TERM_END_ACTIONS,
        string="At the End",
        compute="_compute_term",
        store=True,
        readonly=False,
        precompute=True,
        tracking=True,
        sales_only=True,
        help="What happens to the subscription on its end date.",
    )
    auto_renew_on = fields.Date(
        string="Renews Automatically On",
        copy=False,
        readonly=True,
        guarded=True,
        help="The customer was notified that the subscription will renew on this date unless they decline the quotation.",
    )

    @api.depends("plan_id")
    def _compute_term(self):
        for order in self:
            order.term_periods = order.plan_id.term_periods
            order.term_end_action = order.plan_id.term_end_action

    @api.constrains("term_periods")
    def _check_term_periods(self):
        for order in self:
            if not 0 <= order.term_periods <= LIMITS["term_periods"]:
                raise UserError(
                    self.env._(
                        "The term of %(order)s is counted in billing periods: enter 0 for no end, or a number up to "
                        "%(most)s.",
                        order=order.display_name,
                        most=LIMITS["term_periods"],
                    )
                )

    @api.model
    def _cron_subscription_renewal(self):
        """Notify customers of upcoming automatic renewals, and renew the subscriptions that are due.

        Can run at any time and any number of times. Missed runs are caught up; no subscription is renewed without notice.
        """
        orders = self._with_company_lang()
        orders._run_turns(orders._get_renewal_turns())

    @api.model
    def _get_renewal_turns(self):
        """Return the turns of the scheduled action.

        :return: the :class:`~..subscription.runner.Turn` objects
        :rtype: list
        """
        return [
            Turn(self._get_lost_notice_domain(), "auto_renew_on", lambda orders: orders._withdraw_lost_notice()),
            Turn(self._get_renewal_notice_domain(), "end_date", lambda orders: orders._announce_renewal()),
            Turn(self._get_automatic_renewal_domain(), "auto_renew_on", lambda orders: orders._renew_automatically()),
        ]

    @api.model
    def _get_fields_computed_from_plan(self):
        return super()._get_fields_computed_from_plan() | {"term_periods", "term_end_action"}

    def _get_plan_error_message(self):
        return super()._get_plan_error_message() or self._get_term_error_message()

    def _get_term_error_message(self):
        """Return the reason why a subscription cannot start with its end date or term, or False.

        :rtype: str | bool
        """
        self.ensure_one()
        if not (self.plan_id and (self.end_date or self.term_periods)) or self.state == "sale":
            return False
        values = self._prepare_subscription_start_values()
        start_date, end_date = values["start_date"], values["end_date"]
        if end_date.year > LAST_YEAR:
            return self._get_out_of_reach_message()
        if end_date > start_date:
            return False
        return self.env._(
            "%(order)s would start on %(start)s and end on %(end)s. Choose a later end date, or leave it empty.",
            order=self.display_name,
            start=format_date(self.env, start_date),
            end=format_date(self.env, end_date),
        )

    def _prepare_subscription_start_values(self):
        values = super()._prepare_subscription_start_values()
        end_date = self.end_date or self._get_term_end(values["start_date"], values["anchor_date"])
        return values | {"end_date": end_date}

    def _get_term_end(self, start_date, anchor_date):
        """Return the day on which the term of a subscription ends.

        :param date start_date: first day of the subscription
        :param date anchor_date: the day from which its periods are counted
        :return: the day, or False if it has no end
        :rtype: date | bool
        """
        self.ensure_one()
        end_date = self._get_next_term_end(start_date, anchor_date)
        today = self.company_id._get_subscription_today()
        # A late renewal also covers the time that has passed since the end of the term.
        while self.subscription_id and end_date and end_date <= today:
            end_date = self._get_next_term_end(end_date, anchor_date)
        return end_date

    def _get_next_term_end(self, start_date, anchor_date):
        """Return the end of the term that starts on a day; see :meth:`_get_term_end`."""
        self.ensure_one()
        if self.term_periods:
            end_date = start_date
            for _period in range(self.term_periods):
                # Later dates are refused anyway, and some terms would exceed the calendar.
                if end_date.year > LAST_YEAR:
                    break
                end_date = self.plan_id._get_next_period_start(anchor_date, end_date)
            return end_date
        # A term agreed on as an end date is renewed for the same duration.
        # sudo: the subscription may belong to a colleague; only its dates are read.
        parent = self.subscription_id.sudo()
        agreed_end = parent.end_date_before_close if parent.close_requested_on else parent.end_date
        if agreed_end and agreed_end > parent.start_date and parent.term_end_action != "continue":
            return start_date + relativedelta(agreed_end, parent.start_date)
        return False

    def _get_renewal_notice_domain(self):
        """Return the domain of the subscriptions whose customers are notified today of the automatic renewal.

        :rtype: Domain
        """
        # sudo: the notice periods of all recurring plans count, even of those hidden from the user.
        plans = self.env["sale.subscription.plan"].sudo().with_context(active_test=False)
        soon = Domain.OR(
            Domain("plan_id", "in", alike.ids) & self._get_due_domain("end_date", days)
            for days, alike in plans._read_group([], ["renewal_notice_days"], ["id:recordset"])
        )
        return self._get_renewal_candidate_domain() & Domain("auto_renew_on", "=", False) & soon

    def _get_lost_notice_domain(self):
        """Return the domain of the subscriptions whose notice was not delivered to at least one recipient.

        :rtype: Domain
        """
        lost = Domain("subscription_notice_id.notification_ids.notification_status", "in", LOST_STATUSES)
        return self._get_renewal_candidate_domain() & Domain("auto_renew_on", "!=", False) & lost

    def _get_automatic_renewal_domain(self):
        """Return the domain of the subscriptions to renew today.

        :rtype: Domain
        """
        return (
            self._get_renewal_candidate_domain()
            & self._get_due_domain("auto_renew_on")
            & self._get_due_domain("end_date")
        )

    def _get_renewal_candidate_domain(self):
        return (
            Domain("subscription_state", "=", "progress")
            & self._get_awaiting_renewal_domain()
            & Domain("payment_exception", "=", False)
        )

    def _withdraw_lost_notice(self):
        """Postpone the renewal of subscriptions whose notice reached nobody, until they are notified again."""
        lost = self.filtered(lambda order: order._is_notice_lost())
        lost._write_subscription({"auto_renew_on": False})

    def _announce_renewal(self):
        """Create the quotations of automatic renewals, and send them to the customers.

        If a customer cannot be reached, the subscription waits and a colleague is asked to call.
        """
        if refusals := self._get_renew_refusals():
            raise UserError(refusals)
        obstacles = {order: order._get_notice_obstacle(RENEWAL_NOTICE, order) for order in self}
        for order, obstacle in obstacles.items():
            if obstacle:
                order._ask_to_call_customer(obstacle)
        orders = self.filtered(lambda order: not obstacles[order])
        found = orders._get_open_renewals()
        found._renew_validity()
        renewals = found | (orders - found.subscription_id)._make_renewals()
        renewals._check_confirmable()
        for renewal in renewals:
            order = renewal.subscription_id
            today = order.company_id._get_subscription_today()
            day = max(order.end_date, today + timedelta(days=order.plan_id.renewal_notice_days))
            order._write_subscription({"auto_renew_on": day})
            if not renewal._notify_customer(RENEWAL_NOTICE, notice=order):
                order._write_subscription({"auto_renew_on": False})
        announced = renewals.filtered("subscription_id.auto_renew_on")
        announced.filtered(lambda renewal: renewal.state == "draft").action_quotation_sent()

    def _check_confirmable(self):
        """Refuse to announce renewals that could not be confirmed on their day, because of edits for example.

        :raises UserError: with the reason
        """
        for renewal in self:
            if message := renewal._get_plan_error_message():
                raise UserError(message)

    def _renew_automatically(self):
        """Confirm the renewals of subscriptions that are due today."""
        notified = self.filtered(lambda order: not order._is_notice_lost())
        renewals = notified._get_open_renewals()
        lost = notified - renewals.subscription_id
        if lost:
            raise UserError(
                self.env._(
                    "%(orders)s: the renewal quotation no longer exists. Renew the subscription manually, or choose what "
                    "happens at the end of its term.",
                    orders=", ".join(lost.mapped("name")),
                )
            )
        for company, orders in renewals.grouped("company_id").items():
            orders.with_company(company).action_confirm()

    def _action_cancel(self):
        # Quotations cancelled earlier, before the notice, do not decline the renewal.
        declined = self.filtered(lambda order: order.state != "cancel")
        res = super()._action_cancel()
        declined._refuse_announced_renewal()
        return res

    @api.ondelete(at_uninstall=False)
    def _unlink_refuses_automatic_renewal(self):
        self.filtered(lambda order: order.state != "cancel")._refuse_announced_renewal()

    def _refuse_announced_renewal(self):
        """Close subscriptions at the end of their term if their announced renewal is declined with these quotations."""
        # sudo: the subscription may belong to a colleague; Odoo has checked the right to cancel the renewal.
        announced = self.subscription_id.sudo().filtered(lambda order: order._is_renewal_announced())
        if announced:
            announced._refuse_automatic_renewal(
                self.env._("The renewal was declined: the subscription will close at the end of its term.")
            )

    def _is_renewal_announced(self):
        """Return whether the customer was notified of the automatic renewal and can still decline it.

        :rtype: bool
        """
        self.ensure_one()
        announced = bool(self.auto_renew_on and self.end_date) and self.term_end_action == "renew"
        return announced and self._is_running()

    def _refuse_automatic_renewal(self, message):
        """Close subscriptions at the end of their term instead of renewing them automatically.

        :param str message: the explanation for the chatter
        """
        self._track_set_log_message(message)
        self._write_subscription({"auto_renew_on": False, "term_end_action": "close"})

    def _prepare_close_values(self, closed_on, reason):
        return super()._prepare_close_values(closed_on, reason) | {"auto_renew_on": False}

    def _prepare_cancel_values(self):
        return super()._prepare_cancel_values() | {"auto_renew_on": False}

    @api.model
    def _get_expiration_turns(self):
        continuing = (
            Domain("subscription_state", "in", self._get_running_states())
            & Domain("close_requested_on", "=", False)
            & Domain("term_end_action", "=", "continue")
            & self._get_due_domain("end_date")
        )
        return [
            *super()._get_expiration_turns(),
            Turn(continuing, "end_date", lambda orders: orders._continue_indefinitely()),
        ]

    @api.model
    def _get_closing_domain(self):
        final = Domain("close_requested_on", "!=", False) | Domain("term_end_action", "not in", ("renew", "continue"))
        return super()._get_closing_domain() & final

    def _has_final_end(self):
        return super()._has_final_end() and (self.is_closing or self.term_end_action not in ("renew", "continue"))

    def _continue_indefinitely(self):
        """Remove the end date of subscriptions whose term has ended."""
        self._track_set_log_message(self.env._("The term has ended: the subscription continues indefinitely."))
        self.write({"end_date": False})

    def _get_billable_end_domain(self):
        return super()._get_billable_end_domain() | (
            self._get_awaiting_renewal_domain() & self._get_unbilled_term_domain()
        )

    def _get_awaiting_renewal_domain(self):
        """Return the domain of the subscriptions that stay active after the end of their term until they are renewed.

        :rtype: Domain
        """
        return Domain("term_end_action", "=", "renew") & Domain("close_requested_on", "=", False)

    @api.model
    def _get_unbilled_term_domain(self):
        """Return the domain of the subscriptions whose term is not fully billed.

        :rtype: Domain
        """

        def compare(orders, alias, query):
            next_invoice_date, end_date = (
                orders._field_to_sql(alias, name, query) for name in ("next_invoice_date", "end_date")
            )
            return SQL("%s < %s", next_invoice_date, end_date)

        return Domain.custom(
            to_sql=compare,
            predicate=lambda order: (
                bool(order.end_date and order.next_invoice_date) and order.next_invoice_date < order.end_date
            ),
        )

    def _is_billed_to_end(self, today):
        if self._has_final_end() or self.term_end_action != "renew":
            return super()._is_billed_to_end(today)
        # Missed periods of the term are billed before it is renewed.
        return bool(self.end_date) and self.end_date <= self.next_invoice_date

    def _get_end_status(self):
        if self._has_final_end():
            return super()._get_end_status()
        values = {
            "order": self.display_name,
            "date": format_date(self.env, max(filter(None, (self.end_date, self.auto_renew_on)))),
        }
        if self.term_end_action == "continue":
            return self.env._(
                "The term of %(order)s ends on %(date)s. The subscription then continues indefinitely and is invoiced "
                "again.",
                **values,
            )
        return self.env._(
            "%(order)s will renew automatically on %(date)s. From then on, its renewal is invoiced.", **values
        )
