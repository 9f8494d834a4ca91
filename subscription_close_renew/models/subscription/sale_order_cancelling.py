from odoo import api, models
from odoo.exceptions import UserError

from .sale_order_access import CANCELLING


class SaleOrder(models.Model):
    """Cancelling: a subscription that was never invoiced becomes a quotation again."""

    _inherit = "sale.order"

    def _action_cancel(self):
        self.filtered("plan_id")._check_cancel_subscription()
        started = self.filtered(lambda order: order.state == "sale" and order.plan_id)
        res = super(SaleOrder, CANCELLING.grant(self))._action_cancel()
        if started:
            started._cancel_subscription()
        return res

    def _check_cancel_subscription(self):
        """Check that none of these subscriptions has been invoiced: cancelling would lose its history.

        :raises UserError: for the first invoiced subscription, with what to do instead
        """
        for order in self.filtered(lambda order: order.state == "sale"):
            is_invoiced = "posted" in order.invoice_ids.mapped("state")
            refusal = order._get_state_refusal("cancel")
            if refusal := refusal or (is_invoiced and order._get_state_refusal("cancel_invoiced")):
                raise UserError(refusal)

    @api.model
    def _get_state_refusals(self, action):
        refusals = super()._get_state_refusals(action)
        if action == "cancel":
            refusals["renewed"] = self.env._(
                "%(order)s was renewed and cannot be cancelled. Cancel the order that renews it first."
            )
        elif action == "cancel_invoiced":
            running = self.env._(
                "%(order)s is active and has been invoiced, so it cannot be cancelled. Close the subscription instead, "
                "with the button at the top of the order."
            )
            refusals |= dict.fromkeys(self._get_running_states(), running)
            refusals["churned"] = self.env._(
                "%(order)s is closed and has been invoiced, so it cannot be cancelled. It will not be invoiced again."
            )
        return refusals

    def _cancel_subscription(self):
        """Turn confirmed subscriptions that were never invoiced back into quotations without dates."""
        self._transition_subscription("cancel", self._prepare_cancel_values())

    def _prepare_cancel_values(self):
        """Return the values of a subscription that was cancelled before its first invoice.

        :rtype: dict
        """
        return dict.fromkeys(("anchor_date", "end_date", "next_invoice_date", "start_date"), False)
