from datetime import date
from unittest.mock import patch

from odoo.exceptions import AccessError, UserError
from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import SubscriptionCommon
from .payment_common import SubscriptionPaymentCommon


@tagged("post_install", "-at_install")
class TestRenewConditions(SubscriptionCommon):
    """A refusal says what is missing and what to do about it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.paid_subscription()

    def assertNotRenewed(self, order, words):
        with self.assertRefused(words):
            order.subscription_renew()
        self.assertFalse(order.renewal_ids)

    def test_quotation_is_confirmed_first(self):
        self.assertNotRenewed(self.quotation(), "is not confirmed. .*invoice its first period")

    def test_cancelled_quotation_is_not_renewed(self):
        order = self.quotation()
        order.action_cancel()
        self.assertNotRenewed(order, "is not confirmed")

    def test_ordinary_order_is_not_renewed(self):
        order = self.quotation(plan=False, lines=[self.line(self.one_time_product)])
        order.action_confirm()
        self.assertNotRenewed(order, "has no recurring plan. Only subscriptions")

    def test_first_period_is_invoiced_first(self):
        order = self.subscription()
        self.assertNotRenewed(order, f"The first period of {order.name} is not invoiced. .*create and post the invoice")

    def test_draft_invoice_is_not_enough(self):
        order = self.subscription()
        self.invoice(order, post=False)
        self.assertNotRenewed(order, "is not invoiced")

    def test_first_period_is_paid_first(self):
        order = self.subscription()
        invoice = self.invoice(order)
        self.assertNotRenewed(order, f"The invoice {invoice.name} of the first period of {order.name} is not paid")

    def test_partial_payment_is_not_enough(self):
        order = self.subscription()
        invoice = self.invoice(order)
        wizards = self.env["account.payment.register"].with_user(self.accountant)
        wizards.with_context(active_model="account.move", active_ids=invoice.ids).create(
            {"amount": 40.0}
        )._create_payments()
        self.assertNotRenewed(order, "is not paid. .*register the payment")

    def test_paid_subscription_is_renewed(self):
        order = self.order
        self.assertEqual(self.renewal(order).subscription_state, "renewal")

    def test_later_period_may_be_unpaid(self):
        order = self.order
        self.invoice(order)
        self.assertTrue(self.renewal(order))

    def test_subscription_that_costs_nothing_needs_no_payment(self):
        order = self.subscription(lines=[self.line(price_unit=0)])
        self.invoice(order)
        self.assertTrue(self.renewal(order))

    def test_first_period_that_was_credited_is_invoiced_again_first(self):
        order = self.order
        self.invoices(order)._reverse_moves(cancel=True)
        self.assertNotRenewed(order, "is not invoiced")

    def test_closed_subscription_is_not_renewed(self):
        order = self.churned_subscription(invoiced=True)
        self.assertNotRenewed(order, r"has been closed \(Churned\) since 01/31/2027.*Create a new quotation")

    def test_renewed_subscription_names_its_renewal(self):
        order = self.order
        renewal = self.renewed_by(order)
        with self.assertRefused(f"been renewed by {renewal.name}. Renew that order instead"):
            order.subscription_renew()

    def test_paused_subscription_is_resumed_first(self):
        order = self.order
        order.subscription_pause()
        self.assertNotRenewed(order, "is paused. .*resume it")

    def test_payment_failure_is_resolved_first(self):
        order = self.order
        order.sudo().payment_exception = True
        self.assertNotRenewed(order, "resolve the payment failure")

    def test_empty_selection_is_reported(self):
        with self.assertRefused("Select at least one"):
            self.env["sale.order"].action_subscription_renew()

    def test_refusal_of_several_gives_the_reason_for_each(self):
        orders = self.subscription() | self.churned_subscription()
        with self.assertRefused(f"(?s){orders[0].name} is not invoiced.*{orders[1].name} has been closed"):
            orders.action_subscription_renew()


@tagged("post_install", "-at_install")
class TestRenewalQuotation(SubscriptionPaymentCommon):
    """The quotation is filled in, found again and linked."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.paid_subscription()

    def test_quotation_is_shown_at_once(self):
        order = self.order
        action = order.action_subscription_renew()
        self.assertEqual((action["res_model"], action["res_id"]), ("sale.order", order.renewal_ids.id))

    def test_quotation_is_a_draft_that_renews_the_subscription(self):
        order = self.order
        renewal = self.renewal(order)
        self.assertEqual((renewal.state, renewal.subscription_state), ("draft", "renewal"))
        self.assertEqual((renewal.subscription_id, renewal.origin_order_id), (order, order))

    def test_pressed_again_the_same_quotation_is_shown(self):
        order = self.order
        self.assertEqual(order.subscription_renew(), order.subscription_renew())

    def test_sent_quotation_is_found_again(self):
        order = self.order
        renewal = self.renewal(order)
        renewal.action_quotation_sent()
        self.assertEqual(self.renewal(order), renewal)

    def test_quotation_of_a_colleague_is_found(self):
        order = self.order
        renewal = self.renewal(order, user=self.sales_lead)
        renewal.user_id = self.sales_lead
        self.assertEqual(order.subscription_renew(), renewal.id)

    def test_quotation_is_found_even_when_no_new_one_could_be_created(self):
        order = self.order
        renewal = self.renewal(order)
        order.subscription_pause()
        self.assertEqual(self.renewal(order), renewal)

    def test_customer_addresses_and_terms_are_those_of_the_subscription(self):
        billing, shipping = self.env["res.partner"].create(
            [
                {"name": "Accounts", "parent_id": self.customer.id, "type": "invoice"},
                {"name": "Warehouse", "parent_id": self.customer.id, "type": "delivery"},
            ]
        )
        terms = self.env["account.payment.term"].create({"name": "Ten days"})
        order = self.paid_subscription(
            partner_invoice_id=billing.id,
            partner_shipping_id=shipping.id,
            payment_term_id=terms.id,
            note="Beans are not returned.",
        )
        renewal = self.renewal(order)
        names = ("partner_id", "partner_invoice_id", "partner_shipping_id", "payment_term_id", "note", "plan_id")
        self.assertEqual([renewal[name] for name in names], [order[name] for name in names])

    def test_salesperson_is_kept_when_a_colleague_renews(self):
        order = self.order
        self.assertEqual(self.renewal(order, user=self.sales_lead).user_id, self.salesperson)

    def test_payment_method_is_kept(self):
        order = self.paid_subscription(card=self.card())
        self.assertEqual(self.renewal(order).payment_token_id, order.payment_token_id)

    def test_term_of_the_subscription_is_kept_when_the_plan_has_changed(self):
        order = self.paid_subscription(term_periods=6, term_end_action="continue")
        self.monthly.term_periods = 3
        renewal = self.renewal(order)
        self.assertEqual((renewal.term_periods, renewal.term_end_action), (6, "continue"))

    def test_recurring_lines_keep_quantity_price_and_discount(self):
        order = self.paid_subscription(lines=[self.line(quantity=3, price_unit=80.0, discount=10.0)])
        line = self.renewal(order).order_line
        self.assertEqual((line.product_uom_qty, line.price_unit, line.discount), (3, 80.0, 10.0))
        self.assertEqual(line.renewed_line_id, order.order_line)

    def test_agreed_description_is_kept(self):
        order = self.paid_subscription(lines=[self.line(name="Coffee, no sugar")])
        self.assertEqual(self.renewal(order).order_line.name, "Coffee, no sugar")

    def test_one_time_lines_are_left_out(self):
        order = self.paid_subscription(lines=[self.line(), self.line(self.one_time_product)])
        self.assertEqual(self.renewal(order).order_line.product_id, self.recurring_product)

    def test_sections_of_recurring_lines_are_copied_and_others_are_not(self):
        def section(name):
            return Command.create({"display_type": "line_section", "name": name})

        order = self.paid_subscription(
            lines=[section("Beans"), self.line(), section("Works"), self.line(self.one_time_product)]
        )
        lines = self.renewal(order).order_line.sorted("sequence")
        self.assertEqual(
            lines.mapped(lambda line: line.display_type or line.product_id.name), ["line_section", "Coffee Service"]
        )
        self.assertEqual(lines[0].name, "Beans")

    def test_quotation_begins_where_the_paid_period_ends(self):
        order = self.order
        self.assertDates(self.renewal(order), start_date="2027-02-28", next_invoice_date=False, end_date=False)

    def test_quotation_brings_no_revenue_before_it_is_confirmed(self):
        order = self.order
        renewal = self.renewal(order)
        self.assertFalse(renewal.movement_ids)
        self.assertEqual(self.movements(order), [("new", "2027-01-31", 100.0)])

    def test_added_product_does_not_change_the_other_prices(self):
        order = self.paid_subscription(lines=[self.line(price_unit=80.0)])
        tea = self.recurring_product.create(
            {"name": "Tea", "type": "service", "recurring_invoice": True, "list_price": 25.0, "taxes_id": False}
        )
        renewal = self.renewal(order)
        renewal.order_line = [self.line(tea)]
        self.assertEqual(renewal.order_line.mapped("price_unit"), [80.0, 25.0])
        self.assertEqual(renewal.recurring_total, 105.0)

    def test_changed_quantity_keeps_price_and_discount(self):
        order = self.paid_subscription(lines=[self.line(price_unit=80.0, discount=5.0)])
        line = self.renewal(order).order_line
        line.product_uom_qty = 7
        self.assertEqual((line.price_unit, line.discount), (80.0, 5.0))

    def test_changed_list_price_is_not_applied(self):
        order = self.order
        self.recurring_product.list_price = 130.0
        line = self.renewal(order).order_line
        line.product_uom_qty = 2
        self.assertEqual(line.price_unit, 100.0)

    def test_both_chatters_link_to_each_other(self):
        order = self.order
        renewal = self.renewal(order)
        for record, words, other in (
            (renewal, "Renews the subscription", order),
            (order, "Renewal quotation", renewal),
        ):
            body = next(message.body for message in record.sudo().message_ids if words in message.body)
            self.assertRegex(body, f'<a [^>]*data-oe-id="{other.id}"[^>]*>{other.name}</a>'.replace('"', "['\"]"))

    def test_user_who_renews_does_not_follow_the_subscription(self):
        order = self.order
        self.renewal(order, user=self.sales_lead)
        self.assertNotIn(self.sales_lead.partner_id, order.message_partner_ids)

    def test_renewal_quotation_cannot_be_renewed(self):
        with self.assertRefused("is not confirmed"):
            self.renewal(self.paid_subscription()).subscription_renew()

    def test_duplicate_of_a_renewal_renews_nothing(self):
        copy = self.renewal(self.order).copy()
        self.assertEqual((copy.subscription_id, copy.subscription_state), (copy.browse(), "quotation"))
        self.assertFalse(copy.order_line.renewed_line_id)

    def test_cancelled_quotation_makes_room_for_another(self):
        order = self.order
        first = self.renewal(order)
        first.action_cancel()
        self.assertNotEqual(self.renewal(order), first)
        self.assertEqual(order.subscription_state, "progress")

    def test_deleted_quotation_makes_room_for_another(self):
        order = self.order
        self.renewal(order).with_user(self.administrator).unlink()
        self.assertTrue(self.renewal(order).exists())

    def test_cancelled_quotation_cannot_be_restored_while_another_is_open(self):
        order = self.order
        first = self.renewal(order)
        first.action_cancel()
        self.renewal(order)
        with self.assertRefused("open renewal quotation"):
            first.action_draft()

    def test_cancelled_quotation_can_be_restored(self):
        order = self.order
        renewal = self.renewal(order)
        renewal.action_cancel()
        renewal.action_draft()
        self.assertEqual(self.renewal(order), renewal)


