from odoo import api, fields, models
from odoo.tools import format_date

from ..models.closing.sale_order import CLOSE_WHEN


class SaleSubscriptionCloseWizard(models.TransientModel):
    _name = "sale.subscription.close.wizard"
    _description = "Close Reason"

    order_ids = fields.Many2many(
        comodel_name="sale.order",
        relation="sale_subscription_close_wizard_order_rel",
        string="Subscriptions",
        required=True,
    )
    reason_id = fields.Many2one(
        comodel_name="sale.order.close.reason",
        required=True,
        context={"default_visible_in_portal": False},
        help="Why the subscription closes. Administrators can enter a new reason, which is not shown to customers.",
    )
    when = fields.Selection(
        selection=CLOSE_WHEN,
        string="Close",
        required=True,
        default="now",
    )
    date = fields.Date(help="The subscription ends on this day: the day before is its last.")
    closable_count = fields.Integer(compute="_compute_closable")
    effect = fields.Text(compute="_compute_effect")
    refusals = fields.Text(compute="_compute_closable")

    @api.depends("order_ids")
    def _compute_closable(self):
        for wizard in self:
            wizard.closable_count = len(wizard._get_closable_orders())
            wizard.refusals = wizard.order_ids._get_close_refusals()

    @api.depends("order_ids", "when", "date")
    def _compute_effect(self):
        for wizard in self:
            wizard.effect = wizard._get_effect()

    def action_submit(self):
        """Close the subscriptions that can be closed, and leave the others unchanged.

        :return: the action that closes the pop-up
        :rtype: dict
        :raises UserError: if none can be closed, or the reason or date is invalid
        """
        self.ensure_one()
        orders = self._get_closable_orders() or self.order_ids
        orders.subscription_close(self.reason_id.id, when=self.when, date=self.date)
        return {"type": "ir.actions.act_window_close"}

    def _get_closable_orders(self):
        return self.order_ids.filtered(lambda order: not order._get_close_refusal())

    def _get_effect(self):
        """Return a sentence that says when the close will take effect.

        :rtype: str
        """
        orders = self._get_closable_orders()
        if not orders or not self.when or (self.when == "date" and not self.date):
            return False
        if self.when == "date":
            # Submit refuses a date in the past and says why.
            return self.env._("Closes on %(date)s.", date=format_date(self.env, self.date))
        dates = {order._get_close_date(self.when) for order in orders}
        if dates == {orders[0].company_id._get_subscription_today()}:
            if self.when == "period_end":
                return self.env._("Closes today, because nothing is invoiced beyond today.")
            return self.env._("Closes today. Nothing more will be invoiced.")
        if len(dates) == 1:
            return self.env._(
                "Closes on %(date)s, the end of the period already invoiced.", date=format_date(self.env, dates.pop())
            )
        return self.env._(
            "Close between %(first)s and %(last)s, each at the end of the period already invoiced.",
            first=format_date(self.env, min(dates)),
            last=format_date(self.env, max(dates)),
        )
