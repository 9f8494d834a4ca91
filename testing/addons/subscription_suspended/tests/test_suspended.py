from odoo.exceptions import UserError
from odoo.tests import Form, HttpCase, tagged

from odoo.addons.subscription_close_renew.tests.common import SubscriptionCommon

MODULE = "subscription_close_renew"


@tagged("post_install", "-at_install")
class TestSuspended(SubscriptionCommon):
    """Another addon's additions to the tables are effective everywhere."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.subscription()
        cls.order._transition_subscription("suspend", message="Suspended.")

    def test_event_leads_to_the_state(self):
        self.assertEqual(self.order.subscription_state, "suspended")
        self.order._transition_subscription("restore")
        self.assertEqual(self.order.subscription_state, "progress")

    def test_event_is_refused_elsewhere(self):
        with self.assertRaisesRegex(UserError, "Suspended"):
            self.order._transition_subscription("suspend")

    def test_event_is_a_movement_of_the_kind(self):
        movement = self.order.sudo().movement_ids.sorted("id")[-1:]
        self.assertEqual((movement.kind, movement.amount), ("suspension", -100.0))
        self.assertEqual(self.env["sale.order"]._get_mrr_differences(), [])

    def test_timeline_has_the_label_of_the_kind(self):
        self.assertIn("Suspension", self.order.subscription_timeline)

    def test_nothing_is_invoiced(self):
        self.bill(until="2027-03-31")
        self.assertFalse(self.order.sudo().period_ids)

    def test_refusal_in_the_state_comes_from_the_addon(self):
        with self.assertRaisesRegex(UserError, "Restore it"):
            self.order.subscription_renew()

    def test_suspended_subscription_can_be_closed(self):
        self.order.subscription_close(self.reason.id)
        self.assertEqual(self.order.subscription_state, "churned")

    def test_policy_receives_the_date_and_the_reason(self):
        with self.assertRaisesRegex(UserError, "three months"):
            self.order.subscription_close(self.hidden_reason.id)
        with self.assertRaisesRegex(UserError, "three months"):
            self.order.subscription_close(self.hidden_reason.id, when="date", date="2027-04-29")
        self.order.subscription_close(self.hidden_reason.id, when="date", date="2027-04-30")
        self.assertTrue(self.order.is_closing)

    def test_policy_says_nothing_before_a_day_is_chosen(self):
        self.assertTrue(self.order.action_subscription_close())

    def test_form_opens(self):
        with Form(self.order) as form:
            self.assertEqual(form.subscription_state, "suspended")

    def test_each_screen_and_report_opens(self):
        actions = self.env["ir.actions.act_window"].search([])
        opened = 0
        for action in actions.filtered(lambda action: (action.xml_id or "").startswith(f"{MODULE}.")):
            model = self.env[action.res_model]
            views = model.get_views([view for view in action.views if view[1] != "search"])["views"]
            for view_type, view in views.items():
                names = [name for name in model.fields_get(attributes=[]) if f'name="{name}"' in view["arch"]]
                stored = [name for name in names if model._fields[name].store and name != "id"]
                if view_type in ("graph", "pivot"):
                    groups = [name for name in stored if model._fields[name].type in ("selection", "many2one")]
                    for name in groups:
                        model.formatted_read_group([], [name], ["__count"])
                elif not model._transient:
                    model.web_search_read([], {name: {} for name in names})
                opened += 1
        self.assertGreater(opened, 15)

    def test_reports_group_by_the_state_and_the_kind(self):
        self.env.flush_all()
        states = self.env["sale.subscription.report"].formatted_read_group([], ["subscription_state"], ["__count"])
        self.assertIn("suspended", [row["subscription_state"] for row in states])
        labels = self.env["sale.subscription.report"].fields_get(["subscription_state"])["subscription_state"][
            "selection"
        ]
        self.assertIn(("suspended", "Suspended"), labels)
        kinds = self.env["sale.subscription.movement"].formatted_read_group([], ["kind"], ["__count"])
        self.assertIn("suspension", [row["kind"] for row in kinds])
        self.assertTrue(self.env["sale.subscription.movement"].get_retention()["rows"])

    def test_report_has_a_measure_of_a_joined_table(self):
        self.monthly.auto_close_days = 30
        self.env.flush_all()
        mine = [("order_id", "=", self.order.id)]
        [row] = self.env["sale.subscription.report"].formatted_read_group(mine, ["plan_id"], ["auto_close_days:max"])
        self.assertEqual(row["auto_close_days:max"], 30)


@tagged("post_install", "-at_install")
class TestSuspendedPages(HttpCase, SubscriptionCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.subscription()
        cls.order._transition_subscription("suspend")

    def test_pages_of_the_portal_open(self):
        self.authenticate(self.portal_user.login, self.portal_user.login)
        page = self.url_open("/my/subscriptions")
        self.assertEqual(page.status_code, 200)
        self.assertIn("Suspended", page.text)
        for path in ("", "/closing"):
            page = self.url_open(self.order._get_subscription_url(path))
            self.assertIn(page.status_code, (200, 403), path)
        self.assertIn("Suspended", self.url_open(self.order._get_subscription_url()).text)
