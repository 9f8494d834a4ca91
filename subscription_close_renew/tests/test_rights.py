from unittest.mock import patch

import requests

from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import mute_logger

from ..models.subscription import res_company
from .payment_common import SubscriptionPaymentCommon

BATCH_LOGGER = "odoo.addons.subscription_close_renew.models.subscription.sale_order_scheduled"


@tagged("post_install", "-at_install")
class TestRightsOfSales(SubscriptionPaymentCommon):
    """P14: accountants may write orders, as in Odoo, but cannot decide about subscriptions."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.subscription(card=cls.card())
        cls.theirs = cls.order.with_user(cls.accountant)

    def test_no_public_method_works_with_rights_in_invoicing_alone(self):
        for name, arguments in (
            ("action_subscription_bill", ()),
            ("action_subscription_close", ()),
            ("action_subscription_pause", ()),
            ("action_subscription_renew", ()),
            ("action_subscription_resolve_exception", ()),
            ("subscription_close", (self.reason.id,)),
            ("subscription_keep", ()),
            ("subscription_pause", ()),
            ("subscription_renew", ()),
            ("subscription_resume", ()),
        ):
            with self.subTest(name), self.assertRaises(AccessError):
                getattr(self.theirs, name)(*arguments)
        self.assertEqual(self.order.subscription_state, "progress")

    def test_billing_fields_cannot_be_written_with_rights_in_invoicing_alone(self):
        for name, value in (
            ("close_reason_id", self.reason.id),
            ("end_date", "2027-02-01"),
            ("next_invoice_date", "2027-03-31"),
            ("payment_exception", True),
            ("payment_token_id", False),
            ("plan_id", self.yearly.id),
            ("resume_date", "2027-03-01"),
            ("start_date", "2027-02-01"),
            ("term_end_action", "continue"),
            ("term_periods", 12),
        ):
            with self.subTest(name), self.assertRaises(AccessError):
                self.theirs.write({name: value})

    def test_charged_amount_cannot_be_changed_with_rights_in_invoicing_alone(self):
        """Odoo allows bookkeepers to write orders and their lines."""
        line, other = self.theirs.order_line, self.env["res.partner"].create({"name": "Other"})
        for records, name, value in (
            (line, "price_unit", 8000.0),
            (line, "product_uom_qty", 80),
            (line, "discount", 50.0),
            (self.theirs, "order_line", [Command.update(line.id, {"price_unit": 8000.0})]),
            (self.theirs, "partner_id", other.id),
            (self.theirs, "pricelist_id", False),
        ):
            with self.subTest(name), self.assertRaises(AccessError):
                records.write({name: value})
        line.sequence = 20

    def test_accountant_still_posts_the_invoice_of_a_down_payment(self):
        order = self.order.with_context(active_ids=self.order.ids)
        wizards = order.env["sale.advance.payment.inv"]
        wizards.create({"advance_payment_method": "fixed", "fixed_amount": 10.0}).create_invoices()
        self.invoices(self.order).action_post()
        self.assertEqual(self.invoices(self.order).mapped("state"), ["posted"])

    def test_accountant_still_invoices_and_collects(self):
        self.register_payment(self.invoice(self.order))
        self.assertDates(self.order, next_invoice_date="2027-02-28")

    def test_accountant_still_writes_fields_unrelated_to_subscriptions(self):
        self.theirs.client_order_ref = "PO 12"
        self.assertEqual(self.order.client_order_ref, "PO 12")


@tagged("post_install", "-at_install")
class TestRightsToCards(SubscriptionPaymentCommon):
    """Salespeople see the payment methods of the customers whose orders they may read."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.theirs = cls.card()
        cls.order = cls.subscription(card=cls.theirs)
        cls.tokens = cls.env["payment.token"]

    def seen_by(self, user):
        tokens = self.tokens.with_user(user)
        found = tokens.search([("id", "=", self.theirs.id)])
        self.assertEqual(bool(found), self.theirs.with_user(user).has_access("read"))
        return bool(found)

    def test_salesperson_of_the_customer_sees_the_card(self):
        self.assertTrue(self.seen_by(self.salesperson))

    def test_colleague_with_own_documents_does_not_see_the_card(self):
        self.assertFalse(self.seen_by(self.other_salesperson))

    def test_colleague_with_all_documents_sees_the_card(self):
        self.assertTrue(self.seen_by(self.sales_lead))

    def test_card_of_a_contact_of_the_same_customer_is_seen(self):
        firm = self.env["res.partner"].create({"name": "Firm", "is_company": True})
        contact = self.env["res.partner"].create({"name": "Contact", "parent_id": firm.id})
        self.theirs = self.card(partner=contact)
        self.quotation(partner_id=firm.id, user=self.other_salesperson)
        self.assertTrue(self.seen_by(self.other_salesperson))

    def test_card_that_cannot_be_seen_cannot_be_chosen(self):
        other = self.env["res.partner"].create({"name": "Other"})
        mine = self.subscription(user=self.other_salesperson, partner_id=other.id)
        with self.assertRaises(UserError):
            mine.payment_token_id = self.theirs

    def test_card_that_cannot_be_seen_cannot_be_set_on_a_new_order(self):
        with self.assertRaises(AccessError):
            self.quotation(user=self.other_salesperson, payment_token_id=self.theirs.id)

    def test_card_that_cannot_be_seen_cannot_be_set_by_a_default(self):
        orders = self.env["sale.order"].with_user(self.other_salesperson)
        values = {"partner_id": self.customer.id, "plan_id": self.monthly.id, "order_line": [self.line()]}
        mine = orders.with_context(default_payment_token_id=self.theirs.id).create(values)
        self.env["ir.default"].set("sale.order", "payment_token_id", self.theirs.id)
        self.assertFalse(mine.sudo().payment_token_id or orders.create(values).sudo().payment_token_id)

    def test_payment_is_not_made_with_the_card_of_another_customer(self):
        other = self.env["res.partner"].create({"name": "Other"})
        with self.assertRaisesRegex(ValidationError, "another customer or company"):
            self.env["account.payment"].create(
                {
                    "partner_id": other.id,
                    "amount": 10,
                    "journal_id": self.bank_journal.id,
                    "payment_token_id": self.theirs.id,
                }
            )


