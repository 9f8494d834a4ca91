from datetime import date

from odoo.tests import Form, freeze_time, tagged

from .common import SubscriptionCommon


@tagged("post_install", "-at_install")
class TestSettings(SubscriptionCommon):
    @freeze_time("2027-01-31 21:00:00")
    def test_administrator_chooses_where_the_day_begins(self):
        settings = Form(self.env["res.config.settings"])
        settings.subscription_tz = "Asia/Tehran"
        settings.save().execute()
        self.assertEqual(self.company._get_subscription_today(), date(2027, 2, 1))
