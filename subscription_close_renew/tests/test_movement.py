from datetime import timedelta

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.service.model import call_kw
from odoo.tests import tagged
from odoo.tools import SQL, mute_logger

from .common import SubscriptionCommon

CHECK_LOGGER = "odoo.addons.subscription_close_renew.models.mrr.sale_order_check"


class MovementCommon(SubscriptionCommon):
    """A company in dollars that also sells in euros: a dollar is 0.80 euros until 1 March, then 0.50."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.euro = cls.env.ref("base.EUR")
        cls.euro.active = True
        cls.env["res.currency.rate"].search([("company_id", "=", cls.company.id)]).unlink()
        for day, rate in (("2026-01-01", 0.8), ("2027-03-01", 0.5)):
            cls.env["res.currency.rate"].create(
                {"name": day, "rate": rate, "currency_id": cls.euro.id, "company_id": cls.company.id}
            )
        cls.euro_pricelist = cls.env["product.pricelist"].create(
            {"name": "Euro", "currency_id": cls.euro.id, "company_id": cls.company.id}
        )

    def price(self, order, price):
        """Change the price of a subscription in a separate transaction."""
        order.order_line.filtered("is_recurring").price_unit = price
        order.env.flush_all()
        self.flush_chatter()

    def euro_subscription(self, **values):
        """Return a subscription of 80 euros a month: 100 dollars until 1 March, then 160."""
        return self.subscription(pricelist_id=self.euro_pricelist.id, lines=[self.line(price_unit=80.0)], **values)

    def in_dollars(self, orders):
        """Return the movements of orders in the company's currency, in order of creation.

        :return: ``[(kind, amount), …]``
        :rtype: list
        """
        self.flush_chatter()
        return [(move.kind, move.amount_company) for move in orders.sudo().movement_ids.sorted("id")]

    def worth(self, orders):
        """Return the MRR of orders according to the ledger, in the company's currency."""
        return round(sum(amount for _kind, amount in self.in_dollars(orders)), 6)

    def made_ago(self, order, **ago):
        """Backdate the movements of an order."""
        self.flush_chatter()
        self.env.cr.execute(
            SQL(
                "UPDATE sale_subscription_movement SET create_date = create_date - %s WHERE order_id = %s",
                timedelta(**ago),
                order.id,
            )
        )
        self.env.invalidate_all()


