from odoo.exceptions import AccessError
from odoo.tests import Form, tagged

from .common import SubscriptionCommon


@tagged("post_install", "-at_install")
class TestClosePopUp(SubscriptionCommon):
    """The pop-up Close Reason."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.subscription()

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

    def test_submit_closes_with_the_selected_reason(self):
        order = self.order
        self.assertEqual(self.submit(order), {"type": "ir.actions.act_window_close"})
        self.assertEqual((order.subscription_state, order.close_reason_id), ("churned", self.reason))

    def test_submit_closes_at_the_end_of_the_paid_period(self):
        order = self.order
        self.invoice(order)
        self.submit(order, when="period_end")
        self.assertDates(order, end_date="2027-02-28")

    def test_submit_closes_on_the_date_that_was_entered(self):
        order = self.order
        self.submit(order, when="date", date="2027-06-15")
        self.assertDates(order, end_date="2027-06-15")

    def test_pop_up_asks_for_a_reason(self):
        form = self.pop_up(self.order)
        with self.assertRaisesRegex(AssertionError, "reason_id"):
            form.save()

    def test_pop_up_asks_for_the_date(self):
        form = self.pop_up(self.order)
        form.reason_id = self.reason
        form.when = "date"
        with self.assertRaisesRegex(AssertionError, "date"):
            form.save()

    def test_pop_up_shows_when_the_close_takes_effect(self):
        order = self.order
        self.invoice(order)
        form = self.pop_up(order)
        self.assertIn("Closes today", form.effect)
        form.when = "period_end"
        self.assertIn("02/28/2027", form.effect)
        form.when = "date"
        self.assertFalse(form.effect)
        form.date = "2027-06-15"
        self.assertIn("06/15/2027", form.effect)

    def test_pop_up_shows_the_range_of_several_end_dates(self):
        orders = self.order | self.subscription(plan=self.weekly)
        for order in orders:
            self.invoice(order)
        form = self.pop_up(orders)
        form.when = "period_end"
        self.assertRegex(form.effect, "between 02/07/2027 and 02/28/2027")

    def test_past_date_is_refused_on_submit(self):
        order = self.order
        form = self.pop_up(order)
        form.reason_id = self.reason
        form.when = "date"
        form.date = "2027-01-30"
        wizard = form.save()
        with self.assertRefused("is in the past"):
            wizard.action_submit()
        self.assertEqual(order.subscription_state, "progress")

    def test_discarded_pop_up_changes_nothing(self):
        order = self.order
        messages = order.message_ids
        form = self.pop_up(order)
        form.reason_id = self.reason
        form.save()
        self.flush_chatter()
        self.assertEqual((order.subscription_state, order.is_closing), ("progress", False))
        self.assertFalse(order.close_reason_id)
        self.assertEqual(order.message_ids, messages)

    def test_pop_up_does_not_open_for_a_closed_subscription(self):
        order = self.churned_subscription()
        with self.assertRefused("has been closed since"):
            order.action_subscription_close()

    def test_pop_up_submitted_after_somebody_else_closed_is_refused(self):
        order = self.order
        form = self.pop_up(order)
        form.reason_id = self.hidden_reason
        wizard = form.save()
        order.subscription_close(self.reason.id)
        with self.assertRefused("has been closed since"):
            wizard.action_submit()
        self.assertEqual(order.close_reason_id, self.reason)

    def quick_create_context(self, user):
        """Return the context in which the web client creates a reason typed into the Reason drop-down."""
        wizards = self.env["sale.subscription.close.wizard"].with_user(user)
        return wizards.fields_get(["reason_id"])["reason_id"]["context"]

    def test_typed_reason_closes(self):
        order = self.subscription(user=self.administrator)
        reasons = self.env["sale.order.close.reason"].with_user(self.administrator)
        reason_id, name = reasons.with_context(**self.quick_create_context(self.administrator)).name_create("Flooded")
        form = self.pop_up(order)
        form.reason_id = reasons.browse(reason_id)
        form.save().action_submit()
        self.assertEqual((order.subscription_state, order.close_reason_id.name), ("churned", "Flooded"))
        self.assertEqual(name, "Flooded")

    def test_typed_reason_is_hidden_from_the_portal(self):
        reasons = self.env["sale.order.close.reason"].with_user(self.administrator)
        reason_id, _name = reasons.with_context(**self.quick_create_context(self.administrator)).name_create("Flooded")
        self.assertFalse(reasons.browse(reason_id).visible_in_portal)

    def test_salesperson_cannot_type_a_new_reason(self):
        reasons = self.env["sale.order.close.reason"].with_user(self.salesperson)
        with self.assertRaises(AccessError):
            reasons.with_context(**self.quick_create_context(self.salesperson)).name_create("Flooded")

    def test_one_pop_up_closes_three_from_the_list(self):
        orders = self.order | self.subscription(plan=self.weekly) | self.subscription(plan=self.yearly)
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
        running, quotation, closed = self.order, self.quotation(), self.churned_subscription()
        form = self.pop_up(running | quotation | closed)
        form.reason_id = self.hidden_reason
        form.save().action_submit()
        self.assertEqual(
            (running | quotation | closed).mapped("subscription_state"), ["churned", "quotation", "churned"]
        )
        self.assertEqual(running.close_reason_id, self.hidden_reason)
        self.assertEqual(closed.close_reason_id, self.reason)

    def test_mixed_selection_lists_those_that_cannot_be_closed(self):
        running, quotation, closed = self.order, self.quotation(), self.churned_subscription()
        form = self.pop_up(running | quotation | closed)
        self.assertEqual(form.closable_count, 1)
        self.assertRegex(form.refusals, f"{quotation.name}.*has not started")
        self.assertRegex(form.refusals, f"{closed.name}.*has been closed since")
        self.assertNotIn(running.name, form.refusals)

    def test_selection_with_nothing_to_close_opens_no_pop_up(self):
        quotation, closed = self.quotation(), self.churned_subscription()
        with self.assertRefused("(?s)has not started.*has been closed since"):
            (quotation | closed).action_subscription_close()
