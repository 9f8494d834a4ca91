from unittest.mock import patch

import psycopg2

from odoo.exceptions import AccessError
from odoo.fields import Command
from odoo.tests import Form, tagged
from odoo.tools import mute_logger

from .common import SubscriptionCommon

BATCH_LOGGER = "odoo.addons.subscription_close_renew.models.sale_order_batch"


@tagged("post_install", "-at_install")
class TestClosing(SubscriptionCommon):
    """C1, C3 to C7: closing by the method that everything else calls."""

    def test_subscription_that_was_invoiced_can_be_closed(self):
        order = self.subscription()
        self.invoice(order)
        self.assertTrue(order.subscription_close(self.reason.id))
        self.assertEqual(order.subscription_state, "churned")

    def test_close_shows_its_reason_on_the_order(self):
        self.assertEqual(self.churned_subscription().close_reason_id, self.reason)

    def test_close_now_ends_today(self):
        order = self.subscription(start="2026-06-15")
        order.subscription_close(self.reason.id, when="now")
        self.assertDates(order, end_date="2027-01-31", closed_on="2027-01-31")

    def test_close_keeps_when_it_was_asked_for(self):
        self.assertEqual(str(self.churned_subscription().close_requested_on), "2027-01-31 12:00:00")

    def test_close_keeps_the_start_of_the_subscription(self):
        order = self.churned_subscription(start="2026-06-15")
        self.assertDates(order, start_date="2026-06-15", anchor_date="2026-06-15")

    def test_closed_subscription_keeps_no_next_invoice_date(self):
        self.assertDates(self.churned_subscription(invoiced=True), next_invoice_date=False)

    def test_closed_subscription_brings_no_revenue(self):
        order = self.subscription()
        self.assertEqual(order.recurring_monthly, 100.0)
        order.subscription_close(self.reason.id)
        self.assertEqual(order.recurring_monthly, 0)

    def test_closed_subscription_stays_a_confirmed_order(self):
        self.assertEqual(self.churned_subscription().state, "sale")

    def test_close_at_period_end_ends_when_the_invoiced_period_does(self):
        order = self.subscription()
        self.invoice(order)
        order.subscription_close(self.reason.id, when="period_end")
        self.assertDates(order, end_date="2027-02-28", closed_on=False, next_invoice_date="2027-02-28")
        self.assertEqual((order.subscription_state, order.is_closing), ("progress", True))

    def test_close_at_period_end_uses_up_all_invoiced_periods(self):
        order = self.subscription()
        self.invoice(order)
        self.invoice(order)
        order.subscription_close(self.reason.id, when="period_end")
        self.assertDates(order, end_date="2027-03-31")

    def test_close_at_period_end_without_invoice_ends_today(self):
        order = self.subscription()
        order.subscription_close(self.reason.id, when="period_end")
        self.assertEqual(order.subscription_state, "churned")
        self.assertDates(order, end_date="2027-01-31")

    def test_close_at_the_end_of_a_period_long_over_ends_today(self):
        order = self.subscription(start="2026-11-30")
        self.invoice(order)
        order.subscription_close(self.reason.id, when="period_end")
        self.assertDates(order, end_date="2027-01-31")

    def test_close_on_a_date_runs_until_that_date(self):
        order = self.subscription()
        order.subscription_close(self.reason.id, when="date", date="2027-06-15")
        self.assertDates(order, end_date="2027-06-15", closed_on=False, next_invoice_date="2027-01-31")
        self.assertEqual((order.subscription_state, order.is_closing), ("progress", True))

    def test_close_on_todays_date_closes_at_once(self):
        order = self.subscription()
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
        order = self.subscription()
        invoice = self.invoice(order)
        order.subscription_close(self.reason.id)
        self.assertEqual((order.subscription_state, invoice.payment_state), ("churned", "not_paid"))

    def test_invoice_posted_after_the_close_does_not_reopen_it(self):
        order = self.subscription()
        invoice = self.invoice(order, post=False)
        order.subscription_close(self.reason.id)
        invoice.action_post()
        self.assertEqual(order.subscription_state, "churned")
        self.assertDates(order, next_invoice_date=False)

    def test_closings_are_found_while_they_are_planned(self):
        planned, running = self.subscription(), self.subscription()
        planned.subscription_close(self.reason.id, when="date", date="2027-06-15")
        found = self.env["sale.order"].search([("is_closing", "=", True), ("company_id", "=", self.company.id)])
        self.assertEqual(found, planned)
        others = self.env["sale.order"].search([("is_closing", "=", False), ("company_id", "=", self.company.id)])
        self.assertEqual(others, running)

    def test_open_renewal_quotation_is_cancelled(self):
        order = self.subscription()
        renewal = self.quotation(subscription_id=order.id)
        order.subscription_close(self.reason.id)
        self.assertEqual(renewal.state, "cancel")

    def test_open_renewal_quotation_of_a_colleague_is_cancelled(self):
        order = self.subscription()
        renewal = self.quotation(subscription_id=order.id, user=self.administrator)
        order.subscription_close(self.reason.id)
        self.assertEqual(renewal.state, "cancel")

    def test_renewal_quotation_stays_open_while_the_close_is_planned(self):
        order = self.subscription()
        renewal = self.quotation(subscription_id=order.id)
        order.subscription_close(self.reason.id, when="date", date="2027-06-15")
        self.assertEqual(renewal.state, "draft")


