from markupsafe import Markup

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import format_date

from ..subscription.runner import Turn

CLOSE_WHEN = [
    ("now", "Now"),
    ("period_end", "At the end of the paid period"),
    ("date", "On a date"),
]


class SaleOrder(models.Model):
    """Closing subscriptions with a reason, keeping those scheduled to close, and reopening closed ones."""

    _inherit = "sale.order"

    close_reason_id = fields.Many2one(
        comodel_name="sale.order.close.reason",
        ondelete="restrict",
        index="btree_not_null",
        copy=False,
        readonly=True,
        tracking=True,
        guarded=True,
        sales_only=True,
    )
    close_requested_on = fields.Datetime(
        copy=False,
        readonly=True,
        guarded=True,
        help="When the close was requested. It takes effect on the end date.",
    )
    end_date_before_close = fields.Date(
        copy=False,
        readonly=True,
        guarded=True,
        help="The end date before the close was requested. It is restored if the subscription is kept.",
    )
    closed_on = fields.Date(
        copy=False,
        readonly=True,
        guarded=True,
        help="When the close took effect.",
    )
    is_closing = fields.Boolean(
        compute="_compute_is_closing",
        search="_search_is_closing",
        help="The subscription is active and scheduled to close on its end date.",
    )

    @api.depends("subscription_state", "close_requested_on")
    def _compute_is_closing(self):
        for order in self:
            order.is_closing = bool(order.close_requested_on) and order._is_running()

    def _search_is_closing(self, operator, value):
        if operator != "in":
            return NotImplemented
        closing = Domain("subscription_state", "in", self._get_running_states()) & Domain(
            "close_requested_on", "!=", False
        )
        return closing if True in value else ~closing

    def action_subscription_close(self):
        """Open the pop-up that closes one or more subscriptions and asks for the close reason.

        :return: a window action
        :rtype: dict
        :raises AccessError: if the user may not change one of the orders
        :raises UserError: if none of the subscriptions can be closed
        """
        self._check_subscription_access()
        closable = self.filtered(lambda order: not order._get_close_refusal())
        if not closable:
            raise UserError(self._get_close_refusals())
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "subscription_close_renew.sale_subscription_close_wizard_action"
        )
        return action | {"context": {"default_order_ids": self.ids}}

    def subscription_close(self, reason_id, when="now", date=None):
        """Close subscriptions: either all of them or none.

        :param int reason_id: id of an active close reason (`sale.order.close.reason`)
        :param str when: ``now``; ``period_end``, at the end of the period already invoiced; or ``date``
        :param date: for ``date``: the day on which they close, today or later (date, or str as ``YYYY-MM-DD``)
        :return: True
        :raises AccessError: if the user may not change one of the orders
        :raises UserError: if a subscription cannot be closed, or the reason, *when* or the date is invalid
        """
        self._check_subscription_access()
        reason = self._get_close_reason(reason_id)
        refusals = self._get_close_refusals(when, date, reason)
        if refusals:
            raise UserError(refusals)
        for end_date, orders in self.grouped(lambda order: order._get_close_date(when, date)).items():
            orders._schedule_close(reason, end_date)
        due = self.filtered(lambda order: order.end_date <= order.company_id._get_subscription_today())
        due._close()
        return True

    def subscription_keep(self):
        """Keep subscriptions that are scheduled to close.

        :return: True
        :raises AccessError: if the user may not change one of the orders
        :raises UserError: if one of the subscriptions is not scheduled to close
        """
        self._check_subscription_access()
        for order in self:
            if not order.is_closing:
                raise UserError(
                    self.env._(
                        "%(order)s is not scheduled to close, so there is nothing to undo.", order=order.display_name
                    )
                )
        self._track_set_log_message(self.env._("Subscription kept: it is no longer scheduled to close."))
        for order in self:
            order._write_subscription(order._prepare_keep_values())
        return True

    def subscription_reopen(self):
        """Reopen closed subscriptions (administrators of Sales only).

        Time already invoiced is used up first; the days between the close and the reopening are never invoiced.

        :return: True
        :raises UserError: if the user is not an administrator, or one of the subscriptions is not closed
        """
        if not self.env.user.has_group("sales_team.group_sale_manager"):
            raise UserError(self.env._("Only an administrator of Sales can reopen a closed subscription."))
        self._check_subscription_access()
        self._check_transition("reopen")
        for order in self:
            order._transition_subscription(
                "reopen",
                order._prepare_reopen_values(),
                message=self.env._("Subscription reopened."),
            )
        self._update_next_invoice_date()
        return True

    def _get_close_reason(self, reason_id):
        """Return a close reason that can be chosen.

        :param int reason_id: id of a close reason
        :rtype: sale.order.close.reason
        :raises UserError: if the reason does not exist or is archived
        """
        reason = self.env["sale.order.close.reason"]
        # External callers may send anything, and the database rejects ids beyond its integers.
        if type(reason_id) is int and 0 < reason_id < 2**31:
            reason = reason.browse(reason_id).exists().filtered("active")
        if not reason:
            raise UserError(self.env._("Choose a close reason from the list: this one does not exist or is archived."))
        return reason

    def _get_close_refusals(self, when=None, date=None, reason=None):
        """Return the reasons why subscriptions cannot be closed, one per line; empty if all can.

        The arguments are those of :meth:`_get_close_refusal`.

        :rtype: str
        """
        if not self:
            return self.env._("Select at least one subscription to close.")
        refusals = (order._get_close_refusal(when, date, reason) for order in self)
        return "\n".join(filter(None, refusals))

    def _get_close_refusal(self, when=None, date=None, reason=None):
        """Return the reason why a subscription cannot be closed, or False if it can.

        Override this for a policy such as three months' notice. While *when* is None, refuse only what is impossible at
        any time.

        :param str when: ``now``, ``period_end`` or ``date``; None if it has not been chosen yet
        :param date: for ``date``: the day on which it closes (date, or str as ``YYYY-MM-DD``)
        :param reason: the `sale.order.close.reason`, or None
        :rtype: str | bool
        """
        self.ensure_one()
        if refusal := self._get_state_refusal("close"):
            return refusal
        if self.is_closing:
            return self.env._(
                "%(order)s is already scheduled to close on %(date)s. To change that, choose Keep Subscription first.",
                **self._prepare_refusal_values(),
            )
        return False

    @api.model
    def _get_state_refusals(self, action):
        refusals = super()._get_state_refusals(action)
        if action == "close":
            quotation = self.env._("%(order)s has not started. Cancel the quotation instead of closing it.")
            refusals |= dict.fromkeys(("quotation", "renewal"), quotation)
            refusals["churned"] = self.env._("%(order)s has been closed since %(date)s.")
            refusals["renewed"] = self.env._("%(order)s was renewed. Close its renewal instead.")
        return refusals

    def _prepare_refusal_values(self):
        date = self.closed_on or self.end_date
        return super()._prepare_refusal_values() | {"date": date and format_date(self.env, date)}

    def _get_close_date(self, when, date=None):
        """Return the day on which a subscription closes if the close is requested today.

        :param str when: ``now``, ``period_end`` or ``date``
        :param date: the day, for ``date`` (date or str)
        :rtype: date
        :raises UserError: if ``when`` has another value, or the date is missing, invalid or in the past
        """
        self.ensure_one()
        today = self.company_id._get_subscription_today()
        if when == "now":
            return today
        if when == "period_end":
            period_end = max(self._get_billed_until() or self.next_invoice_date or today, today)
            return min(period_end, self.end_date) if self._has_final_end() else period_end
        if when != "date":
            raise UserError(
                self.env._("Choose when to close: now, at the end of the paid period (period_end) or on a date (date).")
            )
        date = self._parse_date(date)
        if not date:
            raise UserError(self.env._("Enter the date on which to close %(order)s.", order=self.display_name))
        if date < today:
            raise UserError(
                self.env._(
                    "%(date)s is in the past. To close %(order)s, choose today or a later date.",
                    date=format_date(self.env, date),
                    order=self.display_name,
                )
            )
        if self._has_final_end() and date > self.end_date:
            raise UserError(
                self.env._(
                    "%(order)s already ends on %(date)s. To close it, choose an earlier date.",
                    date=format_date(self.env, self.end_date),
                    order=self.display_name,
                )
            )
        return date

    def _has_final_end(self):
        """Return whether a subscription will end on its end date in any case.

        :rtype: bool
        """
        self.ensure_one()
        return bool(self.end_date)

    def _schedule_close(self, reason, end_date):
        """Schedule the close of subscriptions, which stay active until then."""
        self._track_set_log_message(
            self.env._(
                "Closes on %(date)s. Reason: %(reason)s", date=format_date(self.env, end_date), reason=reason.name
            )
        )
        for order in self:
            order._write_subscription(order._prepare_close_request_values(reason, end_date))

    def _prepare_close_request_values(self, reason, end_date):
        """Return the values that schedule a close.

        :rtype: dict
        """
        self.ensure_one()
        return {
            "close_reason_id": reason.id,
            "close_requested_on": fields.Datetime.now(),
            "end_date": end_date,
            "end_date_before_close": self.end_date,
        }

    def _close(self):
        """Close subscriptions whose end date has come: nothing is billed from then on."""
        for (company, reason), orders in self.grouped(lambda order: (order.company_id, order.close_reason_id)).items():
            # Nobody gives a reason for the end of a term.
            reason = reason or reason._get_system_reason("end_of_term")
            orders._transition_subscription(
                "close",
                orders._prepare_close_values(company._get_subscription_today(), reason),
                message=Markup("%s<br/>%s")
                % (self.env._("Subscription closed."), self.env._("Reason: %(reason)s", reason=reason.name)),
            )

    def _prepare_close_values(self, closed_on, reason):
        """Return the values of subscriptions that close today.

        :param date closed_on: today, in the time zone of the company
        :param reason: the close reason
        :rtype: dict
        """
        return {
            "close_reason_id": reason.id,
            "closed_on": closed_on,
            "next_invoice_date": False,
        }

    def _prepare_keep_values(self):
        """Return the values that cancel a scheduled close.

        :rtype: dict
        """
        self.ensure_one()
        return {
            "close_reason_id": False,
            "close_requested_on": False,
            "end_date": self.end_date_before_close,
            "end_date_before_close": False,
        }

    def _prepare_reopen_values(self):
        """Return the values that reopen a closed subscription.

        :rtype: dict
        """
        self.ensure_one()
        today = self.company_id._get_subscription_today()
        return {
            "close_reason_id": False,
            "close_requested_on": False,
            "closed_on": False,
            "end_date": False,
            "end_date_before_close": False,
            # Closed and reopened on the same day, a subscription continues as if nothing had happened.
            "resumed_on": self.resumed_on if self.closed_on == today else today,
        }

    @api.model
    def _cron_subscription_expiration(self):
        """Close and resume the subscriptions that are due today, among other scheduled changes.

        Can run at any time and any number of times a day, before or after billing.
        """
        orders = self._with_company_lang()
        orders._run_turns(orders._get_expiration_turns())

    @api.model
    def _get_expiration_turns(self):
        """Return the turns of the scheduled action, in order.

        :return: the :class:`~..subscription.runner.Turn` objects
        :rtype: list
        """
        return [Turn(self._get_closing_domain(), "end_date", lambda orders: orders._close())]

    @api.model
    def _get_closing_domain(self):
        """Return the domain of the subscriptions to close today.

        :rtype: Domain
        """
        return Domain("subscription_state", "in", self._get_running_states()) & self._get_due_domain("end_date")

    def _prepare_cancel_values(self):
        names = ("close_reason_id", "close_requested_on", "closed_on", "end_date_before_close")
        return super()._prepare_cancel_values() | dict.fromkeys(names, False)

    def _prepare_movement(self, kind, date, entry):
        values = super()._prepare_movement(kind, date, entry)
        return values | {"close_reason_id": kind == "churn" and self.close_reason_id.id}

    @api.model
    def _prepare_timeline_event(self, movement, before, after):
        return super()._prepare_timeline_event(movement, before, after) | {"reason": movement.close_reason_id}
