from odoo.exceptions import ValidationError
from odoo.tests import TransactionCase, tagged


@tagged("post_install", "-at_install")
class TestBillingWorkers(TransactionCase):
    """The setting for the number of scheduled actions that bill in parallel."""

    def workers(self):
        return self.env["ir.cron"]._get_subscription_billing_crons()

    def set_workers(self, count):
        self.env["res.config.settings"].create({"subscription_billing_workers": count}).execute()

    def test_one_worker_bills_at_first(self):
        self.assertEqual(self.workers(), self.env.ref("subscription_close_renew.ir_cron_subscription_billing"))

    def test_settings_show_how_many_there_are(self):
        self.set_workers(3)
        self.assertEqual(self.env["res.config.settings"].create({}).subscription_billing_workers, 3)

    def test_each_worker_is_a_scheduled_action_that_runs_when_the_first_does(self):
        self.set_workers(4)
        self.assertEqual(len(self.workers()), 4)
        self.assertEqual(len(set(self.workers().mapped("nextcall"))), 1)
        self.assertEqual(set(self.workers().mapped("active")), {True})

    def test_fewer_workers_leave_the_first(self):
        self.set_workers(4)
        self.set_workers(1)
        self.assertEqual(self.workers(), self.env.ref("subscription_close_renew.ir_cron_subscription_billing"))

    def test_numbers_out_of_range_are_refused(self):
        for count in (0, 17):
            with self.subTest(count), self.assertRaisesRegex(ValidationError, "from 1 to 16"):
                self.set_workers(count)
