from unittest.mock import patch

import requests

from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import html2plaintext, mute_logger

from .payment_common import SubscriptionPaymentCommon

BATCH_LOGGER = "odoo.addons.subscription_close_renew.models.subscription.sale_order_scheduled"
MAIL_LOGGER = "odoo.addons.subscription_close_renew.models.subscription.sale_order_mail"


@tagged("post_install", "-at_install")
class TestUnpaid(SubscriptionPaymentCommon):
    """P5, P10: a subscription unpaid for ten days closes, after a warning three days before."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        (cls.weekly | cls.monthly | cls.yearly).auto_close_days = 10
        cls.unpaid = cls.env.ref("subscription_close_renew.close_reason_unpaid")
        cls.env.ref("subscription_close_renew.mail_template_about_to_close").subject = "About to close"
        cls.env.ref("subscription_close_renew.mail_template_closed").subject = "Closed"

    def billed(self, **values):
        """Return a subscription whose first period is invoiced on 31 January; see :meth:`subscription`."""
        order = self.subscription(**values)
        self.bill()
        return order

    def warned(self, **values):
        order = self.billed(**values)
        self.expire(until="2027-02-07")
        return order

    def closed(self, **values):
        order = self.warned(**values)
        self.expire(until="2027-02-10")
        return order

    def pay(self, invoice, **values):
        """Register a payment, as the accountant does when the money arrives."""
        wizards = self.env["account.payment.register"].with_user(self.accountant)
        wizard = wizards.with_context(active_model="account.move", active_ids=invoice.ids).create(values)
        payment = wizard._create_payments()
        self.flush_chatter()
        return payment

    def subjects(self, order):
        return [mail.subject for mail in self.mails(order)]

    # The warning

    def test_nothing_happens_before_the_warning(self):
        order = self.billed()
        before = order.message_ids
        self.expire(until="2027-02-06")
        self.assertEqual((order.subscription_state, order.message_ids), ("progress", before))

    def test_customer_is_warned_three_days_before(self):
        order = self.billed()
        self.expire(until="2027-02-07")
        self.assertEqual(self.subjects(order), ["About to close"])
        self.assertEqual(order.subscription_state, "progress")

    def test_warning_names_invoice_amount_and_day(self):
        order = self.warned()
        text = html2plaintext(self.mails(order)[0].body)
        for words in (self.invoices(order).name, "100.00", "02/10/2027"):
            self.assertIn(words, text)

    def test_warning_links_to_the_invoice(self):
        order = self.warned()
        self.assertIn(f"/my/invoices/{self.invoices(order).id}", self.mails(order)[0].body)

    def test_chatter_mentions_the_warning(self):
        order = self.warned()
        self.assertIn(
            f"{self.invoices(order).name} is unpaid. The customer was notified that the subscription will close on 02/10",
            self.chatter(order),
        )

    def test_customer_is_warned_once(self):
        order = self.billed()
        for until in ("2027-02-07", "2027-02-07 18:00", "2027-02-08", "2027-02-09 23:59"):
            self.expire(until=until)
        self.assertEqual(self.subjects(order), ["About to close"])

    def test_warning_of_a_plan_with_two_days_comes_with_the_invoice(self):
        self.monthly.auto_close_days = 2
        order = self.billed()
        self.expire(until="2027-01-31")
        self.assertEqual(self.subjects(order), ["About to close"])
        self.expire(until="2027-02-01")
        self.assertEqual(order.subscription_state, "progress")
        self.expire(until="2027-02-02")
        self.assertEqual(order.subscription_state, "churned")

    @mute_logger(MAIL_LOGGER)
    def test_warning_that_cannot_be_created_asks_for_attention(self):
        template = type(self.env["mail.template"])
        order = self.billed()
        with patch.object(template, "_generate_template", side_effect=ValueError("Out of ink")):
            self.expire(until="2027-02-07")
        self.assertFalse(self.mails(order))
        self.assertIn("Out of ink", order.activity_ids.note)

    # The close

    def test_subscription_runs_until_the_day(self):
        order = self.warned()
        self.expire(until="2027-02-09 23:59")
        self.assertEqual(order.subscription_state, "progress")

    def test_subscription_closes_on_the_day(self):
        order = self.warned()
        self.expire(until="2027-02-10 00:00")
        self.assertEqual(order.subscription_state, "churned")
        self.assertDates(order, closed_on="2027-02-10", end_date="2027-02-10", next_invoice_date=False)

    def test_reason_is_unpaid(self):
        self.assertEqual(self.closed().close_reason_id, self.unpaid)

    def test_chatter_names_invoice_amount_due_date_and_days(self):
        order = self.closed()
        line = next(line for line in self.chatter(order).splitlines() if "Closed automatically" in line)
        for words in (self.invoices(order).name, "100.00", "due on 01/31/2027", "10 days", "warned on 02/07/2027"):
            self.assertIn(words, line)

    def test_chatter_shows_the_change_of_status(self):
        order = self.closed()
        changes = [self.changes(message).get("subscription_state") for message in order.message_ids]
        self.assertIn(("In Progress", "Churned"), changes)

    def test_customer_is_notified_of_the_close(self):
        order = self.closed()
        self.assertEqual(self.subjects(order), ["About to close", "Closed"])
        self.assertIn("Unpaid", self.mails(order)[1].body)

    def test_customer_is_notified_once(self):
        order = self.closed()
        for until in ("2027-02-10 18:00", "2027-02-11", "2027-03-15"):
            self.expire(until=until)
        self.assertEqual(self.subjects(order), ["About to close", "Closed"])

    def test_archived_template_sends_nothing_and_still_closes(self):
        self.env.ref("subscription_close_renew.mail_template_closed").active = False
        order = self.closed()
        self.assertEqual((order.subscription_state, self.subjects(order)), ("churned", ["About to close"]))

    def test_planned_close_on_a_later_day_does_not_keep_an_unpaid_one(self):
        order = self.billed()
        order.subscription_close(self.reason.id, when="date", date="2027-06-30")
        self.expire(until="2027-02-07")
        self.expire(until="2027-02-10")
        self.assertEqual((order.subscription_state, order.close_reason_id), ("churned", self.unpaid))
        self.assertDates(order, end_date="2027-02-10")

    def test_paused_subscription_closes_unpaid_too(self):
        order = self.billed()
        order.subscription_pause()
        self.expire(until="2027-02-07")
        self.expire(until="2027-02-10")
        self.assertEqual(order.subscription_state, "churned")

    # Counting the days

    def test_days_count_from_the_due_date_when_that_is_later(self):
        term = self.env["account.payment.term"].create(
            {
                "name": "30 days",
                "line_ids": [Command.create({"value": "percent", "value_amount": 100, "nb_days": 30})],
            }
        )
        order = self.billed(payment_term_id=term.id)  # due on 2 March
        self.expire(until="2027-03-08")
        self.assertFalse(self.mails(order))
        self.expire(until="2027-03-09")
        self.expire(until="2027-03-11")
        self.assertEqual((order.subscription_state, self.subjects(order)), ("progress", ["About to close"]))
        self.expire(until="2027-03-12")
        self.assertEqual(order.subscription_state, "churned")

    def test_days_count_from_the_first_day_of_the_period_when_that_is_later(self):
        order = self.billed()
        self.pay(self.invoices(order))
        with self.on("2027-02-01"):
            self.invoice(order)  # February's, in advance
        self.expire(until="2027-03-06")
        self.assertFalse(self.mails(order))
        self.expire(until="2027-03-07")
        self.expire(until="2027-03-09")
        self.assertEqual(order.subscription_state, "progress")
        self.expire(until="2027-03-10")
        self.assertEqual(order.subscription_state, "churned")

    def test_late_invoice_counts_from_its_own_due_date(self):
        order = self.subscription(start="2026-12-31")
        self.bill()  # two months, due today
        self.expire(until="2027-02-06")
        self.assertFalse(self.mails(order))

    def test_days_follow_the_time_zone_of_the_company(self):
        self.company.partner_id.tz = "Pacific/Kiritimati"
        order = self.subscription(start="2027-02-01")
        self.bill("2027-01-31 12:00")  # 1 February there
        self.expire(until="2027-02-07 09:59")
        self.assertFalse(self.mails(order))
        self.expire(until="2027-02-07 10:00")
        self.assertEqual(self.subjects(order), ["About to close"])
        self.expire(until="2027-02-10 10:00")
        self.assertEqual(order.subscription_state, "churned")

    # Downtime

    def test_nothing_closes_without_a_warning(self):
        order = self.billed()
        self.expire(until="2027-03-01")
        self.assertEqual((order.subscription_state, self.subjects(order)), ("progress", ["About to close"]))

    def test_late_warning_names_the_postponed_day(self):
        order = self.billed()
        self.expire(until="2027-03-01")
        self.assertIn("03/04/2027", self.mails(order)[0].body)

    def test_late_warning_leaves_three_days(self):
        order = self.billed()
        self.expire(until="2027-03-01")
        self.expire(until="2027-03-03 23:59")
        self.assertEqual(order.subscription_state, "progress")
        self.expire(until="2027-03-04")
        self.assertEqual(order.subscription_state, "churned")

    # What keeps it open

    def test_paid_before_the_warning(self):
        order = self.billed()
        self.pay(self.invoices(order))
        self.expire(until="2027-02-07")
        self.expire(until="2027-02-10")
        self.assertEqual((order.subscription_state, self.subjects(order)), ("progress", []))

    def test_paid_after_the_warning(self):
        order = self.warned()
        self.pay(self.invoices(order))
        self.expire(until="2027-02-10")
        self.assertEqual((order.subscription_state, self.subjects(order)), ("progress", ["About to close"]))

    def test_part_of_the_amount_does_not_keep_it_open(self):
        order = self.warned()
        self.pay(self.invoices(order), amount=60)
        self.expire(until="2027-02-10")
        self.assertEqual(order.subscription_state, "churned")
        self.assertIn("40.00", self.chatter(order))

    def test_bounced_payment_is_warned_of_again(self):
        order = self.warned()
        payment = self.pay(self.invoices(order))
        payment.action_draft()
        payment.action_cancel()
        self.expire(until="2027-02-20")
        self.assertEqual(
            (order.subscription_state, self.subjects(order)), ("progress", ["About to close", "About to close"])
        )
        self.expire(until="2027-02-23")
        self.assertEqual(order.subscription_state, "churned")

    def test_zero_days_mean_never(self):
        self.monthly.auto_close_days = 0
        order = self.billed()
        self.expire(until="2027-02-10")
        self.expire(until="2028-01-31")
        self.assertEqual((order.subscription_state, self.mails(order)), ("progress", []))

    def test_subscription_that_costs_nothing_never_closes(self):
        order = self.billed(lines=[self.line(price_unit=0)])
        self.expire(until="2027-02-10")
        self.expire(until="2027-03-10")
        self.assertEqual(order.subscription_state, "progress")

    def test_credited_invoice_does_not_close(self):
        order = self.warned()
        invoice = self.invoices(order)
        wizards = invoice.env["account.move.reversal"].with_context(active_model="account.move", active_ids=invoice.ids)
        wizard = wizards.create({"journal_id": invoice.journal_id.id})
        invoice.browse(wizard.refund_moves()["res_id"]).action_post()
        self.expire(until="2027-02-10")
        self.assertEqual(order.subscription_state, "progress")

    def test_invoice_that_was_reset_does_not_close(self):
        order = self.warned()
        self.reset(self.invoices(order))
        self.expire(until="2027-02-10")
        self.assertEqual(order.subscription_state, "progress")

    def test_unknown_outcome_never_closes(self):
        order = self.subscription(card=self.card())
        with self.provider(requests.Timeout()), mute_logger("odoo.addons.payment.models.payment_provider"):
            self.bill()
        self.assertTrue(order.payment_exception)
        for until in ("2027-02-07", "2027-02-10", "2027-06-30"):
            self.expire(until=until)
        self.assertEqual((order.subscription_state, self.mails(order)), ("progress", []))

    def test_exception_after_the_warning_does_not_close(self):
        order = self.warned()
        order.sudo().payment_exception = True
        self.expire(until="2027-02-10")
        self.assertEqual(order.subscription_state, "progress")

    def test_pending_payment_never_closes(self):
        order = self.subscription(card=self.card())
        with self.provider("pending"):
            self.bill()
        for until in ("2027-02-07", "2027-02-10", "2027-06-30"):
            self.expire(until=until)
        self.assertEqual((order.subscription_state, self.mails(order)), ("progress", []))

    def test_declined_card_closes_in_the_end(self):
        order = self.subscription(card=self.card())
        with self.provider("declined"):
            for day in ("2027-01-31", "2027-02-01", "2027-02-03", "2027-02-05"):
                self.bill(day)
            self.expire(until="2027-02-07")
            self.bill("2027-02-07")
            self.expire(until="2027-02-10")
            self.bill("2027-02-10")
        self.assertEqual((order.subscription_state, len(self.calls)), ("churned", 5))

    def test_card_that_finally_works_keeps_it_open(self):
        order = self.subscription(card=self.card())
        with self.provider("declined", "done"):
            self.bill()
            self.expire(until="2027-02-07")
            self.bill("2027-02-07")
            self.expire(until="2027-02-10")
        self.assertEqual((order.subscription_state, order.period_ids.status), ("progress", "paid"))

    # Afterwards

    def test_closed_subscription_is_not_billed(self):
        order = self.closed()
        self.bill("2027-03-15")
        self.assertEqual(len(self.invoices(order)), 1)

    def test_closed_subscription_is_not_charged(self):
        order = self.subscription(card=self.card())
        with self.provider("declined"):
            self.bill()
            self.expire(until="2027-02-07")
            self.expire(until="2027-02-10")
            self.bill("2027-02-11")
        self.assertEqual((order.subscription_state, len(self.calls)), ("churned", 1))

    def test_closed_subscription_gets_no_reminder(self):
        order = self.closed()
        mails = len(self.mails(order))
        self.expire(until="2027-06-30")
        self.bill("2027-06-30")
        self.assertEqual(len(self.mails(order)), mails)

    def test_late_payment_settles_and_does_not_reopen(self):
        order = self.closed()
        with self.on("2027-02-20"):
            self.pay(self.invoices(order))
        self.bill("2027-03-15")
        self.assertIn(self.invoices(order).payment_state, ("paid", "in_payment"))
        self.assertEqual((order.subscription_state, len(self.invoices(order))), ("churned", 1))
        self.assertDates(order, closed_on="2027-02-10", next_invoice_date=False)

    def test_reopened_subscription_is_warned_again(self):
        order = self.closed()
        with self.on("2027-03-01"):
            order.with_user(self.administrator).subscription_reopen()
        self.expire(until="2027-03-01")
        self.assertEqual(order.subscription_state, "progress")
        self.assertEqual(self.subjects(order), ["About to close", "Closed", "About to close"])

    # Many at once

    def test_several_unpaid_invoices_close_it_once(self):
        order = self.subscription(plan=self.weekly)
        self.bill()
        self.bill("2027-02-07")
        self.expire(until="2027-02-07")
        self.expire(until="2027-02-10")
        self.assertEqual(order.subscription_state, "churned")
        self.assertEqual(self.subjects(order), ["About to close", "Closed"])

    def test_only_unpaid_subscriptions_close(self):
        unpaid, paid = self.subscription(), self.subscription()
        self.bill()
        self.pay(self.invoices(paid))
        self.expire(until="2027-02-07")
        self.expire(until="2027-02-10")
        self.assertEqual([order.subscription_state for order in (unpaid, paid)], ["churned", "progress"])

    def test_bad_one_stops_no_other(self):
        bad, good = self.subscription(), self.subscription()
        self.bill()
        self.expire(until="2027-02-07")
        close = type(bad)._close

        def fail_for_the_bad_one(orders):
            if bad in orders:
                raise ValueError("Out of beans")
            return close(orders)

        with patch.object(type(bad), "_close", fail_for_the_bad_one), mute_logger(BATCH_LOGGER):
            self.expire(until="2027-02-10")
        self.assertEqual([order.subscription_state for order in (bad, good)], ["progress", "churned"])
        self.assertEqual(self.subjects(bad), ["About to close"])
        self.assertIn("Out of beans", bad.activity_ids.note)

    def test_bad_one_closes_at_the_next_run(self):
        bad = self.warned()
        with patch.object(type(bad), "_close", side_effect=ValueError("Out of beans")), mute_logger(BATCH_LOGGER):
            self.expire(until="2027-02-10")
        self.expire(until="2027-02-11")
        self.assertEqual((bad.subscription_state, self.subjects(bad)), ("churned", ["About to close", "Closed"]))

    # Language

    def test_customer_reads_their_own_language(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        self.customer.lang = "fr_FR"
        for name, subject in (("about_to_close", "Bientôt"), ("closed", "Fermé")):
            template = self.env.ref(f"subscription_close_renew.mail_template_{name}")
            template.with_context(lang="fr_FR").subject = subject
        self.assertEqual(self.subjects(self.closed()), ["Bientôt", "Fermé"])

    def test_dates_of_the_warning_are_written_in_the_customer_s_language(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        self.customer.lang = "fr_FR"
        self.assertIn("10/02/2027", self.mails(self.warned())[0].body)
