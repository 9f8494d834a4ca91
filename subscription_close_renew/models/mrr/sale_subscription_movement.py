from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError

from ...tools.guard import Guard

MOVEMENT_KINDS = [
    ("new", "New"),
    ("expansion", "Expansion"),
    ("contraction", "Contraction"),
    ("churn", "Churn"),
    ("reactivation", "Reactivation"),
    ("pause", "Pausing"),
    ("resume", "Resuming"),
    ("renewal", "Renewal"),
    ("currency", "Currency"),
]
# A person's changes within this time are one movement: correcting a typing error is neither expansion nor contraction.
MERGE_TIME = timedelta(hours=1)

# Granted to the methods that may write movements.
_LEDGER = Guard("subscription_ledger")


class SaleSubscriptionMovement(models.Model):
    _name = "sale.subscription.movement"
    _inherit = ["sale.subscription.currency.mixin"]
    _description = "MRR Movement"
    _order = "date desc, id desc"
    _rec_name = "order_id"
    _report_currency_field = "company_currency_id"

    order_id = fields.Many2one(
        comodel_name="sale.order",
        string="Subscription",
        required=True,
        readonly=True,
        index=True,
        ondelete="cascade",
    )
    origin_order_id = fields.Many2one(
        comodel_name="sale.order",
        string="First Order",
        required=True,
        readonly=True,
        index=True,
        ondelete="cascade",
        help="The first order of the chain of renewals.",
    )
    kind = fields.Selection(selection=MOVEMENT_KINDS, required=True, readonly=True)
    date = fields.Date(required=True, readonly=True, help="The first day with the new monthly recurring revenue.")
    amount = fields.Monetary(
        string="MRR Change", required=True, readonly=True, help="In the currency of the subscription."
    )
    currency_id = fields.Many2one(comodel_name="res.currency", required=True, readonly=True)
    amount_company = fields.Monetary(
        string="MRR",
        currency_field="company_currency_id",
        required=True,
        readonly=True,
        help="Change of the monthly recurring revenue, in the company's currency, at the rate of the day.",
    )
    company_id = fields.Many2one(comodel_name="res.company", required=True, readonly=True)
    company_currency_id = fields.Many2one(related="company_id.currency_id", string="Company Currency")
    partner_id = fields.Many2one(
        comodel_name="res.partner", string="Customer", required=True, readonly=True, index=True, ondelete="restrict"
    )
    plan_id = fields.Many2one(
        comodel_name="sale.subscription.plan",
        string="Recurring Plan",
        required=True,
        readonly=True,
        index=True,
        ondelete="restrict",
    )
    user_id = fields.Many2one(related="order_id.user_id", string="Salesperson")
    country_id = fields.Many2one(related="partner_id.country_id")

    _company_date_idx = models.Index("(company_id, date)")
    # Retention looks up when each customer started.
    _start_idx = models.Index(
        "(partner_id, date) INCLUDE (company_id, amount_company) WHERE kind IN ('new', 'renewal')"
    )

    @api.model_create_multi
    def create(self, vals_list):
        self._check_ledger_access()
        return super().create(vals_list)

    def write(self, vals):
        self._check_ledger_access()
        return super().write(vals)

    @api.ondelete(at_uninstall=False)
    def _unlink_except_ledger(self):
        self._check_ledger_access()

    def action_check(self):
        """Recompute from the orders what the ledger should add up to, and open the subscriptions that differ.

        Checks all subscriptions, whichever movements are selected in the list.

        :return: a notification that all agree, or a window action with those that do not
        :rtype: dict
        :raises AccessError: if the user is no administrator of Sales
        """
        if not self.env.user.has_group("sales_team.group_sale_manager"):
            raise AccessError(self.env._("Only an administrator of Sales can check the MRR ledger."))
        orders = self.env["sale.order"]
        # The check reads all subscriptions. The user sees only those that the record rules allow.
        differing = [difference["order_id"] for difference in orders._get_mrr_differences()]
        differences = orders.search([("id", "in", differing)])
        if not differences:
            message = self.env._("The MRR ledger agrees with all subscriptions.")
            return {
                "type": "ir.actions.client",
                "tag": "display_notification",
                "params": {"type": "success", "message": message},
            }
        action = self.env["ir.actions.act_window"]._for_xml_id("subscription_close_renew.sale_subscription_action")
        title = self.env._("MRR differs")
        return action | {
            "display_name": title,
            "domain": [("id", "in", differences.ids)],
            "context": {},
        }

    def _check_ledger_access(self):
        """Refuse manual changes to the ledger.

        :raises UserError: unless a method of the ledger writes
        """
        if not _LEDGER.get(self.env.context):
            raise UserError(self.env._("MRR movements are recorded automatically and cannot be changed manually."))

    @api.model
    def _append(self, vals_list):
        """Add movements to the ledger.

        :param list vals_list: values of movements, in the order in which they happened
        :rtype: sale.subscription.movement
        """
        if not vals_list:
            return self.browse()
        # sudo: nobody may write movements; the method that changed the order has checked the right to it.
        return _LEDGER.grant(self.sudo()).create(vals_list)

    @api.model
    def _append_changes(self, vals_list):
        """Add expansions and contractions, merging each with the previous one if the same person made it a moment ago.

        :param list vals_list: values of movements, at most one for each order
        """
        merging = self._get_mergeable([values["order_id"] for values in vals_list])
        fresh = []
        for values in vals_list:
            movement = merging.get(values["order_id"])
            if movement and (movement.currency_id.id, movement.date) == (values["currency_id"], values["date"]):
                movement._merge(values)
            else:
                fresh.append(values)
        self._append(fresh)

    @api.model
    def _get_mergeable(self, order_ids):
        """Return the last movements of orders that the user made a moment ago by changing lines.

        :param list order_ids: ids of `sale.order`
        :return: ``{order id: movement}``
        :rtype: dict
        """
        # sudo: nobody may write movements; the method that changed the order has checked the right to it.
        ledger = _LEDGER.grant(self.sudo())
        recent = ledger.search(
            [("order_id", "in", order_ids), ("create_date", ">=", self.env.cr.now() - MERGE_TIME)], order="id"
        )
        last = {movement.order_id.id: movement for movement in recent}
        return {
            order_id: movement
            for order_id, movement in last.items()
            if movement.kind in ("expansion", "contraction") and movement.create_uid == self.env.user
        }

    def _merge(self, values):
        """Add another change to a movement, and delete it if nothing is left.

        :param dict values: values of a movement
        """
        self.ensure_one()
        amount = self.currency_id.round(self.amount + values["amount"])
        amount_company = self.company_currency_id.round(self.amount_company + values["amount_company"])
        if self.currency_id.is_zero(amount) and self.company_currency_id.is_zero(amount_company):
            self.unlink()
        else:
            self.write({"amount": amount, "amount_company": amount_company, "kind": self._get_change_kind(amount)})

    @api.model
    def _get_change_kind(self, amount):
        """Return the kind of movement for a change of the recurring lines.

        :param float amount: signed
        :rtype: str
        """
        return "contraction" if amount < 0 else "expansion"
