from unittest.mock import patch

from odoo.exceptions import AccessError, UserError
from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import html2plaintext, mute_logger

from .common import SubscriptionCommon

BATCH_LOGGER = "odoo.addons.subscription_close_renew.models.sale_order_batch"
# Odoo checks a template when it is saved, with some invoice: this fails for those of 100.0.
BROKEN_SUBJECT = "{{ 1 / (object.amount_total - 100) }}"
JANUARY = ("2027-01-31", "2027-02-28")
FEBRUARY = ("2027-02-28", "2027-03-31")


@tagged("post_install", "-at_install")
class TestBilling(SubscriptionCommon):
    """F1, P4, P5, P6: what the scheduled action invoices, and what it leaves alone."""

    def test_subscription_due_today_is_invoiced(self):
        order = self.subscription(start="2027-01-31")
        self.bill()
        self.assertEqual(self.billed_periods(order), [JANUARY])
        self.assertDates(order, next_invoice_date="2027-02-28")

    def test_subscription_due_earlier_is_invoiced(self):
        order = self.subscription(start="2027-01-30")
        self.bill()
        self.assertEqual(self.billed_periods(order), [("2027-01-30", "2027-02-28")])

    def test_subscription_due_tomorrow_is_not_invoiced(self):
        order = self.subscription(start="2027-02-01")
        self.bill()
        self.assertFalse(self.invoices(order))
        self.assertDates(order, next_invoice_date="2027-02-01")

    def test_invoice_is_posted(self):
        order = self.subscription()
        self.bill()
        self.assertEqual(self.invoices(order).mapped("state"), ["posted"])

    def test_second_run_on_the_day_invoices_nothing(self):
        order = self.subscription()
        self.bill()
        self.bill("2027-01-31 23:59")
        self.assertEqual(len(self.invoices(order)), 1)

    def test_next_period_is_invoiced_on_its_first_day(self):
        order = self.subscription()
        self.bill()
        self.bill("2027-02-27")
        self.assertEqual(self.billed_periods(order), [JANUARY])
        self.bill("2027-02-28")
        self.assertEqual(self.billed_periods(order), [JANUARY, FEBRUARY])

    def test_quotation_is_not_invoiced(self):
        order = self.quotation(start="2027-01-01")
        self.bill()
        self.assertFalse(self.invoices(order))

    def test_ordinary_order_is_not_invoiced(self):
        order = self.quotation(plan=False, lines=[self.line(self.one_time_product)])
        order.action_confirm()
        self.bill()
        self.assertFalse(self.invoices(order))

    def test_paused_subscription_is_not_invoiced(self):
        order = self.paused_subscription()
        self.bill("2027-03-15")
        self.assertFalse(self.invoices(order))

    def test_churned_subscription_is_not_invoiced(self):
        order = self.churned_subscription()
        self.bill("2027-03-15")
        self.assertFalse(self.invoices(order))

    def test_renewed_subscription_is_not_invoiced(self):
        order = self.subscription()
        self.invoice(order)
        renewal = self.quotation(subscription_id=order.id, plan=order.plan_id)
        renewal.action_confirm()
        self.bill("2027-03-15")
        self.assertEqual(self.billed_periods(order), [JANUARY])
        self.assertEqual(self.billed_periods(renewal), [FEBRUARY])

    def test_subscription_in_exception_is_not_invoiced_until_it_is_resolved(self):
        order = self.subscription()
        order.sudo().payment_exception = True
        self.bill()
        self.assertFalse(self.invoices(order))
        order.sudo().payment_exception = False
        self.bill()
        self.assertEqual(self.billed_periods(order), [JANUARY])

    def test_cancelled_order_is_not_invoiced(self):
        order = self.subscription()
        order._action_cancel()
        self.bill()
        self.assertFalse(self.invoices(order))

    def test_close_of_today_wins(self):
        order = self.subscription()
        order.end_date = "2027-02-28"
        self.bill()
        self.bill("2027-02-28")
        self.assertEqual(order.subscription_state, "progress")
        self.assertEqual(self.billed_periods(order), [JANUARY])

    def test_subscription_that_closes_later_is_invoiced(self):
        order = self.subscription()
        order.subscription_close(self.reason.id, when="date", date="2027-03-01")
        self.bill("2027-02-28")
        self.assertEqual(self.billed_periods(order), [JANUARY, FEBRUARY])

    def test_kept_subscription_is_invoiced(self):
        order = self.subscription()
        order.subscription_close(self.reason.id, when="date", date="2027-02-28")
        order.subscription_keep()
        self.bill("2027-02-28")
        self.assertEqual(self.billed_periods(order), [JANUARY, FEBRUARY])

    def test_subscription_of_another_company_is_invoiced_there(self):
        company = self.make_company("Other Company")
        seller = self.make_user("other_seller", "sales_team.group_sale_salesman", companies=company)
        here, there = self.subscription(), self.subscription(user=seller, company=company)
        self.bill()
        invoices = here.sudo().invoice_ids | there.sudo().invoice_ids
        self.assertEqual(invoices.mapped("company_id"), self.company | company)
        self.assertEqual(invoices.journal_id.mapped("company_id"), self.company | company)
        self.assertEqual(set(invoices.mapped("state")), {"posted"})

    def test_subscription_of_an_archived_company_rests(self):
        company = self.make_company("Other Company")
        seller = self.make_user("other_seller", "sales_team.group_sale_salesman", companies=company)
        order = self.subscription(user=seller, company=company)
        seller.sudo().active = False
        company.active = False
        self.bill()
        self.assertFalse(order.sudo().invoice_ids)

    def test_chatter_of_the_invoice_leads_to_its_subscription(self):
        order = self.subscription()
        self.bill()
        messages = self.invoices(order).message_ids
        self.assertEqual(len(messages.filtered(lambda message: order.name in html2plaintext(message.body or ""))), 1)

    def test_subscription_that_costs_nothing_is_invoiced(self):
        order = self.subscription(lines=[self.line(price_unit=0)])
        self.bill()
        self.assertEqual(self.billed_periods(order), [JANUARY])
        self.assertEqual(self.invoices(order).payment_state, "paid")

    def test_run_without_anything_due_is_done(self):
        self.bill()
        self.bill()
        cron = self.env.ref("subscription_close_renew.ir_cron_subscription_billing")
        progress = self.env["ir.cron.progress"].search([("cron_id", "=", cron.id)], order="id desc", limit=1)
        self.assertEqual((progress.done, progress.remaining), (0, 0))

    def test_progress_is_reported(self):
        self.bill()  # whatever else is due
        for _order in range(3):
            self.subscription()
        self.bill()
        cron = self.env.ref("subscription_close_renew.ir_cron_subscription_billing")
        progress = self.env["ir.cron.progress"].search([("cron_id", "=", cron.id)], order="id desc", limit=1)
        self.assertEqual((progress.done, progress.remaining), (3, 0))