@tagged("post_install", "-at_install")
class TestRightsToOrders(SubscriptionPaymentCommon):
    """Neither colleagues nor former customers can change the records of a subscription."""

    def test_line_cannot_be_moved_to_the_order_of_a_colleague(self):
        order = self.subscription()
        mine = self.quotation(user=self.other_salesperson, lines=[self.line(price_unit=8000.0)])
        for write in (
            lambda: mine.order_line.write({"order_id": order.id}),
            lambda: mine.write({"order_line": [Command.update(mine.order_line.id, {"order_id": order.id})]}),
        ):
            with self.assertRaises(AccessError), self.env.cr.savepoint():
                write()
        self.assertEqual(order.recurring_total, 100.0)

    def test_line_can_be_moved_between_own_orders(self):
        order, other = self.quotation(), self.quotation()
        other.order_line.order_id = order
        self.assertEqual(order.recurring_total, 200.0)

    def test_charge_of_a_colleague_cannot_be_resolved_on_an_own_order(self):
        """A salesperson who invoices can link the invoice of any order to an own line."""
        order = self.subscription(card=self.card())
        with self.provider(requests.Timeout()):
            self.bill()
        user = self.make_user("seller_who_invoices", "sales_team.group_sale_salesman,account.group_account_invoice")
        mine = self.subscription(user=user)
        line = order.sudo().period_ids.invoice_ids.invoice_line_ids
        mine.order_line.write({"invoice_lines": [Command.link(line.id)]})
        with self.assertRefused("nothing to resolve"):
            mine.action_subscription_resolve_exception()
        # Unticking manually cannot decide the outcome of another subscription's charge, either.
        mine.payment_exception = True
        mine.payment_exception = False
        self.assertEqual((self.charges(order).state, order.payment_exception), ("draft", True))

    def test_link_of_a_former_customer_opens_nothing(self):
        order = self.subscription()
        link = order._portal_ensure_token()
        order.partner_id = self.env["res.partner"].create({"name": "Colleague", "parent_id": self.customer.id})
        self.assertEqual(order.access_token, link)
        order.partner_id = self.env["res.partner"].create({"name": "Successor"})
        self.assertNotEqual(order._portal_ensure_token(), link)