@tagged("post_install", "-at_install")
class TestRenewalPricing(SubscriptionCommon):
    def price_after(self, order):
        return self.renewal(order).order_line.price_unit

    def test_prices_are_kept_unless_the_plan_says_otherwise(self):
        order = self.paid_subscription()
        self.recurring_product.list_price = 130.0
        self.assertEqual(self.price_after(order), 100.0)

    def test_prices_follow_the_pricelist(self):
        self.monthly.renewal_pricing = "pricelist"
        order = self.paid_subscription(lines=[self.line(price_unit=80.0, discount=10.0)])
        self.recurring_product.list_price = 130.0
        line = self.renewal(order).order_line
        self.assertEqual((line.price_unit, line.discount), (130.0, 0.0))

    def test_prices_are_raised(self):
        self.monthly.write({"renewal_pricing": "increase", "renewal_increase": 3.5})
        order = self.paid_subscription(lines=[self.line(price_unit=79.99)])
        self.assertEqual(self.price_after(order), 82.79)

    def test_raised_price_is_kept_when_the_quantity_changes(self):
        self.monthly.write({"renewal_pricing": "increase", "renewal_increase": 10})
        line = self.renewal(self.paid_subscription()).order_line
        line.product_uom_qty = 4
        self.assertEqual(line.price_unit, 110.0)

    def test_raised_price_keeps_the_discount(self):
        self.monthly.write({"renewal_pricing": "increase", "renewal_increase": 10})
        line = self.renewal(self.paid_subscription(lines=[self.line(discount=20.0)])).order_line
        self.assertEqual((line.price_unit, line.discount, line.price_subtotal), (110.0, 20.0, 88.0))

    def test_old_price_is_shown_beside_the_new_one(self):
        self.monthly.write({"renewal_pricing": "increase", "renewal_increase": 10})
        line = self.renewal(self.paid_subscription()).order_line
        self.assertEqual((line.previous_price_unit, line.price_unit), (100.0, 110.0))

    def test_prices_can_be_updated_on_purpose(self):
        renewal = self.renewal(self.paid_subscription())
        self.recurring_product.list_price = 130.0
        renewal.action_update_prices()
        self.assertEqual(renewal.order_line.price_unit, 130.0)

    def test_another_plan_has_its_own_prices(self):
        self.env["product.pricelist.item"].create(
            {
                "pricelist_id": False,
                "plan_id": self.yearly.id,
                "product_tmpl_id": self.recurring_product.product_tmpl_id.id,
                "fixed_price": 1000.0,
            }
        )
        renewal = self.renewal(self.paid_subscription())
        renewal.plan_id = self.yearly
        self.assertEqual(renewal.order_line.price_unit, 1000.0)

    def test_plan_cannot_lower_prices_by_one_hundred_percent(self):
        with self.assertRaisesRegex(Exception, "renewal_increase_possible"), mute_logger("odoo.sql_db"):
            self.monthly.renewal_increase = -100
            self.monthly.flush_recordset()