@tagged("post_install", "-at_install")
class TestClosingChatter(SubscriptionCommon):
    """C4 and P10: who, when and why."""

    def test_chatter_gives_reason_status_end_date_and_author(self):
        message = self.last_message(self.churned_subscription())
        self.assertIn("Reason: Moves abroad", message.body)
        self.assertEqual(message.author_id, self.salesperson.partner_id)
        changes = self.changes(message)
        self.assertEqual(changes["subscription_state"], ("In Progress", "Churned"))
        self.assertEqual(changes["end_date"], (False, "2027-01-31"))

    def test_chatter_gives_reason_date_and_author_of_a_planned_close(self):
        order = self.subscription()
        order.subscription_close(self.reason.id, when="date", date="2027-06-15")
        message = self.last_message(order)
        self.assertIn("Close on 06/15/2027. Reason: Moves abroad", message.body)
        self.assertEqual(message.author_id, self.salesperson.partner_id)
        self.assertEqual(self.changes(message)["end_date"], (False, "2027-06-15"))

    def test_chatter_gives_the_reason_again_when_a_planned_close_takes_effect(self):
        order = self.subscription()
        order.subscription_close(self.reason.id, when="date", date="2027-02-15")
        self.expire(until="2027-02-15")
        message = self.last_message(order)
        self.assertIn("Reason: Moves abroad", message.body)
        self.assertEqual(self.changes(message)["subscription_state"], ("In Progress", "Churned"))

    def test_reason_in_the_chatter_is_text_and_no_markup(self):
        self.reason.name = "<b>Too</b> expensive"
        self.assertIn("&lt;b&gt;Too&lt;/b&gt; expensive", self.last_message(self.churned_subscription()).body)

    def test_each_of_several_gets_its_own_line(self):
        orders = self.subscription() | self.subscription(plan=self.yearly)
        orders.subscription_close(self.reason.id)
        for order in orders:
            self.assertEqual(self.changes(self.last_message(order))["subscription_state"], ("In Progress", "Churned"))


