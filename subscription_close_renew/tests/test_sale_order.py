from odoo.exceptions import UserError
from odoo.tests import Form, tagged
from odoo.tools import html2plaintext, mute_logger

from .common import SubscriptionCommon
from .payment_common import SubscriptionPaymentCommon


@tagged("post_install", "-at_install")
class TestConfirmation(SubscriptionCommon):
    """From quotation to subscription."""

    def test_order_with_a_plan_is_a_subscription_quotation(self):
        order = self.quotation()
        self.assertTrue(order.is_subscription)
        self.assertEqual(order.subscription_state, "quotation")

    def test_quotation_has_no_billing_dates(self):
        self.assertDates(self.quotation(), start_date=False, anchor_date=False, next_invoice_date=False)

    def test_setting_and_removing_the_plan_toggles_the_subscription_quotation(self):
        order = self.quotation(plan=False)
        order.plan_id = self.monthly
        self.assertEqual(order.subscription_state, "quotation")
        order.plan_id = False
        self.assertFalse(order.subscription_state)

    def test_quotation_that_renews_another_is_a_renewal(self):
        order = self.quotation(subscription_id=self.subscription().id)
        self.assertEqual(order.subscription_state, "renewal")

    def test_confirmed_quotation_is_in_progress(self):
        order = self.quotation()
        order.action_confirm()
        self.assertEqual((order.state, order.subscription_state), ("sale", "progress"))

    def test_subscription_starts_on_the_day_of_its_confirmation(self):
        order = self.quotation()
        with self.on("2027-02-10"):
            order.action_confirm()
        self.assertDates(order, start_date="2027-02-10", anchor_date="2027-02-10", next_invoice_date="2027-02-10")

    def test_subscription_starts_on_the_date_that_was_entered(self):
        order = self.subscription(start="2027-03-15")
        self.assertDates(order, start_date="2027-03-15", anchor_date="2027-03-15", next_invoice_date="2027-03-15")

    def test_subscription_starts_on_the_day_where_the_company_is(self):
        self.company.partner_id.tz = "Pacific/Kiritimati"
        with self.on("2027-01-31 23:00"):
            self.assertDates(self.subscription(), start_date="2027-02-01")

    def test_several_quotations_are_confirmed_at_once(self):
        orders = self.quotation() | self.quotation(start="2027-05-01") | self.quotation(plan=False, lines=[])
        orders.action_confirm()
        self.assertEqual(orders.mapped("subscription_state"), ["progress", "progress", False])

    def test_chatter_shows_who_started_the_subscription(self):
        message = self.last_message(self.subscription())
        self.assertEqual(message.author_id, self.salesperson.partner_id)
        self.assertEqual(self.changes(message)["subscription_state"], ("Quotation", "In Progress"))

    def test_recurring_product_without_plan_is_refused_asking_for_the_plan(self):
        order = self.quotation(plan=False)
        with self.assertRefused("Coffee Service is sold by subscription.*Choose a Recurring Plan"):
            order.action_confirm()
        self.assertEqual(order.state, "draft")

    def test_plan_without_recurring_product_is_refused_asking_for_the_product(self):
        order = self.quotation(lines=[self.line(self.one_time_product)])
        with self.assertRefused("recurring plan Every month.*Add a product whose Subscriptions box is ticked"):
            order.action_confirm()
        self.assertEqual(order.state, "draft")

    def test_refusal_names_the_order_among_several(self):
        good, bad = self.quotation(), self.quotation(lines=[self.line(self.one_time_product)])
        with self.assertRefused(bad.name):
            (good | bad).action_confirm()

    def test_order_may_mix_recurring_and_one_time_lines(self):
        order = self.subscription(lines=[self.line(quantity=2), self.line(self.one_time_product)])
        self.assertEqual(order.order_line.mapped("is_recurring"), [True, False])
        self.assertEqual(order.recurring_total, 200.0)

    def test_ticking_the_product_box_changes_no_running_subscription(self):
        order = self.subscription(lines=[self.line(), self.line(self.one_time_product)])
        self.one_time_product.recurring_invoice = True
        self.assertEqual(order.order_line.mapped("is_recurring"), [True, False])


