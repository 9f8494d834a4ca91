from odoo import api, fields, models
from odoo.exceptions import UserError


class SaleSubscriptionResolveWizard(models.TransientModel):
    _name = "sale.subscription.resolve.wizard"
    _description = "Resolve Payment Failure"

    order_id = fields.Many2one(comodel_name="sale.order", string="Subscription", required=True, ondelete="cascade")
    question = fields.Char(compute="_compute_question")
    outcome = fields.Selection(
        selection=[("paid", "The payment was made"), ("unpaid", "The payment was not made")],
        string="What Happened",
        required=True,
    )
    payment_date = fields.Date(default=fields.Date.context_today, help="Payment date shown by the provider.")
    reference = fields.Char(help="Payment number shown by the provider, so that the bookkeeper can find the payment.")
    retry_now = fields.Boolean(
        string="Try Again Now", help="Otherwise, the next run of the scheduled action tries again."
    )

    @api.depends("order_id")
    def _compute_question(self):
        for wizard in self:
            order = wizard.order_id if wizard.order_id.has_access("write") else wizard.order_id.browse()
            # The user can change the order, so the payments to look up can be shown.
            wizard.question = ", ".join(
                self.env._(
                    "%(reference)s of %(amount)s (%(provider)s)",
                    reference=transaction.reference,
                    amount=transaction.currency_id.format(transaction.amount),
                    provider=transaction.provider_id.name,
                )
                for transaction in order._get_charges_to_resolve()
            )

    def action_submit(self):
        """Apply the outcome of the payment.

        :return: the action that closes the pop-up, or a notification
        :rtype: dict
        :raises UserError: if it has been resolved in the meantime
        """
        self.ensure_one()
        order = self.order_id
        order._check_subscription_access()
        order._check_payment_exception()
        if self.outcome == "paid":
            order._resolve_as_paid(self.payment_date, self.reference)
        else:
            order._resolve_as_unpaid()
            if self.retry_now:
                if order.filtered_domain(order._get_billing_domain() | order._get_retry_domain()):
                    return order.action_subscription_bill()
                raise UserError(order._get_billing_status())
        return {"type": "ir.actions.act_window_close"}