@tagged("post_install", "-at_install")
class TestClosingRefused(SubscriptionCommon):
    """C6: what cannot be closed is refused with a sentence, and nothing changes."""

    def assertUntouched(self, order):
        self.assertEqual((order.subscription_state, order.is_closing), ("progress", False))
        self.assertFalse(order.close_reason_id)
        self.assertDates(order, end_date=False, closed_on=False, next_invoice_date="2027-01-31")

    def test_closing_twice_is_refused(self):
        order = self.churned_subscription()
        with self.assertRefused(f"{order.name}.* is closed already, since 01/31/2027"):
            order.subscription_close(self.hidden_reason.id)
        self.assertEqual(order.close_reason_id, self.reason)

    def test_closing_again_what_is_about_to_close_is_refused(self):
        order = self.subscription()
        order.subscription_close(self.reason.id, when="date", date="2027-06-15")
        with self.assertRefused("closes on 06/15/2027 already: choose Keep Subscription first"):
            order.subscription_close(self.reason.id)
        self.assertDates(order, end_date="2027-06-15")

    def test_quotation_is_cancelled_rather_than_closed(self):
        with self.assertRefused("has not started: cancel the quotation"):
            self.quotation().subscription_close(self.reason.id)

    def test_renewed_subscription_points_to_its_renewal(self):
        order = self.subscription()
        self.quotation(subscription_id=order.id).action_confirm()
        with self.assertRefused("was renewed: close the order that renews it"):
            order.subscription_close(self.reason.id)

    def test_no_subscription_at_all_is_refused(self):
        with self.assertRefused("Select at least one subscription"):
            self.env["sale.order"].with_user(self.salesperson).subscription_close(self.reason.id)

    def test_method_closes_all_or_none(self):
        running, closed = self.subscription(), self.churned_subscription()
        with self.assertRefused(closed.name):
            (running | closed).subscription_close(self.reason.id)
        self.assertUntouched(running)

    def test_past_date_is_refused(self):
        order = self.subscription()
        with self.assertRefused("01/30/2027 is past"):
            order.subscription_close(self.reason.id, when="date", date="2027-01-30")
        self.assertUntouched(order)

    def test_missing_date_is_refused(self):
        order = self.subscription()
        with self.assertRefused("Enter the date on which"):
            order.subscription_close(self.reason.id, when="date")
        self.assertUntouched(order)

    def test_text_that_is_no_date_is_refused(self):
        order = self.subscription()
        for garbage in ("soon", "2027-13-45", "2027-02-30", "15/06/2027", ""):
            with self.subTest(garbage), self.assertRefused("Enter the date on which"):
                order.subscription_close(self.reason.id, when="date", date=garbage)
        self.assertUntouched(order)

    def test_value_that_is_no_date_is_refused(self):
        order = self.subscription()
        for garbage in (20270615, 1.5, True, ["2027-06-15"], {"day": 15}):
            with self.subTest(garbage), self.assertRefused("Enter the date on which"):
                order.subscription_close(self.reason.id, when="date", date=garbage)
        self.assertUntouched(order)

    def test_unknown_time_to_close_is_refused(self):
        order = self.subscription()
        for garbage in ("tomorrow", "", None, 1):
            with self.subTest(garbage), self.assertRefused("Choose when to close"):
                order.subscription_close(self.reason.id, when=garbage)
        self.assertUntouched(order)

    def test_archived_reason_is_refused(self):
        order = self.subscription()
        with self.assertRefused("does not exist, or is archived"):
            order.subscription_close(self.archived_reason.id)
        self.assertUntouched(order)

    def test_reason_that_does_not_exist_is_refused(self):
        order = self.subscription()
        gone = self.reason.create({"name": "Gone"})
        gone_id = gone.id
        gone.unlink()
        for reason_id in (gone_id, 0, False, None):
            with self.subTest(reason_id), self.assertRefused("Choose a close reason"):
                order.subscription_close(reason_id)
        self.assertUntouched(order)

    def test_value_that_is_no_reason_is_refused(self):
        order = self.subscription()
        for garbage in ("Moves abroad", "1", [self.reason.id, self.hidden_reason.id], {"id": 1}, 2**40, -1, True):
            with self.subTest(garbage), self.assertRefused("Choose a close reason"):
                order.subscription_close(garbage)

    def test_hidden_reason_may_be_given_by_staff(self):
        order = self.subscription()
        order.subscription_close(self.hidden_reason.id)
        self.assertEqual(order.close_reason_id, self.hidden_reason)