@tagged("post_install", "-at_install")
class TestOrdinaryOrder(SubscriptionCommon):
    """An order without a plan behaves as without the addon."""

    def ordinary_order(self):
        order = self.quotation(plan=False, lines=[self.line(self.one_time_product)])
        order.action_confirm()
        return order

    def test_ordinary_order_has_no_subscription_values(self):
        order = self.ordinary_order()
        self.assertEqual(order.state, "sale")
        empty = {
            "is_subscription": False,
            "subscription_state": False,
            "start_date": False,
            "anchor_date": False,
            "next_invoice_date": False,
            "end_date": False,
            "recurring_total": 0,
            "recurring_monthly": 0,
        }
        self.assertEqual({name: order[name] for name in empty}, empty)
        self.assertFalse(order.origin_order_id)

    def test_ordinary_order_that_was_invoiced_can_be_cancelled(self):
        order = self.ordinary_order()
        self.invoice(order)
        order._action_cancel()
        self.assertEqual(order.state, "cancel")

    def test_ordinary_order_cannot_be_closed(self):
        with self.assertRefused("is not a subscription"):
            self.ordinary_order().subscription_close(self.reason.id)

    def test_scheduled_action_leaves_an_ordinary_order_alone(self):
        order = self.ordinary_order()
        order.end_date = "2027-02-01"
        self.expire(until="2027-03-01")
        self.assertEqual((order.state, order.subscription_state), ("sale", False))


@tagged("post_install", "-at_install")
class TestSubscriptionStatus(SubscriptionCommon):
    """Only the transition method writes the status."""

    def test_status_cannot_be_written(self):
        order = self.subscription()
        with self.assertRefused("cannot be set manually"):
            order.subscription_state = "churned"

    def test_status_cannot_be_written_with_all_rights(self):
        order = self.subscription().sudo()
        with self.assertRefused("cannot be set manually"):
            order.write({"subscription_state": "renewed"})

    def test_status_cannot_be_written_with_a_context(self):
        order = self.subscription()
        for trick in (True, 1, "subscription_transition", {}):
            with self.assertRefused("cannot be set manually"):
                order.with_context(subscription_transition=trick).write({"subscription_state": "churned"})

    def test_status_cannot_be_set_on_a_new_order(self):
        with self.assertRefused("cannot be set manually"):
            self.quotation(subscription_state="progress")

    def test_status_cannot_be_set_on_a_new_order_with_a_context(self):
        orders = self.env["sale.order"].with_user(self.salesperson).with_context(default_subscription_state="progress")
        order = orders.create({"partner_id": self.customer.id, "plan_id": self.monthly.id})
        self.assertEqual(order.subscription_state, "quotation")

    def test_status_cannot_be_set_on_a_copy(self):
        order = self.subscription()
        with self.assertRefused("cannot be set manually"):
            order.copy({"subscription_state": "progress"})

    def test_status_cannot_be_imported(self):
        orders = self.env["sale.order"].with_user(self.administrator)
        result = orders.load(["partner_id/.id", "subscription_state"], [[str(self.customer.id), "progress"]])
        self.assertFalse(result["ids"])

    def test_impossible_transition_names_the_status(self):
        order = self.churned_subscription()
        with self.assertRefused(f"not possible while {order.name} has the subscription status Churned"):
            order.subscription_resume()