@tagged("post_install", "-at_install")
class TestBillingInvoice(SubscriptionCommon):
    """What stands on the invoice of a period."""

    def products(self, invoice):
        return invoice.invoice_line_ids.sorted("sequence").filtered("product_id").mapped("product_id.name")

    def test_one_time_lines_are_invoiced_once(self):
        order = self.subscription(lines=[self.line(), self.line(self.one_time_product)])
        self.bill()
        self.bill("2027-02-28")
        first, second = self.invoices(order)
        self.assertEqual(self.products(first), ["Coffee Service", "Installation"])
        self.assertEqual(self.products(second), ["Coffee Service"])

    def test_one_time_line_added_later_is_invoiced_with_the_next_period(self):
        order = self.subscription()
        self.bill()
        order.order_line = [self.line(self.one_time_product)]
        self.bill("2027-02-28")
        self.bill("2027-03-31")
        _first, second, third = self.invoices(order)
        self.assertEqual(self.products(second), ["Coffee Service", "Installation"])
        self.assertEqual(self.products(third), ["Coffee Service"])

    def test_one_time_line_that_was_invoiced_by_hand_is_not_invoiced_again(self):
        order = self.subscription(lines=[self.line(), self.line(self.one_time_product)])
        one_time = order.order_line[1].with_user(self.accountant)
        values = order.with_user(self.accountant)._prepare_invoice()
        values["invoice_line_ids"] = [Command.create(one_time._prepare_invoice_line(quantity=1))]
        self.env["account.move"].with_user(self.accountant).create(values).action_post()
        self.bill()
        self.assertEqual(self.products(self.invoices(order)[1]), ["Coffee Service"])

    def test_every_recurring_line_is_invoiced_with_its_quantity(self):
        order = self.subscription(lines=[self.line(quantity=2), self.line(quantity=3, price_unit=7)])
        self.bill()
        lines = self.invoices(order).invoice_line_ids.sorted("sequence")
        self.assertEqual([(line.quantity, line.price_unit) for line in lines], [(2, 100), (3, 7)])

    def test_discount_holds_in_every_period(self):
        order = self.subscription(lines=[self.line(discount=25)])
        self.bill()
        self.bill("2027-02-28")
        self.assertEqual(self.invoices(order).mapped("amount_total"), [75, 75])

    def test_changed_quantity_holds_from_the_next_period_on(self):
        order = self.subscription()
        self.bill()
        order.order_line.product_uom_qty = 3
        self.bill("2027-02-28")
        self.assertEqual(self.invoices(order).mapped("amount_total"), [100, 300])

    def test_sections_and_notes_are_kept(self):
        order = self.subscription(
            lines=[
                Command.create({"display_type": "line_section", "name": "Every month"}),
                self.line(),
                Command.create({"display_type": "line_note", "name": "Fair trade"}),
            ]
        )
        self.bill()
        self.bill("2027-02-28")
        for invoice in self.invoices(order):
            lines = invoice.invoice_line_ids.sorted("sequence")
            self.assertEqual(lines.mapped("display_type"), ["line_section", "product", "line_note"])

    def test_section_of_what_is_invoiced_once_is_not_repeated(self):
        order = self.subscription(
            lines=[
                Command.create({"display_type": "line_section", "name": "Every month", "sequence": 1}),
                self.line(sequence=2),
                Command.create({"display_type": "line_section", "name": "Once", "sequence": 3}),
                self.line(self.one_time_product, sequence=4),
            ]
        )
        self.bill()
        self.bill("2027-02-28")
        sections = [
            invoice.invoice_line_ids.filtered(lambda line: line.display_type == "line_section").mapped("name")
            for invoice in self.invoices(order)
        ]
        self.assertEqual(sections, [["Every month", "Once"], ["Every month"]])

    def test_line_says_which_period_it_invoices(self):
        order = self.subscription()
        self.bill()
        self.assertIn("01/31/2027 to 02/27/2027", self.invoices(order).invoice_line_ids.name)

    def test_line_carries_the_dates_of_its_period(self):
        order = self.subscription()
        self.bill()
        line = self.invoices(order).invoice_line_ids
        self.assertEqual(line.subscription_id, order)
        self.assertDates(line, subscription_period_start="2027-01-31", subscription_period_end="2027-02-28")

    def test_line_that_is_invoiced_once_names_no_period(self):
        order = self.subscription(lines=[self.line(), self.line(self.one_time_product)])
        self.bill()
        line = self.invoices(order).invoice_line_ids.filtered(lambda line: line.product_id == self.one_time_product)
        self.assertFalse(line.subscription_id)
        self.assertNotIn("2027", line.name)

    def test_period_is_written_as_the_customer_reads_dates(self):
        self.env["res.lang"]._activate_lang("de_DE")
        self.customer.lang = "de_DE"
        order = self.subscription()
        self.bill()
        self.assertIn("31.01.2027", self.invoices(order).invoice_line_ids.name)

    def test_rest_of_a_period_after_a_pause_costs_its_share_of_the_days(self):
        order = self.paused_subscription()
        with self.on("2027-03-10"):
            order.subscription_resume()
        self.bill("2027-03-10")
        self.assertEqual(self.billed_periods(order), [("2027-03-10", "2027-03-31")])
        self.assertEqual(self.invoices(order).amount_untaxed, 67.74)  # 21 of 31 days
        self.assertIn("03/10/2027 to 03/30/2027", self.invoices(order).invoice_line_ids.name)

    def test_period_after_the_rest_costs_the_whole_price(self):
        order = self.paused_subscription()
        with self.on("2027-03-10"):
            order.subscription_resume()
        self.bill("2027-03-10")
        self.bill("2027-03-31")
        self.assertEqual(self.invoices(order).mapped("amount_untaxed"), [67.74, 100])

    def test_one_time_line_is_invoiced_whole_with_the_rest_of_a_period(self):
        order = self.paused_subscription(lines=[self.line(), self.line(self.one_time_product)])
        with self.on("2027-03-10"):
            order.subscription_resume()
        self.bill("2027-03-10")
        self.assertEqual(self.invoices(order).amount_untaxed, 97.74)

    def test_what_was_paid_is_used_up_before_the_pause_counts(self):
        order = self.subscription()
        self.bill()
        with self.on("2027-02-10"):
            order.subscription_pause()
        with self.on("2027-02-20"):
            order.subscription_resume()
        self.bill("2027-02-20")
        self.bill("2027-02-28")
        self.assertEqual(self.billed_periods(order), [JANUARY, FEBRUARY])

    def test_invoice_is_dated_today_also_for_an_earlier_period(self):
        order = self.subscription(start="2027-01-15")
        self.bill()
        self.assertDates(self.invoices(order), invoice_date="2027-01-31")

    def test_invoice_is_dated_today_where_the_company_is(self):
        self.company.partner_id.tz = "Pacific/Kiritimati"
        order = self.subscription(start="2027-01-31")
        self.bill("2027-01-31 12:00")
        self.assertDates(self.invoices(order), invoice_date="2027-02-01")

    def test_invoice_is_in_the_currency_of_the_pricelist(self):
        euro = self.env.ref("base.EUR")
        euro.active = True
        euro.rate_ids = [
            Command.create({"name": "2020-01-01", "company_id": self.company.id, "company_rate": 0.5}),
        ]
        pricelist = self.env["product.pricelist"].create({"name": "Euro", "currency_id": euro.id})
        order = self.subscription(pricelist_id=pricelist.id)
        self.bill()
        invoice = self.invoices(order)
        self.assertEqual((invoice.currency_id, invoice.amount_total), (euro, 50))

    def test_taxes_of_the_order_are_on_the_invoice(self):
        united_states = self.env.ref("base.us")
        self.company.account_fiscal_country_id = united_states
        group = self.env["account.tax.group"].create({"name": "Taxes", "country_id": united_states.id})
        tax = self.env["account.tax"].create(
            {"name": "10 %", "amount": 10, "country_id": united_states.id, "tax_group_id": group.id}
        )
        order = self.subscription(lines=[self.line(tax_ids=[Command.set(tax.ids)])])
        self.bill()
        self.assertEqual(self.invoices(order).amount_total, 110)

    def test_invoice_goes_to_the_invoice_address(self):
        office = self.env["res.partner"].create({"name": "Office", "parent_id": self.customer.id, "type": "invoice"})
        order = self.subscription(partner_invoice_id=office.id)
        self.bill()
        self.assertEqual(self.invoices(order).partner_id, office)

    def test_invoice_has_the_payment_terms_of_the_order(self):
        term = self.env["account.payment.term"].create(
            {
                "name": "30 days",
                "line_ids": [Command.create({"value": "percent", "value_amount": 100, "nb_days": 30})],
            }
        )
        order = self.subscription(payment_term_id=term.id)
        self.bill()
        self.assertDates(self.invoices(order), invoice_date_due="2027-03-02")

    def test_orders_of_one_customer_are_invoiced_separately(self):
        orders = self.subscription() | self.subscription()
        self.bill()
        self.assertEqual([len(self.invoices(order)) for order in orders], [1, 1])
        self.assertEqual(len(self.invoices(orders)), 2)