@tagged("post_install", "-at_install")
class TestClosePopUp(SubscriptionCommon):
    """C2, C6: the pop-up Close Reason."""

    def pop_up(self, orders):
        """Open the pop-up as the button Close does."""
        action = orders.action_subscription_close()
        return Form(orders.env[action["res_model"]].with_context(**action["context"]))

    def submit(self, orders, **values):
        form = self.pop_up(orders)
        form.reason_id = self.reason
        for name, value in values.items():
            form[name] = value
        return form.save().action_submit()

    def test_submit_closes_with_the_reason_that_was_picked(self):
        order = self.subscription()
        self.assertEqual(self.submit(order), {"type": "ir.actions.act_window_close"})
        self.assertEqual((order.subscription_state, order.close_reason_id), ("churned", self.reason))

    def test_submit_closes_at_the_end_of_the_paid_period(self):
        order = self.subscription()
        self.invoice(order)
        self.submit(order, when="period_end")
        self.assertDates(order, end_date="2027-02-28")

    def test_submit_closes_on_the_date_that_was_entered(self):
        order = self.subscription()
        self.submit(order, when="date", date="2027-06-15")
        self.assertDates(order, end_date="2027-06-15")

    def test_pop_up_asks_for_a_reason(self):
        form = self.pop_up(self.subscription())
        with self.assertRaisesRegex(AssertionError, "reason_id"):
            form.save()

    def test_pop_up_asks_for_the_date(self):
        form = self.pop_up(self.subscription())
        form.reason_id = self.reason
        form.when = "date"
        with self.assertRaisesRegex(AssertionError, "date"):
            form.save()

    def test_pop_up_tells_when_it_takes_effect(self):
        order = self.subscription()
        self.invoice(order)
        form = self.pop_up(order)
        self.assertIn("ends today", form.effect)
        form.when = "period_end"
        self.assertIn("02/28/2027", form.effect)
        form.when = "date"
        self.assertFalse(form.effect)
        form.date = "2027-06-15"
        self.assertIn("06/15/2027", form.effect)

    def test_pop_up_tells_the_span_of_several_ends(self):
        orders = self.subscription() | self.subscription(plan=self.weekly)
        for order in orders:
            self.invoice(order)
        form = self.pop_up(orders)
        form.when = "period_end"
        self.assertRegex(form.effect, "between 02/07/2027 and 02/28/2027")

    def test_past_date_is_refused_on_submit(self):
        order = self.subscription()
        form = self.pop_up(order)
        form.reason_id = self.reason
        form.when = "date"
        form.date = "2027-01-30"
        wizard = form.save()
        with self.assertRefused("is past"):
            wizard.action_submit()
        self.assertEqual(order.subscription_state, "progress")

    def test_pop_up_that_is_discarded_changes_nothing(self):
        order = self.subscription()
        messages = order.message_ids
        form = self.pop_up(order)
        form.reason_id = self.reason
        form.save()
        self.flush_chatter()
        self.assertEqual((order.subscription_state, order.is_closing), ("progress", False))
        self.assertFalse(order.close_reason_id)
        self.assertEqual(order.message_ids, messages)

    def test_pop_up_does_not_open_for_what_is_closed(self):
        order = self.churned_subscription()
        with self.assertRefused("is closed already"):
            order.action_subscription_close()

    def test_pop_up_submitted_after_somebody_else_closed_is_refused(self):
        order = self.subscription()
        form = self.pop_up(order)
        form.reason_id = self.hidden_reason
        wizard = form.save()
        order.subscription_close(self.reason.id)
        with self.assertRefused("is closed already"):
            wizard.action_submit()
        self.assertEqual(order.close_reason_id, self.reason)

    def quick_create_context(self, user):
        """Return the context with which the Reason drop-down creates what was typed in, as the web client does."""
        wizards = self.env["sale.subscription.close.wizard"].with_user(user)
        return wizards.fields_get(["reason_id"])["reason_id"]["context"]

    def test_reason_that_was_typed_in_closes(self):
        order = self.subscription(user=self.administrator)
        reasons = self.env["sale.order.close.reason"].with_user(self.administrator)
        reason_id, name = reasons.with_context(**self.quick_create_context(self.administrator)).name_create("Flooded")
        form = self.pop_up(order)
        form.reason_id = reasons.browse(reason_id)
        form.save().action_submit()
        self.assertEqual((order.subscription_state, order.close_reason_id.name), ("churned", "Flooded"))
        self.assertEqual(name, "Flooded")

    def test_reason_that_was_typed_in_is_hidden_from_the_portal(self):
        reasons = self.env["sale.order.close.reason"].with_user(self.administrator)
        reason_id, _name = reasons.with_context(**self.quick_create_context(self.administrator)).name_create("Flooded")
        self.assertFalse(reasons.browse(reason_id).visible_in_portal)

    def test_salesperson_who_types_in_a_reason_is_refused(self):
        reasons = self.env["sale.order.close.reason"].with_user(self.salesperson)
        with self.assertRaises(AccessError):
            reasons.with_context(**self.quick_create_context(self.salesperson)).name_create("Flooded")

    def test_three_from_the_list_are_asked_about_once(self):
        orders = self.subscription() | self.subscription(plan=self.weekly) | self.subscription(plan=self.yearly)
        self.submit(orders)
        self.assertEqual(set(orders.mapped("subscription_state")), {"churned"})
        self.assertEqual(orders.close_reason_id, self.reason)

    def test_closing_many_takes_at_most_ten_queries_each(self):
        orders = (
            self.env["sale.order"].with_user(self.salesperson).union(*(self.subscription() for _order in range(20)))
        )
        self.env.invalidate_all()
        before = self.cr.sql_log_count
        orders.subscription_close(self.reason.id)
        self.flush_chatter()
        self.assertLessEqual((self.cr.sql_log_count - before) / len(orders), 10)

    def test_mixed_selection_closes_those_that_can_be_closed(self):
        running, quotation, closed = self.subscription(), self.quotation(), self.churned_subscription()
        form = self.pop_up(running | quotation | closed)
        form.reason_id = self.hidden_reason
        form.save().action_submit()
        self.assertEqual(
            (running | quotation | closed).mapped("subscription_state"), ["churned", "quotation", "churned"]
        )
        self.assertEqual(running.close_reason_id, self.hidden_reason)
        self.assertEqual(closed.close_reason_id, self.reason)

    def test_mixed_selection_lists_those_that_cannot_be_closed(self):
        running, quotation, closed = self.subscription(), self.quotation(), self.churned_subscription()
        form = self.pop_up(running | quotation | closed)
        self.assertEqual(form.closable_count, 1)
        self.assertRegex(form.refusals, f"{quotation.name}.*has not started")
        self.assertRegex(form.refusals, f"{closed.name}.*is closed already")
        self.assertNotIn(running.name, form.refusals)

    def test_selection_without_any_that_can_be_closed_opens_no_pop_up(self):
        quotation, closed = self.quotation(), self.churned_subscription()
        with self.assertRefused("(?s)has not started.*is closed already"):
            (quotation | closed).action_subscription_close()


