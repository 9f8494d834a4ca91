import requests

from odoo.tests import tagged

from .payment_common import SubscriptionPaymentCommon


@tagged("post_install", "-at_install")
class TestPayment(SubscriptionPaymentCommon):
    """F1–F3, P1–P3: what is charged, and what is not."""

    def test_paid_period_is_invoiced_and_settled(self):
        order = self.subscription(card=self.card())
        with self.provider("done"):
            self.bill()
        period = order.period_ids.sudo()
        self.assertEqual((period.status, period.invoice_ids.state), ("paid", "posted"))
        self.assertEqual(len(self.calls), 1)
        self.assertDates(order, next_invoice_date="2027-02-28")
        self.assertFalse(order.payment_exception)

    def test_paid_period_is_not_charged_again(self):
        self.subscription(card=self.card())
        with self.provider("done"):
            self.bill()
            self.bill()
        self.assertEqual(len(self.calls), 1)

    def test_unanswered_charge_freezes_the_subscription(self):
        order = self.subscription(card=self.card())
        with self.provider(requests.Timeout()):
            self.bill()
            self.bill("2027-03-15")
        self.assertTrue(order.payment_exception)
        self.assertEqual(order.period_ids.status, "unknown")
        self.assertEqual(len(self.calls), 1)

    def test_declined_period_is_invoiced_and_tried_again(self):
        order = self.subscription(card=self.card())
        with self.provider("declined", "done"):
            self.bill()
            self.assertEqual(order.period_ids.status, "declined")
            self.assertDates(order.period_ids, retry_date="2027-02-01")
            self.bill("2027-02-01")
        self.assertEqual(order.period_ids.status, "paid")
        self.assertEqual(len(set(self.calls)), 2)

    def test_pending_period_waits_for_the_notification(self):
        order = self.subscription(card=self.card())
        with self.provider("pending"):
            self.bill()
            self.bill("2027-02-10")
        self.assertEqual(order.period_ids.status, "pending")
        self.assertEqual(len(self.calls), 1)
        self.notify(self.charges(order), "done")
        self.assertEqual(order.period_ids.status, "paid")

    def test_late_success_resolves_the_exception(self):
        order = self.subscription(card=self.card())
        with self.provider(requests.Timeout()):
            self.bill()
        self.notify(self.charges(order), "done")
        self.assertFalse(order.payment_exception)
        self.assertEqual(order.period_ids.status, "paid")
        self.assertDates(order, next_invoice_date="2027-02-28")

    def test_server_error_is_an_unknown_outcome(self):
        order = self.subscription(card=self.card())
        with self.provider(500):
            self.bill()
        self.assertTrue(order.payment_exception)

    def test_other_amount_is_an_unknown_outcome(self):
        order = self.subscription(card=self.card())
        with self.provider("mismatch"):
            self.bill()
            self.bill("2027-02-10")
        self.assertTrue(order.payment_exception)
        self.assertEqual(len(self.calls), 1)

    def test_too_many_requests_are_no_decline(self):
        order = self.subscription(card=self.card())
        with self.provider(429, "done"):
            self.bill()
            self.assertEqual((order.payment_exception, order.period_ids.status), (False, "draft"))
            self.bill()
        self.assertEqual(order.period_ids.status, "paid")
