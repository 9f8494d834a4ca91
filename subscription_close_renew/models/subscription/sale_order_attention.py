from markupsafe import Markup

from odoo import SUPERUSER_ID, models
from odoo.tools import plaintext2html

ATTENTIVE_GROUPS = (
    "sales_team.group_sale_manager",
    "sales_team.group_sale_salesman_all_leads",
    "sales_team.group_sale_salesman",
    "account.group_account_invoice",
)
"""Groups whose members take care of subscriptions without another responsible, in order of preference."""


class SaleOrder(models.Model):
    """Activities that ask a member of staff to look at a subscription."""

    _inherit = "sale.order"

    def _ask_for_attention(self, summary, note):
        """Schedule an activity for the person responsible for the subscription, unless one with this summary is open.

        :param str summary: short title of the activity
        :param note: what to do (str or Markup)
        """
        self.ensure_one()
        user = self._get_attentive_user()
        # sudo: activities of archived users may be unreadable to the caller; they are only reassigned.
        same = self.sudo().activity_ids.filtered(lambda activity: activity.summary == summary)
        if any(self._can_attend(colleague) for colleague in same.user_id):
            return
        # Escape text, which can contain the <tags> of an error.
        note = note if isinstance(note, Markup) else plaintext2html(note)
        if same:
            same.write({"user_id": user.id, "note": note})
        else:
            order = self.with_context(mail_activity_automation_skip=False)
            order.activity_schedule("mail.mail_activity_data_warning", summary=summary, note=note, user_id=user.id)

    def _get_attentive_user(self, besides=None):
        """Return the user to assign activities to: an active colleague with access to the subscription.

        :param besides: `res.users` who are about to leave, to be excluded
        :return: empty if there is no such colleague
        :rtype: res.users
        """
        self.ensure_one()
        # sudo: the assigned user must not depend on the caller's rights; only users are read.
        order = self.sudo()
        first = [order.user_id, order.team_id.user_id, order.company_id.subscription_responsible_id]
        for user in first:
            if user and user not in (besides or user.browse()) and order._can_attend(user):
                return user
        for group in ATTENTIVE_GROUPS:
            colleagues = user.search(
                [
                    ("all_group_ids", "in", self.env.ref(group).ids),
                    ("company_ids", "in", order.company_id.ids),
                    ("id", "not in", (besides or user.browse()).ids),
                ],
                order="id",
            )
            for colleague in colleagues.sorted(lambda user: user.company_id != order.company_id):
                if order._can_attend(colleague):
                    return colleague
        return user.browse()

    def _can_attend(self, user):
        """Return whether a user is an active colleague who has access to the order in its company.

        :param user: `res.users`
        :rtype: bool
        """
        self.ensure_one()
        if (
            not user.active
            or user.id == SUPERUSER_ID
            or not user._is_internal()
            or self.company_id not in user.company_ids
        ):
            return False
        order = self.with_user(user).with_context(allowed_company_ids=self.company_id.ids)
        return order.has_access("read")
