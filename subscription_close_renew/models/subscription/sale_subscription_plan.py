from odoo import fields, models
from odoo.exceptions import UserError

from ..catalogue.sale_subscription_plan import PERIOD_FIELDS


class SaleSubscriptionPlan(models.Model):
    """The subscriptions of a plan, and the changes they rule out."""

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
        """Check that no running subscription uses a plan whose billing period changes: all its dates would move."""
        changed = self.filtered(lambda plan: any(plan[name] != vals[name] for name in PERIOD_FIELDS & vals.keys()))
        if not changed:
            return
        # sudo: every order counts, including those hidden from the user; only a count is shown.
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
                    "The recurring plan %(plan)s has active subscriptions (%(count)s), and changing its billing period "
                    "would move all their dates. Create a new plan instead.",
                    plan=plan.name,
                    count=count,
                )
            )

    def _check_company_change(self, company_id):
        """Check that a plan restricted to one company is not used by others.

        :param int company_id: the company the plan would belong to
        :raises UserError: for the first plan used by another company
        """
        # sudo: every company counts, including those hidden from the user; only the plan is named.
        others = [("plan_id", "in", self.ids), ("company_id", "not in", (company_id, False))]
        used = self.env["sale.order"].sudo()._read_group(others, ["plan_id"])
        used += self.env["product.pricelist.item"].sudo()._read_group(others, ["plan_id"])
        defaults = [("subscription_default_plan_id", "in", self.ids), ("id", "!=", company_id)]
        used += self.env["res.company"].sudo()._read_group(defaults, ["subscription_default_plan_id"])
        for (plan,) in used:
            raise UserError(
                self.env._(
                    "Other companies use the recurring plan %(plan)s, so it must remain shared. Create a plan for this "
                    "company instead.",
                    plan=plan.name,
                )
            )
