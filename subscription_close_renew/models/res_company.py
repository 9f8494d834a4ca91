from datetime import timezone
from zoneinfo import ZoneInfo

from odoo import fields, models


class ResCompany(models.Model):
    _inherit = "res.company"

    subscription_default_plan_id = fields.Many2one(
        comodel_name="sale.subscription.plan",
        string="Default Recurring Plan",
        check_company=True,
        help="The recurring plan of a new subscription quotation.",
    )

    subscription_responsible_id = fields.Many2one(
        comodel_name="res.users",
        string="Responsible for Subscriptions",
        domain=[("share", "=", False)],
        help="Gets the activities of subscriptions whose salesperson and team leader have left or have no access.",
    )
    subscription_public_closing = fields.Boolean(
        string="Close Without Login",
        help="A public page lets customers close their subscriptions without an account, confirmed by email. The law of "
        "some countries requires it, such as that of Germany and of France.",
    )
    # Stored, so that whoever asks for the date at the company reads no contact for it.
    subscription_tz = fields.Selection(related="partner_id.tz", store=True, readonly=False)

    def _get_default_subscription_plan(self):
        """Return the plan of a new subscription quotation, or none.

        :rtype: sale.subscription.plan
        """
        self.ensure_one()
        return self.subscription_default_plan_id.filtered("active")

    def _get_subscription_today(self):
        """Return today's date where the company is.

        Billing and closing follow the company's time zone (that of its contact), whoever triggers
        them: a scheduled action has no time zone of its own, and a salesperson may be anywhere.

        :rtype: date
        """
        zone = ZoneInfo(self._get_subscription_zone())
        return fields.Datetime.now().replace(tzinfo=timezone.utc).astimezone(zone).date()

    def _get_subscription_zone(self):
        """Return the name of the time zone that the dates of subscriptions follow.

        :rtype: str
        """
        self.ensure_one()
        # A time zone is no secret, also from whom the company is hidden.
        return self.sudo().subscription_tz or "UTC"