@tagged("post_install", "-at_install")
class TestMovement(MovementCommon):
    """Each event is one movement of its kind, on its day."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.subscription()

    def test_confirmed_subscription_is_new(self):
        self.assertEqual(self.movements(self.order), [("new", "2027-01-31", 100.0)])

    def test_quotation_moves_nothing(self):
        order = self.quotation()
        self.price(order, 150.0)
        self.assertFalse(self.movements(order))

    def test_ordinary_order_moves_nothing(self):
        order = self.quotation(plan=False, lines=[self.line(self.one_time_product)])
        order.action_confirm()
        self.assertFalse(self.movements(order))

    def test_one_time_lines_do_not_count(self):
        order = self.subscription(lines=[self.line(), self.line(self.one_time_product)])
        self.assertEqual(self.movements(order), [("new", "2027-01-31", 100.0)])

    def test_yearly_price_is_spread_over_its_months(self):
        order = self.subscription(plan=self.yearly, lines=[self.line(price_unit=100.0)])
        self.assertEqual(self.movements(order), [("new", "2027-01-31", 8.33)])

    def test_taxes_do_not_count_and_discounts_do(self):
        country = self.env.ref("base.us").id
        group = self.env["account.tax.group"].create({"name": "VAT", "company_id": self.company.id})
        tax = self.env["account.tax"].create(
            {
                "name": "VAT",
                "amount": 20,
                "tax_group_id": group.id,
                "country_id": country,
                "company_id": self.company.id,
            }
        )
        order = self.subscription(lines=[self.line(discount=10.0, tax_ids=tax.ids)])
        self.assertEqual(order.amount_total, 108.0)
        self.assertEqual(self.movements(order), [("new", "2027-01-31", 90.0)])

    def test_subscription_that_costs_nothing_is_new_anyway(self):
        order = self.subscription(lines=[self.line(price_unit=0)])
        self.assertEqual(self.movements(order), [("new", "2027-01-31", 0.0)])

    def test_subscription_that_starts_later_is_new_on_that_day(self):
        order = self.subscription(start="2027-04-15")
        self.assertEqual(self.movements(order), [("new", "2027-04-15", 100.0)])

    def test_subscription_that_started_before_is_new_on_that_day(self):
        order = self.subscription(start="2026-11-15")
        self.assertEqual(self.movements(order), [("new", "2026-11-15", 100.0)])

    def test_subscription_closed_before_its_start_brings_nothing_on_any_day(self):
        order = self.subscription(start="2027-04-15")
        order.subscription_close(self.reason.id)
        self.assertEqual(self.movements(order), [("new", "2027-04-15", 100.0), ("churn", "2027-04-15", -100.0)])

    def test_price_that_rises_is_an_expansion(self):
        order = self.order
        with self.on("2027-02-10"):
            self.price(order, 130.0)
        self.assertEqual(self.movements(order)[1:], [("expansion", "2027-02-10", 30.0)])

    def test_price_that_falls_is_a_contraction(self):
        order = self.order
        with self.on("2027-02-10"):
            self.price(order, 70.0)
        self.assertEqual(self.movements(order)[1:], [("contraction", "2027-02-10", -30.0)])

    def test_quantity_discount_and_lines_count(self):
        order = self.order
        order.order_line.write({"product_uom_qty": 2, "discount": 10.0})
        order.order_line = [self.line(price_unit=20.0)]
        self.assertEqual(self.movements(order)[1:], [("expansion", "2027-01-31", 100.0)])

    def test_line_that_is_deleted_counts(self):
        order = self.quotation(lines=[self.line(), self.line(price_unit=20.0)])
        order.action_confirm()
        self.flush_chatter()
        order.order_line[1].product_uom_qty = 0
        self.assertEqual(self.movements(order)[1:], [("contraction", "2027-01-31", -20.0)])

    def test_change_that_makes_no_difference_moves_nothing(self):
        order = self.order
        order.order_line.write({"product_uom_qty": 2, "price_unit": 50.0})
        self.assertEqual(len(self.movements(order)), 1)

    def test_closed_subscription_is_a_churn_with_its_reason(self):
        order = self.churned_subscription()
        self.assertEqual(self.movements(order)[1:], [("churn", "2027-01-31", -100.0)])
        self.assertEqual(order.movement_ids.mapped("close_reason_id"), self.reason)

    def test_planned_close_is_a_churn_on_its_day(self):
        order = self.order
        order.subscription_close(self.reason.id, when="date", date="2027-02-15")
        self.assertEqual(len(self.movements(order)), 1)
        self.expire(until="2027-03-20")
        self.assertEqual(self.movements(order)[1:], [("churn", "2027-02-15", -100.0)])

    def test_reopened_subscription_is_a_reactivation(self):
        order = self.churned_subscription()
        with self.on("2027-02-10"):
            order.with_user(self.administrator).subscription_reopen()
        self.assertEqual(self.movements(order)[2:], [("reactivation", "2027-02-10", 100.0)])

    def test_pause_and_resumption_are_movements(self):
        order = self.order
        with self.on("2027-02-10"):
            order.subscription_pause()
            self.assertEqual(self.movements(order)[1:], [("pause", "2027-02-10", -100.0)])
        with self.on("2027-03-10"):
            order.subscription_resume()
        self.assertEqual(self.movements(order)[2:], [("resume", "2027-03-10", 100.0)])

    def test_resumption_that_was_planned_counts_from_its_day(self):
        order = self.paused_subscription("2027-02-10")
        self.expire(until="2027-03-10")
        self.assertEqual(self.movements(order)[2:], [("resume", "2027-02-10", 100.0)])

    def test_paused_subscription_that_is_closed_churns(self):
        order = self.paused_subscription()
        order.subscription_close(self.reason.id)
        kinds = [(kind, amount) for kind, _date, amount in self.movements(order)]
        self.assertEqual(kinds, [("new", 100.0), ("pause", -100.0), ("resume", 100.0), ("churn", -100.0)])

    def test_paused_subscription_that_is_closed_and_reopened_is_running(self):
        order = self.paused_subscription()
        order.subscription_close(self.reason.id)
        order.with_user(self.administrator).subscription_reopen()
        self.assertEqual(self.movements(order)[-1], ("reactivation", "2027-01-31", 100.0))
        self.assertLedgerAgrees(order)

    def test_price_change_during_a_pause_counts_with_the_resumption(self):
        order = self.paused_subscription()
        self.price(order, 130.0)
        self.assertEqual(len(self.movements(order)), 2)
        order.subscription_resume()
        self.assertEqual(self.movements(order)[2:], [("resume", "2027-01-31", 130.0)])

    def test_subscription_that_never_began_is_reversed(self):
        order = self.order
        order.action_cancel()
        self.assertEqual(self.movements(order)[1:], [("new", "2027-01-31", -100.0)])

    def test_price_change_just_before_a_close_is_a_movement_of_its_own(self):
        order = self.order
        order.order_line.price_unit = 130.0
        order.subscription_close(self.reason.id)
        kinds = [(kind, amount) for kind, _date, amount in self.movements(order)]
        self.assertEqual(kinds[1:], [("expansion", 30.0), ("churn", -130.0)])

    def test_no_movement_is_dated_before_the_last_one(self):
        order = self.subscription(start="2027-04-15")
        with self.on("2027-02-10"):
            self.price(order, 130.0)
        self.assertEqual(self.movements(order)[1:], [("expansion", "2027-04-15", 30.0)])

    def test_movement_records_customer_plan_company_and_chain(self):
        order = self.subscription(
            partner_id=self.env["res.partner"]
            .create(
                {
                    "name": "Branch",
                    "parent_id": self.env["res.partner"].create({"name": "Group", "is_company": True}).id,
                }
            )
            .id
        )
        movement = order.movement_ids
        self.assertEqual(movement.partner_id.name, "Group")
        self.assertEqual((movement.plan_id, movement.company_id), (self.monthly, self.company))
        self.assertEqual((movement.origin_order_id, movement.currency_id), (order, order.currency_id))


@tagged("post_install", "-at_install")
class TestMerging(MovementCommon):
    """Changes by one user within an hour are one movement."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.subscription()

    def changes(self):
        return [(kind, amount) for kind, _date, amount in self.movements(self.order)[1:]]

    def test_changes_within_an_hour_are_one_movement(self):
        self.price(self.order, 130.0)
        self.made_ago(self.order, minutes=59)
        self.price(self.order, 150.0)
        self.assertEqual(self.changes(), [("expansion", 50.0)])

    def test_changes_in_different_hours_are_separate_movements(self):
        self.price(self.order, 130.0)
        self.made_ago(self.order, minutes=61)
        self.price(self.order, 150.0)
        self.assertEqual(self.changes(), [("expansion", 30.0), ("expansion", 20.0)])

    def test_changes_by_two_users_are_two_movements(self):
        self.price(self.order, 130.0)
        self.price(self.order.with_user(self.sales_lead), 150.0)
        self.assertEqual(self.changes(), [("expansion", 30.0), ("expansion", 20.0)])

    def test_change_after_another_event_is_a_separate_movement(self):
        self.price(self.order, 130.0)
        self.order.subscription_pause()
        self.order.subscription_resume()
        self.price(self.order, 150.0)
        self.assertEqual(
            self.changes(), [("expansion", 30.0), ("pause", -130.0), ("resume", 130.0), ("expansion", 20.0)]
        )

    def test_change_is_not_merged_into_the_start(self):
        self.price(self.order, 130.0)
        self.assertEqual(self.movements(self.order)[0], ("new", "2027-01-31", 100.0))

    def test_expansion_that_becomes_less_is_a_contraction(self):
        self.price(self.order, 130.0)
        self.price(self.order, 60.0)
        self.assertEqual(self.changes(), [("contraction", -40.0)])

    def test_corrected_typing_error_leaves_nothing(self):
        self.price(self.order, 1000.0)
        self.price(self.order, 100.0)
        self.assertEqual(self.changes(), [])

    def test_changes_across_midnight_are_two_movements(self):
        self.price(self.order, 130.0)
        with self.on("2027-02-01 00:10"):
            self.price(self.order, 150.0)
        self.assertEqual(self.changes(), [("expansion", 30.0), ("expansion", 20.0)])

    def test_one_order_is_not_merged_into_another(self):
        other = self.subscription()
        self.price(self.order, 130.0)
        self.price(other, 150.0)
        self.assertEqual(self.changes(), [("expansion", 30.0)])
        self.assertEqual(self.movements(other)[1:], [("expansion", "2027-01-31", 50.0)])


