from odoo.fields import Command
from odoo.tests import tagged

from .common import SubscriptionCommon


@tagged("post_install", "-at_install")
class TestReopening(SubscriptionCommon):
    """An administrator reopens a closed subscription."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.churned_subscription()

    def test_administrator_reopens(self):
        order = self.order.with_user(self.administrator)
        self.assertTrue(order.subscription_reopen())
        self.assertEqual((order.subscription_state, order.is_closing), ("progress", False))
        self.assertFalse(order.close_reason_id)
        self.assertFalse(order.close_requested_on)
        self.assertDates(order, end_date=False, closed_on=False)

    def test_salesperson_may_not_reopen(self):
        order = self.order
        for user in (self.salesperson, self.sales_lead):
            with self.subTest(user.name), self.assertRefused("Only an administrator"):
                order.with_user(user).subscription_reopen()
        self.assertEqual(order.subscription_state, "churned")

    def test_chatter_shows_who_reopened(self):
        order = self.order.with_user(self.administrator)
        order.subscription_reopen()
        message = self.last_message(order)
        self.assertIn("Subscription reopened", message.body)
        self.assertEqual(message.author_id, self.administrator.partner_id)
        self.assertEqual(self.changes(message)["subscription_state"], ("Churned", "In Progress"))

    def test_reopened_subscription_keeps_its_start(self):
        order = self.churned_subscription(start="2026-06-15").with_user(self.administrator)
        order.subscription_reopen()
        self.assertDates(order, start_date="2026-06-15", anchor_date="2026-06-15")

    def test_reopened_on_the_same_day_continues_unchanged(self):
        order = self.churned_subscription(start="2026-12-15").with_user(self.administrator)
        order.subscription_reopen()
        self.assertDates(order, next_invoice_date="2026-12-15")

    def test_reopened_later_uses_up_the_invoiced_period(self):
        order = self.churned_subscription(invoiced=True).with_user(self.administrator)
        with self.on("2027-02-10"):
            order.subscription_reopen()
        self.assertDates(order, next_invoice_date="2027-02-28")

    def test_days_between_close_and_reopening_are_not_invoiced(self):
        order = self.churned_subscription(invoiced=True).with_user(self.administrator)
        with self.on("2027-04-10"):
            order.subscription_reopen()
        self.assertDates(order, next_invoice_date="2027-04-10")

    def test_dates_return_to_the_anchor_after_the_reopening(self):
        order = self.churned_subscription(invoiced=True).with_user(self.administrator)
        with self.on("2027-04-10"):
            order.subscription_reopen()
            self.invoice(order)
        self.assertDates(order, next_invoice_date="2027-04-30")

    def test_reopened_subscription_brings_revenue_again(self):
        order = self.order.with_user(self.administrator)
        order.subscription_reopen()
        self.assertEqual(order.recurring_monthly, 100.0)

    def test_reopened_subscription_can_be_closed_again(self):
        order = self.order.with_user(self.administrator)
        order.subscription_reopen()
        order.subscription_close(self.hidden_reason.id)
        self.assertEqual((order.subscription_state, order.close_reason_id), ("churned", self.hidden_reason))

    def test_reopened_subscription_stays_open_at_the_next_run(self):
        order = self.order.with_user(self.administrator)
        order.subscription_reopen()
        self.expire(until="2027-03-01")
        self.assertEqual(order.subscription_state, "progress")

    def test_invoice_corrected_after_the_close_is_not_billed_again(self):
        order = self.subscription()
        invoice = self.invoice(order)
        order.subscription_close(self.reason.id)
        self.reset(invoice)
        invoice.action_post()
        order.with_user(self.administrator).subscription_reopen()
        self.assertDates(order, next_invoice_date="2027-02-28")

    def test_running_subscription_cannot_be_reopened(self):
        with self.assertRefused("not possible while .* has the subscription status In Progress"):
            self.subscription().with_user(self.administrator).subscription_reopen()

    def test_cancelled_subscription_cannot_be_reopened(self):
        order = self.order.with_user(self.administrator)
        order._action_cancel()
        with self.assertRefused("not possible while"):
            order.subscription_reopen()

    def test_ordinary_order_cannot_be_reopened(self):
        order = self.quotation(plan=False, lines=[self.line(self.one_time_product)])
        order.action_confirm()
        with self.assertRefused("is not a subscription"):
            order.with_user(self.administrator).subscription_reopen()


@tagged("post_install", "-at_install")
class TestCancelling(SubscriptionCommon):
    """A running subscription that was invoiced is closed, not cancelled."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.made_once("invoiced_subscription")

    def mass_cancel(self, orders):
        """Cancel from the list, as its action does."""
        wizards = orders.env["sale.mass.cancel.orders"]
        wizards.create({"sale_order_ids": [Command.set(orders.ids)]}).action_mass_cancel()

    def invoiced_subscription(self):
        order = self.subscription()
        self.invoice(order)
        return order

    def test_invoiced_subscription_cannot_be_cancelled(self):
        order = self.order
        with self.assertRefused("has been invoiced, so it cannot be cancelled. Close the subscription instead"):
            order.action_cancel()
        self.assertEqual((order.state, order.subscription_state), ("sale", "progress"))

    def test_invoiced_subscription_cannot_be_cancelled_from_the_list(self):
        order = self.order
        with self.assertRefused("Close the subscription instead"):
            self.mass_cancel(order)
        self.assertEqual((order.state, order.subscription_state), ("sale", "progress"))

    def test_list_with_an_invoiced_subscription_cancels_none(self):
        fresh, invoiced = self.subscription(), self.invoiced_subscription()
        with self.assertRefused(invoiced.name):
            self.mass_cancel(fresh | invoiced)
        self.assertEqual((fresh.state, fresh.subscription_state), ("sale", "progress"))

    def test_invoiced_and_paused_subscription_cannot_be_cancelled(self):
        order = self.order
        order.subscription_pause()
        with self.assertRefused("Close the subscription instead"):
            order.action_cancel()

    def test_closed_subscription_that_was_invoiced_cannot_be_cancelled(self):
        order = self.churned_subscription(invoiced=True)
        with self.assertRefused("is closed and has been invoiced"):
            order.action_cancel()

    def test_invoice_of_a_colleague_counts(self):
        order = self.order
        order.invoice_ids.sudo().invoice_user_id = self.other_salesperson
        with self.assertRefused("Close the subscription instead"):
            order.action_cancel()

    def test_subscription_that_was_never_invoiced_may_be_cancelled(self):
        order = self.subscription()
        order.action_cancel()
        self.assertEqual((order.state, order.subscription_state), ("cancel", "quotation"))

    def test_subscriptions_never_invoiced_may_be_cancelled_from_the_list(self):
        orders = self.subscription() | self.paused_subscription() | self.churned_subscription()
        self.mass_cancel(orders)
        self.assertEqual(set(orders.mapped("state")), {"cancel"})
        self.assertEqual(set(orders.mapped("subscription_state")), {"quotation"})

    def test_subscription_with_a_draft_invoice_may_be_cancelled(self):
        order = self.subscription()
        self.invoice(order, post=False)
        order.sudo().action_cancel()
        self.assertEqual((order.state, order.subscription_state), ("cancel", "quotation"))

    def test_renewed_subscription_cannot_be_cancelled(self):
        order = self.subscription()
        self.quotation(subscription_id=order.id).action_confirm()
        with self.assertRefused("was renewed and cannot be cancelled"):
            order.action_cancel()

    def test_cancelling_the_renewal_lets_the_subscription_continue(self):
        order = self.order
        renewal = self.quotation(subscription_id=order.id)
        renewal.action_confirm()
        self.assertEqual(order.subscription_state, "renewed")
        renewal.action_cancel()
        self.assertEqual(order.subscription_state, "progress")
        self.assertDates(order, next_invoice_date="2027-02-28")

    def test_cancelled_renewal_is_a_renewal_quotation_again(self):
        renewal = self.quotation(subscription_id=self.subscription().id)
        renewal.action_confirm()
        renewal.action_cancel()
        renewal.action_draft()
        self.assertEqual(renewal.subscription_state, "renewal")