@tagged("post_install", "-at_install")
class TestPlannedClose(SubscriptionCommon):
    """C5: a close in the future, kept or carried out on its day."""

    def planned(self, date="2027-02-28", **values):
        order = self.subscription(**values)
        order.subscription_close(self.reason.id, when="date", date=date)
        self.flush_chatter()
        return order

    def test_kept_subscription_goes_on_as_before(self):
        order = self.planned()
        self.assertTrue(order.subscription_keep())
        self.assertEqual((order.subscription_state, order.is_closing), ("progress", False))
        self.assertFalse(order.close_reason_id)
        self.assertFalse(order.close_requested_on)
        self.assertDates(order, end_date=False, next_invoice_date="2027-01-31")

    def test_chatter_tells_who_kept_it(self):
        order = self.planned()
        order.subscription_keep()
        message = self.last_message(order)
        self.assertIn("planned close was undone", message.body)
        self.assertEqual(message.author_id, self.salesperson.partner_id)

    def test_kept_subscription_is_not_closed_on_the_day(self):
        order = self.planned()
        order.subscription_keep()
        self.expire(until="2027-02-28")
        self.assertEqual(order.subscription_state, "progress")

    def test_kept_subscription_can_be_closed_after_all(self):
        order = self.planned()
        order.subscription_keep()
        order.subscription_close(self.hidden_reason.id)
        self.assertEqual((order.subscription_state, order.close_reason_id), ("churned", self.hidden_reason))

    def test_kept_subscription_still_ends_with_its_term(self):
        order = self.subscription()
        order.end_date = "2027-12-31"
        order.subscription_close(self.reason.id, when="date", date="2027-02-28")
        order.subscription_keep()
        self.assertDates(order, end_date="2027-12-31")

    def test_keeping_what_is_not_closing_is_refused(self):
        with self.assertRefused("is not planned to close"):
            self.subscription().subscription_keep()

    def test_keeping_what_is_closed_is_refused(self):
        with self.assertRefused("is not planned to close"):
            self.churned_subscription().subscription_keep()

    def test_keeping_several_is_all_or_nothing(self):
        planned, running = self.planned(), self.subscription()
        with self.assertRefused(running.name):
            (planned | running).subscription_keep()
        self.assertTrue(planned.is_closing)

    def test_subscription_runs_on_the_day_before(self):
        order = self.planned("2027-02-28")
        self.expire(until="2027-02-27 23:59")
        self.assertEqual(order.subscription_state, "progress")

    def test_subscription_closes_by_itself_on_the_day(self):
        order = self.planned("2027-02-28")
        self.expire(until="2027-02-28 00:00")
        self.assertEqual(order.subscription_state, "churned")
        self.assertDates(order, closed_on="2027-02-28", end_date="2027-02-28", next_invoice_date=False)

    def test_day_begins_early_in_kiritimati(self):
        self.company.partner_id.tz = "Pacific/Kiritimati"
        order = self.planned("2027-02-28")
        self.expire(until="2027-02-27 09:59")
        self.assertEqual(order.subscription_state, "progress")
        self.expire(until="2027-02-27 10:00")
        self.assertEqual(order.subscription_state, "churned")
        self.assertDates(order, closed_on="2027-02-28")

    def test_day_begins_late_in_pago_pago(self):
        self.company.partner_id.tz = "Pacific/Pago_Pago"
        order = self.planned("2027-02-28")
        self.expire(until="2027-02-28 10:59")
        self.assertEqual(order.subscription_state, "progress")
        self.expire(until="2027-02-28 11:00")
        self.assertEqual(order.subscription_state, "churned")
        self.assertDates(order, closed_on="2027-02-28")

    def test_day_of_the_company_decides_and_not_that_of_the_user(self):
        self.company.partner_id.tz = "Pacific/Pago_Pago"
        self.salesperson.tz = "Pacific/Kiritimati"
        order = self.subscription().with_context(tz="Pacific/Kiritimati")
        with self.on("2027-02-15 10:30"):
            order.subscription_close(self.reason.id)
        self.assertDates(order, end_date="2027-02-14")

    def test_second_run_on_the_day_changes_nothing(self):
        order = self.planned("2027-02-28")
        self.expire(until="2027-02-28")
        before = order.read(["write_date", "subscription_state", "closed_on"]), order.message_ids
        self.expire(until="2027-02-28 18:00")
        self.assertEqual((order.read(["write_date", "subscription_state", "closed_on"]), order.message_ids), before)

    def test_action_that_was_down_for_forty_days_closes_what_was_due(self):
        order = self.planned("2027-02-28")
        later = self.planned("2027-05-01")
        self.expire(until="2027-04-09")
        self.assertEqual((order.subscription_state, later.subscription_state), ("churned", "progress"))
        self.assertDates(order, end_date="2027-02-28", next_invoice_date=False)

    def test_planned_close_keeps_when_it_was_asked_for(self):
        order = self.planned("2027-02-28")
        self.expire(until="2027-04-09")
        self.assertEqual(str(order.close_requested_on), "2027-01-31 12:00:00")

    def test_paused_subscription_closes_on_its_day(self):
        order = self.planned("2027-02-28")
        order.subscription_pause()
        self.expire(until="2027-02-28")
        self.assertEqual(order.subscription_state, "churned")

    def test_late_run_closes_rather_than_resumes(self):
        order = self.planned("2027-02-28")
        order.subscription_pause("2027-02-15")
        self.expire(until="2027-04-09")
        self.assertEqual(order.subscription_state, "churned")
        self.assertDates(order, next_invoice_date=False, resume_date=False)

    def test_reason_that_was_archived_meanwhile_still_stands(self):
        order = self.planned("2027-02-28")
        self.reason.active = False
        self.expire(until="2027-02-28")
        self.assertEqual((order.subscription_state, order.close_reason_id), ("churned", self.reason))

    def test_term_that_runs_out_closes_with_the_reason_for_that(self):
        order = self.subscription()
        order.end_date = "2027-02-28"
        self.assertFalse(order.is_closing)
        self.expire(until="2027-02-28")
        self.assertEqual(order.subscription_state, "churned")
        self.assertEqual(order.close_reason_id, self.env.ref("subscription_close_renew.close_reason_end_of_term"))

    def test_chatter_gives_the_reason_of_a_term_that_ran_out(self):
        order = self.subscription()
        order.end_date = "2027-02-28"
        self.expire(until="2027-02-28")
        self.assertIn("Reason: End of term", self.chatter(order))

    def test_renewal_quotation_is_cancelled_on_the_day(self):
        order = self.planned("2027-02-28")
        renewal = self.quotation(subscription_id=order.id)
        self.expire(until="2027-02-28")
        self.assertEqual(renewal.state, "cancel")


