from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import format_date

from ..subscription.runner import Turn


class SaleOrder(models.Model):
    """Pausing subscriptions, and resuming them manually or on a date."""

    _inherit = "sale.order"

    resume_date = fields.Date(
        copy=False,
        tracking=True,
        sales_only=True,
        help="The paused subscription resumes automatically on this date. Leave empty to resume it manually.",
    )

    def action_subscription_pause(self):
        """Open the pop-up that pauses subscriptions.

        :return: a window action
        :rtype: dict
        :raises AccessError: if the user may not change one of the orders
        :raises UserError: if one of the subscriptions is not in progress
        """
        self._check_subscription_access()
        self._check_transition("pause")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "subscription_close_renew.sale_subscription_pause_wizard_action"
        )
        return action | {"context": {"default_order_ids": self.ids}}

    def subscription_pause(self, resume_date=None):
        """Pause subscriptions: nothing is invoiced until they resume.

        :param resume_date: the day on which they resume automatically, after today (date, or str as ``YYYY-MM-DD``);
            without a date, they stay paused until :meth:`subscription_resume` is called
        :return: True
        :raises AccessError: if the user may not change one of the orders
        :raises UserError: if one of the subscriptions is not in progress, or the date is invalid
        """
        self._check_subscription_access()
        self._check_transition("pause")
        resume_date = self._get_resume_date(resume_date)
        message = self.env._("Subscription paused.")
        if resume_date:
            message = self.env._("Subscription paused until %(date)s.", date=format_date(self.env, resume_date))
        self._transition_subscription("pause", {"resume_date": resume_date}, message=message)
        return True

    def subscription_resume(self):
        """Resume paused subscriptions today.

        Time invoiced before the pause is used up first. The paused days are never invoiced, and later invoice dates
        return to the anchor.

        :return: True
        :raises AccessError: if the user may not change one of the orders
        :raises UserError: if one of the subscriptions is not paused
        """
        self._check_subscription_access()
        self._resume()
        return True

    def _check_dates_by_hand(self, vals):
        res = super()._check_dates_by_hand(vals)
        day = fields.Date.to_date(vals.get("resume_date"))
        if day:
            # A day that has already passed would bill paused days.
            self.filtered(lambda order: order.state == "sale" and order.resume_date != day)._get_resume_date(day)
        return res

    def _get_resume_date(self, resume_date):
        """Return the day on which paused subscriptions resume, or False if there is none.

        :param resume_date: date, str or None
        :raises UserError: if the date is invalid, not in the future, or not before the end of a subscription
        """
        if not resume_date:
            return False
        resume_date = self._parse_date(resume_date)
        if not resume_date:
            raise UserError(self.env._("Enter the date on which to resume the subscription, or leave it empty."))
        for order in self:
            if resume_date <= order.company_id._get_subscription_today():
                raise UserError(self.env._("To resume %(order)s, choose a date after today.", order=order.display_name))
            if order.end_date and resume_date >= order.end_date:
                raise UserError(
                    self.env._(
                        "%(order)s ends on %(date)s. Choose an earlier date to resume it.",
                        order=order.display_name,
                        date=format_date(self.env, order.end_date),
                    )
                )
        return resume_date

    def _resume(self):
        self._check_transition("resume")
        for order in self:
            order._transition_subscription(
                "resume", order._prepare_resume_values(), message=self.env._("Subscription resumed.")
            )
        self._update_next_invoice_date()

    def _prepare_resume_values(self):
        """Return the values that resume a paused subscription.

        :rtype: dict
        """
        self.ensure_one()
        # A scheduled action that was down resumes the subscription late, but with effect from the resume date.
        today = self.company_id._get_subscription_today()
        return {"resume_date": False, "resumed_on": min(self.resume_date or today, today)}

    def _prepare_close_values(self, closed_on, reason):
        return super()._prepare_close_values(closed_on, reason) | {"resume_date": False}

    def _prepare_cancel_values(self):
        return super()._prepare_cancel_values() | {"resume_date": False}

    @api.model
    def _get_expiration_turns(self):
        due = Domain("subscription_state", "=", "paused") & self._get_due_domain("resume_date")
        return [*super()._get_expiration_turns(), Turn(due, "resume_date", lambda orders: orders._resume())]

    @api.constrains("resume_date")
    def _check_resume_date_in_reach(self):
        self._refuse_out_of_reach("resume_date")