@tagged("post_install", "-at_install")
class TestBillingByHand(SubscriptionCommon):
    """F4, P4: an invoice made with the ordinary button is the invoice of a period, too."""

    def create_invoice(self, order, post=True):
        """Press Create Invoice, as the salesperson; let the accountant post what comes of it."""
        wizards = self.env["sale.advance.payment.inv"].with_user(self.salesperson)
        wizard = wizards.with_context(active_model="sale.order", active_ids=order.ids).create(
            {"advance_payment_method": "delivered"}
        )
        invoice = self.env["account.move"].with_user(self.accountant).browse(wizard.create_invoices()["res_id"])
        if post:
            invoice.action_post()
        self.flush_chatter()
        return invoice

    def test_it_invoices_the_period_that_is_due(self):
        order = self.subscription()
        invoice = self.create_invoice(order)
        self.assertEqual(self.billed_periods(order), [JANUARY])
        self.assertEqual(order.sudo().period_ids.invoice_ids, invoice)

    def test_it_moves_the_next_invoice_date(self):
        order = self.subscription()
        self.create_invoice(order)
        self.assertDates(order, next_invoice_date="2027-02-28")

    def test_it_says_which_period_it_invoices(self):
        order = self.subscription()
        self.assertIn("01/31/2027 to 02/27/2027", self.create_invoice(order).invoice_line_ids.name)

    def test_billing_does_not_invoice_that_period_again(self):
        order = self.subscription()
        self.create_invoice(order)
        self.bill()
        self.assertEqual(len(self.invoices(order)), 1)

    def test_it_invoices_the_next_period_in_advance(self):
        order = self.subscription()
        self.bill()
        with self.on("2027-02-10"):
            self.create_invoice(order)
        self.assertEqual(self.billed_periods(order), [JANUARY, FEBRUARY])
        self.assertDates(order, next_invoice_date="2027-03-31")

    def test_what_was_invoiced_in_advance_is_not_billed_on_its_day(self):
        order = self.subscription()
        self.bill()
        with self.on("2027-02-10"):
            self.create_invoice(order)
        self.bill("2027-02-28")
        self.assertEqual(len(self.invoices(order)), 2)

    def test_pressing_twice_is_refused(self):
        order = self.subscription()
        self.create_invoice(order, post=False)
        with self.assertRefused("No items are available to invoice"):
            self.create_invoice(order)
        self.assertEqual(len(self.invoices(order)), 1)

    def test_pressing_twice_in_advance_is_refused(self):
        order = self.subscription()
        self.bill()
        self.create_invoice(order, post=False)
        with self.assertRefused("No items are available to invoice"):
            self.create_invoice(order)
        self.assertEqual(len(self.invoices(order)), 2)

    def test_rest_of_a_period_costs_its_share(self):
        order = self.paused_subscription()
        with self.on("2027-03-10"):
            order.subscription_resume()
            invoice = self.create_invoice(order)
        self.assertEqual(invoice.amount_untaxed, 67.74)
        self.assertEqual(self.billed_periods(order), [("2027-03-10", "2027-03-31")])

    def test_draft_made_by_hand_sets_the_subscription_aside(self):
        order = self.subscription()
        draft = self.create_invoice(order, post=False)
        with mute_logger(BATCH_LOGGER):
            self.bill()
        self.assertEqual(self.invoices(order), draft)
        self.assertIn(f"A draft invoice of {order.name} exists already", html2plaintext(order.activity_ids.note))
        self.assertEqual(order.activity_ids.user_id, self.salesperson)

    def test_draft_made_by_hand_can_be_posted_after_billing_met_it(self):
        order = self.subscription()
        draft = self.create_invoice(order, post=False)
        with mute_logger(BATCH_LOGGER):
            self.bill()
        draft.action_post()
        self.assertEqual(self.billed_periods(order), [JANUARY])
        self.bill()
        self.assertEqual(self.invoices(order), draft)

    def test_billing_goes_on_when_the_draft_is_deleted(self):
        order = self.subscription()
        draft = self.create_invoice(order, post=False)
        with mute_logger(BATCH_LOGGER):
            self.bill()
        draft.unlink()
        self.bill()
        self.assertEqual(self.billed_periods(order), [JANUARY])

    def test_draft_with_one_of_two_lines_sets_the_subscription_aside(self):
        order = self.subscription(lines=[self.line(), self.line(price_unit=7)])
        draft = self.create_invoice(order, post=False)
        draft.invoice_line_ids[1].unlink()
        with mute_logger(BATCH_LOGGER):
            self.bill()
        self.assertEqual(self.invoices(order), draft)

    def test_draft_in_advance_is_met_on_its_day(self):
        order = self.subscription()
        self.bill()
        with self.on("2027-02-10"):
            draft = self.create_invoice(order, post=False)
        with mute_logger(BATCH_LOGGER):
            self.bill("2027-02-28")
        self.assertEqual(len(self.invoices(order)), 2)
        draft.action_post()
        self.assertEqual(self.billed_periods(order), [JANUARY, FEBRUARY])

    def test_period_that_was_reset_is_not_invoiced_beside_its_draft(self):
        order = self.subscription()
        self.bill()
        invoice = self.invoices(order)
        self.reset(invoice)
        with mute_logger(BATCH_LOGGER):
            self.bill()
        self.assertEqual(self.invoices(order), invoice)
        invoice.action_post()
        self.assertEqual(self.billed_periods(order), [JANUARY])

    def test_period_whose_invoice_was_cancelled_is_billed_again(self):
        order = self.subscription()
        self.bill()
        invoice = self.invoices(order)
        self.reset(invoice)
        invoice.button_cancel()
        self.bill()
        self.assertEqual(self.billed_periods(order), [JANUARY])
        self.assertEqual(self.invoices(order).mapped("state"), ["cancel", "posted"])

    def credit(self, invoice, method):
        wizards = invoice.env["account.move.reversal"].with_context(active_model="account.move", active_ids=invoice.ids)
        wizard = wizards.create({"journal_id": invoice.journal_id.id})
        move = invoice.browse(getattr(wizard, method)()["res_id"])
        move.action_post()
        self.flush_chatter()
        return move

    def test_period_that_was_credited_in_full_is_billed_again(self):
        order = self.subscription()
        self.bill()
        self.credit(self.invoices(order), "refund_moves")
        self.bill()
        self.assertEqual(self.billed_periods(order), [JANUARY])
        self.assertEqual(self.invoices(order).mapped("move_type"), ["out_invoice", "out_refund", "out_invoice"])

    def test_period_that_was_credited_in_full_is_billed_again_only_once(self):
        order = self.subscription()
        self.bill()
        self.credit(self.invoices(order), "refund_moves")
        self.bill()
        self.bill("2027-02-01")
        self.assertEqual(len(self.invoices(order)), 3)

    def test_period_whose_invoice_was_replaced_is_not_billed_again(self):
        order = self.subscription()
        self.bill()
        self.credit(self.invoices(order), "modify_moves")
        self.bill()
        self.assertEqual(self.billed_periods(order), [JANUARY])
        self.assertEqual(len(self.invoices(order)), 3)

    def test_next_period_is_billed_as_usual_after_a_replacement(self):
        order = self.subscription()
        self.bill()
        self.credit(self.invoices(order), "modify_moves")
        self.bill("2027-02-28")
        self.assertEqual(self.billed_periods(order), [JANUARY, FEBRUARY])

    def test_closed_subscription_is_not_billed_again_for_what_is_credited(self):
        order = self.churned_subscription(invoiced=True)
        self.credit(self.invoices(order), "refund_moves")
        self.bill("2027-03-15")
        self.assertEqual(self.billed_periods(order), [])
        self.assertEqual(order.subscription_state, "churned")

    def test_down_payment_is_no_period_and_taken_off_the_first(self):
        order = self.subscription()
        wizards = self.env["sale.advance.payment.inv"].with_user(self.administrator)
        wizard = wizards.with_context(active_model="sale.order", active_ids=order.ids).create(
            {"advance_payment_method": "percentage", "amount": 50}
        )
        self.env["account.move"].browse(wizard.create_invoices()["res_id"]).action_post()
        self.assertFalse(order.period_ids)
        self.bill()
        self.assertEqual(self.billed_periods(order), [JANUARY])
        self.assertEqual(self.invoices(order).mapped("amount_total"), [50, 50])
        self.bill("2027-02-28")
        self.assertEqual(self.invoices(order).mapped("amount_total"), [50, 50, 100])