@tagged("post_install", "-at_install")
class TestSetAside(SubscriptionCommon):
    """P7: one bad record stops no other."""

    def setUp(self):
        super().setUp()
        self.good, self.bad, self.late = self.subscription(), self.subscription(), self.subscription()
        orders = self.good | self.bad | self.late
        orders.subscription_close(self.reason.id, when="date", date="2027-02-28")
        self.flush_chatter()

    def expire_with(self, error):
        """Run the scheduled action on 28 February, while one of three subscriptions fails."""
        bad = self.bad
        close = type(self.env["sale.order"])._close

        def fail_for_the_bad_one(orders):
            close(orders)
            if bad in orders:
                raise error

        with patch.object(type(self.env["sale.order"]), "_close", fail_for_the_bad_one):
            self.expire(until="2027-02-28")

    @mute_logger(BATCH_LOGGER)
    def test_bad_subscription_stops_no_other(self):
        self.expire_with(ValueError("Out of beans"))
        self.assertEqual(
            (self.good | self.bad | self.late).mapped("subscription_state"), ["churned", "progress", "churned"]
        )

    @mute_logger(BATCH_LOGGER)
    def test_chatter_of_the_others_is_complete(self):
        self.expire_with(ValueError("Out of beans"))
        for order in self.good | self.late:
            message = self.last_message(order)
            self.assertEqual(self.changes(message)["subscription_state"], ("In Progress", "Churned"))

    @mute_logger(BATCH_LOGGER)
    def test_chatter_of_the_bad_one_claims_no_close(self):
        before = self.bad.message_ids
        self.expire_with(ValueError("Out of beans"))
        self.assertNotIn("closed", "\n".join((self.bad.message_ids - before).mapped("body")))

    @mute_logger(BATCH_LOGGER)
    def test_bad_subscription_is_set_aside_once_after_two_runs(self):
        self.expire_with(ValueError("Out of beans"))
        self.expire_with(ValueError("Out of beans"))
        self.assertEqual(len(self.bad.activity_ids), 1)

    @mute_logger(BATCH_LOGGER)
    def test_salesperson_is_told_what_went_wrong(self):
        self.expire_with(ValueError("Out of beans"))
        self.assertEqual(self.bad.activity_ids.user_id, self.salesperson)
        self.assertIn("Out of beans", self.bad.activity_ids.note)

    @mute_logger(BATCH_LOGGER)
    def test_others_get_no_activity(self):
        self.expire_with(ValueError("Out of beans"))
        self.assertFalse((self.good | self.late).activity_ids)

    def test_log_names_the_bad_subscription_and_the_error(self):
        with self.assertLogs(BATCH_LOGGER, "WARNING") as logs:
            self.expire_with(ValueError("Out of beans"))
        self.assertEqual(len(logs.records), 1)
        self.assertIn(self.bad.name, logs.output[0])
        self.assertIn("Out of beans", logs.output[0])

    def test_mended_subscription_closes_at_the_next_run(self):
        with mute_logger(BATCH_LOGGER):
            self.expire_with(ValueError("Out of beans"))
        self.expire(until="2027-03-01")
        self.assertEqual(self.bad.subscription_state, "churned")

    def test_subscription_in_use_waits_for_the_next_run(self):
        with self.assertNoLogs(BATCH_LOGGER, "WARNING"):
            self.expire_with(psycopg2.errors.SerializationFailure())
        self.assertFalse(self.bad.activity_ids)
        self.expire(until="2027-03-01")
        self.assertEqual(self.bad.subscription_state, "churned")