@tagged("post_install", "-at_install")
class TestRightsOfAnotherCompany(SubscriptionPaymentCommon):
    """Shared records used by company A cannot be changed by a Sales administrator of company B."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls.make_company("Other Company")
        cls.theirs = cls.make_user("their_admin", "sales_team.group_sale_manager", companies=cls.other)
        cls.both = cls.make_user("both_admin", "sales_team.group_sale_manager", companies=cls.company | cls.other)

    def as_theirs(self, records):
        return records.with_user(self.theirs).with_context(allowed_company_ids=self.other.ids)

    def test_shared_plan_used_by_another_company_cannot_be_changed(self):
        self.subscription()
        for values in ({"company_id": self.other.id}, {"active": False}, {"auto_close_days": 1}, {"name": "Ours"}):
            with self.subTest(values), self.assertRefused("that you cannot access"):
                self.monthly.with_user(self.theirs).write(values)

    def test_administrator_of_both_companies_changes_it(self):
        self.subscription()
        self.monthly.with_user(self.both).auto_close_days = 30
        self.assertEqual(self.monthly.auto_close_days, 30)

    def test_plan_used_by_another_company_stays_shared(self):
        self.quotation()
        with self.assertRefused("must remain shared"):
            self.monthly.with_user(self.both).company_id = self.other
        self.yearly.company_id = self.other

    def test_default_plan_of_another_company_stays_shared(self):
        self.company.subscription_default_plan_id = self.yearly
        with self.assertRefused("must remain shared"):
            self.yearly.with_user(self.theirs).company_id = self.other

    def test_plan_with_prices_of_another_company_stays_shared(self):
        pricelist = self.env["product.pricelist"].create({"name": "Ours", "company_id": self.company.id})
        self.env["product.pricelist.item"].create({"plan_id": self.yearly.id, "pricelist_id": pricelist.id})
        with self.assertRefused("must remain shared"):
            self.yearly.with_user(self.theirs).company_id = self.other

    def test_close_reason_used_by_another_company_cannot_be_changed(self):
        self.churned_subscription()
        with self.assertRefused("that you cannot access"):
            self.reason.with_user(self.theirs).active = False
        self.reason.with_user(self.both).name = "Moves to the Moon"

    def test_requests_to_close_are_those_of_the_company(self):
        order = self.subscription()
        requests = self.env["sale.subscription.close.request"].create(
            [{"order_id": order.id}, {"reference": "S1", "email": "somebody@example.com"}]
        )
        found = self.as_theirs(requests).search([("id", "in", requests.ids)])
        self.assertFalse(found)
        self.assertEqual(requests.with_user(self.administrator).search([("id", "in", requests.ids)]), requests[0])

    def test_check_of_the_ledger_names_none_of_another_company(self):
        order = self.subscription()
        self.env.cr.execute("UPDATE sale_subscription_movement SET amount = 1 WHERE order_id = %s", [order.id])
        self.env.invalidate_all()
        movements = self.env["sale.subscription.movement"]
        self.assertNotIn("domain", self.as_theirs(movements).action_check())
        self.assertEqual(movements.with_user(self.administrator).action_check()["domain"], [("id", "in", order.ids)])


@tagged("post_install", "-at_install")
class TestDatesByHand(SubscriptionPaymentCommon):
    """No manually written date causes days to be billed twice or before the start."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.subscription(start="2027-01-31")
        cls.invoice(cls.order)

    def test_next_invoice_date_is_never_in_an_invoiced_period(self):
        for day in ("2027-01-31", "2027-02-27"):
            with self.subTest(day), self.assertRefused("cannot be before"):
                self.order.next_invoice_date = day
        self.order.next_invoice_date = "2027-03-31"

    def test_next_invoice_date_is_never_before_the_start(self):
        order = self.subscription(start="2027-01-31")
        for day in ("2026-01-31", "2027-01-30"):
            with self.subTest(day), self.assertRefused("cannot be before"):
                order.next_invoice_date = day

    def test_next_invoice_date_is_never_in_a_pause(self):
        self.order.subscription_pause()
        with self.on("2027-04-10"):
            self.order.subscription_resume()
            with self.assertRefused("cannot be before"):
                self.order.next_invoice_date = "2027-03-31"

    def test_freed_period_can_be_billed_first(self):
        self.reset(self.order.sudo().invoice_ids.with_user(self.accountant))
        self.order.next_invoice_date = "2027-02-28"
        self.order.next_invoice_date = "2027-01-31"
        self.assertDates(self.order, next_invoice_date="2027-01-31")

    def test_resume_date_is_never_in_the_past(self):
        """Otherwise the scheduled action would resume as of that day and bill all paused days at once."""
        self.order.subscription_pause()
        with self.on("2027-12-15"):
            for day in ("2027-02-01", "2027-12-15"):
                with self.subTest(day), self.assertRefused("after today"):
                    self.order.resume_date = day
            self.order.resume_date = "2027-12-16"
        self.expire(until="2027-12-16")
        self.assertDates(self.order, resumed_on="2027-12-16", next_invoice_date="2027-12-16")

    def test_start_date_of_a_confirmed_subscription_stays(self):
        with self.assertRefused("start date cannot be changed"):
            self.order.start_date = "2026-01-31"

    def test_end_is_not_before_the_start(self):
        with self.assertRefused("cannot end before"):
            self.order.end_date = "2027-01-30"

    def test_mistyped_dates_are_refused(self):
        for name in ("end_date", "next_invoice_date"):
            with self.subTest(name), self.assertRefused("before the year"), self.env.cr.savepoint():
                self.order[name] = "9999-12-31"

    def test_calendar_and_board_do_not_allow_dragging(self):
        views = self.env["sale.order"].with_user(self.salesperson)
        for kind, name in (("calendar", "edit"), ("kanban", "records_draggable")):
            view = self.env.ref(f"subscription_close_renew.sale_subscription_view_{kind}")
            arch = views.get_view(view.id, kind)["arch"]
            self.assertRegex(arch, rf'<{kind}[^>]* {name}="(0|false)"')

    def test_next_invoice_date_of_a_quotation_skips_earlier_periods(self):
        order = self.subscription(start="2026-01-31", next_invoice_date="2027-01-31")
        self.assertDates(order, start_date="2026-01-31", anchor_date="2026-01-31", next_invoice_date="2027-01-31")
        self.bill()
        self.assertEqual(self.billed_periods(order), [("2027-01-31", "2027-02-28")])

    def test_next_invoice_date_of_a_quotation_is_not_before_its_start(self):
        order = self.subscription(start="2027-02-15", next_invoice_date="2027-01-01")
        self.assertDates(order, next_invoice_date="2027-02-15")