@tagged("post_install", "-at_install")
class TestPlanOfOrder(SubscriptionCommon):
    """The plan of an order: proposed by default, and fixed once the order is confirmed."""

    def test_plan_cannot_be_changed_after_confirmation(self):
        order = self.subscription()
        with self.assertRefused("is confirmed, so its recurring plan cannot be changed"):
            order.plan_id = self.yearly
        self.assertEqual(order.plan_id, self.monthly)

    def test_plan_cannot_be_removed_after_confirmation(self):
        order = self.subscription()
        with self.assertRefused("cannot be changed"):
            order.plan_id = False

    def test_ordinary_order_cannot_get_a_plan_after_confirmation(self):
        order = self.quotation(plan=False, lines=[self.line(self.one_time_product)])
        order.action_confirm()
        with self.assertRefused("cannot be changed"):
            order.plan_id = self.monthly

    def test_same_plan_may_be_written_again(self):
        order = self.subscription()
        order.write({"plan_id": self.monthly.id})
        self.assertEqual(order.plan_id, self.monthly)

    def test_plan_can_be_changed_once_back_to_quotation(self):
        order = self.subscription()
        order._action_cancel()
        order.action_draft()
        order.plan_id = self.yearly
        order.action_confirm()
        self.assertEqual((order.plan_id, order.subscription_state), (self.yearly, "progress"))

    def test_plan_of_another_company_is_refused(self):
        other_company = self.make_company("Other Company")
        plan = self.env["sale.subscription.plan"].create({"name": "Theirs", "company_id": other_company.id})
        with self.assertRaises(UserError):
            self.env["sale.order"].create({"partner_id": self.customer.id, "plan_id": plan.id})

    def test_subscription_quotation_proposes_the_default_plan(self):
        self.company.subscription_default_plan_id = self.yearly
        orders = self.env["sale.order"].with_user(self.salesperson).with_context(subscription_quotation=True)
        self.assertEqual(Form(orders).plan_id, self.yearly)

    def test_plan_a_quotation_is_created_from_takes_precedence_over_the_default(self):
        self.company.subscription_default_plan_id = self.yearly
        action = self.monthly.with_user(self.salesperson).action_open_subscriptions()
        orders = self.env["sale.order"].with_user(self.salesperson).with_context(**action["context"])
        self.assertEqual(Form(orders).plan_id, self.monthly)

    def test_ordinary_quotation_proposes_no_plan(self):
        self.company.subscription_default_plan_id = self.yearly
        self.assertFalse(Form(self.env["sale.order"].with_user(self.salesperson)).plan_id)

    def form_with(self, product):
        form = Form(self.env["sale.order"].with_user(self.salesperson))
        form.partner_id = self.customer
        with form.order_line.new() as line:
            line.product_id = product
        return form

    def test_recurring_product_sets_the_default_plan(self):
        self.company.subscription_default_plan_id = self.yearly
        self.assertEqual(self.form_with(self.recurring_product).plan_id, self.yearly)

    def test_one_time_product_sets_no_plan(self):
        self.company.subscription_default_plan_id = self.yearly
        self.assertFalse(self.form_with(self.one_time_product).plan_id)

    def test_recurring_product_keeps_the_chosen_plan(self):
        self.company.subscription_default_plan_id = self.yearly
        form = Form(self.env["sale.order"].with_user(self.salesperson))
        form.partner_id = self.customer
        form.plan_id = self.weekly
        with form.order_line.new() as line:
            line.product_id = self.recurring_product
        self.assertEqual(form.plan_id, self.weekly)


