from odoo.tests import tagged
from odoo.tools import html2plaintext, mute_logger

from .common import SubscriptionCommon

BATCH_LOGGER = "odoo.addons.subscription_close_renew.models.subscription.sale_order_scheduled"


@tagged("post_install", "-at_install")
class TestBillingStatus(SubscriptionCommon):
    """The contents of the tab Billing."""

    def test_status_says_what_happens_next_and_why(self):
        in_exception = self.subscription()
        in_exception.sudo().payment_exception = True
        closing = self.subscription(start="2027-02-15")
        self.bill("2027-02-15")
        closing.end_date = "2027-03-01"
        for order, words in (
            (self.quotation(), "is not confirmed. Once confirmed, it will be invoiced from its start date"),
            (
                self.subscription(),
                "has been due since 01/31/2027. The next run of the scheduled action will invoice it",
            ),
            (
                self.subscription(start="2027-02-15"),
                "will next be invoiced on 02/15/2027, and the invoice will be sent",
            ),
            (self.paused_subscription(), "is paused and will not be invoiced until it is resumed"),
            (self.churned_subscription(), "has ended and will not be invoiced again"),
            (in_exception, "The outcome of a payment"),
            (closing, "is scheduled to close on 03/01/2027 and will not be invoiced again"),
        ):
            with self.subTest(words):
                self.assertIn(words, order.billing_status)

    def test_subscription_that_closes_after_its_next_invoice_says_when_that_is(self):
        order = self.subscription(start="2027-02-15")
        order.end_date = "2027-03-01"
        self.assertIn("will next be invoiced on 02/15/2027", order.billing_status)

    def test_ordinary_order_has_no_status(self):
        self.assertFalse(self.quotation(plan=False).billing_status)

    def test_twelve_periods_are_shown(self):
        periods = self.subscription()._get_upcoming_periods()
        self.assertEqual(
            [(str(period["date_start"]), str(period["date_end"])) for period in periods[:3]],
            [("2027-01-31", "2027-02-28"), ("2027-02-28", "2027-03-31"), ("2027-03-31", "2027-04-30")],
        )
        self.assertEqual(len(periods), 12)

    def test_billed_periods_are_not_shown(self):
        order = self.subscription()
        self.bill()
        self.assertEqual(str(order._get_upcoming_periods()[0]["date_start"]), "2027-02-28")

    def test_no_period_is_shown_from_the_end_date_on(self):
        order = self.subscription()
        order.end_date = "2027-03-31"
        self.assertEqual(
            [str(period["date_start"]) for period in order._get_upcoming_periods()], ["2027-01-31", "2027-02-28"]
        )

    def test_rest_of_a_period_is_shown_with_its_amount(self):
        order = self.paused_subscription()
        with self.on("2027-03-10"):
            order.subscription_resume()
        periods = order._get_upcoming_periods()
        self.assertEqual([period["amount"] for period in periods[:2]], [67.74, 100])

    def test_shown_amounts_are_those_of_the_invoices(self):
        order = self.subscription(start="2026-12-31", lines=[self.line(quantity=3, discount=10)])
        shown = [period["amount"] for period in order._get_upcoming_periods()[:2]]
        self.bill()
        self.assertEqual(self.invoices(order).mapped("amount_untaxed"), shown)

    def test_table_shows_first_and_last_day_and_amount(self):
        text = html2plaintext(self.subscription().upcoming_periods)
        for words in ("01/31/2027", "02/27/2027", "100.00"):
            self.assertIn(words, text)

    def test_nothing_is_shown_for_orders_that_are_not_running(self):
        for order in (self.quotation(), self.paused_subscription(), self.churned_subscription()):
            with self.subTest(order.subscription_state):
                self.assertFalse(order.upcoming_periods)