@tagged("post_install", "-at_install")
class TestRenewalMovement(MovementCommon):
    """P8, P9: a renewal is a difference, never a churn followed by a new subscription."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.paid_subscription()

    def test_renewal_takes_over_the_mrr_of_its_parent(self):
        order = self.order
        renewal = self.renewed_by(order)
        self.assertEqual(self.movements(order)[1:], [("renewal", "2027-02-28", -100.0)])
        self.assertEqual(self.movements(renewal), [("renewal", "2027-02-28", 100.0)])

    def test_renewal_that_costs_more_expands_on_its_day(self):
        order = self.order
        renewal = self.renewal(order)
        self.price(renewal, 130.0)
        renewal.action_confirm()
        self.assertEqual(self.movements(renewal), [("renewal", "2027-02-28", 100.0), ("expansion", "2027-02-28", 30.0)])
        self.assertEqual(self.movements(order)[1:], [("renewal", "2027-02-28", -100.0)])

    def test_renewal_that_costs_less_contracts(self):
        order = self.order
        renewal = self.renewal(order)
        self.price(renewal, 60.0)
        renewal.action_confirm()
        self.assertEqual(self.movements(renewal)[1:], [("contraction", "2027-02-28", -40.0)])

    def test_renewal_on_another_plan_is_a_difference(self):
        order = self.order
        renewal = self.renewal(order)
        renewal.plan_id = self.yearly
        self.price(renewal, 960.0)
        renewal.action_confirm()
        self.assertEqual(self.movements(renewal)[1:], [("contraction", "2027-02-28", -20.0)])

    def test_cancelled_renewal_returns_the_mrr_to_its_parent(self):
        order = self.order
        renewal = self.renewal(order)
        self.price(renewal, 130.0)
        renewal.action_confirm()
        renewal.action_cancel()
        self.assertLedgerAgrees(order | renewal)
        self.assertEqual(self.movements(order)[-1][0], "contraction")

    def test_closed_renewal_churns_the_mrr_of_the_whole_chain(self):
        order = self.order
        renewal = self.renewed_by(order)
        with self.on("2027-03-05"):
            renewal.subscription_close(self.reason.id)
        self.assertEqual(self.movements(renewal)[-1], ("churn", "2027-03-05", -100.0))
        self.assertLedgerAgrees(order | renewal)

    def test_price_change_just_before_the_renewal_belongs_to_the_parent(self):
        order = self.order
        renewal = self.renewal(order)
        order.order_line.price_unit = 110.0
        renewal.action_confirm()
        self.assertEqual(
            self.movements(order)[1:], [("expansion", "2027-01-31", 10.0), ("renewal", "2027-02-28", -110.0)]
        )
        self.assertEqual(
            self.movements(renewal), [("renewal", "2027-02-28", 110.0), ("contraction", "2027-02-28", -10.0)]
        )

    def test_renewal_in_another_currency_keeps_its_value(self):
        order = self.order
        renewal = self.renewal(order)
        renewal.pricelist_id = self.euro_pricelist
        self.price(renewal, 80.0)
        renewal.action_confirm()
        self.assertEqual(self.movements(renewal), [("renewal", "2027-02-28", 80.0)])
        self.assertEqual(self.in_dollars(renewal), [("renewal", 100.0)])
        self.assertLedgerAgrees(order | renewal)

    def test_renewal_in_another_currency_that_costs_more_expands(self):
        order = self.order
        renewal = self.renewal(order)
        renewal.pricelist_id = self.euro_pricelist
        self.price(renewal, 100.0)
        renewal.action_confirm()
        self.assertEqual(self.in_dollars(renewal), [("renewal", 100.0), ("expansion", 25.0)])
        self.assertLedgerAgrees(order | renewal)

    def test_mrr_of_a_chain_is_shown_together(self):
        order = self.order
        renewal = self.renewed_by(order)
        shown = self.env["sale.subscription.movement"].search(renewal.action_subscription_mrr()["domain"])
        self.assertEqual(shown, (order | renewal).movement_ids)


@tagged("post_install", "-at_install")
class TestMovementCurrency(MovementCommon):
    """Amounts in the company's currency use the rate of the day of the change."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.made_once("euro_subscription")

    def test_start_counts_at_the_rate_of_its_day(self):
        self.assertEqual(self.in_dollars(self.order), [("new", 100.0)])
        self.assertEqual(self.in_dollars(self.euro_subscription(start="2027-03-01")), [("new", 160.0)])

    def test_rate_alone_moves_nothing(self):
        order = self.order
        with self.on("2027-03-15"):
            order.order_line.name = "Coffee, no sugar"
        self.assertEqual(self.in_dollars(order), [("new", 100.0)])

    def test_change_at_another_rate_separates_the_rate_from_the_change(self):
        order = self.order
        with self.on("2027-03-15"):
            self.price(order, 90.0)
        self.assertEqual(self.in_dollars(order)[1:], [("currency", 60.0), ("expansion", 20.0)])
        self.assertEqual(
            self.movements(order)[1:], [("currency", "2027-03-15", 0.0), ("expansion", "2027-03-15", 10.0)]
        )

    def test_close_at_another_rate_leaves_nothing(self):
        order = self.order
        with self.on("2027-03-15"):
            order.subscription_close(self.reason.id)
        self.assertEqual(self.in_dollars(order)[1:], [("currency", 60.0), ("churn", -160.0)])

    def test_pause_and_resumption_at_other_rates(self):
        order = self.order
        order.subscription_pause()
        with self.on("2027-03-15"):
            order.subscription_resume()
        self.assertEqual(self.in_dollars(order), [("new", 100.0), ("pause", -100.0), ("resume", 160.0)])

    def test_paused_and_closed_at_other_rates_leaves_nothing(self):
        order = self.order
        order.subscription_pause()
        with self.on("2027-03-15"):
            order.subscription_close(self.reason.id)
        self.assertEqual(self.worth(order), 0)
        self.assertLedgerAgrees(order)

    def test_renewal_at_another_rate_leaves_the_parent_with_nothing(self):
        order = self.order
        self.register_payment(self.invoice(order))
        renewal = self.renewal(order)
        self.price(renewal, 90.0)
        with self.on("2027-03-15"):
            renewal.action_confirm()
        self.assertEqual((self.worth(order), self.worth(renewal)), (0, 112.5))  # at the rate of 28 February

    def test_running_order_that_changes_its_currency_is_exchanged(self):
        order = self.subscription()
        order.sudo().currency_id = self.euro
        self.assertEqual(
            [(kind, amount) for kind, _date, amount in self.movements(order)[1:]],
            [("currency", -100.0), ("currency", 80.0), ("expansion", 20.0)],
        )
        self.assertEqual(self.worth(order), 125.0)
        self.assertLedgerAgrees(order)

    def test_currency_changed_back_and_forth_leaves_no_difference(self):
        order = self.subscription()
        dollar = order.currency_id
        order.sudo().currency_id = self.euro
        self.flush_chatter()
        order.sudo().currency_id = dollar
        self.assertLedgerAgrees(order)
        self.assertEqual(self.worth(order), 100.0)

    def test_currency_that_changes_during_a_pause(self):
        order = self.paused_subscription()
        order.sudo().currency_id = self.euro
        order.subscription_resume()
        self.assertEqual(self.worth(order), 125.0)
        self.assertLedgerAgrees(order)

    def test_cents_of_a_rate_are_not_lost(self):
        order = self.order
        for day, price in (("2027-02-03", 33.33), ("2027-03-05", 66.67), ("2027-03-06", 0.01), ("2027-03-07", 99.99)):
            with self.on(day):
                self.price(order, price)
        self.assertEqual(self.worth(order), 199.98)
        with self.on("2027-03-08"):
            order.subscription_close(self.reason.id)
        self.assertEqual(self.worth(order), 0)


