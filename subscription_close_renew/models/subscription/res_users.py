from odoo import models


class ResUsers(models.Model):
    _inherit = "res.users"

    def write(self, vals):
        if not vals.get("active", True):
            self._hand_over_subscription_activities()
        return super().write(vals)

    def action_archive(self):
        # Odoo deletes the activities before it calls write().
        self._hand_over_subscription_activities()
        return super().action_archive()

    def _hand_over_subscription_activities(self):
        """Reassign the subscription activities of users who leave to a colleague."""
        # sudo: Odoo checks the right to archive users; administrators may have no rights in Sales.
        activities = (
            self.env["mail.activity"]
            .sudo()
            .search([("user_id", "in", self.ids), ("res_model", "=", "sale.order"), ("automated", "=", True)])
        )
        orders = self.env["sale.order"].sudo().browse(set(activities.mapped("res_id"))).exists().filtered("plan_id")
        for order in orders:
            own = activities.filtered(lambda activity, order=order: activity.res_id == order.id)
            own.user_id = order._get_attentive_user(besides=self)