@tagged("post_install", "-at_install")
class TestCopyAndDraft(SubscriptionCommon):
    """Copies, cancelled orders and quotations made from them start without subscription values."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.subscription()

    def test_copy_of_a_closed_subscription_is_a_fresh_quotation(self):
        order = self.order
        self.invoice(order)
        order.subscription_close(self.reason.id)
        copy = order.copy()
        self.assertEqual((copy.state, copy.subscription_state, copy.plan_id), ("draft", "quotation", self.monthly))
        self.assertDates(
            copy, start_date=False, anchor_date=False, next_invoice_date=False, end_date=False, closed_on=False
        )
        self.assertFalse(copy.close_reason_id)
        self.assertFalse(copy.close_requested_on)

    def test_copy_has_no_billed_periods(self):
        order = self.order
        self.invoice(order)
        self.assertFalse(order.copy().period_ids)

    def test_copy_starts_its_own_chain(self):
        renewal = self.quotation(subscription_id=self.order.id)
        copy = renewal.copy()
        self.assertFalse(copy.subscription_id)
        self.assertEqual(copy.origin_order_id, copy)

    def test_renewal_belongs_to_the_chain_of_the_first_order(self):
        order = self.order
        renewal = self.quotation(subscription_id=order.id)
        self.assertEqual(renewal.origin_order_id, order)

    def test_cancelled_before_its_first_invoice_is_a_quotation_without_dates(self):
        order = self.subscription(start="2027-03-01")
        order._action_cancel()
        self.assertEqual((order.state, order.subscription_state), ("cancel", "quotation"))
        self.assertDates(order, start_date=False, anchor_date=False, next_invoice_date=False, end_date=False)

    def test_chatter_shows_who_cancelled(self):
        order = self.order
        order._action_cancel()
        message = self.last_message(order)
        self.assertEqual(message.author_id, self.salesperson.partner_id)
        self.assertEqual(self.changes(message)["subscription_state"], ("In Progress", "Quotation"))

    def test_cancelled_and_confirmed_again_starts_over(self):
        order = self.order
        order._action_cancel()
        with self.on("2027-02-10"):
            order.action_draft()
            order.action_confirm()
        self.assertEqual(order.subscription_state, "progress")
        self.assertDates(order, start_date="2027-02-10", anchor_date="2027-02-10", next_invoice_date="2027-02-10")

    def test_planned_close_is_forgotten_with_the_cancelled_order(self):
        order = self.order
        order.subscription_close(self.reason.id, when="date", date="2027-06-01")
        order._action_cancel()
        self.assertFalse(order.close_reason_id)
        self.assertDates(order, end_date=False)

    def test_pause_is_forgotten_with_the_cancelled_order(self):
        order = self.paused_subscription(resume_date="2027-03-01")
        order._action_cancel()
        self.assertDates(order, resume_date=False)


@tagged("post_install", "-at_install")
class TestSubscriptionProducts(SubscriptionCommon):
    """Confirmation checks, however a subscription product is added to an order."""

    def test_box_ticked_after_the_quotation_was_created_counts(self):
        order = self.quotation(lines=[self.line(self.one_time_product)])
        self.one_time_product.recurring_invoice = True
        self.assertTrue(order.order_line.is_recurring)
        order.action_confirm()
        self.assertEqual(order.recurring_total, 30.0)

    def test_box_ticked_later_changes_no_running_subscription(self):
        order = self.subscription(lines=[self.line(), self.line(self.one_time_product)])
        self.one_time_product.recurring_invoice = True
        self.assertEqual(order.recurring_total, 100.0)

    def test_optional_product_needs_no_plan(self):
        order = self.quotation(plan=False, lines=[self.line(self.one_time_product), self.line(quantity=0)])
        order.action_confirm()
        self.assertEqual(order.state, "sale")

    def test_optional_product_makes_no_subscription(self):
        order = self.quotation(lines=[self.line(self.one_time_product), self.line(quantity=0)])
        with self.assertRefused("no subscription product"):
            order.action_confirm()

    def test_confirmed_ordinary_order_refuses_a_subscription_product(self):
        order = self.quotation(plan=False, lines=[self.line(self.one_time_product)])
        order.action_confirm()
        with self.assertRefused("Choose a Recurring Plan, or remove the product"):
            order.order_line = [self.line()]

    def test_default_plan_is_also_set_outside_of_forms(self):
        self.company.subscription_default_plan_id = self.yearly
        order = self.quotation(plan=False)
        self.assertEqual(order.plan_id, self.yearly)
        self.assertTrue(order.order_line.is_recurring)

    def test_archived_default_plan_is_not_proposed(self):
        self.company.subscription_default_plan_id = self.yearly
        self.yearly.active = False
        self.assertFalse(self.quotation(plan=False).plan_id)

    def test_customer_is_not_asked_to_sign_or_pay_an_unconfirmable_order(self):
        order = self.quotation(plan=False, require_signature=True, require_payment=True)
        self.assertFalse(order._has_to_be_signed())
        self.assertFalse(order._has_to_be_paid())

    def test_customer_is_asked_to_sign_and_pay_a_subscription(self):
        order = self.quotation(require_signature=True, require_payment=True)
        self.assertTrue(order._has_to_be_signed())
        self.assertTrue(order._has_to_be_paid())

    def test_imported_confirmed_order_with_a_plan_is_running(self):
        order = self.quotation(state="sale", start="2027-01-15")
        self.assertEqual(order.subscription_state, "progress")
        self.assertDates(order, anchor_date="2027-01-15", next_invoice_date="2027-01-15")

    def test_dates_written_by_methods_cannot_be_written_manually(self):
        order = self.subscription()
        for name in ("anchor_date", "closed_on", "close_requested_on", "resumed_on", "end_date_before_close"):
            with self.subTest(name), self.assertRefused("cannot be set manually"):
                order.write({name: "2027-03-01"})

    def test_cancelled_and_confirmed_again_bills_nothing_of_before(self):
        order = self.subscription(start="2027-01-01")
        invoice = self.invoice(order)
        self.reset(invoice)
        invoice.button_cancel()
        order.action_cancel()
        order.action_draft()
        order.action_confirm()
        self.assertDates(order, next_invoice_date="2027-01-31")


@tagged("post_install", "-at_install")
class TestDefaultPlan(SubscriptionPaymentCommon):
    """P13: an automatic plan never prevents confirming, and nobody pays for an order that cannot be confirmed."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company.subscription_default_plan_id = cls.monthly

    def cart(self, *lines):
        return self.quotation(plan=False, lines=list(lines))

    def test_plan_is_removed_with_the_last_subscription_product(self):
        order = self.cart(self.line(self.one_time_product))
        order.order_line = [self.line(), self.line()]
        order.order_line[2].unlink()
        self.assertEqual(order.plan_id, self.monthly)
        order.order_line[1].unlink()
        self.assertFalse(order.plan_id)
        order.action_confirm()
        self.assertEqual((order.state, order.subscription_state), ("sale", False))

    def test_plan_is_removed_when_another_product_replaces_it(self):
        order = self.cart(self.line())
        order.order_line.product_id = self.one_time_product
        self.assertFalse(order.plan_id)
        order.order_line.product_id = self.recurring_product
        self.assertEqual(order.plan_id, self.monthly)

    def test_plan_of_an_optional_product_does_not_prevent_confirming(self):
        order = self.cart(self.line(self.one_time_product), self.line(quantity=0))
        self.assertEqual(order.plan_id, self.monthly)
        order.action_confirm()
        self.assertEqual((order.state, order.plan_id), ("sale", self.monthly.browse()))

    def test_manually_chosen_plan_is_kept(self):
        order = self.quotation(lines=[self.line()])
        order.order_line.unlink()
        self.assertEqual(order.plan_id, self.monthly)

    def test_plan_chosen_instead_of_the_default_is_kept(self):
        order = self.cart(self.line())
        order.plan_id = self.yearly
        order.order_line.unlink()
        self.assertEqual(order.plan_id, self.yearly)

    def test_plan_of_a_confirmed_order_is_kept(self):
        order = self.cart(self.line())
        order.action_confirm()
        order.order_line.product_id = self.recurring_product
        self.assertEqual(order.plan_id, self.monthly)

    def test_form_removes_the_plan_that_it_proposed(self):
        form = Form(self.cart(self.line(self.one_time_product)).with_user(self.administrator))
        with form.order_line.new() as line:
            line.product_id = self.recurring_product
        self.assertEqual(form.plan_id, self.monthly)
        form.order_line.remove(1)
        self.assertFalse(form.plan_id)

    def test_form_saves_that_the_plan_was_set_automatically(self):
        form = Form(self.cart(self.line(self.one_time_product)).with_user(self.administrator))
        with form.order_line.new() as line:
            line.product_id = self.recurring_product
        order = form.save()
        order.order_line[1].unlink()
        self.assertFalse(order.plan_id)

    def test_nobody_pays_for_an_order_that_cannot_be_confirmed(self):
        self.company.subscription_default_plan_id = False
        order = self.cart(self.line())
        with self.assertRefused("has no recurring plan"):
            self.online_payment(order)

    def test_ordinary_order_can_be_paid(self):
        order = self.cart(self.line(self.one_time_product))
        with self.provider("done"):
            self.notify(self.online_payment(order), "done")
        self.assertEqual(order.state, "sale")

    def test_paid_order_that_cannot_be_confirmed_is_reported_and_its_payment_booked(self):
        order = self.cart(self.line())
        payment = self.online_payment(order)
        order.order_line.product_uom_qty = 0
        order.plan_id = self.yearly
        with mute_logger("odoo.addons.subscription_close_renew.models.payment.payment_transaction"):
            self.notify(payment, "done")
        self.assertEqual(order.state, "draft")
        self.assertEqual(self.todo(order), ["Paid, but not confirmed"])
        self.assertIn("no subscription product", html2plaintext(order.activity_ids.note))
        self.assertEqual((payment.payment_id.state, payment.is_post_processed), ("in_process", True))