@tagged("post_install", "-at_install")
class TestReopening(SubscriptionCommon):
    """C9: an administrator brings a closed subscription back."""

    def test_administrator_reopens(self):
        order = self.churned_subscription().with_user(self.administrator)
        self.assertTrue(order.subscription_reopen())
        self.assertEqual((order.subscription_state, order.is_closing), ("progress", False))
        self.assertFalse(order.close_reason_id)
        self.assertFalse(order.close_requested_on)
        self.assertDates(order, end_date=False, closed_on=False)

    def test_salesperson_may_not_reopen(self):
        order = self.churned_subscription()
        for user in (self.salesperson, self.sales_lead):
            with self.subTest(user.name), self.assertRefused("Only an administrator"):
                order.with_user(user).subscription_reopen()
        self.assertEqual(order.subscription_state, "churned")

    def test_chatter_tells_who_reopened(self):
        order = self.churned_subscription().with_user(self.administrator)
        order.subscription_reopen()
        message = self.last_message(order)
        self.assertIn("was reopened", message.body)
        self.assertEqual(message.author_id, self.administrator.partner_id)
        self.assertEqual(self.changes(message)["subscription_state"], ("Churned", "In Progress"))

    def test_reopened_subscription_keeps_its_start(self):
        order = self.churned_subscription(start="2026-06-15").with_user(self.administrator)
        order.subscription_reopen()
        self.assertDates(order, start_date="2026-06-15", anchor_date="2026-06-15")

    def test_reopened_on_the_same_day_goes_on_as_if_nothing_had_been(self):
        order = self.churned_subscription(start="2026-12-15").with_user(self.administrator)
        order.subscription_reopen()
        self.assertDates(order, next_invoice_date="2026-12-15")

    def test_reopened_later_uses_up_what_was_invoiced(self):
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
        order = self.churned_subscription().with_user(self.administrator)
        order.subscription_reopen()
        self.assertEqual(order.recurring_monthly, 100.0)

    def test_reopened_subscription_can_be_closed_again(self):
        order = self.churned_subscription().with_user(self.administrator)
        order.subscription_reopen()
        order.subscription_close(self.hidden_reason.id)
        self.assertEqual((order.subscription_state, order.close_reason_id), ("churned", self.hidden_reason))

    def test_reopened_subscription_stays_open_at_the_next_run(self):
        order = self.churned_subscription().with_user(self.administrator)
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
        order = self.churned_subscription().with_user(self.administrator)
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
    """C8: what runs and was invoiced is closed, not cancelled."""

    def mass_cancel(self, orders):
        """Cancel from the list, as its action does."""
        wizards = orders.env["sale.mass.cancel.orders"]
        wizards.create({"sale_order_ids": [Command.set(orders.ids)]}).action_mass_cancel()

    def invoiced_subscription(self):
        order = self.subscription()
        self.invoice(order)
        return order

    def test_invoiced_subscription_cannot_be_cancelled(self):
        order = self.invoiced_subscription()
        with self.assertRefused("runs and was invoiced, so it cannot be cancelled. Close it instead"):
            order.action_cancel()
        self.assertEqual((order.state, order.subscription_state), ("sale", "progress"))

    def test_invoiced_subscription_cannot_be_cancelled_from_the_list(self):
        order = self.invoiced_subscription()
        with self.assertRefused("Close it instead"):
            self.mass_cancel(order)
        self.assertEqual((order.state, order.subscription_state), ("sale", "progress"))

    def test_list_with_an_invoiced_subscription_cancels_none(self):
        fresh, invoiced = self.subscription(), self.invoiced_subscription()
        with self.assertRefused(invoiced.name):
            self.mass_cancel(fresh | invoiced)
        self.assertEqual((fresh.state, fresh.subscription_state), ("sale", "progress"))

    def test_invoiced_and_paused_subscription_cannot_be_cancelled(self):
        order = self.invoiced_subscription()
        order.subscription_pause()
        with self.assertRefused("Close it instead"):
            order.action_cancel()

    def test_closed_subscription_that_was_invoiced_cannot_be_cancelled(self):
        order = self.churned_subscription(invoiced=True)
        with self.assertRefused("is closed and was invoiced"):
            order.action_cancel()

    def test_invoice_of_a_colleague_counts(self):
        order = self.invoiced_subscription()
        order.invoice_ids.sudo().invoice_user_id = self.other_salesperson
        with self.assertRefused("Close it instead"):
            order.action_cancel()

    def test_never_invoiced_subscription_may_be_cancelled(self):
        order = self.subscription()
        order.action_cancel()
        self.assertEqual((order.state, order.subscription_state), ("cancel", "quotation"))

    def test_never_invoiced_subscriptions_may_be_cancelled_from_the_list(self):
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

    def test_cancelled_renewal_lets_the_subscription_go_on(self):
        order = self.invoiced_subscription()
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


@tagged("post_install", "-at_install")
class TestAfterClosing(SubscriptionCommon):
    """C7: nothing more is invoiced."""

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
