from odoo.tests import tagged

from .common import SubscriptionCommon


@tagged("post_install", "-at_install")
class TestClosing(SubscriptionCommon):
    """Closing by the method that everything else calls."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.subscription()

    def test_subscription_that_was_invoiced_can_be_closed(self):
        order = self.order
        self.invoice(order)
        self.assertTrue(order.subscription_close(self.reason.id))
        self.assertEqual(order.subscription_state, "churned")

    def test_close_shows_its_reason_on_the_order(self):
        self.assertEqual(self.churned_subscription().close_reason_id, self.reason)

    def test_close_now_ends_today(self):
        order = self.subscription(start="2026-06-15")
        order.subscription_close(self.reason.id, when="now")
        self.assertDates(order, end_date="2027-01-31", closed_on="2027-01-31")

    def test_close_keeps_the_date_of_the_request(self):
        self.assertEqual(str(self.churned_subscription().close_requested_on), "2027-01-31 12:00:00")

    def test_close_keeps_the_start_of_the_subscription(self):
        order = self.churned_subscription(start="2026-06-15")
        self.assertDates(order, start_date="2026-06-15", anchor_date="2026-06-15")

    def test_closed_subscription_has_no_next_invoice_date(self):
        self.assertDates(self.churned_subscription(invoiced=True), next_invoice_date=False)

    def test_closed_subscription_brings_no_revenue(self):
        order = self.order
        self.assertEqual(order.recurring_monthly, 100.0)
        order.subscription_close(self.reason.id)
        self.assertEqual(order.recurring_monthly, 0)

    def test_closed_subscription_stays_a_confirmed_order(self):
        self.assertEqual(self.churned_subscription().state, "sale")

    def test_close_at_period_end_ends_when_the_invoiced_period_does(self):
        order = self.order
        self.invoice(order)
        order.subscription_close(self.reason.id, when="period_end")
        self.assertDates(order, end_date="2027-02-28", closed_on=False, next_invoice_date="2027-02-28")
        self.assertEqual((order.subscription_state, order.is_closing), ("progress", True))

    def test_close_at_period_end_uses_up_all_invoiced_periods(self):
        order = self.order
        self.invoice(order)
        self.invoice(order)
        order.subscription_close(self.reason.id, when="period_end")
        self.assertDates(order, end_date="2027-03-31")

    def test_close_at_period_end_without_invoice_ends_today(self):
        order = self.order
        order.subscription_close(self.reason.id, when="period_end")
        self.assertEqual(order.subscription_state, "churned")
        self.assertDates(order, end_date="2027-01-31")

    def test_close_at_the_end_of_a_past_period_ends_today(self):
        order = self.subscription(start="2026-11-30")
        self.invoice(order)
        order.subscription_close(self.reason.id, when="period_end")
        self.assertDates(order, end_date="2027-01-31")

    def test_close_on_a_date_runs_until_that_date(self):
        order = self.order
        order.subscription_close(self.reason.id, when="date", date="2027-06-15")
        self.assertDates(order, end_date="2027-06-15", closed_on=False, next_invoice_date="2027-01-31")
        self.assertEqual((order.subscription_state, order.is_closing), ("progress", True))

    def test_close_on_todays_date_closes_at_once(self):
        order = self.order
        order.subscription_close(self.reason.id, when="date", date="2027-01-31")
        self.assertEqual(order.subscription_state, "churned")

    def test_subscription_that_has_not_begun_can_be_closed(self):
        order = self.subscription(start="2027-05-01")
        order.subscription_close(self.reason.id)
        self.assertEqual(order.subscription_state, "churned")

    def test_paused_subscription_can_be_closed(self):
        order = self.paused_subscription(resume_date="2027-03-01")
        order.subscription_close(self.reason.id)
        self.assertEqual(order.subscription_state, "churned")
        self.assertDates(order, resume_date=False, next_invoice_date=False)

    def test_unpaid_invoice_does_not_block_the_close(self):
        order = self.order
        invoice = self.invoice(order)
        order.subscription_close(self.reason.id)
        self.assertEqual((order.subscription_state, invoice.payment_state), ("churned", "not_paid"))

    def test_invoice_posted_after_the_close_does_not_reopen_it(self):
        order = self.order
        invoice = self.invoice(order, post=False)
        order.subscription_close(self.reason.id)
        invoice.action_post()
        self.assertEqual(order.subscription_state, "churned")
        self.assertDates(order, next_invoice_date=False)

    def test_planned_closes_can_be_searched(self):
        planned, running = self.order, self.subscription()
        planned.subscription_close(self.reason.id, when="date", date="2027-06-15")
        found = self.env["sale.order"].search([("is_closing", "=", True), ("company_id", "=", self.company.id)])
        self.assertEqual(found, planned)
        others = self.env["sale.order"].search([("is_closing", "=", False), ("company_id", "=", self.company.id)])
        self.assertEqual(others, running)

    def test_open_renewal_quotation_is_cancelled(self):
        order = self.order
        renewal = self.quotation(subscription_id=order.id)
        order.subscription_close(self.reason.id)
        self.assertEqual(renewal.state, "cancel")

    def test_open_renewal_quotation_of_a_colleague_is_cancelled(self):
        order = self.order
        renewal = self.quotation(subscription_id=order.id, user=self.administrator)
        order.subscription_close(self.reason.id)
        self.assertEqual(renewal.state, "cancel")

    def test_renewal_quotation_stays_open_while_the_close_is_planned(self):
        order = self.order
        renewal = self.quotation(subscription_id=order.id)
        order.subscription_close(self.reason.id, when="date", date="2027-06-15")
        self.assertEqual(renewal.state, "draft")


@tagged("post_install", "-at_install")
class TestClosingChatter(SubscriptionCommon):
    """P10: who closed the subscription, when and why."""

    def test_chatter_shows_reason_status_end_date_and_author(self):
        message = self.last_message(self.churned_subscription())
        self.assertIn("Reason: Moves abroad", message.body)
        self.assertEqual(message.author_id, self.salesperson.partner_id)
        changes = self.changes(message)
        self.assertEqual(changes["subscription_state"], ("In Progress", "Churned"))
        self.assertEqual(changes["end_date"], (False, "2027-01-31"))

    def test_chatter_shows_reason_date_and_author_of_a_planned_close(self):
        order = self.subscription()
        order.subscription_close(self.reason.id, when="date", date="2027-06-15")
        message = self.last_message(order)
        self.assertIn("Closes on 06/15/2027. Reason: Moves abroad", message.body)
        self.assertEqual(message.author_id, self.salesperson.partner_id)
        self.assertEqual(self.changes(message)["end_date"], (False, "2027-06-15"))

    def test_chatter_repeats_the_reason_when_a_planned_close_takes_effect(self):
        order = self.subscription()
        order.subscription_close(self.reason.id, when="date", date="2027-02-15")
        self.expire(until="2027-02-15")
        message = self.last_message(order)
        self.assertIn("Reason: Moves abroad", message.body)
        self.assertEqual(self.changes(message)["subscription_state"], ("In Progress", "Churned"))

    def test_reason_in_the_chatter_is_text_not_markup(self):
        self.reason.name = "<b>Too</b> expensive"
        self.assertIn("&lt;b&gt;Too&lt;/b&gt; expensive", self.last_message(self.churned_subscription()).body)

    def test_each_subscription_gets_its_own_message(self):
        orders = self.subscription() | self.subscription(plan=self.yearly)
        orders.subscription_close(self.reason.id)
        for order in orders:
            self.assertEqual(self.changes(self.last_message(order))["subscription_state"], ("In Progress", "Churned"))


@tagged("post_install", "-at_install")
class TestClosingRefused(SubscriptionCommon):
    """An impossible close is refused with a message, and nothing changes."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.subscription()

    def assertUntouched(self, order):
        self.assertEqual((order.subscription_state, order.is_closing), ("progress", False))
        self.assertFalse(order.close_reason_id)
        self.assertDates(order, end_date=False, closed_on=False, next_invoice_date="2027-01-31")

    def test_closing_twice_is_refused(self):
        order = self.churned_subscription()
        with self.assertRefused(f"{order.name}.* has been closed since 01/31/2027"):
            order.subscription_close(self.hidden_reason.id)
        self.assertEqual(order.close_reason_id, self.reason)

    def test_closing_a_subscription_scheduled_to_close_is_refused(self):
        order = self.order
        order.subscription_close(self.reason.id, when="date", date="2027-06-15")
        with self.assertRefused("already scheduled to close on 06/15/2027"):
            order.subscription_close(self.reason.id)
        self.assertDates(order, end_date="2027-06-15")

    def test_quotation_is_cancelled_rather_than_closed(self):
        with self.assertRefused("has not started. Cancel the quotation"):
            self.quotation().subscription_close(self.reason.id)

    def test_refusal_for_a_renewed_subscription_names_its_renewal(self):
        order = self.order
        self.quotation(subscription_id=order.id).action_confirm()
        with self.assertRefused("was renewed. Close its renewal"):
            order.subscription_close(self.reason.id)

    def test_empty_selection_is_refused(self):
        with self.assertRefused("Select at least one subscription"):
            self.env["sale.order"].with_user(self.salesperson).subscription_close(self.reason.id)

    def test_method_closes_all_or_none(self):
        running, closed = self.order, self.churned_subscription()
        with self.assertRefused(closed.name):
            (running | closed).subscription_close(self.reason.id)
        self.assertUntouched(running)

    def test_past_date_is_refused(self):
        order = self.order
        with self.assertRefused("01/30/2027 is in the past"):
            order.subscription_close(self.reason.id, when="date", date="2027-01-30")
        self.assertUntouched(order)

    def test_missing_date_is_refused(self):
        order = self.order
        with self.assertRefused("Enter the date on which"):
            order.subscription_close(self.reason.id, when="date")
        self.assertUntouched(order)

    def test_text_that_is_not_a_date_is_refused(self):
        order = self.order
        for garbage in ("soon", "2027-13-45", "2027-02-30", "15/06/2027", ""):
            with self.subTest(garbage), self.assertRefused("Enter the date on which"):
                order.subscription_close(self.reason.id, when="date", date=garbage)
        self.assertUntouched(order)

    def test_value_that_is_not_a_date_is_refused(self):
        order = self.order
        for garbage in (20270615, 1.5, True, ["2027-06-15"], {"day": 15}):
            with self.subTest(garbage), self.assertRefused("Enter the date on which"):
                order.subscription_close(self.reason.id, when="date", date=garbage)
        self.assertUntouched(order)

    def test_unknown_time_to_close_is_refused(self):
        order = self.order
        for garbage in ("tomorrow", "", None, 1):
            with self.subTest(garbage), self.assertRefused("Choose when to close"):
                order.subscription_close(self.reason.id, when=garbage)
        self.assertUntouched(order)

    def test_archived_reason_is_refused(self):
        order = self.order
        with self.assertRefused("does not exist or is archived"):
            order.subscription_close(self.archived_reason.id)
        self.assertUntouched(order)

    def test_reason_that_does_not_exist_is_refused(self):
        order = self.order
        gone = self.reason.create({"name": "Gone"})
        gone_id = gone.id
        gone.unlink()
        for reason_id in (gone_id, 0, False, None):
            with self.subTest(reason_id), self.assertRefused("Choose a close reason"):
                order.subscription_close(reason_id)
        self.assertUntouched(order)

    def test_value_that_is_not_a_reason_is_refused(self):
        order = self.order
        for garbage in ("Moves abroad", "1", [self.reason.id, self.hidden_reason.id], {"id": 1}, 2**40, -1, True):
            with self.subTest(garbage), self.assertRefused("Choose a close reason"):
                order.subscription_close(garbage)

    def test_staff_may_use_a_hidden_reason(self):
        order = self.order
        order.subscription_close(self.hidden_reason.id)
        self.assertEqual(order.close_reason_id, self.hidden_reason)


@tagged("post_install", "-at_install")
class TestAfterClosing(SubscriptionCommon):
    """Nothing more is invoiced."""

    def test_closed_subscription_has_nothing_to_invoice(self):
        order = self.subscription()
        order.subscription_close(self.reason.id)
        self.assertEqual(order.invoice_status, "no")
        with self.assertRefused("No items are available to invoice"):
            order._create_invoices()

    def test_one_time_lines_of_a_closed_subscription_are_still_invoiced(self):
        order = self.subscription(lines=[self.line(), self.line(self.one_time_product)])
        order.subscription_close(self.reason.id)
        invoice = order._create_invoices()
        self.assertEqual(invoice.invoice_line_ids.product_id, self.one_time_product)

    def test_close_needs_no_system_reason_when_one_was_given(self):
        self.env["ir.model.data"].search(
            [("module", "=", "subscription_close_renew"), ("name", "=", "close_reason_end_of_term")]
        ).unlink()
        order = self.subscription()
        order.subscription_close(self.reason.id)
        self.assertEqual(order.subscription_state, "churned")
