from odoo import api, fields, models


class SaleOrder(models.Model):
    _inherit = "sale.order"

    subscription_id = fields.Many2one(
        comodel_name="sale.order",
        string="Renews",
        copy=False,
        readonly=True,
        index="btree_not_null",
        ondelete="restrict",
        check_company=True,
        help="The subscription that this order renews.",
    )
    renewal_ids = fields.One2many(
        comodel_name="sale.order",
        inverse_name="subscription_id",
        string="Renewals",
    )
    origin_order_id = fields.Many2one(
        comodel_name="sale.order",
        string="First Order",
        compute="_compute_origin_order_id",
        store=True,
        index="btree_not_null",
        recursive=True,
        help="The first order of the chain of renewals that this order belongs to; an order that renews none is its own.",
    )

    @api.depends("plan_id", "subscription_id.origin_order_id")
    def _compute_origin_order_id(self):
        subscriptions = self.filtered("plan_id")
        (self - subscriptions).origin_order_id = False
        for order in subscriptions:
            order.origin_order_id = order.subscription_id.origin_order_id or order._origin

    def _start_subscription(self):
        """Let the orders that renewals renew end where these begin, in the same transaction."""
        res = super()._start_subscription()
        for order in self.filtered("subscription_id"):
            # Whoever may confirm the renewal may end what it renews, also when that is a colleague's.
            order.subscription_id.sudo()._transition_subscription(
                "renew",
                {"next_invoice_date": False},
                message=self.env._("Renewed by %(link)s.", link=order._get_html_link()),
            )
        return res

    def _prepare_subscription_start_values(self):
        values = super()._prepare_subscription_start_values()
        # Only dates are read, for whoever may confirm the renewal.
        parent = self.subscription_id.sudo()
        if parent:
            start_date = max(filter(None, (self.start_date, parent._get_next_unbilled_date())))
            values |= {"start_date": start_date, "next_invoice_date": start_date, "anchor_date": parent.anchor_date}
        return values

    def _cancel_subscription(self):
        """Let the subscription go on that a cancelled renewal has renewed."""
        res = super()._cancel_subscription()
        # Whoever may cancel the renewal may let go on what it had renewed.
        for parent in self.subscription_id.sudo().filtered(lambda parent: parent.subscription_state == "renewed"):
            parent._transition_subscription(
                "unrenew",
                {"next_invoice_date": parent._get_next_unbilled_date()},
                message=self.env._("The order that renewed this subscription was cancelled: the subscription goes on."),
            )
        return res

    def _close(self):
        """Cancel the open renewal quotations of closed subscriptions."""
        res = super()._close()
        # Whoever may close the subscription may cancel its renewal quotations, also those of a colleague.
        self.sudo().renewal_ids.filtered(lambda order: order.state in ("draft", "sent"))._action_cancel()
        return res
