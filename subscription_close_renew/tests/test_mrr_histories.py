"""The MRR ledger agrees with the orders after each step, whatever happens to subscriptions in whatever order."""

import logging
import os
import random
from collections import Counter, defaultdict
from datetime import date, timedelta
from fractions import Fraction
from unittest.mock import patch

from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import SQL, mute_logger

from .test_closing_expiration import BATCH_LOGGER
from .test_movement import MovementCommon

_logger = logging.getLogger(__name__)

HISTORIES = "SUBSCRIPTION_HISTORIES"
"""The environment variable that says which histories to play, as FIRST:LAST (which is left out)."""
SHORT = "0:100"
TOGETHER = 50
"""Histories that happen side by side: what the scheduled actions do comes to all of them at once."""
STEPS = 5


@tagged("post_install", "-at_install")
class TestMrrHistories(MovementCommon):
    """P8, P9: generated histories, reproducible from a seed."""

    @mute_logger(BATCH_LOGGER)
    def test_ledger_always_agrees_with_the_orders(self):
        first, last = (int(number) for number in os.environ.get(HISTORIES, SHORT).split(":"))
        # Other tests cover mails and the payment required before a renewal.
        self.env["mail.template"].search([("model_id.model", "=", "sale.order")]).active = False
        happened = Counter()
        for seed in range(first, last, TOGETHER):
            happened += self.play(seed, min(TOGETHER, last - seed))
            _logger.info("Histories %s to %s of %s: %s events", first, seed + TOGETHER, last, sum(happened.values()))
        missing = {name for name in Histories.EVENTS if not happened[name]}
        self.assertFalse(missing, f"never happened in histories {first} to {last}: {happened}")

    def play(self, seed, count):
        """Play histories and roll them back.

        :param int seed: seed of the random generator
        :param int count: number of histories
        :return: how often each kind of event happened
        :rtype: Counter
        """
        orders = type(self.env["sale.order"])
        self.flush_chatter()
        savepoint = self.cr.savepoint()
        try:
            with (
                patch.object(orders, "_get_first_payment_refusal", lambda order: False),
                self.other_transactions(),
                self.registry.cursor() as cr,
            ):
                return Histories(self, cr, seed, count).play()
        finally:
            savepoint.close(rollback=True)
            self.env.invalidate_all()
            self.env.registry.clear_cache()