@tagged("post_install", "-at_install")
class TestLedger(MovementCommon):
    """The ledger is written by subscriptions only, and is checked."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.subscription()
        cls.movement = cls.order.movement_ids

    def tamper(self, amount):
        self.flush_chatter()
        self.env.cr.execute(
            SQL("UPDATE sale_subscription_movement SET amount = %s WHERE id = %s", amount, self.movement.id)
        )
        self.env.invalidate_all()

    def test_nobody_writes_movements_manually(self):
        values = self.movement.copy_data()[0] | {"order_id": self.order.id}
        for user in (self.env.user, self.administrator):
            movement = self.movement.with_user(user)
            with self.subTest(user.name):
                with self.assertRaises(UserError):
                    movement.amount = 1.0
                with self.assertRaises(UserError):
                    movement.unlink()
                with self.assertRaises(UserError):
                    movement.create(values)

    def test_context_key_grants_no_write_access(self):
        with self.assertRefused("recorded automatically"):
            self.movement.sudo().with_context(subscription_ledger=True).amount = 1.0

    def test_salesperson_sees_movements_of_own_documents_only(self):
        theirs = self.subscription(user=self.other_salesperson)
        seen = self.env["sale.subscription.movement"].with_user(self.salesperson).search([])
        self.assertIn(self.movement, seen)
        self.assertNotIn(theirs.movement_ids, seen)
        self.assertIn(theirs.movement_ids, seen.with_user(self.sales_lead).search([]))

    def test_movements_of_other_companies_are_not_seen(self):
        second = self.make_company("Second Company")
        lead = self.make_user("second_lead", "sales_team.group_sale_salesman_all_leads", second)
        movements = self.env["sale.subscription.movement"].with_user(lead).with_context(allowed_company_ids=second.ids)
        self.assertFalse(movements.search([]))

    def test_customer_sees_no_movements(self):
        with self.assertRaises(AccessError):
            self.movement.with_user(self.portal_user).read(["amount"])

    def test_check_finds_nothing_when_all_agree(self):
        self.assertEqual(self.order._get_mrr_differences(), [])

    def test_check_finds_tampered_movements(self):
        self.tamper(99.99)
        self.assertEqual(
            self.order._get_mrr_differences(),
            [{"order_id": self.order.id, "currency_id": self.order.currency_id.id, "live": 100.0, "booked": 99.99}],
        )

    def test_check_finds_a_lost_movement(self):
        self.flush_chatter()
        self.env.cr.execute(SQL("DELETE FROM sale_subscription_movement WHERE id = %s", self.movement.id))
        [difference] = self.order._get_mrr_differences()
        self.assertEqual((difference["live"], difference["booked"]), (100.0, 0.0))

    def test_check_finds_mrr_left_on_a_closed_subscription(self):
        self.order.subscription_close(self.reason.id)
        self.tamper(120.0)
        [difference] = self.order._get_mrr_differences()
        self.assertEqual((difference["live"], difference["booked"]), (0.0, 20.0))

    def test_administrator_is_notified_that_all_agree(self):
        action = self.env["sale.subscription.movement"].with_user(self.administrator).action_check()
        self.assertEqual(action["params"]["type"], "success")

    def test_administrator_sees_the_differences(self):
        self.tamper(1.0)
        action = self.env["sale.subscription.movement"].with_user(self.administrator).action_check()
        self.assertEqual(action["domain"], [("id", "in", self.order.ids)])

    def test_button_checks_without_a_selection(self):
        movements = self.env["sale.subscription.movement"].with_user(self.administrator)
        action = call_kw(movements, "action_check", [[]], {})
        self.assertEqual(action["params"]["type"], "success")

    def test_only_administrators_check_manually(self):
        for user in (self.salesperson, self.sales_lead, self.accountant):
            with self.subTest(user.name), self.assertRaises(AccessError):
                self.env["sale.subscription.movement"].with_user(user).action_check()

    @mute_logger(CHECK_LOGGER)
    def test_scheduled_action_notifies_the_salesperson_once(self):
        self.tamper(1.0)
        for _night in range(2):
            self.run_scheduled_action("subscription_close_renew.ir_cron_subscription_mrr_check")
        activities = self.order.activity_ids
        self.assertEqual((activities.summary, activities.user_id), ("MRR differs", self.salesperson))
        note = str(activities.note).replace("&nbsp;", " ")
        self.assertIn(f"{self.order.name} brings in $ 100.00 a month, but its movements add up to $ 1.00.", note)

    def test_scheduled_action_logs_the_differences(self):
        self.tamper(1.0)
        with self.assertLogs(CHECK_LOGGER, "WARNING") as logs:
            self.run_scheduled_action("subscription_close_renew.ir_cron_subscription_mrr_check")
        self.assertIn(self.order.name, logs.output[0])

    def test_scheduled_action_is_silent_when_all_agree(self):
        with self.assertNoLogs(CHECK_LOGGER):
            self.run_scheduled_action("subscription_close_renew.ir_cron_subscription_mrr_check")
        self.assertFalse(self.order.activity_ids)

    def test_closing_fifty_writes_the_ledger_at_once(self):
        orders = self.subscriptions(50)
        with self.assertQueryCount(4 * 50):
            orders.subscription_close(self.reason.id)
            self.env.flush_all()
        self.assertEqual(set(orders.mapped("subscription_state")), {"churned"})

    def test_change_of_fifty_prices_writes_the_ledger_at_once(self):
        orders = self.subscriptions(50)
        orders.order_line.price_unit = 130.0
        self.env.flush_all()
        with self.assertQueryCount(20, flush=False):
            orders._record_scheduled_movements()
            self.env["sale.subscription.movement"].flush_model()
        self.assertEqual(self.worth(orders), 6500.0)

    def subscriptions(self, count):
        """Return many subscriptions in progress."""
        orders = self.env["sale.order"].concat(*[self.quotation() for _number in range(count)])
        orders.action_confirm()
        self.flush_chatter()
        return orders


@tagged("post_install", "-at_install")
class TestLedgerOfDemoData(SubscriptionCommon):
    def test_ledger_of_all_subscriptions_agrees(self):
        """This includes the demo subscriptions, which this class has paused."""
        self.env.flush_all()
        self.assertTrue(self.env["sale.subscription.movement"].search_count([("date", "<", fields.Date.today())]))
        self.assertEqual(self.env["sale.order"]._get_mrr_differences(), [])
