from odoo import api, fields, models
from odoo.exceptions import UserError

from ..models.catalogue.sale_subscription_plan import RENEWAL_INCREASE
from ..models.subscription.runner import call_isolating_failures


class SaleSubscriptionRenewWizard(models.TransientModel):
    _name = "sale.subscription.renew.wizard"
    _description = "Renew Subscriptions"

    order_ids = fields.Many2many(
        comodel_name="sale.order",
        relation="sale_subscription_renew_wizard_order_rel",
        string="Subscriptions",
        required=True,
    )
    price_increase = fields.Float(
        string="Raise Prices by",
        digits=(16, 2),
        help="Percentage by which the renewal quotations raise the current prices. With 0, the recurring plans determine "
        "the prices.",
    )
    send_mail = fields.Boolean(
        string="Send by Email",
        help="Send each renewal quotation to its customer. Otherwise, the quotations remain drafts.",
    )
    renewable_count = fields.Integer(compute="_compute_renewable")
    refusals = fields.Text(compute="_compute_renewable")
    renewal_ids = fields.Many2many(
        comodel_name="sale.order",
        relation="sale_subscription_renew_wizard_renewal_rel",
        string="Renewal Quotations",
        readonly=True,
    )
    failed_ids = fields.Many2many(
        comodel_name="sale.order",
        relation="sale_subscription_renew_wizard_failed_rel",
        string="Not Renewed",
        readonly=True,
    )

    @api.depends("order_ids")
    def _compute_renewable(self):
        for wizard in self:
            wizard.renewable_count = len(wizard._get_renewable_orders())
            wizard.refusals = wizard.order_ids._get_renew_refusals()

    @api.constrains("price_increase")
    def _check_price_increase(self):
        for wizard in self:
            if not -100 < wizard.price_increase <= 1000:
                raise UserError(
                    self.env._(
                        "A renewal cannot lower prices by 100 percent or more, nor raise them by more than 1,000 percent."
                    )
                )

    def action_submit(self):
        """Create the renewal quotations of all subscriptions that can be renewed, and leave the others unchanged.

        :return: a window action with the quotations
        :rtype: dict
        :raises AccessError: if the user may not change one of the orders
        :raises UserError: if none can be renewed
        """
        self.ensure_one()
        if not self._get_renewable_orders() | self.renewal_ids:
            raise UserError(self.order_ids._get_renew_refusals())
        self.renew_next(len(self.order_ids))
        return self.action_open_renewals()

    def renew_next(self, limit):
        """Create the renewal quotations of the next subscriptions. The pop-up calls this until none is left.

        :param int limit: maximum number of subscriptions
        :return: ``{"done": number of processed subscriptions, "total": number of subscriptions to process}``
        :rtype: dict
        :raises AccessError: if the user may not change one of the orders
        """
        self.ensure_one()
        orders = self._get_waiting_orders()[:limit]
        orders._check_subscription_access()
        if orders:
            orders._lock_for_renewal()
            self._renew(orders)
        done = len(self.renewal_ids) + len(self.failed_ids)
        return {"done": done, "total": done + len(self._get_waiting_orders())}

    def action_open_renewals(self):
        """Open the renewal quotations that were created or found.

        :return: a window action
        :rtype: dict
        """
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "subscription_close_renew.sale_subscription_quotation_action"
        )
        title = self.env._("Renewal Quotations")
        return action | {
            "display_name": title,
            "domain": [("id", "in", self.renewal_ids.ids)],
            "context": {},
        }

    def _get_renewable_orders(self):
        return self.order_ids.filtered(lambda order: not order._get_renew_refusal())

    def _get_waiting_orders(self):
        """Return the subscriptions still to be renewed.

        :rtype: sale.order
        """
        self.ensure_one()
        return self._get_renewable_orders() - self.renewal_ids.subscription_id - self.failed_ids

    def _renew(self, orders):
        """Create or find the renewal quotations of subscriptions, and send them if requested.

        :param orders: `sale.order` that can be renewed
        """
        found = orders._get_open_renewals()
        found._renew_validity()
        missing = RENEWAL_INCREASE.grant(orders - found.subscription_id, self.price_increase)
        self.failed_ids |= call_isolating_failures(missing, lambda missing: missing._make_renewals())
        renewals = orders._get_open_renewals()
        if self.send_mail:
            for renewal in renewals.filtered(lambda renewal: renewal.state == "draft"):
                renewal._send_subscription_mail("subscription_close_renew.mail_template_renewal")
            renewals.filtered(lambda renewal: renewal.state == "draft").action_quotation_sent()
        self.renewal_ids |= renewals
