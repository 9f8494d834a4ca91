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
    """Return a time zone by name, or UTC if neither the system nor pytz knows the name.

    :param str name: such as ``Asia/Calcutta``, which is missing on systems without the old names
    :rtype: datetime.tzinfo
    """
    with suppress(ValueError, ZoneInfoNotFoundError):
        return ZoneInfo(name)
    try:
        return pytz.timezone(name)
    except pytz.UnknownTimeZoneError:
        _logger.warning(
            "Unknown time zone %s: install tzdata-legacy. Until then, companies in this zone are billed in UTC.", name
        )
        return timezone.utc


class ResCompany(models.Model):
    _inherit = "res.company"

    subscription_default_plan_id = fields.Many2one(
        comodel_name="sale.subscription.plan",
        string="Default Recurring Plan",
        check_company=True,
        help="The recurring plan of new subscription quotations.",
    )

    subscription_responsible_id = fields.Many2one(
        comodel_name="res.users",
        string="Responsible for Subscriptions",
        domain=[("share", "=", False)],
        help="Receives the activities of subscriptions whose salesperson and team leader have left or have no access.",
    )
    # Stored, so that reading a company's date does not require access to its contact.
    subscription_tz = fields.Selection(related="partner_id.tz", store=True, readonly=False)

    def _get_default_subscription_plan(self):
        """Return the plan of new subscription quotations; empty if none is set.

        :rtype: sale.subscription.plan
        """
        self.ensure_one()
        return self.subscription_default_plan_id.filtered("active")

    def _get_subscription_today(self):
        """Return today's date in the time zone of the company.

        Billing and closing follow the time zone of the company (that of its contact), regardless of who triggers them:
        a scheduled action has no time zone of its own, and a salesperson may be anywhere.

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
        # sudo: a time zone is not confidential, even for users without access to the company.
        return self.sudo().subscription_tz or "UTC"