class Histories:
    """Some subscriptions, each with its renewals, and all possible events."""

    EVENTS = (
        *("add_line", "again", "cancel", "change_renewal", "close", "confirm", "decline", "discount", "exchange"),
        *("keep", "pause", "price", "quantity", "renew", "reopen", "resume", "term"),
    )

    def __init__(self, test, cr, seed, count):
        self.test = test
        self.seed = seed
        self.dice = random.Random(seed)
        self.day = date(2026, 11, 30)
        self.happened = Counter()
        self.told = defaultdict(list)
        context = {"tracking_disable": True, "mail_create_nolog": True, "allowed_company_ids": test.company.ids}
        self.env = test.env(cr=cr, user=test.administrator.id, context=context, su=True)
        self.orders = self.env["sale.order"]
        self.factors = {test.weekly.id: Fraction(52, 12), test.monthly.id: 1, test.yearly.id: Fraction(1, 12)}
        self.pricelists = [False, test.euro_pricelist.id]
        self.count = count

    def play(self):
        """Play all events and return how often each kind occurred."""
        with self.test.on(str(self.day)):
            quotations = self.orders.create([self.make_quotation() for _number in range(self.count)])
            quotations.action_confirm()
            self.origins = quotations
            self.check("the start")
        for step in range(STEPS):
            self.day += timedelta(days=self.dice.choice((0, 0, 1, 7, 20, 33)))
            with self.test.on(str(self.day)):
                self.run_scheduled_actions()
                self.check(f"the night before step {step}")
                for origin in self.origins:
                    self.do_something(origin)
                self.check(f"step {step}")
        self.check_months()
        return self.happened

    def make_quotation(self):
        """Return the values of a quotation with a random plan, currency, start and term."""
        dice = self.dice
        plan = dice.choice((self.test.monthly, self.test.monthly, self.test.yearly, self.test.weekly))
        return {
            "partner_id": self.test.customer.id,
            "plan_id": plan.id,
            "pricelist_id": dice.choice(self.pricelists),
            "start_date": dice.choice((False, self.day + timedelta(days=dice.randint(-20, 60)))),
            "term_periods": dice.choice((0, 0, 1, 3)),
            "term_end_action": dice.choice(("close", "renew", "continue")),
            "order_line": [self.make_line() for _number in range(dice.randint(1, 2))],
        }

    def make_line(self):
        dice = self.dice
        return Command.create(
            {
                "product_id": dice.choice((self.test.recurring_product, self.test.recurring_product)).id,
                "product_uom_qty": dice.choice((1, 1, 2, 3)),
                "price_unit": self.make_price(),
            }
        )

    def make_price(self):
        return self.dice.choice((0, 0.01, 9.99, 33.33, 100, 100, round(self.dice.uniform(1, 500), 2)))

    def run_scheduled_actions(self):
        """Run some of the scheduled actions in random order, as each may be down for a while."""
        actions = [
            self.orders._cron_subscription_expiration,
            self.orders._cron_subscription_renewal,
            *([self.orders._cron_subscription_billing] if self.dice.random() < 0.2 else []),
        ]
        self.dice.shuffle(actions)
        for action in actions:
            action()

    def do_something(self, origin):
        """Perform one or two actions on a subscription, which may be refused."""
        for _number in range(self.dice.choice((1, 1, 1, 2))):
            chain = self.get_chain(origin)
            possible = [(name, order) for order in chain for name in self.get_possible(order)]
            if not possible:
                continue
            name, order = self.dice.choice(possible)
            try:
                with self.env.cr.savepoint(flush=False):
                    getattr(self, name)(order)
                    self.env.flush_all()
            except UserError as error:
                self.env.invalidate_all()
                self.told[origin].append(f"{self.day}: {name} of {order.name} is refused: {error}")
            else:
                self.happened[name] += 1
                self.told[origin].append(f"{self.day}: {name} of {order.name}")

    def get_possible(self, order):
        """Return the actions possible in the state of an order, so that few of them are refused."""
        names = {
            "progress": ["price", "quantity", "discount", "add_line", "exchange", "close", "pause", "term", "cancel"],
            "paused": ["resume", "close", "price", "exchange", "cancel"],
            "churned": ["reopen"],
        }.get(order.subscription_state, [])
        if order.state == "cancel":
            names = ["again"]
        if order.is_closing:
            # These would rarely be drawn among all actions.
            names = [*names, *["keep"] * 6]
        if self.get_open_renewal(order):
            return [*names, "confirm", "decline", "change_renewal"]
        return [*names, "renew", "renew"] if order.subscription_state == "progress" else names

    def get_chain(self, origin):
        return self.orders.search([("origin_order_id", "=", origin.id)], order="id")

    def get_open_renewal(self, order):
        return order.renewal_ids.filtered(lambda renewal: renewal.state in ("draft", "sent"))[:1]

    def get_line(self, order):
        return self.dice.choice(order.order_line.filtered("is_recurring"))

    # Events

    def price(self, order):
        self.get_line(order).price_unit = self.make_price()

    def quantity(self, order):
        self.get_line(order).product_uom_qty = self.dice.choice((1, 2, 5, 0.5))

    def discount(self, order):
        self.get_line(order).discount = self.dice.choice((0, 10, 33.33))

    def add_line(self, order):
        order.order_line = [self.make_line()]

    def exchange(self, order):
        order.currency_id = self.test.euro if order.currency_id != self.test.euro else self.test.company.currency_id

    def close(self, order):
        when = self.dice.choice(("now", "now", "period_end", "date"))
        order.subscription_close(self.test.reason.id, when, self.day + timedelta(days=self.dice.randint(0, 30)))

    def keep(self, order):
        order.subscription_keep()

    def reopen(self, order):
        order.subscription_reopen()

    def pause(self, order):
        days = self.dice.choice((None, 1, 15))
        order.subscription_pause(days and self.day + timedelta(days=days))

    def resume(self, order):
        order.subscription_resume()

    def term(self, order):
        order.end_date = self.dice.choice((False, self.day + timedelta(days=self.dice.randint(1, 40))))
        order.term_end_action = self.dice.choice(("close", "renew", "continue"))

    def renew(self, order):
        renewal = self.orders.browse(order.subscription_renew())
        if self.dice.random() < 0.5:
            self.change_renewal(order)
            renewal.action_confirm()

    def change_renewal(self, order):
        renewal = self.get_open_renewal(order)
        renewal.plan_id = self.dice.choice((renewal.plan_id, self.test.monthly, self.test.yearly))
        renewal.pricelist_id = self.dice.choice(self.pricelists)
        self.get_line(renewal).price_unit = self.make_price()

    def confirm(self, order):
        self.get_open_renewal(order).action_confirm()

    def decline(self, order):
        self.get_open_renewal(order).action_cancel()

    def cancel(self, order):
        order.action_cancel()

    def again(self, order):
        order.action_draft()
        order.action_confirm()

    # Invariants

    def check(self, moment):
        """Check that the ledger agrees with all orders and chains (P9), and that each chain has one end (P8)."""
        self.env.flush_all()
        self.env.cr.flush()
        self.env.invalidate_all()
        booked = self.get_sums()
        orders = self.orders.search([("origin_order_id", "in", self.origins.ids)], order="id")
        for origin, chain in orders.grouped("origin_order_id").items():
            try:
                self.check_chain(chain, booked)
            except AssertionError as error:
                told = "\n".join(self.told[origin])
                raise AssertionError(f"Histories {self.seed}, {moment} ({self.day}): {error}\n{told}") from error
        self.test.assertEqual(self.orders._get_mrr_differences(), [], f"Histories {self.seed}, {moment}")

    def get_sums(self):
        """Return the sums of the ledger: ``{order id: {currency id: (amount, amount in company currency)}}``."""
        sums = defaultdict(dict)
        rows = self.env.execute_query(
            SQL(
                """SELECT order_id, currency_id, SUM(amount), SUM(amount_company)
                     FROM sale_subscription_movement
                    WHERE origin_order_id IN %s
                 GROUP BY order_id, currency_id""",
                tuple(self.origins.ids),
            )
        )
        for order_id, currency_id, amount, amount_company in rows:
            sums[order_id][currency_id] = (float(amount), float(amount_company))
        return sums

    def check_chain(self, chain, booked):
        test = self.test
        test.assertLessEqual(len(chain.filtered(lambda order: order.subscription_state in ("progress", "paused"))), 1)
        for order in chain:
            renewals = order.renewal_ids.filtered(lambda renewal: renewal.state == "sale")
            test.assertEqual(order.subscription_state == "renewed", bool(renewals), f"{order.name} is renewed, or not")
            live = self.get_live(order)
            sums = {order.currency_id.id: (0.0, 0.0), **booked[order.id]}
            for currency_id, (amount, _amount_company) in sums.items():
                expected = live if currency_id == order.currency_id.id else 0.0
                # All amounts are whole cents, so rounding the sum only removes float errors.
                test.assertEqual(round(amount, 6), round(expected, 6), f"{order.name} in {currency_id}: {sums}")
            company_value = round(sum(value for _amount, value in sums.values()), 6)
            self.check_company_value(order, live, company_value)

    def check_company_value(self, order, live, value):
        """Check the company value of an order: zero without MRR, otherwise at the rate of its last change."""
        if not live:
            self.test.assertEqual(value, 0, f"{order.name} brings nothing, and is worth {value}")
            return
        last = order.movement_ids.sorted("id")[-1:]
        if last.kind in ("renewal", "currency"):
            # It took over the value of its parent, at whatever rate that had.
            rates = (0.8, 0.5) if order.currency_id == self.test.euro else (1,)
            self.test.assertLessEqual(live / max(rates) - 0.02, value, order.name)
            self.test.assertGreaterEqual(live / min(rates) + 0.02, value, order.name)
            return
        company = order.company_id
        expected = order.currency_id._convert(live, company.currency_id, company, last.date)
        self.test.assertEqual(value, round(expected, 6), f"{order.name} of {live} is worth {value} after {last.kind}")

    def get_live(self, order):
        """Return the MRR of an order, computed from its lines alone."""
        if order.subscription_state != "progress":
            return 0.0
        total = sum(line.price_subtotal for line in order.order_line if line.product_id.recurring_invoice)
        return order.currency_id.round(float(Fraction(total) * self.factors[order.plan_id.id]))

    def check_months(self):
        """Check that each month ends with its opening MRR plus all movements of the month."""
        movements = self.env["sale.subscription.movement"]
        mine = [("origin_order_id", "in", self.origins.ids)]
        kinds = movements._read_group(mine, ["date:month", "kind"], ["amount_company:sum"], order="date:month")
        changes = defaultdict(float)
        for month, _kind, amount in kinds:
            changes[month] += amount
        total = 0.0
        for month, change in sorted(changes.items()):
            total += change
            after = (month + timedelta(days=31)).replace(day=1)
            [[end]] = movements._read_group([*mine, ("date", "<", after)], [], ["amount_company:sum"])
            self.test.assertAlmostEqual(total, end, 6, f"Histories {self.seed}: the end of {month:%B %Y}")
        live = sum(sum(value for _amount, value in sums.values()) for sums in self.get_sums().values())
        self.test.assertAlmostEqual(total, live, 6, f"Histories {self.seed}: all movements")