@tagged("post_install", "-at_install")
class TestBillingSetAside(SubscriptionCommon):
    """F8, P7: one bad subscription stops no other, and undoes nothing."""

    def setUp(self):
        super().setUp()
        self.good = self.subscription()
        self.bad = self.subscription(lines=[self.line(price_unit=-100)])
        self.late = self.subscription()

    def bill_quietly(self, until="2027-01-31"):
        with mute_logger(BATCH_LOGGER):
            self.bill(until)

    def test_others_are_invoiced(self):
        self.bill_quietly()
        for order in self.good | self.late:
            self.assertEqual(self.billed_periods(order), [JANUARY])
            self.assertEqual(self.invoices(order).state, "posted")

    def test_others_are_invoiced_once_over_several_runs(self):
        for _run in range(3):
            self.bill_quietly()
        self.assertEqual(len(self.invoices(self.good | self.late)), 2)

    def test_bad_subscription_is_left_as_it_was(self):
        self.bill_quietly()
        self.assertFalse(self.invoices(self.bad))
        self.assertFalse(self.bad.period_ids)
        self.assertDates(self.bad, next_invoice_date="2027-01-31")

    def test_salesperson_is_told_what_went_wrong(self):
        self.bill_quietly()
        self.assertEqual(self.bad.activity_ids.user_id, self.salesperson)
        self.assertIn("negative total amount", self.bad.activity_ids.note)

    def test_salesperson_is_told_once_over_several_runs(self):
        for until in ("2027-01-31", "2027-01-31 18:00", "2027-02-01"):
            self.bill_quietly(until)
        self.assertEqual(len(self.bad.activity_ids), 1)

    def test_others_get_no_activity(self):
        self.bill_quietly()
        self.assertFalse((self.good | self.late).activity_ids)

    def test_log_names_the_bad_subscription(self):
        with self.assertLogs(BATCH_LOGGER, "WARNING") as logs:
            self.bill()
        self.assertEqual([self.bad.name in output for output in logs.output], [True])

    def test_mended_subscription_is_invoiced_at_the_next_run(self):
        self.bill_quietly()
        self.bad.order_line.price_unit = 50
        self.bill("2027-02-01")
        self.assertEqual(self.billed_periods(self.bad), [JANUARY])

    def test_bad_subscription_of_another_company_stops_none_here(self):
        company = self.make_company("Company Without a Journal")
        seller = self.make_user("other_seller", "sales_team.group_sale_salesman", companies=company)
        order = self.subscription(user=seller, company=company)
        self.env["account.journal"].search([("company_id", "=", company.id)]).unlink()
        self.bad._action_cancel()
        self.bill_quietly()
        self.assertEqual(len(order.sudo().activity_ids), 1)
        self.assertEqual(self.billed_periods(self.good), [JANUARY])

    def test_subscription_without_a_salesperson_is_set_aside_too(self):
        self.bad.sudo().user_id = False
        self.bill_quietly()
        self.assertEqual(len(self.bad.sudo().activity_ids), 1)
        self.assertEqual(self.billed_periods(self.good), [JANUARY])

    def test_several_bad_ones_among_many_are_set_aside_alone(self):
        bad = self.bad
        good = self.good | self.late
        for number in range(9):
            if number % 4:
                good |= self.subscription()
            else:
                bad |= self.subscription(lines=[self.line(price_unit=-1)])
        self.bill_quietly()
        self.assertEqual({len(order.sudo().activity_ids) for order in bad}, {1})
        self.assertEqual({len(self.invoices(order)) for order in good}, {1})

    def test_one_that_fails_does_not_keep_the_others_from_catching_up(self):
        order = self.subscription(start="2026-10-31")
        self.bill_quietly()
        self.assertEqual(len(self.billed_periods(order)), 4)