@tagged("post_install", "-at_install")
class TestInvoiceStatus(SubscriptionCommon):
    """Odoo's own invoice status fields over time."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.subscription()

    def to_invoice(self, order):
        line = order.order_line
        self.env.invalidate_all()
        return order.invoice_status, line.qty_to_invoice, order.amount_to_invoice

    def listed(self, order):
        """Return whether the order is listed in Orders to Invoice."""
        self.env.flush_all()
        action = self.env.ref("sale.action_orders_to_invoice")
        self.assertIn("to invoice", action.domain)
        return order in order.search([("invoice_status", "=", "to invoice")])

    def test_first_period_is_to_invoice(self):
        order = self.order
        self.assertEqual(self.to_invoice(order), ("to invoice", 1, 100))
        self.assertTrue(self.listed(order))

    def test_subscription_that_begins_later_is_not_to_invoice_yet(self):
        order = self.subscription(start="2027-02-15")
        self.assertNotEqual(order.invoice_status, "to invoice")
        self.assertEqual(order.amount_to_invoice, 0)
        self.assertFalse(self.listed(order))

    def test_billed_period_is_invoiced(self):
        order = self.order
        self.bill()
        self.assertEqual((order.invoice_status, order.amount_to_invoice), ("invoiced", 0))
        self.assertFalse(self.listed(order))

    def test_nothing_is_negative_after_many_periods(self):
        order = self.subscription(start="2026-06-30")
        self.bill()
        self.assertEqual(len(self.billed_periods(order)), 8)
        line = order.order_line
        self.assertEqual((order.invoice_status, order.amount_to_invoice), ("invoiced", 0))
        self.assertGreaterEqual(line.qty_to_invoice, 0)
        self.assertEqual((line.untaxed_amount_to_invoice, line.amount_to_invoice), (0, 0))
        self.assertEqual(order.amount_invoiced, 800)

    def test_no_line_offers_an_upsell(self):
        order = self.subscription(start="2026-06-30")
        self.bill()
        self.assertEqual(order.order_line.invoice_status, "invoiced")

    @mute_logger(BATCH_LOGGER)
    def test_period_that_was_not_billed_on_its_day_is_to_invoice(self):
        order = self.subscription()
        self.bill()
        order.order_line.price_unit = -100
        self.bill("2027-02-28")
        order.order_line.price_unit = 100
        with self.on("2027-02-28"):
            self.assertEqual(self.to_invoice(order), ("to invoice", 1, 100))
            self.assertTrue(self.listed(order))

    def test_paused_subscription_is_not_to_invoice(self):
        order = self.paused_subscription()
        self.assertEqual(self.to_invoice(order)[1:], (0, 0))
        self.assertFalse(self.listed(order))

    def test_closed_subscription_is_not_to_invoice(self):
        order = self.churned_subscription()
        self.assertEqual(self.to_invoice(order)[1:], (0, 0))
        self.assertFalse(self.listed(order))

    def test_closed_subscription_that_was_invoiced_is_invoiced(self):
        order = self.churned_subscription(invoiced=True)
        self.assertEqual((order.invoice_status, order.amount_to_invoice), ("invoiced", 0))

    def test_one_time_line_added_later_is_to_invoice(self):
        order = self.order
        self.bill()
        order.order_line = [self.line(self.one_time_product)]
        self.assertEqual((order.invoice_status, order.amount_to_invoice), ("to invoice", 30))

    def test_seats_added_to_a_billed_period_are_to_invoice(self):
        order = self.order
        self.bill()
        order.order_line.product_uom_qty = 3
        self.assertEqual(self.to_invoice(order), ("to invoice", 2, 200))

    def test_draft_invoice_leaves_nothing_to_invoice(self):
        order = self.order
        self.invoice(order, post=False)
        self.assertEqual(order.order_line.qty_to_invoice, 0)
        self.assertFalse(self.listed(order))

    def test_period_that_was_reset_is_not_to_invoice_beside_its_draft(self):
        order = self.order
        self.bill()
        self.reset(self.invoices(order))
        self.assertEqual(order.order_line.qty_to_invoice, 0)

    def test_period_that_was_credited_is_to_invoice(self):
        order = self.order
        self.bill()
        invoice = self.invoices(order)
        wizards = invoice.env["account.move.reversal"].with_context(active_model="account.move", active_ids=invoice.ids)
        wizard = wizards.create({"journal_id": invoice.journal_id.id})
        invoice.browse(wizard.refund_moves()["res_id"]).action_post()
        self.assertEqual(self.to_invoice(order), ("to invoice", 1, 100))
