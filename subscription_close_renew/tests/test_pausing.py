from odoo.tests import Form, tagged

from .common import SubscriptionCommon


@tagged("post_install", "-at_install")
class TestPausing(SubscriptionCommon):
    """Invoiced periods are used up first, paused days are never invoiced, dates return to the anchor."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.subscription()

    def test_paused_subscription_shows_its_status(self):
        order = self.order
        self.assertTrue(order.subscription_pause())
        self.assertEqual(order.subscription_state, "paused")
        self.assertDates(order, resume_date=False)

    def test_paused_subscription_keeps_its_start(self):
        order = self.paused_subscription(start="2026-06-15")
        self.assertDates(order, start_date="2026-06-15", anchor_date="2026-06-15")

    def test_paused_subscription_brings_no_revenue(self):
        self.assertEqual(self.paused_subscription().recurring_monthly, 0)

    def test_chatter_shows_who_paused_and_until_when(self):
        message = self.last_message(self.paused_subscription(resume_date="2027-03-10"))
        self.assertIn("paused until 03/10/2027", message.body)
        self.assertEqual(message.author_id, self.salesperson.partner_id)
        self.assertEqual(self.changes(message)["subscription_state"], ("In Progress", "Paused"))

    def test_only_running_subscriptions_can_be_paused(self):
        for order in (self.quotation(), self.paused_subscription(), self.churned_subscription()):
            with self.subTest(order.subscription_state), self.assertRefused("not possible while"):
                order.subscription_pause()

    def test_pausing_several_is_all_or_nothing(self):
        running, closed = self.order, self.churned_subscription()
        with self.assertRefused(closed.name):
            (running | closed).subscription_pause()
        self.assertEqual(running.subscription_state, "progress")

    def test_resume_date_lies_after_today(self):
        order = self.order
        for day in ("2027-01-31", "2027-01-30"):
            with self.subTest(day), self.assertRefused("after today"):
                order.subscription_pause(day)
        self.assertEqual(order.subscription_state, "progress")

    def test_resume_date_lies_before_the_end(self):
        order = self.order
        order.subscription_close(self.reason.id, when="date", date="2027-03-01")
        with self.assertRefused("ends on 03/01/2027. Choose an earlier date"):
            order.subscription_pause("2027-03-01")

    def test_value_that_is_not_a_date_is_refused(self):
        order = self.order
        for garbage in ("soon", "2027-02-30", 20270310, ["2027-03-10"], True):
            with self.subTest(garbage), self.assertRefused("Enter the date on which to resume"):
                order.subscription_pause(garbage)
        self.assertEqual(order.subscription_state, "progress")

    def test_pop_up_pauses_until_the_date(self):
        order = self.order
        action = order.action_subscription_pause()
        form = Form(order.env[action["res_model"]].with_context(**action["context"]))
        form.resume_date = "2027-03-10"
        self.assertEqual(form.save().action_submit(), {"type": "ir.actions.act_window_close"})
        self.assertEqual(order.subscription_state, "paused")
        self.assertDates(order, resume_date="2027-03-10")

    def test_pop_up_does_not_open_for_a_closed_subscription(self):
        with self.assertRefused("not possible while"):
            self.churned_subscription().action_subscription_pause()


@tagged("post_install", "-at_install")
class TestResuming(SubscriptionCommon):
    """Resuming manually or on the chosen day."""

    def test_subscription_resumed_manually_is_in_progress(self):
        order = self.paused_subscription(resume_date="2027-06-01")
        with self.on("2027-03-10"):
            self.assertTrue(order.subscription_resume())
        self.assertEqual(order.subscription_state, "progress")
        self.assertDates(order, resume_date=False)

    def test_chatter_shows_who_resumed(self):
        order = self.paused_subscription()
        order.subscription_resume()
        message = self.last_message(order)
        self.assertIn("Subscription resumed", message.body)
        self.assertEqual(message.author_id, self.salesperson.partner_id)
        self.assertEqual(self.changes(message)["subscription_state"], ("Paused", "In Progress"))

    def test_resumed_subscription_brings_revenue_again(self):
        order = self.paused_subscription()
        order.subscription_resume()
        self.assertEqual(order.recurring_monthly, 100.0)

    def test_running_subscription_cannot_be_resumed(self):
        with self.assertRefused("not possible while .* has the subscription status In Progress"):
            self.subscription().subscription_resume()

    def test_ordinary_order_cannot_be_resumed(self):
        order = self.quotation(plan=False, lines=[self.line(self.one_time_product)])
        order.action_confirm()
        with self.assertRefused("is not a subscription"):
            order.subscription_resume()

    def invoiced_and_paused(self, pause_on="2027-02-10", resume_date=None, **values):
        order = self.subscription(**values)
        self.invoice(order)
        with self.on(pause_on):
            order.subscription_pause(resume_date)
            self.flush_chatter()
        return order

    def test_invoiced_period_is_used_up_first(self):
        order = self.invoiced_and_paused()
        with self.on("2027-02-20"):
            order.subscription_resume()
        self.assertDates(order, next_invoice_date="2027-02-28")

    def test_paused_days_are_never_invoiced(self):
        order = self.invoiced_and_paused()
        with self.on("2027-05-10"):
            order.subscription_resume()
        self.assertDates(order, next_invoice_date="2027-05-10")

    def test_period_after_the_pause_ends_on_the_anchor_day(self):
        order = self.invoiced_and_paused()
        with self.on("2027-05-10"):
            order.subscription_resume()
            self.invoice(order)
        self.assertDates(order, next_invoice_date="2027-05-31")
        with self.on("2027-05-31"):
            self.invoice(order)
        self.assertDates(order, next_invoice_date="2027-06-30")

    def test_period_after_a_pause_of_a_weekly_plan_ends_on_its_weekday(self):
        order = self.invoiced_and_paused("2027-02-03", plan=self.weekly)
        with self.on("2027-02-17"):
            order.subscription_resume()
            self.invoice(order)
        self.assertDates(order, next_invoice_date="2027-02-21")

    def test_subscription_stays_paused_the_day_before(self):
        order = self.paused_subscription(resume_date="2027-03-10")
        self.expire(until="2027-03-09 23:59")
        self.assertEqual(order.subscription_state, "paused")

    def test_subscription_resumes_automatically_on_the_day(self):
        order = self.paused_subscription(resume_date="2027-03-10")
        self.expire(until="2027-03-10 00:00")
        self.assertEqual(order.subscription_state, "progress")
        self.assertDates(order, resume_date=False, next_invoice_date="2027-03-10")

    def test_day_begins_early_in_kiritimati(self):
        self.company.partner_id.tz = "Pacific/Kiritimati"
        order = self.paused_subscription(resume_date="2027-03-10")
        self.expire(until="2027-03-09 09:59")
        self.assertEqual(order.subscription_state, "paused")
        self.expire(until="2027-03-09 10:00")
        self.assertEqual(order.subscription_state, "progress")

    def test_action_that_was_down_resumes_from_the_chosen_day(self):
        order = self.invoiced_and_paused(resume_date="2027-03-10")
        self.expire(until="2027-04-19")
        self.assertEqual(order.subscription_state, "progress")
        self.assertDates(order, next_invoice_date="2027-03-10")

    def test_second_run_changes_nothing(self):
        order = self.paused_subscription(resume_date="2027-03-10")
        self.expire(until="2027-03-10")
        messages = order.message_ids
        self.expire(until="2027-03-11")
        self.assertDates(order, next_invoice_date="2027-03-10")
        self.assertEqual(order.message_ids, messages)

    def test_subscription_without_resume_date_stays_paused(self):
        order = self.paused_subscription()
        self.expire(until="2028-01-31")
        self.assertEqual(order.subscription_state, "paused")

    def test_manual_early_resumption_counts_from_that_day(self):
        order = self.invoiced_and_paused(resume_date="2027-06-01")
        with self.on("2027-03-10"):
            order.subscription_resume()
        self.assertDates(order, next_invoice_date="2027-03-10")

    def test_invoice_posted_manually_during_the_pause_bills_the_due_period(self):
        order = self.paused_subscription()
        self.invoice(order)
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28")])
        self.assertEqual(order.subscription_state, "paused")

    def test_invoice_corrected_during_the_pause_is_not_billed_again(self):
        order = self.subscription()
        invoice = self.invoice(order)
        order.subscription_pause()
        self.reset(invoice)
        invoice.action_post()
        order.subscription_resume()
        self.assertDates(order, next_invoice_date="2027-02-28")
