from unittest.mock import patch

from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import html2plaintext, mute_logger

from .common import SubscriptionCommon

BATCH_LOGGER = "odoo.addons.subscription_close_renew.models.subscription.sale_order_scheduled"
JANUARY = ("2027-01-31", "2027-02-28")
FEBRUARY = ("2027-02-28", "2027-03-31")


@tagged("post_install", "-at_install")
class TestBillingInvoice(SubscriptionCommon):
    """The contents of the invoice of a period."""

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

    def test_one_time_line_invoiced_manually_is_not_invoiced_again(self):
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

    def test_discount_applies_in_every_period(self):
        order = self.subscription(lines=[self.line(discount=25)])
        self.bill()
        self.bill("2027-02-28")
        self.assertEqual(self.invoices(order).mapped("amount_total"), [75, 75])

    def test_changed_quantity_applies_from_the_next_period_on(self):
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

    def test_section_of_one_time_lines_is_not_repeated(self):
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

    def test_one_time_line_names_no_period(self):
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

    def test_paid_period_is_used_up_before_the_pause_counts(self):
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
    """P4: an invoice created with the ordinary button is also the invoice of a period."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.subscription()

    def create_invoice(self, order, post=True):
        """Press Create Invoice as the salesperson, and post the result as the accountant."""
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
        order = self.order
        invoice = self.create_invoice(order)
        self.assertEqual(self.billed_periods(order), [JANUARY])
        self.assertEqual(order.sudo().period_ids.invoice_ids, invoice)

    def test_it_moves_the_next_invoice_date(self):
        order = self.order
        self.create_invoice(order)
        self.assertDates(order, next_invoice_date="2027-02-28")

    def test_it_says_which_period_it_invoices(self):
        order = self.order
        self.assertIn("01/31/2027 to 02/27/2027", self.create_invoice(order).invoice_line_ids.name)

    def test_billing_does_not_invoice_that_period_again(self):
        order = self.order
        self.create_invoice(order)
        self.bill()
        self.assertEqual(len(self.invoices(order)), 1)

    def test_it_invoices_the_next_period_in_advance(self):
        order = self.order
        self.bill()
        with self.on("2027-02-10"):
            self.create_invoice(order)
        self.assertEqual(self.billed_periods(order), [JANUARY, FEBRUARY])
        self.assertDates(order, next_invoice_date="2027-03-31")

    def test_period_invoiced_in_advance_is_not_billed_on_its_day(self):
        order = self.order
        self.bill()
        with self.on("2027-02-10"):
            self.create_invoice(order)
        self.bill("2027-02-28")
        self.assertEqual(len(self.invoices(order)), 2)

    def test_pressing_twice_is_refused(self):
        order = self.order
        self.create_invoice(order, post=False)
        with self.assertRefused("No items are available to invoice"):
            self.create_invoice(order)
        self.assertEqual(len(self.invoices(order)), 1)

    def test_pressing_twice_in_advance_is_refused(self):
        order = self.order
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

    def test_manual_draft_sets_the_subscription_aside(self):
        order = self.order
        draft = self.create_invoice(order, post=False)
        with mute_logger(BATCH_LOGGER):
            self.bill()
        self.assertEqual(self.invoices(order), draft)
        self.assertIn(f"{order.name} already has a draft invoice", html2plaintext(order.activity_ids.note))
        self.assertEqual(order.activity_ids.user_id, self.salesperson)

    def test_manual_draft_can_be_posted_after_billing_found_it(self):
        order = self.order
        draft = self.create_invoice(order, post=False)
        with mute_logger(BATCH_LOGGER):
            self.bill()
        draft.action_post()
        self.assertEqual(self.billed_periods(order), [JANUARY])
        self.bill()
        self.assertEqual(self.invoices(order), draft)

    def test_billing_continues_when_the_draft_is_deleted(self):
        order = self.order
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

    def test_draft_in_advance_is_found_on_its_day(self):
        order = self.order
        self.bill()
        with self.on("2027-02-10"):
            draft = self.create_invoice(order, post=False)
        with mute_logger(BATCH_LOGGER):
            self.bill("2027-02-28")
        self.assertEqual(len(self.invoices(order)), 2)
        draft.action_post()
        self.assertEqual(self.billed_periods(order), [JANUARY, FEBRUARY])

    def test_period_that_was_reset_is_not_invoiced_beside_its_draft(self):
        order = self.order
        self.bill()
        invoice = self.invoices(order)
        self.reset(invoice)
        with mute_logger(BATCH_LOGGER):
            self.bill()
        self.assertEqual(self.invoices(order), invoice)
        invoice.action_post()
        self.assertEqual(self.billed_periods(order), [JANUARY])

    def test_period_whose_invoice_was_cancelled_is_billed_again(self):
        order = self.order
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
        order = self.order
        self.bill()
        self.credit(self.invoices(order), "refund_moves")
        self.bill()
        self.assertEqual(self.billed_periods(order), [JANUARY])
        self.assertEqual(self.invoices(order).mapped("move_type"), ["out_invoice", "out_refund", "out_invoice"])

    def test_period_that_was_credited_in_full_is_billed_again_only_once(self):
        order = self.order
        self.bill()
        self.credit(self.invoices(order), "refund_moves")
        self.bill()
        self.bill("2027-02-01")
        self.assertEqual(len(self.invoices(order)), 3)

    def test_period_whose_invoice_was_replaced_is_not_billed_again(self):
        order = self.order
        self.bill()
        self.credit(self.invoices(order), "modify_moves")
        self.bill()
        self.assertEqual(self.billed_periods(order), [JANUARY])
        self.assertEqual(len(self.invoices(order)), 3)

    def test_next_period_is_billed_as_usual_after_a_replacement(self):
        order = self.order
        self.bill()
        self.credit(self.invoices(order), "modify_moves")
        self.bill("2027-02-28")
        self.assertEqual(self.billed_periods(order), [JANUARY, FEBRUARY])

    def test_closed_subscription_is_not_billed_again_for_a_credited_period(self):
        order = self.churned_subscription(invoiced=True)
        self.credit(self.invoices(order), "refund_moves")
        self.bill("2027-03-15")
        self.assertEqual(self.billed_periods(order), [])
        self.assertEqual(order.subscription_state, "churned")

    def test_down_payment_bills_no_period_and_is_deducted_from_the_first(self):
        order = self.order
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
class TestBillingAmount(SubscriptionCommon):
    """P12: the invoice matches the order, whatever was credited, discounted or changed meanwhile."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.made_once("with_setup_fee")

    def credit(self, invoice, **values):
        """Credit an invoice, in full or, with values, only its first line with these values."""
        wizards = invoice.env["account.move.reversal"].with_context(active_model="account.move", active_ids=invoice.ids)
        note = invoice.browse(wizards.create({"journal_id": invoice.journal_id.id}).refund_moves()["res_id"])
        if values:
            note.invoice_line_ids[1:].unlink()
            note.invoice_line_ids.write(values)
        note.action_post()
        self.flush_chatter()
        return note

    def totals(self, order):
        return [invoice.amount_total_signed for invoice in self.invoices(order)]

    def with_setup_fee(self):
        order = self.subscription(lines=[self.line(self.one_time_product, price_unit=200), self.line()])
        self.bill()
        return order

    def test_credited_one_time_line_is_not_invoiced_again(self):
        order = self.order
        self.credit(self.invoices(order), price_unit=50)
        self.bill("2027-02-28")
        self.assertEqual(self.totals(order), [300, -50, 100])

    def test_one_time_line_credited_in_full_is_not_invoiced_again(self):
        order = self.order
        self.credit(self.invoices(order), quantity=1)
        self.bill("2027-02-28")
        self.assertEqual(self.totals(order), [300, -200, 100])

    def test_section_of_a_credited_one_time_line_is_not_repeated(self):
        order = self.subscription(
            lines=[
                Command.create({"display_type": "line_section", "name": "Every month", "sequence": 1}),
                self.line(sequence=2),
                Command.create({"display_type": "line_section", "name": "Once", "sequence": 3}),
                self.line(self.one_time_product, sequence=4),
                Command.create({"display_type": "line_note", "name": "Paid once", "sequence": 5}),
            ]
        )
        self.bill()
        note = self.credit(self.invoices(order))
        note.button_draft()
        note.invoice_line_ids.filtered(lambda line: line.product_id != self.one_time_product).unlink()
        note.action_post()
        self.bill("2027-02-28")
        self.assertEqual(
            self.invoices(order)[-1].invoice_line_ids.sorted("sequence").mapped("display_type"),
            ["line_section", "product"],
        )

    def test_credited_one_time_line_can_still_be_invoiced_manually(self):
        order = self.order
        self.credit(self.invoices(order), price_unit=50)
        self.assertEqual(order.order_line[0].qty_to_invoice, 1)

    def test_portal_announces_no_credited_one_time_line(self):
        order = self.order
        self.credit(self.invoices(order), price_unit=50)
        self.assertEqual(order._get_next_invoice_amount(), 100)

    def test_quantity_added_to_a_credited_one_time_line_is_invoiced_once(self):
        order = self.order
        self.credit(self.invoices(order), price_unit=50)
        order.order_line[0].product_uom_qty = 3
        self.bill("2027-02-28")
        self.assertEqual(self.totals(order), [300, -50, 160])

    def test_recurring_discount_line_is_invoiced_every_period(self):
        order = self.subscription(lines=[self.line(), self.line(quantity=-1, price_unit=20)])
        self.bill()
        self.bill("2027-02-28")
        self.assertEqual((order.recurring_total, order.recurring_monthly), (80, 80))
        self.assertEqual(self.totals(order), [80, 80])
        self.assertEqual(order._get_upcoming_periods()[0]["amount"], 80)

    def test_recurring_discount_line_is_on_a_manual_invoice(self):
        order = self.subscription(lines=[self.line(), self.line(quantity=-1, price_unit=20)])
        for final in (True, False):
            with self.subTest(final=final):
                invoice = order.with_user(self.accountant)._create_invoices(final=final)
                self.assertEqual(invoice.amount_total, 80)
                invoice.action_post()

    def test_recurring_discount_line_is_left_out_of_no_draft(self):
        order = self.subscription(lines=[self.line(), self.line(quantity=-1, price_unit=20)])
        draft = order.with_user(self.accountant)._create_invoices(final=True)
        draft.invoice_line_ids[1].unlink()
        with mute_logger(BATCH_LOGGER):
            self.bill()
        self.assertEqual(self.invoices(order), draft)

    def test_one_time_discount_line_is_invoiced_once(self):
        order = self.subscription(lines=[self.line(), self.line(self.one_time_product, quantity=-1)])
        self.bill()
        self.bill("2027-02-28")
        self.assertEqual(self.totals(order), [70, 100])

    def test_period_with_a_discount_line_is_billed_once(self):
        order = self.subscription(lines=[self.line(), self.line(quantity=-1, price_unit=20)])
        self.bill()
        self.credit(self.invoices(order), price_unit=30)
        self.assertEqual(order.order_line.mapped("qty_to_invoice"), [1, -1], "those of the next period")
        self.assertDates(order, next_invoice_date="2027-02-28")

    def test_period_that_was_credited_in_part_has_nothing_left_to_invoice(self):
        order = self.subscription()
        self.bill()
        self.credit(self.invoices(order), price_unit=20)
        self.assertFalse(order.order_line._get_quantity_left(order.start_date))
        self.assertNotEqual(order.order_line.invoice_status, "to invoice")

    def test_partial_credit_can_be_undone(self):
        order = self.subscription()
        self.bill()
        note = self.invoices(order)._reverse_moves([{}])
        note.invoice_line_ids.price_unit = 20
        note.action_post()
        again = note._reverse_moves([{}])
        again.action_post()
        self.assertEqual((again.state, order.period_ids.invoice_ids & again), ("posted", again))
        self.bill("2027-02-28")
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28"), ("2027-02-28", "2027-03-31")])

    def test_credit_of_a_period_that_was_billed_again_cannot_be_undone(self):
        order = self.subscription()
        self.bill()
        note = self.invoices(order)._reverse_moves([{}])
        note.action_post()
        self.bill("2027-02-01")
        with self.assertRefused("already did"):
            note._reverse_moves([{}]).action_post()

    def test_period_credited_in_two_parts_is_billed_again_at_its_price(self):
        order = self.subscription()
        self.bill()
        invoice = self.invoices(order)
        self.credit(invoice, price_unit=20)
        self.credit(invoice, price_unit=80)
        self.bill()
        self.assertEqual(self.totals(order), [100, -20, -80, 100])
        self.bill("2027-02-01")
        self.assertEqual(len(self.invoices(order)), 4)

    def test_half_of_a_fully_credited_period_is_invoiced_again_manually(self):
        order = self.subscription(lines=[self.line(quantity=2)])
        halves = self.env["account.move"]
        for _half in range(2):
            half = self.invoice(order, post=False)
            self.bill_january(half, quantity=1)
            half.action_post()
            halves |= half
        self.credit(halves[0])
        replacement = order.with_user(self.accountant)._create_invoices()
        self.assertEqual(replacement.amount_total, 100)
        replacement.action_post()
        self.assertEqual(self.billed_periods(order), [JANUARY])

    def test_rest_in_another_unit_completes_a_period(self):
        dozen = self.env.ref("uom.product_uom_dozen")
        order = self.subscription(lines=[self.line(quantity=2, product_uom_id=dozen.id)])
        for quantity in (12, 12):
            invoice = self.invoice(order, post=False)
            unit = self.env.ref("uom.product_uom_unit").id
            self.bill_january(invoice, product_uom_id=unit, quantity=quantity)
            invoice.action_post()
        self.assertEqual(self.billed_periods(order), [JANUARY])

    def test_credit_in_another_currency_counts_as_it_stands_in_the_books(self):
        euro = self.env.ref("base.EUR")
        euro.active = True
        euro.rate_ids = [Command.create({"name": "2020-01-01", "company_id": self.company.id, "company_rate": 0.5})]
        order = self.subscription()
        self.bill()
        note = self.credit(self.invoices(order))
        note.button_draft()
        note.currency_id = euro
        note.invoice_line_ids.price_unit = 49
        note.action_post()
        self.assertEqual(self.billed_periods(order), [JANUARY])
        note.button_draft()
        note.invoice_line_ids.price_unit = 50
        note.action_post()
        self.assertEqual(self.billed_periods(order), [])

    def test_down_payment_larger_than_an_invoice_is_deducted_from_the_next_ones(self):
        order = self.subscription(lines=[self.line(), self.line(price_unit=50)])
        wizards = self.env["sale.advance.payment.inv"].with_user(self.administrator)
        wizard = wizards.with_context(active_model="sale.order", active_ids=order.ids).create(
            {"advance_payment_method": "fixed", "fixed_amount": 150}
        )
        self.env["account.move"].browse(wizard.create_invoices()["res_id"]).action_post()
        order.order_line.filtered(lambda line: line.price_unit == 50).product_uom_qty = 0
        for until in ("2027-01-31", "2027-02-28", "2027-03-31"):
            self.bill(until)
        self.assertEqual(self.totals(order), [150, 0, 50, 100])

    def test_down_payment_larger_than_an_invoice_with_taxes_leaves_no_total_below_zero(self):
        united_states = self.env.ref("base.us")
        self.company.account_fiscal_country_id = united_states
        group = self.env["account.tax.group"].create({"name": "Taxes", "country_id": united_states.id})
        values = {"name": "19 %", "amount": 19, "country_id": united_states.id, "tax_group_id": group.id}
        tax = self.env["account.tax"].create({**values, "price_include_override": "tax_excluded"})
        wizards = self.env["sale.advance.payment.inv"].with_user(self.administrator)
        for price, down in ((33.33, 100.01), (0.07, 33.35), (33.33, 33.35)):
            with self.subTest(price=price, down=down):
                lines = [self.line(price_unit=amount, tax_ids=tax.ids) for amount in (price, 200)]
                order = self.subscription(lines=lines)
                wizard = wizards.with_context(active_model="sale.order", active_ids=order.ids).create(
                    {"advance_payment_method": "fixed", "fixed_amount": down}
                )
                self.env["account.move"].browse(wizard.create_invoices()["res_id"]).action_post()
                order.order_line.filtered(lambda line: line.price_unit == 200).product_uom_qty = 0
                self.bill("2027-05-31")
                totals = self.invoices(order).mapped("amount_total")
                self.assertEqual((len(totals), min(totals) >= 0), (6, True))
                due = 5 * order.order_line[0].price_total
                self.assertAlmostEqual(sum(totals), max(due, down), delta=0.02)

    def test_invoice_with_another_price_is_not_created(self):
        order = self.subscription()
        lines = type(order.order_line)
        prepare = lines._prepare_invoice_line
        dearer = patch.object(
            lines, "_prepare_invoice_line", lambda line, **values: {**prepare(line, **values), "price_unit": 180}
        )
        with dearer, mute_logger(BATCH_LOGGER):
            self.bill()
        self.assertFalse(self.invoices(order))
        self.assertIn("$ 180.00", html2plaintext(order.activity_ids.note).replace("\xa0", " "))