@tagged("post_install", "-at_install")
class TestBillingMail(SubscriptionCommon):
    """P10: with a template, the invoice is mailed once; without one, never."""

    def setUp(self):
        super().setUp()
        self.template = self.env["mail.template"].create(
            {
                "name": "Invoice of a subscription",
                "model_id": self.env["ir.model"]._get_id("account.move"),
                "subject": "Coffee for {{ object.partner_id.name }}",
                "body_html": "<p>Enjoy.</p>",
                "use_default_to": True,
            }
        )

    def send(self):
        """Run Odoo's own scheduled action that sends invoices."""
        with self.on("2027-01-31"):
            self.run_scheduled_action("account.ir_cron_account_move_send")

    def test_plan_without_a_template_sends_nothing(self):
        order = self.subscription()
        self.bill()
        self.send()
        invoice = self.invoices(order)
        self.assertFalse(invoice.sending_data)
        self.assertFalse(self.mails(invoice))

    def test_invoice_waits_for_the_sender(self):
        self.monthly.invoice_mail_template_id = self.template
        order = self.subscription()
        self.bill()
        self.assertTrue(self.invoices(order).sending_data)
        self.assertFalse(self.mails(self.invoices(order)))

    def test_sender_is_woken(self):
        self.monthly.invoice_mail_template_id = self.template
        self.subscription()
        cron = self.env.ref("account.ir_cron_account_move_send")
        before = self.env["ir.cron.trigger"].search_count([("cron_id", "=", cron.id)])
        self.bill()
        self.assertGreater(self.env["ir.cron.trigger"].search_count([("cron_id", "=", cron.id)]), before)

    def test_customer_gets_the_invoice_once(self):
        self.monthly.invoice_mail_template_id = self.template
        order = self.subscription()
        self.bill()
        self.send()
        mails = self.mails(self.invoices(order))
        self.assertEqual([mail.subject for mail in mails], ["Coffee for Customer"])
        self.assertTrue(self.invoices(order).is_move_sent)

    def test_invoice_is_never_sent_twice(self):
        self.monthly.invoice_mail_template_id = self.template
        order = self.subscription()
        for _run in range(2):
            self.bill()
            self.send()
        self.assertFalse(self.invoices(order).sending_data)
        self.assertEqual(len(self.mails(self.invoices(order))), 1)

    def test_customer_gets_the_invoice_attached(self):
        self.monthly.invoice_mail_template_id = self.template
        order = self.subscription()
        self.bill()
        self.send()
        self.assertEqual(len(self.mails(self.invoices(order))[0].attachment_ids), 1)

    def test_each_plan_has_its_template(self):
        self.monthly.invoice_mail_template_id = self.template
        self.weekly.invoice_mail_template_id = self.template.copy({"subject": "Tea"})
        orders = self.subscription() | self.subscription(plan=self.weekly)
        self.bill()
        self.send()
        subjects = [mail.subject for order in orders for mail in self.mails(self.invoices(order))]
        self.assertEqual(subjects, ["Coffee for Customer", "Tea"])

    def test_what_is_set_aside_is_not_mailed(self):
        self.monthly.invoice_mail_template_id = self.template
        bad = self.subscription(lines=[self.line(price_unit=-100)])
        with mute_logger(BATCH_LOGGER):
            self.bill()
        self.send()
        self.assertFalse(self.mails(bad))
        self.assertFalse(self.invoices(bad))

    def test_invoice_that_was_reset_is_not_mailed(self):
        self.monthly.invoice_mail_template_id = self.template
        order = self.subscription()
        self.bill()
        self.reset(self.invoices(order))
        self.send()
        self.assertFalse(self.mails(self.invoices(order)))

    def test_mail_that_fails_does_not_prevent_billing(self):
        self.monthly.invoice_mail_template_id = self.template.copy({"subject": BROKEN_SUBJECT})
        order = self.subscription()
        self.bill()
        self.assertEqual(self.billed_periods(order), [JANUARY])
        with mute_logger("odoo.addons.base.models.ir_cron", "odoo.addons.mail.models.mail_render_mixin"):
            self.send()
        self.bill()
        self.assertEqual(len(self.invoices(order)), 1)

    def test_mail_that_fails_prevents_no_other(self):
        self.weekly.invoice_mail_template_id = self.template.copy({"subject": BROKEN_SUBJECT})
        self.monthly.invoice_mail_template_id = self.template
        self.subscription(plan=self.weekly)
        order = self.subscription()
        self.bill()
        with mute_logger("odoo.addons.base.models.ir_cron", "odoo.addons.mail.models.mail_render_mixin"):
            self.send()
        self.assertEqual(len(self.mails(self.invoices(order))), 1)

    def test_customer_without_an_address_is_billed_all_the_same(self):
        self.monthly.invoice_mail_template_id = self.template
        partner = self.env["res.partner"].create({"name": "Hermit"})
        order = self.subscription(partner_id=partner.id)
        other = self.subscription()
        self.bill()
        with mute_logger("odoo.addons.base.models.ir_cron", "odoo.addons.account.models.account_move_send"):
            self.send()
        self.assertEqual(self.billed_periods(order), [JANUARY])
        self.assertEqual(len(self.mails(self.invoices(other))), 1)


