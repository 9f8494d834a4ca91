from odoo.exceptions import AccessError
from odoo.fields import Command
from odoo.tests import Form, tagged
from odoo.tools import mute_logger

from .common import SubscriptionCommon

BATCH_LOGGER = "odoo.addons.subscription_close_renew.models.subscription.sale_order_scheduled"


@tagged("post_install", "-at_install")
class TestPeersMistakes(SubscriptionCommon):
    """Mistakes of other subscription addons, one test each."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.subscription()

    def test_dates_do_not_drift_permanently_from_the_31st_to_the_28th(self):
        order = self.order
        for day in ("2027-01-31", "2027-02-28", "2027-03-31"):
            self.bill(day)
        self.assertDates(order, next_invoice_date="2027-04-30")
        self.bill("2027-04-30")
        self.assertDates(order, next_invoice_date="2027-05-31")

    def test_six_months_overdue_take_one_run_and_not_six(self):
        order = self.subscription(start="2026-08-15")
        self.bill()
        self.assertEqual(len(self.invoices(order)), 6)
        self.assertDates(order, next_invoice_date="2027-02-15")

    def test_one_bad_record_does_not_abort_the_run(self):
        bad, good = self.subscription(lines=[self.line(price_unit=-1)]), self.subscription()
        with mute_logger(BATCH_LOGGER):
            self.bill()
        self.assertEqual([len(self.invoices(order)) for order in (bad, good)], [0, 1])

    def test_one_bad_record_does_not_roll_back_the_good_ones(self):
        good, bad = self.order, self.subscription(lines=[self.line(price_unit=-1)])
        with mute_logger(BATCH_LOGGER):
            self.bill()
        self.assertEqual([len(self.invoices(order)) for order in (bad, good)], [0, 1])
        self.assertDates(good, next_invoice_date="2027-02-28")

    def test_failing_mail_does_not_create_another_invoice_at_every_run(self):
        self.monthly.invoice_mail_template_id = self.env["mail.template"].create(
            {
                "name": "Broken for invoices of 100.0",
                "model_id": self.env["ir.model"]._get_id("account.move"),
                "subject": "{{ 1 / (object.amount_total - 100) }}",
                "use_default_to": True,
            }
        )
        order = self.subscription()
        for _run in range(3):
            self.bill()
            with mute_logger("odoo.addons.base.models.ir_cron", "odoo.addons.mail.models.mail_render_mixin"):
                self.run_scheduled_action("account.ir_cron_account_move_send")
        self.assertEqual(len(self.invoices(order)), 1)
        self.assertDates(order, next_invoice_date="2027-02-28")

    def test_subscription_without_a_next_date_stops_no_other(self):
        lost, good = self.order, self.subscription()
        lost.next_invoice_date = False
        self.bill()
        self.assertEqual([len(self.invoices(order)) for order in (lost, good)], [0, 1])

    def test_subscription_without_a_next_date_can_be_opened(self):
        order = self.order
        order.next_invoice_date = False
        self.assertTrue(order.billing_status)
        self.assertFalse(order.is_billing_due)
        self.assertFalse(order._get_upcoming_periods())

    def test_default_date_is_not_computed_when_the_server_starts(self):
        order = self.quotation()
        with self.on("2027-05-05"):
            order.action_confirm()
        self.assertDates(order, start_date="2027-05-05", next_invoice_date="2027-05-05")

    def test_invoice_does_not_ignore_the_currency_of_the_pricelist(self):
        euro = self.env.ref("base.EUR")
        euro.active = True
        pricelist = self.env["product.pricelist"].create({"name": "Euro", "currency_id": euro.id})
        order = self.subscription(pricelist_id=pricelist.id)
        self.bill()
        self.assertEqual((order.currency_id, self.invoices(order).currency_id), (euro, euro))

    def test_order_confirmed_while_working_elsewhere_stays_in_its_company(self):
        company = self.make_company("Other Company")
        self.administrator.sudo().company_ids = [Command.link(company.id)]
        order = self.quotation(user=self.administrator, company=company)
        order.with_context(allowed_company_ids=(self.company | company).ids).action_confirm()
        self.bill()
        self.assertEqual(order.sudo().company_id, company)
        self.assertEqual(order.sudo().period_ids.company_id, company)
        self.assertEqual(order.sudo().invoice_ids.company_id, company)

    def test_reopening_does_not_rewrite_the_start_date(self):
        order = self.churned_subscription(start="2026-06-15", invoiced=True)
        order.with_user(self.administrator).subscription_reopen()
        self.assertDates(order, start_date="2026-06-15", anchor_date="2026-06-15")

    def test_closing_needs_a_reason_and_leaves_no_next_date(self):
        order = self.order
        with self.assertRefused("Choose a close reason"):
            order.subscription_close(False)
        order.subscription_close(self.reason.id)
        self.assertDates(order, next_invoice_date=False)

    def test_state_cannot_be_set_without_the_pop_up(self):
        order = self.order
        with self.assertRefused("cannot be set manually"):
            order.subscription_state = "churned"

    def test_closing_three_from_the_list_closes_three(self):
        orders = self.order | self.subscription() | self.subscription()
        action = orders.action_subscription_close()
        wizards = self.env["sale.subscription.close.wizard"].with_user(self.salesperson)
        with Form(wizards.with_context(**action["context"])) as form:
            form.reason_id = self.reason
        form.record.action_submit()
        self.assertEqual(set(orders.mapped("subscription_state")), {"churned"})

    def test_salesperson_with_own_documents_cannot_close_those_of_others(self):
        order = self.order.with_user(self.other_salesperson)
        with self.assertRaises(AccessError):
            order.subscription_close(self.reason.id)
        self.assertEqual(order.sudo().subscription_state, "progress")

    def test_salesperson_with_own_documents_does_not_see_those_of_others(self):
        order = self.order
        self.bill()
        orders = order.with_user(self.other_salesperson)
        self.assertFalse(orders.search([("id", "=", order.id)]))
        self.assertFalse(orders.env["sale.subscription.period"].search([("order_id", "=", order.id)]))

    def test_required_reason_cannot_be_empty(self):
        wizards = self.env["sale.subscription.close.wizard"].with_user(self.salesperson)
        form = Form(wizards.with_context(default_order_ids=self.subscription().ids))
        with self.assertRaises(AssertionError):
            form.save()

    def test_colleague_of_the_customer_sees_the_subscription(self):
        company = self.env["res.partner"].create({"name": "Customer Company", "is_company": True})
        self.customer.parent_id = company
        colleague = self.make_user("colleague", "base.group_portal")
        colleague.partner_id.parent_id = company
        order = self.subscription()
        self.assertIn(order, order.with_user(colleague).search([]))

    def test_weekly_price_is_not_worth_four_point_two_eight_five_seven_months(self):
        self.assertEqual(self.subscription(plan=self.weekly).recurring_monthly, 433.33)  # 52 / 12
