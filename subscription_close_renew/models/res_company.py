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
        self.ensure_one()
        # A time zone is no secret, also from whom the contact is hidden.
        zone = ZoneInfo(self.partner_id.sudo().tz or "UTC")
        return fields.Datetime.now().replace(tzinfo=timezone.utc).astimezone(zone).date()
