from odoo.tests import tagged

from .payment_common import SubscriptionPaymentCommon


@tagged("post_install", "-at_install")
class TestLanguage(SubscriptionPaymentCommon):
    """What is written at night, when nobody is logged in, is in the language of those who read it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["res.lang"]._activate_lang("fr_FR")
        cls.env["res.lang"]._activate_lang("de_DE")
        cls.customer.lang = "fr_FR"
        # Scheduled actions run for the company of the user who does them.
        cls.env.ref("base.user_root").company_id.partner_id.lang = "de_DE"

    def test_customer_reads_the_period_on_the_invoice_in_their_language(self):
        order = self.subscription()
        self.bill()
        self.assertIn("Du 31/01/2027 au 27/02/2027", self.invoices(order).invoice_line_ids.name)

    def test_customer_reads_the_period_in_their_language_when_it_is_invoiced_by_hand(self):
        order = self.subscription()
        self.assertIn("Du 31/01/2027 au 27/02/2027", self.invoice(order).invoice_line_ids.name)

    def test_customer_reads_why_nothing_was_charged_in_their_language(self):
        order = self.subscription(card=self.card(subscription_valid_until="2027-01-30"))
        self.bill()
        self.assertEqual(order.period_ids.charge_error, "Le mode de paiement enregistré a expiré.")

    def test_staff_read_in_the_chatter_what_a_scheduled_action_did_in_their_language(self):
        order = self.subscription()
        self.invoice(order)
        order.subscription_close(self.reason.id, when="period_end")
        self.expire("2027-02-28")
        self.assertIn("Abonnement beendet.", self.chatter(order))
