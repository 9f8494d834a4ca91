"""Each method that docs/integrator.md offers for extension is extended here, and its result has the documented effect.

`testing/test_integrator.py` compares the methods extended here with the tables of the guide.
"""

from datetime import date, timedelta
from functools import wraps

from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tests import tagged
from odoo.tools import SQL, mute_logger

from odoo.addons.subscription_close_renew.controllers.portal_subscription import SubscriptionListPortal
from odoo.addons.subscription_close_renew.models.subscription.runner import Turn
from odoo.addons.subscription_close_renew.tests.portal_common import PortalCase

MODULE = "subscription_close_renew"
SCHEDULED_LOGGER = f"odoo.addons.{MODULE}.models.subscription.sale_order_scheduled"
RENEWAL = {"term_periods": 1, "term_end_action": "renew"}


def refuse(_result=None):
    raise UserError("Not on Sundays.")


def nothing(result):
    return result.browse()


@tagged("post_install", "-at_install")
class TestSeams(PortalCase):
    """One subscription in progress, of a plan that allows customers to close and renew, and no failing mails."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.monthly.write({"user_closable": True, "user_renewable": True, "auto_close_days": 10})
        cls.order = cls.subscription()

    def extend(self, owner, name, change=None):
        """Extend a method for the rest of the test, as another addon does.

        :param owner: name of a model, or a controller
        :param str name: of the method
        :param change: called with the result of `super()`, returns the new result; by default, that of `super()`
        :return: a list of the records on which the method has been called since
        :rtype: list
        """
        owner = self.registry[owner] if isinstance(owner, str) else owner
        original = getattr(owner, name)
        called = []

        @wraps(original)
        def extension(records, *args, **kwargs):
            called.append(records)
            result = original(records, *args, **kwargs)
            return change(result) if change else result

        self.patch(owner, name, extension)
        return called

    def extend_values(self, owner, name, /, **values):
        """Extend a method that returns values; see :meth:`extend`."""
        return self.extend(owner, name, lambda result: result | values)

    def card_order(self, **values):
        return self.subscription(card=self.card(), **values)

    def announced(self):
        """Return a subscription whose automatic renewal on 28 February was announced."""
        order = self.paid_subscription(**RENEWAL)
        self.renew(until="2027-02-20")
        return order

    # catalogue

    def test_which_recurring_prices_apply(self):
        self.env["product.pricelist.item"].create(
            {
                "plan_id": self.monthly.id,
                "applied_on": "1_product",
                "product_tmpl_id": self.recurring_product.product_tmpl_id.id,
                "fixed_price": 80.0,
            }
        )
        self.assertEqual(self.quotation().order_line.price_unit, 80.0)
        none = list(Domain.FALSE)
        self.extend("product.pricelist", "_get_applicable_rules_domain", lambda domain: none)
        self.assertEqual(self.quotation().order_line.price_unit, 100.0)

    def test_increase_of_a_renewal(self):
        order = self.paid_subscription()
        self.extend("sale.subscription.plan", "_get_renewal_increase", lambda increase: 10.0)
        self.assertAlmostEqual(self.renewal(order).order_line.price_unit, 110.0)

    def test_days_of_retries(self):
        order = self.card_order()
        self.extend("sale.subscription.plan", "_get_retry_days", lambda days: [20])
        with self.provider("declined"):
            self.bill()
        self.assertEqual(order.sudo().period_ids.retry_date, date(2027, 2, 20))

    def test_warning_before_automatic_closing(self):
        self.bill()
        self.extend("sale.subscription.plan", "_get_closing_warning", lambda warning: timedelta(days=9))
        self.expire(until="2027-02-01")
        self.assertEqual(self.order.sudo().period_ids.closing_warned_on, date(2027, 2, 1))

    # subscription

    def test_transitions(self):
        self.extend_values("sale.order", "_get_transitions", pause={})
        with self.assertRefused("In Progress"):
            self.order.subscription_pause()

    def test_running_states(self):
        self.order.subscription_close(self.reason.id, when="date", date="2027-03-01")
        self.assertTrue(self.order.is_closing)
        self.extend("sale.order", "_get_running_states", lambda states: ("paused",))
        self.order.invalidate_recordset(["is_closing"])
        self.assertFalse(self.order.is_closing)

    def test_ended_states(self):
        self.extend("sale.order", "_get_ended_states", lambda states: (*states, "progress"))
        self.assertIn("has ended", self.order.billing_status)

    def test_refusal_messages_in_a_state(self):
        self.extend_values("sale.order", "_get_state_refusals", progress="%(order)s rests in %(place)s.")
        self.extend_values("sale.order", "_prepare_refusal_values", place="Rome")
        with self.assertRefused("rests in Rome"):
            self.order.subscription_pause()

    def test_what_users_write(self):
        written = self.extend("sale.order", "_write_by_hand", refuse)
        with self.assertRefused("Sundays"):
            self.order.next_invoice_date = "2027-02-05"
        self.assertEqual(written, [self.order])
        self.order.subscription_pause(resume_date="2027-02-05")
        self.assertEqual(written, [self.order], "methods write these fields as well")

    def test_check_of_an_event(self):
        self.extend("sale.order", "_check_transition", refuse)
        with self.assertRefused("Sundays"):
            self.order.subscription_pause()

    def test_each_event(self):
        called = self.extend("sale.order", "_transition_subscription")
        self.order.subscription_pause()
        self.assertEqual(called, [self.order])

    def test_refusal_of_a_confirmation(self):
        order = self.quotation()
        self.extend("sale.order", "_get_plan_error_message", lambda refusal: "Not on Sundays.")
        with self.assertRefused("Sundays"):
            order.action_confirm()

    def test_start_on_the_first_of_the_month(self):
        self.extend_values("sale.order", "_prepare_subscription_start_values", anchor_date=date(2027, 1, 1))
        order = self.subscription()
        self.bill(until="2027-02-01")
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-01"), ("2027-02-01", "2027-03-01")])

    def test_values_of_a_cancelled_subscription(self):
        self.extend_values("sale.order", "_prepare_cancel_values", client_order_ref="Cancelled")
        self.order._action_cancel()
        self.assertEqual(self.order.client_order_ref, "Cancelled")

    def test_user_responsible_for_a_subscription(self):
        self.extend("sale.order", "_get_attentive_user", lambda user: self.sales_lead)
        self.order._ask_for_attention("Look", "Please.")
        self.assertEqual(self.order.sudo().activity_ids.user_id, self.sales_lead)

    def test_request_for_attention(self):
        self.customer.email = self.customer.parent_id.email = False
        called = self.extend("sale.order", "_ask_for_attention")
        self.order._send_subscription_mail(f"{MODULE}.mail_template_closed")
        self.assertEqual(called, [self.order])

    def test_recipients_of_mails(self):
        self.extend("sale.order", "_get_notified_partners", lambda partners: self.colleague.partner_id)
        message = self.order._send_subscription_mail(f"{MODULE}.mail_template_closed")
        self.assertEqual(message.partner_ids, self.colleague.partner_id)

    def test_sender_of_mails(self):
        self.extend_values("sale.order", "_prepare_sender_values", email_from="desk@example.com")
        message = self.order._send_subscription_mail(f"{MODULE}.mail_template_closed")
        self.assertEqual(message.email_from, "desk@example.com")

    def test_template_of_mails(self):
        def another(template):
            return template.copy({"subject": "Farewell"})

        self.extend("sale.order", "_get_subscription_mail_template", another)
        message = self.order._send_subscription_mail(f"{MODULE}.mail_template_closed")
        self.assertEqual(message.subject, "Farewell")

    def test_each_mail(self):
        called = self.extend("sale.order", "_send_subscription_mail")
        self.order._close_as_customer(self.reason.id, self.portal_user)
        self.assertEqual(called, [self.order])

    def test_notice_without_recipients_announces_nothing(self):
        self.extend("sale.order", "_notify_customer", lambda emails: [])
        self.assertFalse(self.announced().auto_renew_on)

    def test_which_lines_recur(self):
        self.extend("sale.order.line", "_is_sold_by_subscription", lambda recurs: True)
        self.assertTrue(self.quotation(lines=[self.line(self.one_time_product)]).order_line.is_recurring)

    def test_fields_that_decide_a_price(self):
        self.env["product.pricelist.item"].create(
            {
                "plan_id": self.yearly.id,
                "applied_on": "1_product",
                "product_tmpl_id": self.recurring_product.product_tmpl_id.id,
                "fixed_price": 900.0,
            }
        )
        self.extend_values("sale.order.line", "_get_pricelist_kwargs", subscription_plan=self.yearly)
        self.assertEqual(self.quotation().order_line.price_unit, 900.0)

    def test_plan_of_a_new_quotation(self):
        self.extend("res.company", "_get_default_subscription_plan", lambda plan: self.yearly)
        self.assertEqual(self.quotation(plan=False).plan_id, self.yearly)

    # mrr

    def test_kind_of_movement_of_an_event(self):
        self.extend_values("sale.order", "_get_event_kinds", pause="churn")
        self.order.subscription_pause()
        self.assertEqual(self.movements(self.order)[-1], ("churn", "2027-01-31", -100.0))

    def test_states_that_show_mrr(self):
        self.extend("sale.order", "_get_states_with_mrr", lambda states: (*states, "paused"))
        self.order.subscription_pause()
        self.assertEqual(self.order.recurring_monthly, 100.0)
        self.assertEqual(self.movements(self.order)[-1], ("pause", "2027-01-31", -100.0))

    def test_values_of_a_movement(self):
        self.extend_values("sale.order", "_prepare_movement", partner_id=self.colleague.partner_id.id)
        self.order.subscription_pause()
        movement = self.order.sudo().movement_ids.sorted("id")[-1]
        self.assertEqual(movement.partner_id, self.colleague.partner_id)

    def test_day_of_a_movement(self):
        self.extend("sale.order", "_get_event_date", lambda day: date(2027, 2, 5))
        self.order.subscription_pause()
        self.assertEqual(self.movements(self.order)[-1], ("pause", "2027-02-05", -100.0))

    def test_timeline(self):
        self.order.subscription_pause()
        self.extend_values("sale.order", "_get_timeline_texts", pause="On holiday")
        self.extend_values("sale.order", "_get_timeline_icons", pause="fa-sun-o")
        self.assertIn("On holiday", self.order.subscription_timeline)
        self.assertIn("fa-sun-o", self.order.subscription_timeline)

    def test_event_of_the_timeline(self):
        self.extend_values("sale.order", "_prepare_timeline_event", text="By the sea")
        self.assertIn("By the sea", self.order.subscription_timeline)

    # billing

    def test_subscriptions_billed_today(self):
        self.extend("sale.order", "_get_billing_domain", lambda domain: Domain.FALSE)
        self.bill()
        self.assertEqual(self.billed_periods(self.order), [])

    def test_subscriptions_that_may_be_billed_and_charged(self):
        self.extend("sale.order", "_get_chargeable_domain", lambda domain: Domain.FALSE)
        self.bill()
        self.assertEqual(self.billed_periods(self.order), [])

    def test_turns_of_billing(self):
        def reversed_batches_of_one(turns):
            return [turn._replace(size=1) for turn in reversed(turns)]

        self.extend("sale.order", "_get_billing_turns", reversed_batches_of_one)
        called = self.extend("sale.order", "_bill")
        other = self.subscription()
        self.bill()
        self.assertEqual([records.id for records in called], [self.order.id, other.id])

    def test_obstacle_to_billing(self):
        self.extend("sale.order", "_get_billing_obstacle", lambda obstacle: "Wait for the harvest.")
        self.assertEqual(self.order.billing_status, "Wait for the harvest.")

    def test_values_of_a_period(self):
        self.extend_values("sale.order", "_prepare_period_values", charge_error="Noted")
        self.bill()
        self.assertEqual(self.order.sudo().period_ids.charge_error, "Noted")

    def test_values_of_a_freed_period(self):
        invoice = self.invoice(self.order)
        self.extend_values("sale.subscription.period", "_prepare_release_values", charge_error="Freed")
        self.reset(invoice)
        self.assertEqual(self.order.sudo().period_ids.charge_error, "Freed")

    def test_values_of_the_invoice_of_a_period(self):
        self.extend_values("sale.order", "_prepare_invoice", narration="Thank you.")
        self.extend_values("sale.order", "_prepare_period_invoice", ref="A night in January")
        self.bill()
        invoice = self.invoices(self.order)
        self.assertEqual((invoice.ref, str(invoice.narration)), ("A night in January", "<p>Thank you.</p>"))

    def test_lines_that_the_scheduled_action_invoices(self):
        order = self.subscription(lines=[self.line(), self.line(self.one_time_product)])
        self.extend("sale.order", "_get_lines_to_bill", lambda lines: lines.filtered("is_recurring"))
        self.bill()
        self.assertEqual(self.invoices(order).invoice_line_ids.product_id, self.recurring_product)

    @mute_logger(SCHEDULED_LOGGER)
    def test_expected_price_of_the_invoice_of_a_period(self):
        self.extend("sale.order", "_get_period_amounts", lambda amounts: (70.0, *amounts[1:]))
        self.bill()
        self.assertEqual(self.billed_periods(self.order), [])
        self.assertTrue(self.order.set_aside_on)

    def test_values_of_the_line_of_an_invoice(self):
        self.extend_values("sale.order.line", "_prepare_invoice_line", name="January")
        self.bill()
        self.assertEqual(self.invoices(self.order).invoice_line_ids.name, "January")

    def test_values_of_the_period_of_a_line(self):
        self.extend_values("sale.order.line", "_prepare_subscription_values", name="Winter")
        self.bill()
        self.assertEqual(self.invoices(self.order).invoice_line_ids.name, "Winter")

    def test_text_of_a_period(self):
        self.extend("sale.order.line", "_get_period_text", lambda text: "All winter long")
        self.bill()
        self.assertIn("All winter long", self.invoices(self.order).invoice_line_ids.name)

    def test_mail_template_of_an_invoice(self):
        template = self.env.ref("account.email_template_edi_invoice").copy()
        self.extend("account.move", "_get_mail_template", lambda _template: template)
        invoice = self.invoice(self.order)
        self.assertEqual(self.env["account.move.send"]._get_default_mail_template_id(invoice), template)

    # closing

    def test_refusal_to_close(self):
        self.extend("sale.order", "_get_close_refusal", lambda refusal: "Not on Sundays.")
        with self.assertRefused("Sundays"):
            self.order.subscription_close(self.reason.id)

    def test_day_on_which_a_subscription_closes(self):
        self.extend("sale.order", "_get_close_date", lambda day: date(2027, 3, 15))
        self.order.subscription_close(self.reason.id)
        self.assertDates(self.order, end_date="2027-03-15")
        self.assertTrue(self.order.is_closing)

    def test_requested_close(self):
        self.extend_values("sale.order", "_prepare_close_request_values", client_order_ref="Asked")
        called = self.extend("sale.order", "_schedule_close")
        self.order.subscription_close(self.reason.id, when="date", date="2027-03-01")
        self.assertEqual(called, [self.order])
        self.assertEqual(self.order.client_order_ref, "Asked")

    def test_close_that_takes_effect(self):
        self.extend_values("sale.order", "_prepare_close_values", client_order_ref="Closed")
        called = self.extend("sale.order", "_close")
        self.order.subscription_close(self.reason.id)
        self.assertEqual(called, [self.order])
        self.assertEqual(self.order.client_order_ref, "Closed")

    def test_close_that_is_undone(self):
        self.extend_values("sale.order", "_prepare_keep_values", client_order_ref="Kept")
        self.order.subscription_close(self.reason.id, when="date", date="2027-03-01")
        self.order.subscription_keep()
        self.assertEqual(self.order.client_order_ref, "Kept")

    def test_reopening(self):
        self.extend_values("sale.order", "_prepare_reopen_values", client_order_ref="Reopened")
        self.order.subscription_close(self.reason.id)
        self.order.with_user(self.administrator).subscription_reopen()
        self.assertEqual(self.order.client_order_ref, "Reopened")

    def test_subscriptions_that_close_today(self):
        self.order.end_date = "2027-02-28"
        self.extend("sale.order", "_get_closing_domain", lambda domain: Domain.FALSE)
        self.expire()
        self.assertEqual(self.order.subscription_state, "progress")

    def test_turn_added_by_another_addon(self):
        def with_pause(turns):
            due = Domain("subscription_state", "=", "progress") & Domain("id", "=", self.order.id)
            return [*turns, Turn(due, "start_date", lambda orders: orders._transition_subscription("pause"))]

        self.extend("sale.order", "_get_expiration_turns", with_pause)
        self.expire()
        self.assertEqual(self.order.subscription_state, "paused")

    def test_reason_given_by_code(self):
        self.order.end_date = "2027-02-28"
        other = f"{MODULE}.close_reason_public_page"
        self.extend_values("sale.order.close.reason", "_get_system_reason_xml_ids", end_of_term=other)
        self.expire()
        self.assertEqual(self.order.close_reason_id, self.env.ref(other))

    # pausing

    def test_day_on_which_a_subscription_resumes(self):
        self.extend("sale.order", "_get_resume_date", lambda day: date(2027, 2, 10))
        self.order.subscription_pause()
        self.assertDates(self.order, resume_date="2027-02-10")

    def test_resuming(self):
        self.extend_values("sale.order", "_prepare_resume_values", client_order_ref="Resumed")
        self.order.subscription_pause()
        self.order.subscription_resume()
        self.assertEqual(self.order.client_order_ref, "Resumed")

    # payment

    def test_refusal_of_a_payment_method(self):
        order = self.card_order()
        self.extend("payment.token", "_get_charge_refusal", lambda refusal: "Not this card.")
        with self.provider("done"):
            self.bill()
        self.assertEqual((self.calls, order.sudo().period_ids.charge_error), ([], "Not this card."))

    def test_values_of_a_charge(self):
        self.card_order()
        self.extend_values("sale.subscription.period", "_prepare_transaction_values", reference="MINE")
        with self.provider("done"):
            self.bill()
        self.assertEqual(self.calls, ["MINE"])

    def test_charge_that_succeeds(self):
        order = self.card_order()
        self.extend_values("sale.subscription.period", "_prepare_paid_values", attempt_count=7)
        begun = self.extend("sale.subscription.period", "_set_charge_unknown")
        done = self.extend("sale.subscription.period", "_set_charge_done")
        with self.provider("done"):
            self.bill()
        period = order.sudo().period_ids
        self.assertEqual(([records.id for records in begun], [records.id for records in done]), 2 * ([period.id],))
        self.assertEqual(period.attempt_count, 7)

    def test_charge_that_is_pending(self):
        order = self.card_order()
        called = self.extend("sale.subscription.period", "_set_charge_pending")
        with self.provider("pending"):
            self.bill()
        self.assertEqual([records.id for records in called], order.sudo().period_ids.ids)

    def test_charge_that_is_declined(self):
        order = self.card_order()
        self.extend_values("sale.subscription.period", "_prepare_decline_values", retry_date=date(2027, 2, 14))
        called = self.extend("sale.subscription.period", "_decline")
        with self.provider("declined"):
            self.bill()
        self.assertEqual([records.id for records in called], order.sudo().period_ids.ids)
        self.assertEqual(order.sudo().period_ids.retry_date, date(2027, 2, 14))

    def test_charges_retried_today(self):
        self.card_order()
        self.extend("sale.order", "_get_retry_domain", lambda domain: Domain.FALSE)
        with self.provider("declined"):
            self.bill()
            self.bill(until="2027-02-01")
        self.assertEqual(len(self.calls), 1)

    # renewing

    def test_refusal_to_renew(self):
        order = self.paid_subscription()
        self.extend("sale.order", "_get_renew_refusal", lambda refusal: "Not on Sundays.")
        with self.assertRefused("Sundays"):
            order.subscription_renew()

    def test_values_of_a_renewal(self):
        order = self.paid_subscription()
        self.extend_values("sale.order", "_prepare_renewal_values", client_order_ref="Renewal")
        self.extend_values("sale.order.line", "_prepare_renewal_values", name="More coffee")
        renewal = self.renewal(order)
        self.assertEqual((renewal.client_order_ref, renewal.order_line.name), ("Renewal", "More coffee"))

    def test_lines_that_are_renewed(self):
        order = self.paid_subscription(lines=[self.line(), self.line(quantity=2)])
        self.extend("sale.order", "_get_lines_to_renew", lambda lines: lines[1:])
        self.assertEqual(self.renewal(order).order_line.product_uom_qty, 2)

    def test_values_of_the_renewed_subscription(self):
        order = self.paid_subscription()
        self.extend_values("sale.order", "_prepare_renewed_values", client_order_ref="Renewed")
        called = self.extend("sale.order", "_settle_before_renewal")
        self.renewed_by(order)
        self.assertEqual([records.id for records in called if records], order.ids)
        self.assertEqual(order.client_order_ref, "Renewed")

    def test_end_of_a_term(self):
        self.extend("sale.order", "_get_term_end", lambda day: date(2027, 12, 24))
        self.assertDates(self.subscription(), end_date="2027-12-24")

    def test_recipients_of_automatic_renewal_notices(self):
        self.extend("sale.order", "_get_renewal_notice_domain", lambda domain: Domain.FALSE)
        self.assertFalse(self.announced().auto_renew_on)

    def test_subscriptions_renewed_today(self):
        order = self.announced()
        self.extend("sale.order", "_get_automatic_renewal_domain", lambda domain: Domain.FALSE)
        self.renew(until="2027-03-10")
        self.assertEqual(order.subscription_state, "progress")

    def test_turns_of_renewals(self):
        self.extend("sale.order", "_get_renewal_turns", lambda turns: turns[:1])
        self.assertFalse(self.announced().auto_renew_on)

    def test_mail_of_a_renewal_quotation(self):
        renewal = self.renewal(self.paid_subscription())
        template = self.env.ref("sale.email_template_edi_sale").copy()
        self.extend("sale.order", "_find_mail_template", lambda _template: template)
        self.assertEqual(renewal.action_quotation_send()["context"]["default_template_id"], template.id)

    # dunning

    def test_which_unpaid_periods_close(self):
        self.bill()
        self.extend("sale.order", "_get_unpaid_periods", nothing)
        self.expire(until="2027-02-07")
        self.assertFalse(self.order.sudo().period_ids.closing_warned_on)

    def test_day_of_automatic_closing(self):
        self.bill()
        self.extend("sale.subscription.period", "_get_unpaid_deadline", lambda day: date(2027, 2, 2))
        self.expire(until="2027-01-31")
        self.expire(until="2027-02-02")
        self.assertEqual(self.order.subscription_state, "churned")

    def test_turns_of_automatic_closing(self):
        self.bill()
        self.extend("sale.order", "_get_unpaid_turns", lambda turns: turns[:1])
        self.expire(until="2027-02-07")
        self.assertFalse(self.order.sudo().period_ids.closing_warned_on)

    # portal

    def see(self, name="", path="", order=None):
        """Return the text of the page of a subscription, or of its elements with a name; see :meth:`text`."""
        return self.text(self.open(self.page_of(order or self.order, path), self.portal_user), name)

    def list(self, query=""):
        return self.open(f"/my/subscriptions{query}", self.portal_user)

    def close(self, reason=None):
        """Close the subscription in the portal."""
        return self.post(self.page_of(self.order, "/close"), self.portal_user, reason_id=(reason or self.reason).id)

    def test_portal_refusal_to_close(self):
        self.extend("sale.order", "_get_portal_close_refusal", lambda refusal: "Not on Sundays.")
        self.assertIn("Sundays", self.text(self.close()))
        self.assertEqual(self.order.subscription_state, "progress")

    def test_portal_text_in_place_of_the_close_button(self):
        self.extend("sale.order", "_get_portal_close_refusal", lambda refusal: "Not on Sundays.")
        self.extend("sale.order", "_get_portal_close_obstacle", lambda obstacle: obstacle and "Call us on Mondays.")
        self.assertEqual(self.see("subscription_close_notice"), "Call us on Mondays.")

    def test_portal_moment_of_a_close(self):
        self.invoice(self.order)
        self.extend("sale.order", "_get_portal_close_when", lambda when: "now")
        self.close()
        self.assertEqual(self.order.subscription_state, "churned")

    def test_portal_moment_of_a_close_without_login(self):
        self.invoice(self.order)
        self.extend("sale.order", "_get_public_close_when", lambda when: "now")
        # This addon requires three months' notice.
        self.extend("sale.order", "_get_close_refusal", lambda refusal: False)
        self.order.sudo()._close_on_public_page()
        self.assertEqual(self.order.subscription_state, "churned")

    def test_portal_reasons(self):
        self.extend("sale.order", "_get_portal_close_reasons", lambda reasons: self.hidden_reason)
        self.assertIn(self.hidden_reason.name, self.see())
        self.assertEqual(self.close(self.reason).status_code, 400)

    def test_portal_effect_of_a_close(self):
        self.extend("sale.order", "_get_portal_close_effect", lambda effect: "The coffee runs out.")
        self.assertIn("The coffee runs out.", self.see("subscription_close_effect", "/closing"))

    def test_portal_who_may_keep(self):
        self.order.subscription_close(self.reason.id, when="date", date="2027-03-01")
        self.extend("sale.order", "_can_keep_in_portal", lambda can: True)
        self.assertIn("Keep", self.see("subscription_keep"))
        self.extend("sale.order", "_get_portal_keep_refusal", lambda refusal: "Not on Sundays.")
        self.assertIn("Sundays", self.text(self.post(self.page_of(self.order, "/keep"), self.portal_user)))

    def test_portal_who_may_renew(self):
        self.monthly.user_renewable = False
        self.extend("sale.order", "_has_portal_renew_button", lambda has: True)
        self.assertIn("Renew", self.see("subscription_renew"))
        self.extend("sale.order", "_get_portal_renew_refusal", lambda refusal: "Not on Sundays.")
        self.assertIn("Sundays", self.text(self.post(self.page_of(self.order, "/renew"), self.portal_user)))

    def test_portal_who_may_refuse_an_automatic_renewal(self):
        order = self.announced()
        self.extend("sale.order", "_get_portal_refuse_refusal", lambda refusal: "Not on Sundays.")
        self.assertIn("Sundays", self.see(path="/not-renewing", order=order))

    def test_portal_label_of_the_status(self):
        self.extend_values("sale.order", "_get_portal_statuses", progress=("Brewing", "success"))
        self.assertEqual(self.see("subscription_status"), "Brewing")
        self.extend("sale.order", "_get_portal_status", lambda status: (f"{status[0]} well", "info"))
        self.assertEqual(self.see("subscription_status"), "Brewing well")

    def test_portal_payment_method(self):
        order = self.card_order()
        self.extend("sale.order", "_can_see_payment_method", lambda can: False)
        self.assertNotIn("•••• 4242", self.see("subscription_payment_method", order=order))
        self.extend("sale.order", "_get_payment_method_refusal", lambda refusal: "Not on Sundays.")
        page = self.open(f"/my/orders/{order.id}/payment-method", self.portal_user)
        self.assertIn("Sundays", self.text(page))

    def test_portal_payment_methods_to_choose_from(self):
        self.card()
        address = f"/my/orders/{self.order.id}/payment-method"
        self.assertIn("•••• 4242", self.open(address, self.portal_user).text)
        self.extend("sale.order", "_get_usable_payment_tokens", nothing)
        self.assertNotIn("•••• 4242", self.open(address, self.portal_user).text)

    def test_portal_list(self):
        self.extend("sale.order", "_get_portal_summary", lambda summary: "Black and strong")
        self.extend_values(
            SubscriptionListPortal, "_get_subscription_sortings", colour={"label": "Colour", "order": "id"}
        )
        self.extend_values(
            SubscriptionListPortal, "_get_subscription_filters", hot={"label": "Hot", "domain": Domain.TRUE}
        )
        inputs = {"input": "bean", "label": "Search in Beans", "domain": lambda text: Domain.FALSE}
        self.extend_values(SubscriptionListPortal, "_get_subscription_search_inputs", bean=inputs)
        page = self.list()
        for text in ("Black and strong", "Colour", "Hot", "Search in Beans"):
            self.assertIn(text, page.text)
        self.assertTrue(self.found(self.list("?search=x&search_in=bean"), "subscription_none"))

    def test_portal_listed_subscriptions(self):
        self.extend(SubscriptionListPortal, "_get_subscription_domain", lambda domain: Domain.FALSE)
        self.assertTrue(self.found(self.list(), "subscription_none"))

    def test_portal_wording_required_by_law(self):
        self.company.subscription_public_closing = True
        labels = self.extend(
            "sale.subscription.close.request", "_get_legal_labels", lambda labels: ("Leave here", "Leave now")
        )
        self.assertIn("Leave here", self.open("/subscriptions/close").text)
        self.assertTrue(labels)

    def test_portal_content_added_by_another_addon(self):
        template = f"{MODULE}.portal_subscription_buttons"
        self.env["ir.ui.view"].create(
            {
                "name": "Another button",
                "type": "qweb",
                "mode": "extension",
                "inherit_id": self.env.ref(template).id,
                "arch": """<xpath expr="." position="inside"><p name="more" t-out="sale_order.name"/></xpath>""",
            }
        )
        self.assertEqual(self.see("more"), self.order.name)

    # reports

    def test_report(self):
        team = self.env["crm.team"].create({"name": "Baristas"})

        def with_teams(tables):
            return SQL("%s JOIN crm_team team ON TRUE", tables)

        def of_the_team(condition):
            return SQL("%s AND team.id = %s", condition, team.id)

        self.extend("sale.subscription.report", "_get_report_tables", with_teams)
        self.extend("sale.subscription.report", "_get_report_condition", of_the_team)
        self.extend_values("sale.subscription.report", "_get_report_columns", quantity=SQL("team.id"))
        self.env.flush_all()
        rows = self.env["sale.subscription.report"].search([("order_id", "=", self.order.id)])
        self.assertEqual(rows.mapped("quantity"), [team.id])
