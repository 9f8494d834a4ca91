from odoo import fields, models
from odoo.exceptions import UserError

from ..catalogue.sale_subscription_plan import PERIOD_FIELDS


class SaleSubscriptionPlan(models.Model):
    """What subscriptions a plan has, and which changes these rule out."""

    _inherit = "sale.subscription.plan"

    subscription_count = fields.Integer(compute="_compute_subscription_count")

    def _check_change(self, vals):
        if PERIOD_FIELDS & vals.keys():
            self._check_period_change(vals)
        res = super()._check_change(vals)
        if vals.get("company_id"):
            self._check_company_change(vals["company_id"])
        return res

    def _compute_subscription_count(self):
        counts = dict(self.env["sale.order"]._read_group(self._get_subscription_domain(), ["plan_id"], ["__count"]))
        for plan in self:
            plan.subscription_count = counts.get(plan, 0)

    def action_open_subscriptions(self):
        """Open the subscriptions of this plan.

        :return: a window action
        :rtype: dict
        """
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id("subscription_close_renew.sale_subscription_action")
        return action | {
            "domain": self._get_subscription_domain(),
            "context": {"default_plan_id": self.id, "subscription_quotation": True},
        }

    def _get_subscription_domain(self):
        return [("plan_id", "in", self.ids), ("state", "=", "sale")]

    def _check_period_change(self, vals):
        """Refuse another period while subscriptions run: all their dates would move."""
        changed = self.filtered(lambda plan: any(plan[name] != vals[name] for name in PERIOD_FIELDS & vals.keys()))
        if not changed:
            return
        # Every order counts, also those that the user may not see.
        running = (
            self.env["sale.order"]
            .sudo()
            ._read_group(
                [
                    ("plan_id", "in", changed.ids),
                    ("subscription_state", "in", self.env["sale.order"]._get_running_states()),
                ],
                ["plan_id"],
                ["__count"],
            )
        )
        for plan, count in running:
            raise UserError(
                self.env._(
                    "Subscriptions run on the recurring plan %(plan)s (%(count)s), and another billing period would "
                    "move all their dates. Create a new plan instead.",
                    plan=plan.name,
                    count=count,
                )
            )

    def _check_company_change(self, company_id):
        """Refuse to let a plan belong to one company while another uses it.

        :param int company_id: the company that would have it
        :raises UserError: naming the first such plan
        """
        # Every company counts, also those that the user may not see.
        others = [("plan_id", "in", self.ids), ("company_id", "not in", (company_id, False))]
        used = self.env["sale.order"].sudo()._read_group(others, ["plan_id"])
        used += self.env["product.pricelist.item"].sudo()._read_group(others, ["plan_id"])
        defaults = [("subscription_default_plan_id", "in", self.ids), ("id", "!=", company_id)]
        used += self.env["res.company"].sudo()._read_group(defaults, ["subscription_default_plan_id"])
        for (plan,) in used:
            raise UserError(
                self.env._(
                    "Other companies use the recurring plan %(plan)s, so it stays shared. Create a plan for this company "
                    "instead.",
                    plan=plan.name,
                )
            )