@tagged("post_install", "-at_install")
class TestBillingCatchUp(SubscriptionCommon):
    """F9, P6: what was missed is caught up, oldest first, within a bound."""

    def test_periods_that_were_missed_are_billed_in_one_run(self):
        order = self.subscription(start="2026-10-31")
        self.bill()
        self.assertEqual(
            self.billed_periods(order),
            [
                ("2026-10-31", "2026-11-30"),
                ("2026-11-30", "2026-12-31"),
                ("2026-12-31", "2027-01-31"),
                ("2027-01-31", "2027-02-28"),
            ],
        )

    def test_each_missed_period_has_its_invoice(self):
        order = self.subscription(start="2026-10-31")
        self.bill()
        self.assertEqual(len(self.invoices(order)), 4)
        self.assertEqual({len(period.invoice_ids) for period in order.sudo().period_ids}, {1})

    def test_one_run_bills_twelve_periods_at_most(self):
        order = self.subscription(plan=self.weekly, start="2026-09-06")  # 22 weeks
        self.bill()
        self.assertEqual(len(self.billed_periods(order)), 12)

    def test_oldest_periods_are_billed_first(self):
        order = self.subscription(plan=self.weekly, start="2026-09-06")
        self.bill()
        self.assertEqual(self.billed_periods(order)[0], ("2026-09-06", "2026-09-13"))
        self.assertEqual(self.billed_periods(order)[-1], ("2026-11-22", "2026-11-29"))
        self.assertDates(order, next_invoice_date="2026-11-29")

    def test_next_run_goes_on_where_the_last_one_stopped(self):
        order = self.subscription(plan=self.weekly, start="2026-09-06")
        self.bill()
        self.bill()
        self.assertEqual(len(self.billed_periods(order)), 22)
        self.assertDates(order, next_invoice_date="2027-02-07")

    def test_run_after_the_last_bills_nothing(self):
        order = self.subscription(plan=self.weekly, start="2026-09-06")
        for _run in range(4):
            self.bill()
        self.assertEqual(len(self.invoices(order)), 22)

    def test_bound_counts_for_each_subscription(self):
        orders = self.subscription(plan=self.weekly, start="2026-09-06") | self.subscription(
            plan=self.weekly, start="2026-09-13"
        )
        self.bill()
        self.assertEqual([len(self.billed_periods(order)) for order in orders], [12, 12])

    def test_one_time_lines_are_invoiced_with_the_first_missed_period(self):
        order = self.subscription(start="2026-12-31", lines=[self.line(), self.line(self.one_time_product)])
        self.bill()
        self.assertEqual(self.invoices(order).mapped("amount_total"), [130, 100])