@tagged("post_install", "-at_install")
class TestOneValue(SubscriptionPaymentCommon):
    """P7: an invalid value on one record, plan or company stops nothing else."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.good = cls.subscription()

    def set_by_sql(self, records, **values):
        """Write values that earlier versions or other tools may have left."""
        records.flush_recordset()
        for name, value in values.items():
            self.env.cr.execute(f'UPDATE {records._table} SET "{name}" = %s WHERE id IN %s', [value, records._ids])
        self.env.invalidate_all()

    def nightly(self, day="2027-02-10"):
        self.expire(until=day)
        self.renew(until=day)
        self.bill(until=day)
        with self.on(day):
            self.run_scheduled_action("subscription_close_renew.ir_cron_subscription_mrr_check")

    def test_numbers_out_of_range_are_refused(self):
        for name, value in (
            ("auto_close_days", 9999999),
            ("renewal_notice_days", 9999999),
            ("billing_period_value", 9999),
            ("term_periods", 9999999),
            ("retry_days", "1, 9999999"),
        ):
            with self.subTest(name), self.assertRefused("cannot be higher than"), self.env.cr.savepoint():
                self.yearly[name] = value
        with self.assertRefused("a number up to"):
            self.quotation(term_periods=9999999)

    def test_plan_of_earlier_versions_stops_nobody(self):
        bad = self.subscription(plan=self.yearly, term_periods=1, term_end_action="renew")
        self.invoice(bad)
        self.set_by_sql(self.yearly, auto_close_days=9999999, renewal_notice_days=9999999)
        self.nightly()
        self.assertTrue(self.billed_periods(self.good))

    def test_due_date_at_the_end_of_the_calendar_stops_nobody(self):
        self.monthly.auto_close_days = 10
        invoice = self.invoice(self.subscription())
        self.set_by_sql(invoice, invoice_date_due="9999-12-31")
        self.nightly()
        self.assertTrue(self.billed_periods(self.good))

    @mute_logger("odoo.addons.subscription_close_renew.models.subscription.res_company")
    def test_unknown_time_zone_stops_nobody(self):
        company = self.make_company("Calcutta Company", tz="Asia/Kolkata")
        self.set_by_sql(company, subscription_tz="Asia/Nowhere")
        self.nightly()
        self.assertTrue(self.billed_periods(self.good))

    def test_old_name_of_a_time_zone_means_the_same(self):
        company = self.make_company("Calcutta Company", tz="Asia/Kolkata")
        res_company._get_zone.cache_clear()
        self.addCleanup(res_company._get_zone.cache_clear)
        missing = patch.object(res_company, "ZoneInfo", side_effect=res_company.ZoneInfoNotFoundError)
        with missing, self.on("2027-01-31 20:00"):
            self.assertEqual(str(company._get_subscription_today()), "2027-02-01")

    @mute_logger(BATCH_LOGGER, "odoo.addons.subscription_close_renew.models.mrr.sale_order_check")
    def test_invalid_number_sets_only_its_own_order_aside(self):
        bad = self.subscription()
        self.set_by_sql(bad.order_line, price_unit=float("nan"), price_subtotal=float("nan"))
        self.nightly()
        self.assertEqual((len(self.billed_periods(self.good)), self.billed_periods(bad)), (1, []))

    @mute_logger(BATCH_LOGGER)
    def test_error_while_setting_aside_stops_nobody(self):
        bad = self.subscription()
        make = type(bad)._prepare_period_invoice

        def fail(order, *args):
            if order == bad:
                raise ValueError("bad")
            return make(order, *args)

        with (
            patch.object(type(bad), "_prepare_period_invoice", fail),
            patch.object(type(bad), "_ask_for_attention", side_effect=ValueError("worse")),
        ):
            self.bill()
        self.assertEqual((len(self.billed_periods(self.good)), self.billed_periods(bad)), (1, []))
        self.assertTrue(bad.set_aside_on)

    @mute_logger(BATCH_LOGGER)
    def test_error_while_setting_a_late_charge_aside_stops_nobody(self):
        bad = self.subscription(card=self.card())
        # The other one is not invoiced yet, as the bad one's card comes later.
        self.good.next_invoice_date = "2027-02-01"
        with self.provider("pending"):
            self.bill()
        charge = self.charges(bad)
        charge.write({"state": "done", "is_post_processed": False})
        with (
            patch.object(type(charge), "_post_process", side_effect=ValueError("bad")),
            patch.object(type(bad), "_ask_for_attention", side_effect=ValueError("worse")),
        ):
            self.bill(until="2027-02-01")
        self.assertEqual(self.billed_periods(self.good), [("2027-02-01", "2027-02-28")])

    @mute_logger(BATCH_LOGGER)
    def test_error_in_one_deadline_keeps_no_other_from_being_warned(self):
        self.monthly.auto_close_days = 10
        bad, good = self.subscription(), self.subscription()
        for order in (bad, good):
            self.invoice(order)
        periods = type(bad.period_ids)
        get_deadline = periods._get_unpaid_deadline

        def fail(period):
            if period.order_id.id == bad.id:
                raise ValueError("bad")
            return get_deadline(period)

        with patch.object(periods, "_get_unpaid_deadline", fail):
            self.expire(until="2027-02-07")
        self.assertFalse(bad.sudo().period_ids.closing_warned_on)
        self.assertTrue(good.sudo().period_ids.closing_warned_on)
