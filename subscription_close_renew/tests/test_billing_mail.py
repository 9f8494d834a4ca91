from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import SubscriptionCommon

BATCH_LOGGER = "odoo.addons.subscription_close_renew.models.subscription.sale_order_scheduled"
# Odoo checks a template on saving with an arbitrary invoice; this fails for those of 100.0 only.
BROKEN_SUBJECT = "{{ 1 / (object.amount_total - 100) }}"
JANUARY = ("2027-01-31", "2027-02-28")


@tagged("post_install", "-at_install")
class TestBillingMail(SubscriptionCommon):
    """P10: the invoice is mailed once if there is a template, otherwise never."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.template = cls.env["mail.template"].create(
            {
                "name": "Invoice of a subscription",
                "model_id": cls.env["ir.model"]._get_id("account.move"),
                "subject": "Coffee for {{ object.partner_id.name }}",
                "body_html": "<p>Enjoy.</p>",
                "use_default_to": True,
            }
        )

    def send(self):
        """Run Odoo's own scheduled action that sends invoices."""
        with self.on("2027-01-31"):
            self.run_scheduled_action("account.ir_cron_account_move_send")

    def test_plan_without_a_template_sends_nothing(self):
        order = self.subscription()
        self.bill()
        self.send()
        invoice = self.invoices(order)
        self.assertFalse(invoice.sending_data)
        self.assertFalse(self.mails(invoice))

    def test_invoice_waits_for_the_sender(self):
        self.monthly.invoice_mail_template_id = self.template
        order = self.subscription()
        self.bill()
        self.assertTrue(self.invoices(order).sending_data)
        self.assertFalse(self.mails(self.invoices(order)))

    def test_sender_is_woken(self):
        self.monthly.invoice_mail_template_id = self.template
        self.subscription()
        cron = self.env.ref("account.ir_cron_account_move_send")
        before = self.env["ir.cron.trigger"].search_count([("cron_id", "=", cron.id)])
        self.bill()
        self.assertGreater(self.env["ir.cron.trigger"].search_count([("cron_id", "=", cron.id)]), before)

    def test_customer_gets_the_invoice_once(self):
        self.monthly.invoice_mail_template_id = self.template
        order = self.subscription()
        self.bill()
        self.send()
        mails = self.mails(self.invoices(order))
        self.assertEqual([mail.subject for mail in mails], ["Coffee for Customer"])
        self.assertTrue(self.invoices(order).is_move_sent)

    def test_invoice_is_never_sent_twice(self):
        self.monthly.invoice_mail_template_id = self.template
        order = self.subscription()
        for _run in range(2):
            self.bill()
            self.send()
        self.assertFalse(self.invoices(order).sending_data)
        self.assertEqual(len(self.mails(self.invoices(order))), 1)

    def test_customer_gets_the_invoice_attached(self):
        self.monthly.invoice_mail_template_id = self.template
        order = self.subscription()
        self.bill()
        self.send()
        self.assertEqual(len(self.mails(self.invoices(order))[0].attachment_ids), 1)

    def test_each_plan_has_its_template(self):
        self.monthly.invoice_mail_template_id = self.template
        self.weekly.invoice_mail_template_id = self.template.copy({"subject": "Tea"})
        orders = self.subscription() | self.subscription(plan=self.weekly)
        self.bill()
        self.send()
        subjects = [mail.subject for order in orders for mail in self.mails(self.invoices(order))]
        self.assertEqual(subjects, ["Coffee for Customer", "Tea"])

    def test_invoice_that_was_set_aside_is_not_mailed(self):
        self.monthly.invoice_mail_template_id = self.template
        bad = self.subscription(lines=[self.line(price_unit=-100)])
        with mute_logger(BATCH_LOGGER):
            self.bill()
        self.send()
        self.assertFalse(self.mails(bad))
        self.assertFalse(self.invoices(bad))

    def test_invoice_that_was_reset_is_not_mailed(self):
        self.monthly.invoice_mail_template_id = self.template
        order = self.subscription()
        self.bill()
        self.reset(self.invoices(order))
        self.send()
        self.assertFalse(self.mails(self.invoices(order)))

    def test_mail_that_fails_does_not_prevent_billing(self):
        self.monthly.invoice_mail_template_id = self.template.copy({"subject": BROKEN_SUBJECT})
        order = self.subscription()
        self.bill()
        self.assertEqual(self.billed_periods(order), [JANUARY])
        with mute_logger("odoo.addons.base.models.ir_cron", "odoo.addons.mail.models.mail_render_mixin"):
            self.send()
        self.bill()
        self.assertEqual(len(self.invoices(order)), 1)

    def test_mail_that_fails_prevents_no_other(self):
        self.weekly.invoice_mail_template_id = self.template.copy({"subject": BROKEN_SUBJECT})
        self.monthly.invoice_mail_template_id = self.template
        self.subscription(plan=self.weekly)
        order = self.subscription()
        self.bill()
        with mute_logger("odoo.addons.base.models.ir_cron", "odoo.addons.mail.models.mail_render_mixin"):
            self.send()
        self.assertEqual(len(self.mails(self.invoices(order))), 1)

    def test_customer_without_an_address_is_billed_anyway(self):
        self.monthly.invoice_mail_template_id = self.template
        partner = self.env["res.partner"].create({"name": "Hermit"})
        order = self.subscription(partner_id=partner.id)
        other = self.subscription()
        self.bill()
        with mute_logger("odoo.addons.base.models.ir_cron", "odoo.addons.account.models.account_move_send"):
            self.send()
        self.assertEqual(self.billed_periods(order), [JANUARY])
        self.assertEqual(len(self.mails(self.invoices(other))), 1)