@tagged("post_install", "-at_install")
class TestRenewalConfirmed(SubscriptionPaymentCommon):
    """Both orders change or neither; no period is billed twice or skipped."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.paid_subscription()

    def assertTiled(self, *orders, until):
        """Assert that the orders of a chain bill from 31 January on without gaps or overlaps."""
        periods = sorted(period for order in orders for period in self.billed_periods(order))
        ends = [end for _start, end in periods]
        self.assertEqual([start for start, _end in periods], ["2027-01-31", *ends[:-1]])
        self.assertEqual(ends[-1], until)

    def test_renewal_runs_and_its_parent_is_renewed(self):
        order = self.order
        renewal = self.renewed_by(order)
        self.assertEqual((renewal.state, renewal.subscription_state), ("sale", "progress"))
        self.assertEqual((order.state, order.subscription_state), ("sale", "renewed"))
        self.assertDates(order, next_invoice_date=False)

    def test_chatter_of_the_parent_says_what_renewed_it(self):
        order = self.order
        renewal = self.renewed_by(order)
        message = self.last_message(order)
        self.assertIn(renewal.name, message.body)
        self.assertEqual(self.changes(message)["subscription_state"], ("In Progress", "Renewed"))

    def test_confirmed_early_it_begins_where_the_paid_period_ends(self):
        order = self.order
        renewal = self.renewed_by(order)
        self.assertDates(renewal, start_date="2027-02-28", next_invoice_date="2027-02-28", anchor_date="2027-01-31")
        self.bill(until="2027-02-27")
        self.assertEqual(self.billed_periods(renewal), [])
        self.bill(until="2027-03-31")
        self.assertTiled(order, renewal, until="2027-04-30")

    def test_confirmed_late_it_begins_after_the_last_billed_period_of_the_parent(self):
        order = self.order
        renewal = self.renewal(order)
        self.bill(until="2027-03-31")
        renewal.action_confirm()
        self.assertDates(renewal, start_date="2027-04-30")
        self.bill(until="2027-05-31")
        self.assertTiled(order, renewal, until="2027-06-30")

    def test_renewal_of_an_overdue_parent_bills_the_missing_periods(self):
        order = self.order
        renewal = self.renewal(order)
        with self.on("2027-05-15"):
            renewal.action_confirm()
        self.assertDates(renewal, start_date="2027-02-28")
        self.bill(until="2027-05-15")
        self.assertTiled(order, renewal, until="2027-05-31")

    def test_draft_invoice_of_the_parents_next_period_is_dropped(self):
        order = self.order
        renewal = self.renewal(order)
        draft = self.invoice(order, post=False)
        renewal.action_confirm()
        self.assertEqual(draft.state, "cancel")
        self.bill(until="2027-02-28")
        self.assertTiled(order, renewal, until="2027-03-31")

    def test_draft_invoice_cannot_bill_the_parent_afterwards(self):
        order = self.order
        renewal = self.renewal(order)
        draft = self.invoice(order, post=False)
        renewal.action_confirm()
        draft.button_draft()
        draft.action_post()
        self.bill(until="2027-02-28")
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28")])
        self.assertDates(order, next_invoice_date=False)

    def test_draft_invoice_of_one_time_lines_stays(self):
        order = self.order
        order.order_line = [self.line(self.one_time_product)]
        line = order.order_line.filtered(lambda line: not line.is_recurring)
        values = order.with_user(self.accountant)._prepare_invoice()
        values["invoice_line_ids"] = [Command.create(line.with_user(self.accountant)._prepare_invoice_line(quantity=1))]
        draft = order.env["account.move"].with_user(self.accountant).create(values)
        self.renewed_by(order)
        self.assertEqual(draft.state, "draft")

    def test_declined_invoice_of_the_parent_is_left_to_staff(self):
        order = self.paid_subscription(card=self.card())
        renewal = self.renewal(order)
        with self.provider("declined"):
            self.bill(until="2027-02-28")
        with self.on("2027-02-28"):
            renewal.action_confirm()
        self.assertFalse(order.period_ids.filtered("retry_date"))
        self.assertIn("Unpaid invoice of a renewed subscription", self.todo(order))
        self.calls.clear()
        with self.provider("done"):
            self.bill(until="2027-03-15")
        self.assertEqual(self.calls, [])
        self.assertDates(renewal, start_date="2027-03-31")

    def test_unknown_charge_is_resolved_first(self):
        order = self.paid_subscription(card=self.card())
        renewal = self.renewal(order)
        with self.provider(500):
            self.bill(until="2027-02-28")
        self.assertTrue(order.payment_exception)
        with self.assertRefused(f"{renewal.name} cannot be confirmed.*resolve the payment failure"):
            renewal.action_confirm()
        self.assertEqual((renewal.state, order.subscription_state), ("draft", "progress"))

    def test_renewal_is_charged_to_the_card_of_the_subscription(self):
        order = self.paid_subscription(card=self.card())
        renewal = self.renewed_by(order)
        with self.provider("done"):
            self.bill(until="2027-02-28")
        self.assertEqual(renewal.period_ids.status, "paid")
        self.assertEqual(len(self.charges(renewal)), 1)

    def test_other_open_renewals_are_cancelled(self):
        order = self.order
        other = self.quotation(subscription_id=order.id, user=self.sales_lead)
        renewal = self.quotation(subscription_id=order.id)
        renewal.action_confirm()
        self.assertEqual((renewal.state, other.state), ("sale", "cancel"))

    def test_two_renewals_of_one_subscription_are_not_confirmed_at_once(self):
        order = self.order
        renewals = self.quotation(subscription_id=order.id) | self.quotation(subscription_id=order.id)
        with self.assertRaises(UserError), mute_logger("odoo.sql_db"), self.cr.savepoint():
            renewals.action_confirm()
        self.assertEqual(set(renewals.mapped("state")), {"draft"})
        self.assertEqual(order.subscription_state, "progress")

    def test_renewal_of_a_closed_subscription_is_refused(self):
        order = self.order
        renewal = self.renewal(order)
        order.subscription_close(self.reason.id)
        self.assertEqual(renewal.state, "cancel")
        renewal.action_draft()
        with self.assertRefused(rf"{renewal.name} cannot be confirmed: {order.name} has been closed \(Churned\)"):
            renewal.action_confirm()

    def test_renewal_keeps_an_automatically_set_plan(self):
        self.company.subscription_default_plan_id = self.monthly
        order = self.paid_subscription(plan=False)
        renewal = self.renewal(order)
        renewal.order_line = [self.line(self.one_time_product)]
        renewal.order_line[0].unlink()
        self.assertEqual(renewal.plan_id, self.monthly)
        with self.assertRefused("but no subscription product"):
            renewal.action_confirm()

    def test_renewal_without_a_plan_is_refused(self):
        order = self.order
        renewal = self.renewal(order)
        renewal.plan_id = False
        renewal.order_line = [Command.clear(), self.line(self.one_time_product)]
        with self.assertRefused("has no recurring plan. Only subscriptions"):
            renewal.action_confirm()
        self.assertEqual((renewal.state, order.subscription_state), ("draft", "progress"))

    def test_product_no_longer_sold_by_subscription_is_renewed_as_before(self):
        self.company.subscription_default_plan_id = self.monthly
        order = self.paid_subscription(plan=False)
        self.recurring_product.recurring_invoice = False
        renewal = self.renewed_by(order)
        self.assertEqual((order.subscription_state, renewal.subscription_state), ("renewed", "progress"))
        self.assertEqual(renewal.recurring_monthly, 100)
        self.assertLedgerAgrees(order | renewal)

    def test_renewal_of_a_renewed_subscription_is_refused(self):
        order = self.order
        first = self.renewal(order)
        second = self.quotation(subscription_id=order.id)
        second.action_confirm()
        first.action_draft()
        with self.assertRefused(f"been renewed by {second.name}"):
            first.action_confirm()

    def test_renewal_of_a_paused_subscription_is_refused(self):
        order = self.order
        renewal = self.renewal(order)
        order.subscription_pause()
        with self.assertRefused("is paused. .*resume it"):
            renewal.action_confirm()
        order.subscription_resume()
        renewal.action_confirm()
        self.assertEqual(order.subscription_state, "renewed")

    def test_renewal_waits_for_a_freed_period_in_the_middle(self):
        order = self.order
        renewal = self.renewal(order)
        first = self.invoices(order)
        self.invoice(order)
        first._reverse_moves(cancel=True)
        with self.assertRefused("the period of .* that starts on 01/31/2027 is no longer invoiced"):
            renewal.action_confirm()

    def test_renewed_subscription_forgets_its_planned_close(self):
        order = self.order
        renewal = self.renewal(order)
        order.subscription_close(self.reason.id, when="date", date="2027-03-15")
        renewal.action_confirm()
        self.assertFalse(order.is_closing or order.close_reason_id)
        self.assertDates(order, end_date=False, closed_on=False)
        self.expire(until="2027-03-15")
        self.assertEqual((order.subscription_state, renewal.subscription_state), ("renewed", "progress"))

    def test_renewed_subscription_is_not_billed_closed_or_cancelled(self):
        order = self.order
        renewal = self.renewed_by(order)
        self.bill(until="2027-06-30")
        self.expire(until="2027-06-30")
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28")])
        with self.assertRefused("Close its renewal instead"):
            order.subscription_close(self.reason.id)
        with self.assertRefused("Cancel the order that renews it first"):
            order.action_cancel()
        self.assertEqual(renewal.subscription_state, "progress")

    def test_renewal_that_is_cancelled_lets_its_parent_continue(self):
        order = self.order
        renewal = self.renewed_by(order)
        renewal.action_cancel()
        self.assertEqual((order.subscription_state, renewal.subscription_state), ("progress", "renewal"))
        self.assertDates(order, next_invoice_date="2027-02-28")
        self.bill(until="2027-02-28")
        self.assertTiled(order, renewal, until="2027-03-31")

    def test_renewal_that_was_invoiced_is_not_cancelled(self):
        order = self.order
        renewal = self.renewed_by(order)
        self.bill(until="2027-02-28")
        with self.assertRefused("is active and has been invoiced"):
            renewal.action_cancel()

    def test_cancelled_renewal_is_confirmed_again(self):
        order = self.order
        renewal = self.renewed_by(order)
        renewal.action_cancel()
        self.bill(until="2027-02-28")
        renewal.action_draft()
        renewal.action_confirm()
        self.assertEqual((order.subscription_state, renewal.subscription_state), ("renewed", "progress"))
        self.assertDates(renewal, start_date="2027-03-31")

    def test_renewal_with_other_periods_has_an_anchor_of_its_own(self):
        order = self.order
        renewal = self.renewal(order)
        renewal.plan_id = self.yearly
        renewal.action_confirm()
        self.assertDates(renewal, start_date="2027-02-28", anchor_date="2027-02-28")
        self.bill(until="2027-02-28")
        self.assertTiled(order, renewal, until="2028-02-28")

    def test_failure_on_the_parent_leaves_the_renewal_a_quotation(self):
        order = self.order
        renewal = self.renewal(order)
        take_over = patch.object(type(order), "_take_over_mrr", side_effect=ValueError("Out of beans"))
        with take_over, self.assertRaisesRegex(ValueError, "Out of beans"), self.cr.savepoint():
            renewal.action_confirm()
        self.assertEqual((renewal.state, order.subscription_state), ("draft", "progress"))
        self.assertFalse(renewal.movement_ids)

    def test_subscription_is_renewed_again_and_again(self):
        orders = first = self.order
        for _year in range(3):
            renewal = self.renewed_by(orders[-1])
            self.register_payment(self.invoice(renewal))
            orders |= renewal
        self.assertEqual(orders.origin_order_id, first)
        self.assertEqual(orders.mapped("subscription_state"), ["renewed"] * 3 + ["progress"])
        self.assertTiled(*orders, until="2027-05-31")

    def test_extra_products_are_billed_from_the_renewal_on(self):
        order = self.order
        renewal = self.renewal(order)
        renewal.order_line = [self.line(self.one_time_product), self.line(quantity=2)]
        renewal.action_confirm()
        self.bill(until="2027-02-28")
        self.assertEqual(self.invoices(renewal).amount_untaxed, 330.0)

    def test_signature_confirms_as_on_any_quotation(self):
        order = self.order
        renewal = self.renewal(order)
        renewal.action_quotation_sent()
        self.assertTrue(renewal._has_to_be_signed())
        order.subscription_pause()
        self.assertFalse(renewal._has_to_be_signed(), "what could not be confirmed is not signed")


@tagged("post_install", "-at_install")
class TestRenewalLines(SubscriptionCommon):
    """A renewal takes over the lines that Odoo copies, with their links."""

    def breakfast(self, **values):
        """Return a subscription to a combo: coffee every month, and an installation once."""
        parts = self.recurring_product | self.one_time_product
        combos = self.env["product.combo"].create(
            [
                {"name": part.name, "combo_item_ids": [Command.create({"product_id": part.id, "extra_price": 5})]}
                for part in parts
            ]
        )
        product = self.env["product.product"].create(
            {
                "name": "Breakfast",
                "type": "combo",
                "combo_ids": [Command.set(combos.ids)],
                "list_price": 60,
                "taxes_id": False,
                **values,
            }
        )
        order = self.quotation(lines=[self.line(product)])
        order.order_line = [
            self.line(item.product_id, combo_item_id=item.id, linked_line_id=order.order_line.id)
            for item in combos.combo_item_ids
        ]
        order.action_confirm()
        return order

    def paid(self, order):
        self.bill()
        self.register_payment(self.invoices(order))
        return order

    def test_combo_is_renewed_with_its_recurring_part_at_its_price(self):
        for recurring_invoice in (False, True):
            with self.subTest(recurring_invoice=recurring_invoice):
                order = self.paid(self.breakfast(recurring_invoice=recurring_invoice))
                renewal = self.renewal(order)
                combo, part = renewal.order_line
                self.assertEqual((combo.product_id.name, part.product_id), ("Breakfast", self.recurring_product))
                self.assertEqual((part.linked_line_id, bool(part.combo_item_id)), (combo, True))
                self.assertEqual(renewal.recurring_total, order.recurring_total)
                self.assertTrue(renewal.recurring_total)
                renewal.action_confirm()
                self.bill("2027-02-28")
                self.assertEqual(self.invoices(renewal).amount_untaxed, order.recurring_total)

    def test_combo_is_renewed_at_the_price_of_the_pricelist(self):
        self.monthly.renewal_pricing = "pricelist"
        order = self.paid(self.breakfast())
        agreed = order.recurring_total
        self.assertEqual(self.renewal(order).recurring_total, agreed)

    def test_option_is_renewed_beside_its_product(self):
        order = self.paid_subscription(
            lines=[self.line(virtual_id="machine"), self.line(price_unit=7, linked_virtual_id="machine")]
        )
        machine, option = self.renewal(order).order_line
        self.assertEqual(option.linked_line_id, machine)

    def test_option_of_a_product_that_is_left_out_is_renewed_alone(self):
        order = self.paid_subscription(
            lines=[self.line(self.one_time_product, virtual_id="machine"), self.line(linked_virtual_id="machine")]
        )
        option = self.renewal(order).order_line
        self.assertEqual((option.product_id, len(option.linked_line_id)), (self.recurring_product, 0))

    def test_lines_that_odoo_does_not_copy_are_not_renewed(self):
        order = self.paid_subscription(lines=[self.line(), self.line(price_unit=7)])
        first = patch.object(type(order), "_get_copiable_order_lines", lambda order: order.order_line[:1])
        with first:
            renewal = self.renewal(order)
        self.assertEqual(renewal.order_line.price_unit, 100)

    def test_reward_is_not_renewed(self):
        order = self.paid_subscription(lines=[self.line(), self.line(quantity=-1, price_unit=7)])
        reward = patch.object(type(order.order_line), "_is_reward", lambda line: line.price_unit == 7)
        with reward:
            renewal = self.renewal(order)
        self.assertEqual(renewal.order_line.price_unit, 100)

    def test_subsection_is_renewed_within_its_section(self):
        order = self.paid_subscription(
            lines=[
                Command.create({"display_type": "line_section", "name": "Drinks", "sequence": 1}),
                Command.create({"display_type": "line_subsection", "name": "Hot", "sequence": 2}),
                self.line(sequence=3),
                Command.create({"display_type": "line_section", "name": "Work", "sequence": 4}),
                self.line(self.one_time_product, sequence=5),
            ]
        )
        renewal = self.renewal(order)
        self.assertEqual([name.partition("\n")[0] for name in renewal.order_line.mapped("name")][:2], ["Drinks", "Hot"])
        self.assertEqual(len(renewal.order_line), 3)


@tagged("post_install", "-at_install")
class TestExpiredRenewal(SubscriptionCommon):
    """Pressing Renew again opens the same quotation, which can still be accepted."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.monthly.user_renewable = True
        cls.order = cls.paid_subscription()
        cls.expired = cls.renewal(cls.order)
        cls.expired.validity_date = "2027-02-05"
        cls.expired.invalidate_recordset(["is_expired"])

    def assertValid(self, renewal):
        self.assertEqual(renewal, self.expired)
        self.assertFalse(renewal.is_expired)
        self.assertGreater(str(renewal.validity_date), "2027-02-10")

    def test_renew_extends_the_validity(self):
        with self.on("2027-02-10"):
            self.assertValid(self.renewal(self.order))

    def test_renew_in_the_portal_extends_the_validity(self):
        with self.on("2027-02-10"):
            renewal = self.order.sudo()._renew_as_customer(self.portal_user)
            self.assertValid(renewal.with_user(self.salesperson))

    def test_renewing_several_extends_the_validity(self):
        with self.on("2027-02-10"):
            wizards = self.env["sale.subscription.renew.wizard"].with_user(self.salesperson)
            wizard = wizards.create({"order_ids": [Command.set(self.order.ids)]})
            wizard.action_submit()
            self.assertValid(wizard.renewal_ids)

    def test_announced_renewal_can_be_accepted(self):
        self.order.write({"end_date": "2027-02-28", "term_end_action": "renew"})
        self.renew("2027-02-20")
        with self.on("2027-02-20"):
            self.assertTrue(self.order.auto_renew_on)
            self.assertValid(self.expired)

    def test_quotation_that_is_still_valid_keeps_its_date(self):
        with self.on("2027-02-04"):
            self.renewal(self.order)
        self.assertDates(self.expired, validity_date="2027-02-05")