@tagged("post_install", "-at_install")
class TestBillNow(SubscriptionCommon):
    """The button Bill Now, on an order and on the list."""

    def bill_now(self, orders):
        return self.click(orders, "action_subscription_bill")

    def test_it_invoices_what_is_due(self):
        order = self.subscription()
        action = self.bill_now(order)
        self.assertEqual(self.billed_periods(order), [JANUARY])
        self.assertEqual(action["params"]["type"], "success")
        self.assertIn(order.name, action["params"]["message"])

    def test_salesperson_needs_no_rights_in_invoicing(self):
        self.assertFalse(self.salesperson.has_group("account.group_account_invoice"))
        order = self.subscription()
        self.bill_now(order)
        self.assertEqual(self.invoices(order).state, "posted")

    def test_it_is_refused_for_somebody_elses_order(self):
        order = self.subscription().with_user(self.other_salesperson)
        with self.assertRaises(AccessError):
            self.bill_now(order)
        self.assertFalse(order.sudo().period_ids)

    def test_it_is_refused_when_nothing_is_due_and_says_why(self):
        order = self.subscription(start="2027-02-28")
        with self.assertRefused(f"{order.name} is next invoiced on 02/28/2027"):
            self.bill_now(order)

    def test_it_is_refused_once_it_was_pressed(self):
        order = self.subscription()
        self.bill_now(order)
        with self.assertRefused("is next invoiced on 02/28/2027"):
            self.bill_now(order)
        self.assertEqual(len(self.invoices(order)), 1)

    def test_it_is_refused_for_what_does_not_run(self):
        for order, words in (
            (self.quotation(), "is not confirmed"),
            (self.paused_subscription(), "is paused"),
            (self.churned_subscription(), "has ended"),
        ):
            with self.subTest(order.subscription_state), self.assertRefused(words):
                self.bill_now(order)

    def test_it_is_refused_in_exception(self):
        order = self.subscription()
        order.sudo().payment_exception = True
        with self.assertRefused("outcome of a payment"):
            self.bill_now(order)

    def test_it_is_refused_on_the_day_of_the_close(self):
        order = self.subscription()
        order.end_date = "2027-01-31"
        with self.assertRefused("closes on 01/31/2027"):
            self.bill_now(order)

    def test_list_names_every_reason_when_none_is_due(self):
        orders = self.subscription(start="2027-02-28") | self.paused_subscription()
        with self.assertRaises(UserError) as refusal:
            self.bill_now(orders)
        self.assertIn("is next invoiced", str(refusal.exception))
        self.assertIn("is paused", str(refusal.exception))

    def test_list_invoices_those_that_are_due(self):
        due, later = self.subscription(), self.subscription(start="2027-02-28")
        action = self.bill_now(due | later)
        self.assertEqual([len(self.invoices(order)) for order in (due, later)], [1, 0])
        self.assertIn("Invoiced: 1.", action["params"]["message"])
        self.assertIn(later.name, action["params"]["message"])
        self.assertNotIn(due.name, action["params"]["message"])

    def test_list_leaves_alone_what_was_not_chosen(self):
        chosen, other = self.subscription(), self.subscription()
        self.bill_now(chosen)
        self.assertEqual([len(self.invoices(order)) for order in (chosen, other)], [1, 0])

    def test_bad_one_in_the_list_stops_no_other(self):
        bad = self.subscription(lines=[self.line(price_unit=-100)])
        good = self.subscription()
        with mute_logger(BATCH_LOGGER):
            self.bill_now(bad | good)
        self.assertEqual([len(self.invoices(order)) for order in (bad, good)], [0, 1])

    def test_list_tells_the_bad_one_from_the_good(self):
        bad = self.subscription(lines=[self.line(price_unit=-100)])
        good = self.subscription()
        with mute_logger(BATCH_LOGGER):
            message = self.bill_now(bad | good)["params"]["message"]
        self.assertIn("Invoiced: 1.", message)
        self.assertIn(bad.name, message)
        self.assertNotIn(good.name, message)

    def test_bad_one_alone_is_reported_as_a_warning(self):
        bad = self.subscription(lines=[self.line(price_unit=-100)])
        with mute_logger(BATCH_LOGGER):
            action = self.bill_now(bad)
        self.assertEqual(action["params"]["type"], "warning")
        self.assertEqual(len(bad.activity_ids), 1)

    def test_invoice_of_a_plan_with_a_template_waits_for_the_sender(self):
        self.monthly.invoice_mail_template_id = self.env.ref("subscription_close_renew.mail_template_invoice")
        order = self.subscription()
        self.bill_now(order)
        self.assertTrue(self.invoices(order).sending_data)

    def test_button_shows_while_something_is_due(self):
        order = self.subscription()
        self.assertTrue(order.is_billing_due)
        self.bill_now(order)
        self.assertFalse(order.is_billing_due)


@tagged("post_install", "-at_install")
class TestBillingStatus(SubscriptionCommon):
    """What the tab Billing says."""

    def test_status_says_what_happens_next_and_why(self):
        in_exception = self.subscription()
        in_exception.sudo().payment_exception = True
        closing = self.subscription(start="2027-03-15")
        closing.end_date = "2027-03-01"
        for order, words in (
            (self.quotation(), "is not confirmed: it is invoiced from its start date on"),
            (self.subscription(), "is due since 01/31/2027: the next run of the scheduled action invoices it"),
            (self.subscription(start="2027-02-15"), "is next invoiced on 02/15/2027, and the invoice sent"),
            (self.paused_subscription(), "is paused: nothing is invoiced until it is resumed"),
            (self.churned_subscription(), "has ended: nothing more is invoiced"),
            (in_exception, "The outcome of a payment"),
            (closing, "closes on 03/01/2027: nothing more is invoiced"),
        ):
            with self.subTest(words):
                self.assertIn(words, order.billing_status)

    def test_subscription_that_closes_after_its_next_invoice_says_when_that_is(self):
        order = self.subscription(start="2027-02-15")
        order.end_date = "2027-03-01"
        self.assertIn("is next invoiced on 02/15/2027", order.billing_status)

    def test_ordinary_order_has_no_status(self):
        self.assertFalse(self.quotation(plan=False).billing_status)

    def test_twelve_periods_are_shown(self):
        periods = self.subscription()._get_upcoming_periods()
        self.assertEqual(
            [(str(period["date_start"]), str(period["date_end"])) for period in periods[:3]],
            [("2027-01-31", "2027-02-28"), ("2027-02-28", "2027-03-31"), ("2027-03-31", "2027-04-30")],
        )
        self.assertEqual(len(periods), 12)

    def test_what_was_billed_is_not_shown(self):
        order = self.subscription()
        self.bill()
        self.assertEqual(str(order._get_upcoming_periods()[0]["date_start"]), "2027-02-28")

    def test_no_period_is_shown_that_begins_with_the_end_or_later(self):
        order = self.subscription()
        order.end_date = "2027-03-31"
        self.assertEqual(
            [str(period["date_start"]) for period in order._get_upcoming_periods()], ["2027-01-31", "2027-02-28"]
        )

    def test_rest_of_a_period_is_shown_with_its_amount(self):
        order = self.paused_subscription()
        with self.on("2027-03-10"):
            order.subscription_resume()
        periods = order._get_upcoming_periods()
        self.assertEqual([period["amount"] for period in periods[:2]], [67.74, 100])

    def test_shown_amounts_are_those_of_the_invoices(self):
        order = self.subscription(start="2026-12-31", lines=[self.line(quantity=3, discount=10)])
        shown = [period["amount"] for period in order._get_upcoming_periods()[:2]]
        self.bill()
        self.assertEqual(self.invoices(order).mapped("amount_untaxed"), shown)

    def test_table_shows_first_and_last_day_and_amount(self):
        text = html2plaintext(self.subscription().upcoming_periods)
        for words in ("01/31/2027", "02/27/2027", "100.00"):
            self.assertIn(words, text)

    def test_nothing_is_shown_of_what_does_not_run(self):
        for order in (self.quotation(), self.paused_subscription(), self.churned_subscription()):
            with self.subTest(order.subscription_state):
                self.assertFalse(order.upcoming_periods)


