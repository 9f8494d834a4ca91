import psycopg2

from odoo.exceptions import ValidationError
from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import SubscriptionCommon


@tagged("post_install", "-at_install")
class TestPeriod(SubscriptionCommon):
    """P4: one invoice per subscription and period; periods tile."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.subscription()

    def test_posted_invoice_bills_the_due_period(self):
        order = self.order
        invoice = self.invoice(order)
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28")])
        self.assertEqual(order.period_ids.sudo().invoice_ids, invoice)

    def test_posted_invoice_moves_the_next_invoice_date_by_the_plan(self):
        moved = {self.weekly: "2027-02-07", self.monthly: "2027-02-28", self.yearly: "2028-01-31"}
        for plan, next_invoice_date in moved.items():
            with self.subTest(plan.name):
                order = self.subscription(plan=plan)
                self.invoice(order)
                self.assertDates(order, next_invoice_date=next_invoice_date)

    def test_invoice_made_with_the_button_bills_the_period(self):
        order = self.subscription(lines=[self.line(), self.line(self.one_time_product)])
        order.with_user(self.accountant)._create_invoices().action_post()
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28")])

    def test_draft_invoice_bills_nothing(self):
        order = self.order
        self.invoice(order, post=False)
        self.assertFalse(order.period_ids)
        self.assertDates(order, next_invoice_date="2027-01-31")

    def test_subscription_of_the_31st_does_not_drift(self):
        order = self.order
        for _month in range(4):
            self.invoice(order)
        self.assertEqual(
            self.billed_periods(order),
            [
                ("2027-01-31", "2027-02-28"),
                ("2027-02-28", "2027-03-31"),
                ("2027-03-31", "2027-04-30"),
                ("2027-04-30", "2027-05-31"),
            ],
        )

    def test_subscription_of_a_leap_day_does_not_drift(self):
        order = self.subscription(plan=self.yearly, start="2024-02-29")
        for _year in range(5):
            self.invoice(order)
        self.assertEqual(
            [start for start, _end in self.billed_periods(order)],
            ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"],
        )

    def test_late_invoices_bill_the_oldest_period_first(self):
        order = self.subscription(start="2026-06-15")
        self.invoice(order)
        self.assertEqual(self.billed_periods(order), [("2026-06-15", "2026-07-15")])

    def test_one_invoice_of_two_subscriptions_bills_a_period_of_each(self):
        orders = self.order | self.subscription(plan=self.weekly)
        orders.with_user(self.accountant)._create_invoices().action_post()
        self.assertEqual([self.billed_periods(order)[0][1] for order in orders], ["2027-02-28", "2027-02-07"])

    def test_invoice_reset_to_draft_frees_its_period(self):
        order = self.order
        self.invoice(order).button_draft()
        self.assertEqual(self.billed_periods(order), [])
        self.assertDates(order, next_invoice_date="2027-01-31")

    def test_cancelled_invoice_frees_its_period(self):
        order = self.order
        invoice = self.invoice(order)
        invoice.button_draft()
        invoice.button_cancel()
        self.assertEqual(self.billed_periods(order), [])

    def test_invoice_posted_again_bills_the_same_period(self):
        order = self.order
        invoice = self.invoice(order)
        self.reset(invoice)
        invoice.action_post()
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28")])
        self.assertDates(order, next_invoice_date="2027-02-28")

    def test_invoice_reset_and_posted_in_one_transaction_bills_the_same_period(self):
        order = self.order
        invoice = self.invoice(order)
        invoice.button_draft()
        invoice.action_post()
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28")])

    def test_earlier_invoice_posted_again_bills_the_same_period(self):
        order = self.order
        january = self.invoice(order)
        self.invoice(order)
        self.reset(january)
        self.assertDates(order, next_invoice_date="2027-01-31")
        january.action_post()
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28"), ("2027-02-28", "2027-03-31")])
        self.assertDates(order, next_invoice_date="2027-03-31")

    def test_two_invoices_posted_again_bill_their_own_periods_in_any_order(self):
        order = self.order
        january, february = self.invoice(order), self.invoice(order)
        self.reset(january | february)
        february.action_post()
        january.action_post()
        billed = order.period_ids.filtered(lambda period: period.state == "invoiced").sorted("date_start").sudo()
        self.assertEqual([period.invoice_ids for period in billed], [january, february])

    def test_shorter_period_after_an_interruption_keeps_its_end_when_billed_again(self):
        order = self.paused_subscription()
        with self.on("2027-03-10"):
            order.subscription_resume()
            invoice = self.invoice(order)
            self.reset(invoice)
            invoice.action_post()
        self.assertEqual(self.billed_periods(order), [("2027-03-10", "2027-03-31")])

    @mute_logger("odoo.sql_db")
    def test_database_refuses_two_invoices_for_one_period(self):
        order = self.subscription()
        self.invoice(order)
        period = order.period_ids.sudo()
        with self.assertRaises(psycopg2.errors.UniqueViolation):
            period.copy()
            self.env.flush_all()

    def test_cancelled_period_can_be_billed_again(self):
        order = self.order
        invoice = self.invoice(order)
        self.reset(invoice)
        invoice.button_cancel()
        self.invoice(order)
        self.assertEqual(sorted(order.period_ids.mapped("state")), ["cancelled", "invoiced"])
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28")])

    def test_period_freed_during_a_pause_does_not_overlap_the_next(self):
        order = self.order
        invoice = self.invoice(order)
        with self.on("2027-02-10"):
            order.subscription_pause()
            self.reset(invoice)
            invoice.button_cancel()
        with self.on("2027-02-20"):
            order.subscription_resume()
            for _period in range(3):
                self.invoice(order)
        self.assertNoOverlap(order)

    def test_period_freed_while_closed_does_not_overlap_the_next(self):
        order = self.order
        invoice = self.invoice(order)
        with self.on("2027-02-10"):
            order.subscription_close(self.reason.id)
            self.reset(invoice)
            invoice.button_cancel()
        with self.on("2027-02-20"):
            order.with_user(self.administrator).subscription_reopen()
            for _period in range(3):
                self.invoice(order)
        self.assertNoOverlap(order)

    @mute_logger("odoo.sql_db")
    def test_database_refuses_a_period_that_ends_before_it_begins(self):
        order = self.subscription()
        with self.assertRaises(psycopg2.errors.CheckViolation):
            order.period_ids.sudo().create({"order_id": order.id, "date_start": "2027-02-28", "date_end": "2027-02-28"})
            self.env.flush_all()

    def test_invoice_of_an_ordinary_order_bills_no_period(self):
        order = self.quotation(plan=False, lines=[self.line(self.one_time_product)])
        order.action_confirm()
        self.invoice(order)
        self.assertFalse(order.period_ids)
        self.assertDates(order, next_invoice_date=False)

    def test_invoice_of_one_time_lines_bills_no_period(self):
        order = self.subscription(lines=[self.line(), self.line(self.one_time_product)])
        one_time = order.order_line[1].with_user(self.accountant)
        values = order.with_user(self.accountant)._prepare_invoice()
        values["invoice_line_ids"] = [Command.create(one_time._prepare_invoice_line(quantity=1))]
        self.env["account.move"].with_user(self.accountant).create(values).action_post()
        self.assertFalse(order.period_ids)

    def credit(self, invoice, method):
        """Credit an invoice in full, as the pop-up does."""
        wizards = invoice.env["account.move.reversal"].with_context(active_model="account.move", active_ids=invoice.ids)
        wizard = wizards.create({"journal_id": invoice.journal_id.id})
        return invoice.browse(getattr(wizard, method)()["res_id"])

    def test_full_credit_note_frees_the_period(self):
        order = self.order
        note = self.credit(self.invoice(order), "refund_moves")
        note.action_post()
        self.assertEqual((note.move_type, note.state), ("out_refund", "posted"))
        self.assertEqual(self.billed_periods(order), [])
        self.assertDates(order, next_invoice_date="2027-01-31")

    def test_partial_credit_note_frees_no_period(self):
        order = self.order
        note = self.credit(self.invoice(order), "refund_moves")
        note.invoice_line_ids.price_unit = 40
        note.action_post()
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28")])
        self.assertDates(order, next_invoice_date="2027-02-28")

    def test_undone_credit_note_lets_its_invoice_bill_the_period_again(self):
        order = self.order
        note = self.credit(self.invoice(order), "refund_moves")
        note.action_post()
        note.button_draft()
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28")])
        self.assertDates(order, next_invoice_date="2027-02-28")

    def test_chatter_says_that_a_credited_period_is_invoiced_again(self):
        order = self.order
        self.credit(self.invoice(order), "refund_moves").action_post()
        self.assertIn("credited in full: its period (01/31/2027 to 02/27/2027)", self.chatter(order))

    def test_chatter_links_to_the_credited_invoices(self):
        order = self.subscription(lines=[self.line(quantity=2)])
        halves = self.env["account.move"]
        for _half in range(2):
            invoice = self.invoice(order, post=False)
            self.bill_january(invoice, quantity=1)
            invoice.action_post()
            halves |= invoice
        for move in halves:
            self.credit(move, "refund_moves").action_post()
        body = self.last_message(order).body
        for move in halves:
            self.assertIn(f'<a href="#" data-oe-model="account.move" data-oe-id="{move.id}">', body)
        self.assertNotIn("&lt;", body)

    def test_chatter_says_when_a_credited_period_is_not_invoiced_again(self):
        order = self.churned_subscription(invoiced=True)
        self.credit(self.invoices(order), "refund_moves").action_post()
        self.assertIn("will not be invoiced again", self.chatter(order))

    def test_chatter_says_that_a_credited_period_waits_for_the_end_of_a_pause(self):
        order = self.order
        invoice = self.invoice(order)
        order.subscription_pause()
        self.credit(invoice, "refund_moves").action_post()
        self.assertIn("when the subscription is resumed", self.chatter(order))

    def test_invoice_that_replaces_a_credited_one_bills_no_other_period(self):
        order = self.order
        replacement = self.credit(self.invoice(order), "modify_moves")
        replacement.action_post()
        self.assertEqual((replacement.move_type, replacement.state), ("out_invoice", "posted"))
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28")])
        self.assertDates(order, next_invoice_date="2027-02-28")

    def test_duplicate_of_an_invoice_bills_no_period(self):
        order = self.order
        duplicate = self.invoice(order).copy()
        duplicate.invoice_date = "2027-01-31"
        duplicate.action_post()
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28")])

    def test_period_is_named_after_its_order_and_dates(self):
        order = self.order
        self.invoice(order)
        self.assertEqual(order.period_ids.display_name, f"{order.name}, 01/31/2027 to 02/27/2027")

    def test_accountant_without_rights_in_sales_posts_and_resets(self):
        order = self.order
        invoice = self.invoice(order)
        self.assertFalse(invoice.env.user.has_group("sales_team.group_sale_salesman"))
        invoice.button_draft()
        self.assertFalse(order.period_ids.filtered(lambda period: period.state == "invoiced"))

    def test_invoice_of_added_lines_belongs_to_the_billed_period(self):
        order = self.order
        order.with_user(self.accountant)._create_invoices().action_post()
        order.order_line.product_uom_qty = 3
        invoice = order.with_user(self.accountant)._create_invoices()
        invoice.action_post()
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28")])
        self.assertIn(invoice, order.period_ids.sudo().invoice_ids)

    def test_invoice_of_a_line_left_out_before_belongs_to_the_billed_period(self):
        order = self.subscription(lines=[self.line(), self.line(quantity=2)])
        first = order.with_user(self.accountant)._create_invoices()
        first.invoice_line_ids[1].unlink()
        first.action_post()
        order.with_user(self.accountant)._create_invoices().action_post()
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28")])

    def test_period_is_free_only_when_none_of_its_invoices_counts(self):
        order = self.order
        first = order.with_user(self.accountant)._create_invoices()
        first.action_post()
        order.order_line.product_uom_qty = 3
        second = order.with_user(self.accountant)._create_invoices()
        second.action_post()
        self.reset(second)
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28")])
        self.reset(first)
        self.assertEqual(self.billed_periods(order), [])

    def test_completing_invoice_that_is_posted_again_bills_no_other_period(self):
        order = self.order
        order.with_user(self.accountant)._create_invoices().action_post()
        order.order_line.product_uom_qty = 3
        second = order.with_user(self.accountant)._create_invoices()
        second.action_post()
        self.reset(second)
        second.action_post()
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28")])

    def test_period_inside_a_billed_one_is_refused(self):
        order = self.order
        self.invoice(order)
        # An earlier version allowed this.
        order._write_subscription({"next_invoice_date": "2027-02-15"})
        with self.assertRaisesRegex(ValidationError, "already invoiced until 02/28/2027"):
            self.invoice(order)

    def test_migrated_subscription_keeps_the_date_until_which_it_was_billed(self):
        order = self.subscription(start="2020-01-31")
        order.next_invoice_date = "2027-06-30"
        order.subscription_pause()
        order.subscription_resume()
        self.assertDates(order, next_invoice_date="2027-06-30")