@tagged("post_install", "-at_install")
class TestSalesHistory(SubscriptionCommon):
    """All orders of a chain."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.paid_subscription()

    def listed(self, order):
        return order.search(order.action_subscription_history()["domain"])

    def test_history_lists_all_orders_of_the_chain(self):
        order = self.order
        renewal = self.renewed_by(order)
        self.assertEqual(self.listed(order), order | renewal)
        self.assertEqual(self.listed(renewal), order | renewal)
        self.assertEqual((order | renewal).mapped("history_count"), [2, 2])

    def test_history_lists_no_order_of_another_chain(self):
        self.renewed_by(self.order)
        order = self.subscription()
        self.assertEqual(self.listed(order), order)

    def test_ordinary_order_has_no_history(self):
        order = self.quotation(plan=False, lines=[self.line(self.one_time_product)])
        self.assertEqual((order.history_count, order.origin_order_id), (0, order.browse()))

    def test_chain_of_a_running_order_cannot_be_written_manually(self):
        order, other = self.order, self.subscription()
        with self.assertRefused("cannot be set manually"):
            other.subscription_id = order


@tagged("post_install", "-at_install")
class TestRenewalAccess(SubscriptionCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.paid_subscription()

    def test_order_of_a_colleague_is_not_renewed(self):
        for method in ("subscription_renew", "action_subscription_renew"):
            with self.subTest(method), self.assertRaises(AccessError):
                getattr(self.order.with_user(self.other_salesperson), method)()
        self.assertFalse(self.order.renewal_ids)

    def test_history_and_mrr_of_a_colleague_are_not_shown(self):
        for method in ("action_subscription_history", "action_subscription_mrr"):
            with self.subTest(method), self.assertRaises(AccessError):
                getattr(self.order.with_user(self.other_salesperson), method)()

    def test_portal_user_cannot_renew_through_the_external_api(self):
        for method in ("subscription_renew", "action_subscription_renew"):
            with self.subTest(method), self.assertRaises(AccessError):
                getattr(self.order.with_user(self.portal_user), method)()
        self.assertFalse(self.order.renewal_ids)

    def test_accountant_cannot_create_renewal_quotations(self):
        with self.assertRaises(AccessError):
            self.order.with_user(self.accountant).subscription_renew()

    def test_salesperson_with_all_documents_renews_the_order_of_a_colleague(self):
        renewal = self.renewal(self.order, user=self.sales_lead)
        renewal.action_confirm()
        self.assertEqual(self.order.subscription_state, "renewed")

    def test_renewal_of_a_colleagues_subscription_is_confirmed_by_its_salesperson(self):
        renewal = self.renewal(self.order, user=self.sales_lead)
        renewal.user_id = self.other_salesperson
        renewal.with_user(self.other_salesperson).action_confirm()
        self.assertEqual(self.order.subscription_state, "renewed")

    def test_renewal_belongs_to_the_company_of_its_subscription(self):
        second = self.make_company("Second Company")
        self.sales_lead.company_ids |= second
        both = self.order.with_user(self.sales_lead).with_context(allowed_company_ids=[second.id, self.company.id])
        renewal = both.browse(both.subscription_renew())
        self.assertEqual(renewal.company_id, self.company)

    def test_subscription_of_another_company_cannot_be_renewed(self):
        second = self.make_company("Second Company")
        self.sales_lead.company_ids |= second
        with self.assertRefused("company inconsistencies"):
            self.quotation(subscription_id=self.order.id, user=self.sales_lead, company=second)


@tagged("post_install", "-at_install")
class TestRenewalMail(SubscriptionCommon):
    """Send by Email."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.paid_subscription()

    def template(self, order, **context):
        action = order.with_context(**context).action_quotation_send()
        return self.env["mail.template"].browse(action["context"].get("default_template_id"))

    def test_renewal_is_sent_with_the_template_for_renewals(self):
        renewal = self.renewal(self.order)
        self.assertEqual(self.template(renewal), self.env.ref("subscription_close_renew.mail_template_renewal"))

    def test_ordinary_quotation_is_sent_with_odoos_template(self):
        quotation = self.quotation(plan=False, lines=[self.line(self.one_time_product)])
        self.assertEqual(self.template(quotation), self.env.ref("sale.email_template_edi_sale"))

    def test_first_quotation_of_a_subscription_is_sent_with_odoos_template(self):
        self.assertEqual(self.template(self.quotation()), self.env.ref("sale.email_template_edi_sale"))

    def test_confirmed_renewal_is_sent_with_odoos_template(self):
        renewal = self.renewed_by(self.order)
        self.assertEqual(self.template(renewal), renewal._get_confirmation_template())

    def test_pro_forma_invoice_of_a_renewal_is_sent_as_such(self):
        renewal = self.renewal(self.order)
        self.assertEqual(self.template(renewal, proforma=True), self.env.ref("sale.email_template_proforma"))

    def test_template_says_what_is_renewed_from_when_and_for_how_much(self):
        renewal = self.renewal(self.order)
        template = self.env.ref("subscription_close_renew.mail_template_renewal")
        mail = template._generate_template(renewal.ids, ("subject", "body_html"))[renewal.id]
        self.assertIn(renewal.subscription_id.name, mail["subject"])
        for words in (renewal.name, "02/28/2027", "$ 100.00", self.customer.name):
            self.assertIn(words, mail["body_html"].replace("\xa0", " "))
        self.assertEqual(renewal.start_date, date(2027, 2, 28))
