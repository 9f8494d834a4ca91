from odoo import models
from odoo.exceptions import UserError


class SaleOrder(models.Model):
    """Customers close their subscription without a login, where the law requires it."""

    _inherit = "sale.order"

    def _schedule_close(self, reason, end_date):
        res = super()._schedule_close(reason, end_date)
        self.env["sale.subscription.close.request"]._use_up(self)
        return res

    def subscription_keep(self):
        res = super().subscription_keep()
        self.env["sale.subscription.close.request"]._use_up(self)
        return res

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
