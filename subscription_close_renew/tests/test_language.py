from odoo.tests import tagged

from .payment_common import SubscriptionPaymentCommon


@tagged("post_install", "-at_install")
class TestLanguage(SubscriptionPaymentCommon):
    """Texts written by scheduled actions are in the language of their readers."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["res.lang"]._activate_lang("fr_FR")
        cls.env["res.lang"]._activate_lang("de_DE")
        cls.customer.lang = "fr_FR"
        # Scheduled actions run in the company of their user.
        cls.env.ref("base.user_root").company_id.partner_id.lang = "de_DE"

    def test_customer_reads_the_period_on_the_invoice_in_their_language(self):
        order = self.subscription()
        self.bill()
        self.assertIn("Du 31/01/2027 au 27/02/2027", self.invoices(order).invoice_line_ids.name)

    def test_customer_reads_the_period_in_their_language_on_a_manual_invoice(self):
        order = self.subscription()
        self.assertIn("Du 31/01/2027 au 27/02/2027", self.invoice(order).invoice_line_ids.name)

    def test_customer_reads_why_nothing_was_charged_in_their_language(self):
        order = self.subscription(card=self.card(subscription_valid_until="2027-01-30"))
        self.bill()
        self.assertEqual(order.period_ids.charge_error, "Le mode de paiement enregistré a expiré.")

    def test_staff_read_scheduled_actions_in_the_chatter_in_their_language(self):
        order = self.subscription()
        self.invoice(order)
        order.subscription_close(self.reason.id, when="period_end")
        self.expire("2027-02-28")
        self.assertIn("Abonnement beendet.", self.chatter(order))
