from odoo import fields, models


class SaleSubscriptionPauseWizard(models.TransientModel):
    _name = "sale.subscription.pause.wizard"
    _description = "Pause Subscription"

    order_ids = fields.Many2many(
        comodel_name="sale.order",
        relation="sale_subscription_pause_wizard_order_rel",
        string="Subscriptions",
        required=True,
    )
    resume_date = fields.Date(
        string="Resume On",
        help="The subscription resumes automatically on this date. Leave empty to resume it manually.",
    )

    def action_submit(self):
        """Pause the subscriptions.

        :return: the action that closes the pop-up
        :rtype: dict
        :raises UserError: if one of them is not in progress, or the date is invalid
        """
        self.ensure_one()
        self.order_ids.subscription_pause(self.resume_date)
        return {"type": "ir.actions.act_window_close"}
