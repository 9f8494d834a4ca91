from unittest.mock import patch

from odoo.exceptions import AccessError
from odoo.fields import Command
from odoo.tests import Form, tagged
from odoo.tools import mute_logger

from .common import SubscriptionCommon
from .test_closing_expiration import BATCH_LOGGER


@tagged("post_install", "-at_install")
class TestRenewalPopUp(SubscriptionCommon):
    """Several subscriptions are renewed in one action."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.orders = cls.paid_subscription() | cls.paid_subscription() | cls.paid_subscription()

    def pop_up(self, orders, user=None, **values):
        """Return the pop-up that Renew opens for several subscriptions."""
        wizards = self.env["sale.subscription.renew.wizard"].with_user(user or self.salesperson)
        return wizards.create({"order_ids": [Command.set(orders.ids)], **values})

    def failing(self, bad):
        """Make the renewal of one subscription fail after its quotation was created."""
        make = type(bad)._make_renewals

        def fail_for_the_bad_one(orders):
            renewals = make(orders)
            if bad in orders:
                raise ValueError("Out of beans")
            return renewals

        return patch.object(type(bad), "_make_renewals", fail_for_the_bad_one)

    def test_renew_opens_it_for_several(self):
        action = self.orders.action_subscription_renew()
        self.assertEqual((action["res_model"], action["target"]), ("sale.subscription.renew.wizard", "new"))
        self.assertEqual(action["context"], {"default_order_ids": self.orders.ids})

    def test_it_says_how_many_can_be_renewed_and_why_the_others_cannot(self):
        unpaid, closed = self.subscription(), self.churned_subscription()
        wizards = self.env["sale.subscription.renew.wizard"].with_user(self.salesperson)
        form = Form(wizards.with_context(default_order_ids=(self.orders | unpaid | closed).ids))
        self.assertEqual(form.renewable_count, 3)
        self.assertIn(f"The first period of {unpaid.name} is not invoiced", form.refusals)
        self.assertIn(f"{closed.name} has been closed", form.refusals)
        self.assertEqual(len(form.refusals.splitlines()), 2)

    def test_it_creates_a_quotation_for_each_renewable_subscription(self):
        unpaid = self.subscription()
        action = self.pop_up(self.orders | unpaid).action_submit()
        renewals = self.orders.renewal_ids
        self.assertEqual(renewals.subscription_id, self.orders)
        self.assertEqual(set(renewals.mapped("state")), {"draft"})
        self.assertFalse(unpaid.renewal_ids or unpaid.activity_ids)
        self.assertEqual(self.env["sale.order"].search(action["domain"]), renewals)

    def test_open_quotations_are_found(self):
        renewal = self.renewal(self.orders[0])
        wizard = self.pop_up(self.orders)
        wizard.action_submit()
        self.assertEqual(self.orders[0].renewal_ids, renewal)
        self.assertEqual(wizard.renewal_ids, self.orders.renewal_ids)

    def test_second_submit_creates_nothing_more(self):
        wizard = self.pop_up(self.orders)
        wizard.action_submit()
        renewals = self.orders.renewal_ids
        wizard.action_submit()
        self.assertEqual(self.orders.renewal_ids, renewals)

    def test_selection_with_nothing_to_renew_is_refused_with_the_reasons(self):
        unpaid = self.subscription()
        with self.assertRefused(f"The first period of {unpaid.name} is not invoiced"):
            self.pop_up(unpaid).action_submit()

    def test_nothing_selected_is_refused(self):
        with self.assertRefused("Select at least one subscription to renew"):
            self.pop_up(self.env["sale.order"]).action_submit()

    def test_prices_are_raised_by_a_percentage(self):
        self.pop_up(self.orders, price_increase=7.5).action_submit()
        self.assertEqual(self.orders.renewal_ids.order_line.mapped("price_unit"), [107.5] * 3)

    def test_prices_are_lowered_by_a_percentage(self):
        self.pop_up(self.orders, price_increase=-10).action_submit()
        self.assertEqual(self.orders.renewal_ids.order_line.mapped("price_unit"), [90.0] * 3)

    def test_percentage_takes_precedence_over_the_plan(self):
        self.monthly.write({"renewal_pricing": "increase", "renewal_increase": 10})
        self.pop_up(self.orders, price_increase=5).action_submit()
        self.assertEqual(set(self.orders.renewal_ids.order_line.mapped("price_unit")), {105.0})

    def test_plan_decides_the_prices_without_a_percentage(self):
        self.monthly.write({"renewal_pricing": "increase", "renewal_increase": 10})
        self.pop_up(self.orders).action_submit()
        self.assertEqual(set(self.orders.renewal_ids.order_line.mapped("price_unit")), {110.0})

    def test_raised_price_is_kept_when_the_plan_follows_the_pricelist(self):
        self.monthly.renewal_pricing = "pricelist"
        self.pop_up(self.orders, price_increase=5).action_submit()
        line = self.orders[0].renewal_ids.order_line
        line.product_uom_qty = 3
        self.assertEqual(line.price_unit, 105.0)

    def test_prices_cannot_be_lowered_by_one_hundred_percent(self):
        with self.assertRefused("cannot lower prices by 100 percent or more"):
            self.pop_up(self.orders, price_increase=-100)

    def test_sent_mails_mark_the_quotations_as_sent(self):
        self.pop_up(self.orders, send_mail=True).action_submit()
        for renewal in self.orders.renewal_ids:
            self.assertEqual(renewal.state, "sent")
            [mail] = self.mails(renewal)
            self.assertIn(f"renewal of your subscription {renewal.subscription_id.name}", mail.subject)

    def test_mails_are_not_sent_unless_asked_for(self):
        self.pop_up(self.orders).action_submit()
        self.assertFalse(self.mails(self.orders.renewal_ids))

    def test_sent_quotation_is_not_sent_again(self):
        renewal = self.renewal(self.orders[0])
        renewal.action_quotation_sent()
        self.pop_up(self.orders, send_mail=True).action_submit()
        self.assertFalse(self.mails(renewal))

    def test_it_continues_in_batches(self):
        wizard = self.pop_up(self.orders)
        self.assertEqual(wizard.renew_next(2), {"done": 2, "total": 3})
        self.assertEqual(len(self.orders.renewal_ids), 2)
        self.assertEqual(wizard.renew_next(2), {"done": 3, "total": 3})
        self.assertEqual(wizard.renew_next(2), {"done": 3, "total": 3})
        self.assertEqual(len(self.orders.renewal_ids), 3)

    def test_subscription_no_longer_renewable_is_left_out_of_the_next_batch(self):
        wizard = self.pop_up(self.orders)
        wizard.renew_next(1)
        waiting = self.orders - self.orders.filtered("renewal_ids")
        waiting[0].subscription_close(self.reason.id)
        self.assertEqual(wizard.renew_next(5), {"done": 2, "total": 2})

    @mute_logger(BATCH_LOGGER)
    def test_bad_one_is_set_aside_while_the_others_are_renewed(self):
        first, bad, last = self.orders
        wizard = self.pop_up(self.orders)
        with self.failing(bad):
            self.assertEqual(wizard.renew_next(5), {"done": 3, "total": 3})
        self.assertEqual([len(order.renewal_ids) for order in (first, bad, last)], [1, 0, 1])
        self.assertEqual(wizard.failed_ids, bad)
        self.assertIn("Out of beans", bad.activity_ids.note)
        self.assertFalse((first | last).activity_ids)

    @mute_logger(BATCH_LOGGER)
    def test_bad_one_gets_no_mail(self):
        with self.failing(self.orders[1]):
            self.pop_up(self.orders, send_mail=True).action_submit()
        self.assertEqual(len(self.mails(self.orders.renewal_ids)), 2)

    def test_orders_of_a_colleague_are_not_renewed_with_ones_own(self):
        theirs = self.paid_subscription(user=self.other_salesperson)
        with self.assertRaises(AccessError):
            (self.orders | theirs).with_user(self.salesperson).action_subscription_renew()
        with self.assertRaises(AccessError):
            self.pop_up(self.orders | theirs).action_submit()
        self.assertFalse(theirs.renewal_ids or self.orders.renewal_ids)

    def test_pop_up_of_a_colleague_is_out_of_reach(self):
        wizard = self.pop_up(self.orders, user=self.sales_lead)
        for method, arguments in (("action_submit", ()), ("renew_next", (5,)), ("action_open_renewals", ())):
            with self.subTest(method), self.assertRaises(AccessError):
                getattr(wizard.with_user(self.salesperson), method)(*arguments)
        self.assertFalse(self.orders.renewal_ids)

    def test_accountant_has_no_pop_up(self):
        with self.assertRaises(AccessError):
            self.pop_up(self.orders, user=self.accountant)

    def test_subscriptions_of_two_companies_are_renewed_each_in_its_own(self):
        second = self.make_company("Second Company")
        self.sales_lead.company_ids |= second
        theirs = self.subscription(user=self.sales_lead, company=second)
        orders = (self.orders | theirs).with_context(allowed_company_ids=[self.company.id, second.id])
        with patch.object(type(orders), "_get_first_payment_refusal", lambda order: False):
            wizards = self.env["sale.subscription.renew.wizard"].with_user(self.sales_lead)
            wizards = wizards.with_context(allowed_company_ids=[self.company.id, second.id])
            wizards.create({"order_ids": [Command.set(orders.ids)]}).action_submit()
        for order in orders.with_user(self.sales_lead):
            self.assertEqual(order.renewal_ids.company_id, order.company_id)

    def test_many_are_renewed_with_few_queries_each(self):
        orders = self.env["sale.order"].concat(*[self.subscription() for _number in range(20)])
        with patch.object(type(orders), "_get_first_payment_refusal", lambda order: False):
            wizard = self.pop_up(orders.with_user(self.salesperson))
            self.env.invalidate_all()
            with self.assertQueryCount(16 * 20):
                wizard.renew_next(20)
                self.env.flush_all()
        self.assertEqual(len(orders.renewal_ids), 20)