@tagged("post_install", "-at_install")
class TestInvoiceStatus(SubscriptionCommon):
    """Odoo's own fields about what is to invoice, over time."""

    def to_invoice(self, order):
        line = order.order_line
        self.env.invalidate_all()
        return order.invoice_status, line.qty_to_invoice, order.amount_to_invoice

    def listed(self, order):
        """Tell whether the order is among Orders to Invoice."""
        self.env.flush_all()
        action = self.env.ref("sale.action_orders_to_invoice")
        self.assertIn("to invoice", action.domain)
        return order in order.search([("invoice_status", "=", "to invoice")])

    def test_first_period_is_to_invoice(self):
        order = self.subscription()
        self.assertEqual(self.to_invoice(order), ("to invoice", 1, 100))
        self.assertTrue(self.listed(order))

    def test_subscription_that_begins_later_is_not_to_invoice_yet(self):
        order = self.subscription(start="2027-02-15")
        self.assertNotEqual(order.invoice_status, "to invoice")
        self.assertEqual(order.amount_to_invoice, 0)
        self.assertFalse(self.listed(order))

    def test_billed_period_is_invoiced(self):
        order = self.subscription()
        self.bill()
        self.assertEqual((order.invoice_status, order.amount_to_invoice), ("invoiced", 0))
        self.assertFalse(self.listed(order))

    def test_nothing_is_negative_after_many_periods(self):
        order = self.subscription(start="2026-06-30")
        self.bill()
        self.assertEqual(len(self.billed_periods(order)), 8)
        line = order.order_line
        self.assertEqual((order.invoice_status, order.amount_to_invoice), ("invoiced", 0))
        self.assertGreaterEqual(line.qty_to_invoice, 0)
        self.assertEqual((line.untaxed_amount_to_invoice, line.amount_to_invoice), (0, 0))
        self.assertEqual(order.amount_invoiced, 800)

    def test_no_line_offers_an_upsell(self):
        order = self.subscription(start="2026-06-30")
        self.bill()
        self.assertEqual(order.order_line.invoice_status, "invoiced")

    @mute_logger(BATCH_LOGGER)
    def test_period_that_was_not_billed_on_its_day_is_to_invoice(self):
        order = self.subscription()
        self.bill()
        order.order_line.price_unit = -100
        self.bill("2027-02-28")
        order.order_line.price_unit = 100
        with self.on("2027-02-28"):
            self.assertEqual(self.to_invoice(order), ("to invoice", 1, 100))
            self.assertTrue(self.listed(order))

    def test_paused_subscription_is_not_to_invoice(self):
        order = self.paused_subscription()
        self.assertEqual(self.to_invoice(order)[1:], (0, 0))
        self.assertFalse(self.listed(order))

    def test_closed_subscription_is_not_to_invoice(self):
        order = self.churned_subscription()
        self.assertEqual(self.to_invoice(order)[1:], (0, 0))
        self.assertFalse(self.listed(order))

    def test_closed_subscription_that_was_invoiced_is_invoiced(self):
        order = self.churned_subscription(invoiced=True)
        self.assertEqual((order.invoice_status, order.amount_to_invoice), ("invoiced", 0))

    def test_one_time_line_added_later_is_to_invoice(self):
        order = self.subscription()
        self.bill()
        order.order_line = [self.line(self.one_time_product)]
        self.assertEqual((order.invoice_status, order.amount_to_invoice), ("to invoice", 30))

    def test_seats_added_to_a_billed_period_are_to_invoice(self):
        order = self.subscription()
        self.bill()
        order.order_line.product_uom_qty = 3
        self.assertEqual(self.to_invoice(order), ("to invoice", 2, 200))

    def test_draft_invoice_leaves_nothing_to_invoice(self):
        order = self.subscription()
        self.invoice(order, post=False)
        self.assertEqual(order.order_line.qty_to_invoice, 0)
        self.assertFalse(self.listed(order))

    def test_period_that_was_reset_is_not_to_invoice_beside_its_draft(self):
        order = self.subscription()
        self.bill()
        self.reset(self.invoices(order))
        self.assertEqual(order.order_line.qty_to_invoice, 0)

    def test_period_that_was_credited_is_to_invoice(self):
        order = self.subscription()
        self.bill()
        invoice = self.invoices(order)
        wizards = invoice.env["account.move.reversal"].with_context(active_model="account.move", active_ids=invoice.ids)
        wizard = wizards.create({"journal_id": invoice.journal_id.id})
        invoice.browse(wizard.refund_moves()["res_id"]).action_post()
        self.assertEqual(self.to_invoice(order), ("to invoice", 1, 100))


@tagged("post_install", "-at_install")
class TestBillingCost(SubscriptionCommon):
    """The budget: what one more invoice costs."""

    def queries(self, number):
        """Return how many queries it takes to invoice so many subscriptions in one run."""
        for _order in range(number):
            self.subscription()
        before = self.cr.sql_log_count
        self.bill()
        return self.cr.sql_log_count - before

    def test_one_more_invoice_costs_twelve_queries_at_most(self):
        self.queries(1)  # what is read once
        self.assertLessEqual((self.queries(40) - self.queries(20)) / 20, 12)

    def test_one_bad_subscription_among_many_costs_little(self):
        for _order in range(31):
            self.subscription()
        self.subscription(lines=[self.line(price_unit=-100)])
        made = []
        create = type(self.env["account.move"]).create

        def count(moves, vals_list):
            made.append(len(vals_list))
            return create(moves, vals_list)

        with mute_logger(BATCH_LOGGER), patch.object(type(self.env["account.move"]), "create", count):
            self.bill()
        # Halved until the bad one is alone: 32 + 16 + 16 + 8 + 8 …
        self.assertLessEqual(sum(made), 32 * 3.5)
