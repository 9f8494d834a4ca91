from datetime import timedelta

from markupsafe import Markup

from odoo import fields, models
from odoo.exceptions import UserError
from odoo.tools import format_date

from ...tools.guard import Guard

# Granted to a close on behalf of the customer.
_BY_CUSTOMER = Guard("subscription_close_by_customer")
# How many times a day a customer can undo a close, because each time sends an email. Closing is never limited.
KEEPS_PER_DAY = 3


class SaleOrder(models.Model):
    """Customers close their subscription: in the portal, or without a login where the law requires it."""

    _inherit = "sale.order"

    close_by_customer = fields.Boolean(
        copy=False,
        readonly=True,
        guarded=True,
        help="The customer requested the close and can undo it until it takes effect.",
    )

    def _schedule_close(self, reason, end_date):
        res = super()._schedule_close(reason, end_date)
        self.env["sale.subscription.close.request"]._use_up(self)
        return res

    def subscription_keep(self):
        res = super().subscription_keep()
        self.env["sale.subscription.close.request"]._use_up(self)
        return res

    def _prepare_close_request_values(self, reason, end_date):
        values = super()._prepare_close_request_values(reason, end_date)
        return values | {"close_by_customer": bool(_BY_CUSTOMER.get(self.env.context))}

    def _prepare_keep_values(self):
        return super()._prepare_keep_values() | {"close_by_customer": False}

    def _prepare_reopen_values(self):
        return super()._prepare_reopen_values() | {"close_by_customer": False}

    def _can_close_in_portal(self):
        """Return whether the customer can close the subscription in the portal now.

        :rtype: bool
        """
        self.ensure_one()
        return not self._get_portal_close_refusal()

    def _can_keep_in_portal(self):
        """Return whether the customer can undo a scheduled close: only one that a customer requested.

        :rtype: bool
        """
        self.ensure_one()
        return self.is_closing and self.close_by_customer

    def _get_portal_close_refusal(self):
        """Return the reason why the customer cannot close the subscription in the portal, or False.

        :rtype: str | bool
        """
        self.ensure_one()
        refusal = self._get_close_refusal()
        if not refusal and not self.plan_id.user_closable:
            refusal = self.env._(
                "%(order)s can't be closed online. Please contact us and we will close it for you.", order=self.name
            )
        return refusal

    def _get_portal_close_obstacle(self):
        """Return the notice that replaces the close button although the plan allows customers to close, or False.

        Only a rule of another addon, such as a minimum term, leads to one.

        :rtype: str | bool
        """
        self.ensure_one()
        if not self.plan_id.user_closable or not self._is_running() or self.is_closing:
            return False
        return self._get_portal_close_refusal()

    def _get_portal_keep_refusal(self):
        """Return the reason why the customer cannot undo the close of a subscription, or False.

        :rtype: str | bool
        """
        self.ensure_one()
        if self._can_keep_in_portal():
            return False
        if self.is_closing:
            return self.env._(
                "The request to close %(order)s wasn't made online. Please contact us if you would like to keep it.",
                order=self.name,
            )
        return self.env._("%(order)s is not scheduled to close, so there is nothing to undo.", order=self.name)

    def _is_kept_too_often(self):
        """Return whether the customer has undone so many closes in the last day that the next one has to wait.

        :rtype: bool
        """
        self.ensure_one()
        field = self.env["ir.model.fields"]._get(self._name, "close_reason_id")
        # The chatter tracks each time the close reason was emptied.
        # sudo: customers cannot read tracked changes; the controller has checked their access, and they are only counted.
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
        """Return the close reasons that customers can choose from, in order.

        :rtype: sale.order.close.reason
        """
        reasons = self.env["sale.order.close.reason"]
        return reasons.search_fetch([("visible_in_portal", "=", True)], reasons._get_portal_fields())

    def _get_portal_close_when(self):
        """Return when a close in the portal takes effect, as set on the plan.

        :return: ``now`` or ``period_end``
        :rtype: str
        """
        self.ensure_one()
        return self.plan_id.user_closable_when

    def _get_portal_close_effect(self, when=None):
        """Return a sentence that says when the subscription closes if its customer requests it now.

        :param str when: ``now`` or ``period_end``; if omitted, as in the portal
        :rtype: str
        """
        self.ensure_one()
        when = when or self._get_portal_close_when()
        end_date = self._get_close_date(when)
        values = {"order": self.name, "date": format_date(self.env, end_date)}
        if end_date <= self.company_id._get_subscription_today():
            return self.env._(
                "%(order)s will close today, with immediate effect. Nothing more will be invoiced.", **values
            )
        return self.env._(
            "%(order)s stays active until %(date)s, the end of the period already invoiced. Nothing more will be invoiced, "
            "and you can change your mind until then.",
            **values,
        )

    def _get_portal_close_confirmation(self):
        """Return the sentence that confirms a close to the customer.

        :rtype: str
        """
        self.ensure_one()
        if self.is_closing:
            return self.env._(
                "Your subscription %(order)s will close on %(date)s. Until then it stays active, and you can change your "
                "mind.",
                order=self.name,
                date=format_date(self.env, self.end_date),
            )
        return self.env._(
            "Your subscription %(order)s is closed. Nothing more will be invoiced for it.", order=self.name
        )

    def _close_as_customer(self, reason_id, user):
        """Close a subscription at the request of its customer, at the time set on the plan, and send a receipt.

        :param int reason_id: id of a close reason that is shown in the portal
        :param user: the `res.users` who requests it; a public user has used the link and counts as the customer
        :raises UserError: if the customer cannot close it, or the portal does not show the reason
        """
        self.ensure_one()
        if refusal := self._get_portal_close_refusal():
            raise UserError(refusal)
        reason = self._get_portal_close_reasons().filtered(lambda reason: reason.id == reason_id)
        if not reason:
            raise UserError(self.env._("Please choose a reason from the list. Nothing was changed."))
        # Staff read the chatter in their language.
        message = self._with_staff_lang().env._("The customer closed the subscription in the portal.")
        self._close_by_customer(reason, self._get_portal_close_when(), message, user)

    def _keep_as_customer(self, user):
        """Undo a scheduled close at the request of the customer.

        :param user: the `res.users` who requests it, as for :meth:`_close_as_customer`
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
            staff.env._("The customer undid the scheduled close in the portal. The subscription continues.")
        )
        order._send_customer_receipt("subscription_close_renew.mail_template_kept", user)

    def _get_public_close_when(self):
        """Return when a close on the public page takes effect: as early as the plan allows.

        :return: ``now`` or ``period_end``
        :rtype: str
        """
        self.ensure_one()
        return self._get_portal_close_when() if self.plan_id.user_closable else "period_end"

    def _close_on_public_page(self):
        """Close a subscription for the customer, who has confirmed by email, and send a receipt.

        :raises UserError: if it is already closed or not running
        """
        self.ensure_one()
        if refusal := self._get_close_refusal():
            raise UserError(refusal)
        message = self._with_staff_lang().env._(
            "The customer closed the subscription on the public page, with the link sent by email."
        )
        reason = self.env["sale.order.close.reason"]._get_system_reason("public_page")
        # The email address identifies the customer, not the user who is logged in to this browser.
        nobody = self.env.ref("base.public_user")
        self._close_by_customer(reason, self._get_public_close_when(), message, nobody)

    def _close_by_customer(self, reason, when, message, user):
        """Close a subscription on behalf of its customer, and send a receipt.

        :param reason: the `sale.order.close.reason`
        :param str when: ``now`` or ``period_end``
        :param str message: how it was closed, for the chatter
        :param user: the `res.users` who requests it, as for :meth:`_close_as_customer`
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
        """Return when the close was requested, with the time zone of the company, for the receipt.

        :rtype: str
        """
        self.ensure_one()
        return self._format_moment(self.close_requested_on)
