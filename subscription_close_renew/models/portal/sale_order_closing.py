from datetime import timedelta

from markupsafe import Markup

from odoo import fields, models
from odoo.exceptions import UserError
from odoo.tools import format_date

from ...tools.guard import Guard

# Granted to a close in the name of the customer.
_BY_CUSTOMER = Guard("subscription_close_by_customer")
# How often in a day a customer changes their mind about a close: each time, a mail says so. Closing is never limited.
KEEPS_PER_DAY = 3


class SaleOrder(models.Model):
    """Customers close their subscription by themselves."""

    _inherit = "sale.order"

    close_by_customer = fields.Boolean(
        copy=False,
        readonly=True,
        guarded=True,
        help="The customer asked for the closing, and may undo it until it comes.",
    )

    def _prepare_close_request_values(self, reason, end_date):
        values = super()._prepare_close_request_values(reason, end_date)
        return values | {"close_by_customer": bool(_BY_CUSTOMER.get(self.env.context))}

    def _prepare_keep_values(self):
        return super()._prepare_keep_values() | {"close_by_customer": False}

    def _prepare_reopen_values(self):
        return super()._prepare_reopen_values() | {"close_by_customer": False}

    def _can_close_in_portal(self):
        """Tell whether the customer can close a subscription by themselves at this moment.

        :rtype: bool
        """
        self.ensure_one()
        return not self._get_portal_close_refusal()

    def _can_keep_in_portal(self):
        """Tell whether the customer can undo a planned close: only one that a customer asked for.

        :rtype: bool
        """
        self.ensure_one()
        return self.is_closing and self.close_by_customer

    def _get_portal_close_refusal(self):
        """Return why the customer cannot close a subscription in the portal, or False.

        :rtype: str | bool
        """
        self.ensure_one()
        refusal = self._get_close_refusal()
        if not refusal and not self.plan_id.user_closable:
            refusal = self.env._(
                "%(order)s cannot be closed in the portal. Please contact us, and we close it for you.", order=self.name
            )
        return refusal

    def _get_portal_close_obstacle(self):
        """Return what the page of a subscription says in place of its button, where the plan would let customers close.

        Only a rule of an addon that extends this one, such as a minimum term, makes it say anything.

        :rtype: str | bool
        """
        self.ensure_one()
        if not self.plan_id.user_closable or not self._is_running() or self.is_closing:
            return False
        return self._get_portal_close_refusal()

    def _get_portal_keep_refusal(self):
        """Return why the customer cannot undo the close of a subscription, or False.

        :rtype: str | bool
        """
        self.ensure_one()
        if self._can_keep_in_portal():
            return False
        if self.is_closing:
            return self.env._(
                "The closing of %(order)s was not asked for in the portal. Please contact us, if it is to be undone.",
                order=self.name,
            )
        return self.env._("%(order)s is not scheduled to close, so there is nothing to undo.", order=self.name)

    def _is_kept_too_often(self):
        """Return whether the customer undid closes so often in the last day that another one has to wait.

        :rtype: bool
        """
        self.ensure_one()
        field = self.env["ir.model.fields"]._get(self._name, "close_reason_id")
        # The chatter shows each time that the close reason was emptied.
        kept = (
            self.env["mail.tracking.value"]
            .sudo()
            .search_count(
                [
                    ("mail_message_id.model", "=", self._name),
                    ("mail_message_id.res_id", "=", self.id),
                    ("mail_message_id.date", ">", fields.Datetime.now() - timedelta(days=1)),
                    ("field_id", "=", field.id),
                    ("new_value_integer", "in", (0, False)),
                ]
            )
        )
        return kept >= KEEPS_PER_DAY

    def _get_portal_close_reasons(self):
        """Return the reasons that a customer can choose from, in order.

        :rtype: sale.order.close.reason
        """
        reasons = self.env["sale.order.close.reason"]
        return reasons.search_fetch([("visible_in_portal", "=", True)], reasons._get_portal_fields())

    def _get_portal_close_when(self):
        """Return when a subscription ends that its customer closes in the portal: as its plan says.

        :return: ``now`` or ``period_end``
        :rtype: str
        """
        self.ensure_one()
        return self.plan_id.user_closable_when

    def _get_portal_close_effect(self, when=None):
        """Return, in words, when a subscription ends if its customer closes it now.

        :param str when: ``now`` or ``period_end``; without it, as in the portal
        :rtype: str
        """
        self.ensure_one()
        when = when or self._get_portal_close_when()
        end_date = self._get_close_date(when)
        values = {"order": self.name, "date": format_date(self.env, end_date)}
        if end_date <= self.company_id._get_subscription_today():
            return self.env._("%(order)s ends today, at once. Nothing more is invoiced.", **values)
        return self.env._(
            "%(order)s runs on until it ends on %(date)s, when the period is over that is invoiced already. Nothing "
            "more is invoiced, and you can change your mind until then.",
            **values,
        )

    def _get_portal_close_confirmation(self):
        """Return, in words, what became of a subscription that its customer has just closed.

        :rtype: str
        """
        self.ensure_one()
        if self.is_closing:
            return self.env._(
                "Your subscription %(order)s is closed on %(date)s. Until then it runs on, and you can change your mind.",
                order=self.name,
                date=format_date(self.env, self.end_date),
            )
        return self.env._("Your subscription %(order)s is closed. Nothing more is invoiced for it.", order=self.name)

    def _close_as_customer(self, reason_id, user):
        """Close a subscription as its customer wishes, when its plan says, and send a receipt.

        :param int reason_id: id of a close reason that is shown in the portal
        :param user: the `res.users` who asks for it; a public one is taken for the customer, whose link it used
        :raises UserError: if the customer cannot close it, or for another reason than those in the portal
        """
        self.ensure_one()
        if refusal := self._get_portal_close_refusal():
            raise UserError(refusal)
        reason = self._get_portal_close_reasons().filtered(lambda reason: reason.id == reason_id)
        if not reason:
            raise UserError(self.env._("Please choose a reason from the list. Nothing was changed."))
        # Staff read the chatter, in their language.
        message = self._with_staff_lang().env._("The customer closed the subscription in the portal.")
        self._close_by_customer(reason, self._get_portal_close_when(), message, user)

    def _keep_as_customer(self, user):
        """Undo a planned close as the customer wishes, who asked for it before.

        :param user: the `res.users` who asks for it, as for :meth:`_close_as_customer`
        :raises UserError: if there is no close that the customer can undo
        """
        self.ensure_one()
        if refusal := self._get_portal_keep_refusal():
            raise UserError(refusal)
        order = self._with_customer(user)
        order.subscription_keep()
        staff = self._with_staff_lang()
        order._track_set_author(self._get_portal_author(user))
        order._track_set_log_message(
            staff.env._("The customer undid the planned close in the portal: the subscription goes on.")
        )
        order._send_customer_receipt("subscription_close_renew.mail_template_kept", user)

    def _close_by_customer(self, reason, when, message, user):
        """Close a subscription in the name of its customer, and send a receipt.

        :param reason: the `sale.order.close.reason`
        :param str when: ``now`` or ``period_end``
        :param str message: how it was closed, for staff
        :param user: the `res.users` who asks for it, as for :meth:`_close_as_customer`
        """
        self.ensure_one()
        order = _BY_CUSTOMER.grant(self._with_customer(user))
        order.subscription_close(reason.id, when=when)
        staff = self._with_staff_lang()
        lines = [
            message,
            staff.env._("Ends on %(date)s.", date=format_date(staff.env, self.end_date)),
            staff.env._("Reason: %(reason)s", reason=reason.with_env(staff.env).name),
        ]
        order._track_set_author(self._get_portal_author(user))
        order._track_set_log_message(Markup("<br/>").join(lines))
        order._send_customer_receipt("subscription_close_renew.mail_template_close_receipt", user)

    def _get_close_request_time(self):
        """Return when a closing was asked for, with the time zone of the company, for the receipt.

        :rtype: str
        """
        self.ensure_one()
        return self._format_moment(self.close_requested_on)
