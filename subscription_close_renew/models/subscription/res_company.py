import logging
from contextlib import suppress
from datetime import timezone
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytz

from odoo import fields, models

_logger = logging.getLogger(__name__)


@lru_cache
def _get_zone(name):
    """Return a time zone, also if the system does not know it by this name; UTC if nobody does.

    :param str name: such as ``Asia/Calcutta``, which systems without the old names lack
    :rtype: datetime.tzinfo
    """
    with suppress(ValueError, ZoneInfoNotFoundError):
        return ZoneInfo(name)
    try:
        return pytz.timezone(name)
    except pytz.UnknownTimeZoneError:
        _logger.warning(
            "Nobody knows the time zone %s: install tzdata-legacy. Its companies bill by UTC until then.", name
        )
        return timezone.utc


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
        now = fields.Datetime.now().replace(tzinfo=timezone.utc)
        return now.astimezone(self._get_subscription_tzinfo()).date()

    def _get_subscription_tzinfo(self):
        """Return the time zone that the dates of subscriptions follow.

        :rtype: datetime.tzinfo
        """
        self.ensure_one()
        return _get_zone(self._get_subscription_zone())

    def _get_subscription_zone(self):
        """Return the name of the time zone that the dates of subscriptions follow.

        :rtype: str
        """
        self.ensure_one()
        # A time zone is no secret, also from whom the company is hidden.
        return self.sudo().subscription_tz or "UTC"
