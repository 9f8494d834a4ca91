"""When two bill, pay or close the same subscription at the same moment, it is charged once, and their results agree.

Each has its own connection. Where one has to be in the middle of a charge while the other acts, the provider holds its
answer back until then: no test depends on who is faster.
"""

import contextlib
import itertools
import os
import signal
import threading
from functools import partial
from unittest.mock import patch

import pytest

from devtools import project
from devtools.database import Databases

ADDONS = project.ROOT / "testing" / "addons"
PATIENCE = 60
"""Seconds after which a test gives up waiting."""


@pytest.fixture(scope="module")
def registry(place):
    """Odoo in this process, on a copy of the addon's template with the fake provider's addon."""
    databases = Databases(place.odoo.with_addons(ADDONS))
    template, _logged = databases.addon_template()
    name = place.scratch.database(databases, template, "concurrency")
    databases.odoo.install(name, ["payment_fake"])

    import odoo.sql_db
    from odoo.modules.registry import Registry
    from odoo.service.server import load_server_wide_modules
    from odoo.tools import config

    config.parse_config(["-c", str(databases.odoo.config), "-d", name, "--log-level=critical"], setup_logging=False)
    load_server_wide_modules()
    registry = Registry(name)
    yield registry
    odoo.sql_db.close_all()


@pytest.fixture(scope="module")
def opened(registry):
    """The database, with a shop that can be paid by the fake provider."""
    from odoo import SUPERUSER_ID, api

    from testing.crash import actions

    with registry.cursor() as cr:
        actions.open_shop(api.Environment(cr, SUPERUSER_ID, {}))
    return registry


@pytest.fixture
def shop(opened):
    """A shop whose provider has booked nothing yet."""
    from odoo.tools import mute_logger

    from odoo.addons.payment.models.payment_provider import PaymentProvider

    provider = Provider()
    with (
        # PostgreSQL refuses the second one, and Odoo logs that as an error.
        mute_logger("odoo.sql_db"),
        patch.object(PaymentProvider, "_send_api_request", lambda _self, *_path, json, **_options: provider.ask(json)),
    ):
        shop = Shop(opened, provider)
        yield shop
        shop.forget()


class Provider:
    """A provider that books each charge, and answers when the test allows it."""

    def __init__(self):
        self.booked = []
        self.says = "done"
        self.asked = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()

    def ask(self, asked):
        """Handle a request of Odoo."""
        if self.says == "done":
            self.booked.append(asked["reference"])
        self.asked.set()
        assert self.may_answer.wait(PATIENCE)
        return self.tells(asked, self.says)

    def tells(self, asked, status):
        """Return the content of an answer or a notification."""
        return {**asked, "status": status, "provider_reference": f"fake-{asked['reference']}", "message": "Stolen"}


class Shop:
    """The actions of people and programs. Each has its own transaction, which it commits."""

    _cards = itertools.count(1)

    def __init__(self, registry, provider):
        self.registry = registry
        self.provider = provider

    @contextlib.contextmanager
    def env(self):
        """Open Odoo's environment in a new transaction."""
        from odoo import SUPERUSER_ID, api

        with self.registry.cursor() as cr:
            env = api.Environment(cr, SUPERUSER_ID, {})
            company = env["res.company"].search([], order="id desc", limit=1)
            yield env(context={"allowed_company_ids": company.ids, "tracking_disable": True})

    def sell(self, count=1, by_card=True):
        """The ids of new subscriptions that are due today."""
        from testing.crash import actions

        tokens = [f"ok:{next(self._cards)}" for _order in range(count)]
        with self.env() as env:
            actions.sell(env, dict.fromkeys(tokens, env.cr.now().date()))
        with self.env() as env:
            orders = env["sale.order"].search([("payment_token_id.provider_ref", "in", tokens)])
            if not by_card:
                orders.payment_token_id = False
            return orders.ids

    def decline(self, order):
        """Let the first charge of a subscription be declined, and be tried again today."""
        self.provider.says = "error"
        self.bill()
        with self.env() as env:
            period = env["sale.order"].browse(order).period_ids
            assert period.charge_state == "declined", period.charge_state
            period.retry_date = env.cr.now().date()
        self.provider.says = "done"
        self.provider.asked.clear()

    def bill(self):
        """Do what the scheduled action does."""
        with self.env() as env:
            env["sale.order"]._cron_subscription_billing()

    def bill_now(self, order):
        """Press Bill Now."""
        with self.env() as env:
            env["sale.order"].browse(order).action_subscription_bill()

    def close(self, order):
        """Close a subscription."""
        with self.env() as env:
            reason = env["sale.order.close.reason"].search([], limit=1)
            env["sale.order"].browse(order).subscription_close(reason.id)

    def bill_next_period(self, order):
        """Let the next period come today, with the payment of the one before to be tried again today."""
        with self.env() as env:
            env["sale.order"].browse(order)._write_subscription({"next_invoice_date": env.cr.now().date()})
            env["sale.order"].browse(order).period_ids.retry_date = "2999-01-01"
        self.bill()
        with self.env() as env:
            env["sale.order"].browse(order).period_ids.retry_date = env.cr.now().date()

    def pay_at_the_bank(self, order):
        """Reconcile a line of the bank statement with the invoice: nothing of the subscription is asked first."""
        with self.env() as env:
            invoice = env["sale.order"].browse(order).period_ids._get_open_invoice()
            invoice.amount_residual = 0

    def remove_card(self, order):
        """Remove the card in the portal."""
        with self.env() as env:
            env["sale.order"].browse(order).payment_token_id.active = False

    def start_payment(self, env, order):
        """The payment with a stored card that the customer has asked for in the portal."""
        invoice = env["sale.order"].browse(order).period_ids._get_open_invoice()
        token = env["sale.order"].browse(order).payment_token_id
        return env["payment.transaction"].create(
            {
                "provider_id": token.provider_id.id,
                "payment_method_id": token.payment_method_id.id,
                "token_id": token.id,
                "operation": "online_token",
                "reference": env["payment.transaction"]._compute_reference("fake", prefix=f"portal-{order}"),
                "amount": invoice.amount_residual,
                "currency_id": invoice.currency_id.id,
                "partner_id": invoice.partner_id.id,
                "invoice_ids": [(6, 0, invoice.ids)],
            }
        )

    def pay_online(self, order):
        """Pay with a stored card in the portal."""
        with self.env() as env:
            transaction = self.start_payment(env, order)
            transaction._charge_with_token()
            transaction._post_process()

    def register_payment(self, order):
        """Register by hand that the invoice was paid."""
        with self.env() as env:
            self.start_registering(env, order)

    def start_registering(self, env, order):
        """Register a payment, which is not committed yet."""
        invoice = env["sale.order"].browse(order).period_ids._get_open_invoice()
        wizards = env["account.payment.register"].with_context(active_model="account.move", active_ids=invoice.ids)
        wizards.create({})._create_payments()
        env.flush_all()

    def notify(self, order, status="done"):
        """Let the provider tell what became of the last charge, as a request that Odoo repeats when it has to."""
        from odoo.service.model import retrying

        with self.env() as env:

            def process():
                transaction = self.charges(env, order)[-1:]
                asked = {
                    "reference": transaction.reference,
                    "token": transaction.token_id.provider_ref,
                    "amount": transaction.amount,
                    "currency": transaction.currency_id.name,
                }
                transaction._process("fake", self.provider.tells(asked, status))

            retrying(process, env)

    def post_process(self):
        """Do what Odoo's own scheduled action does."""
        with self.env() as env:
            env["payment.transaction"]._cron_post_process()

    def forget(self):
        """Leave nothing to do for the next test, whatever became of this one."""
        with self.env() as env:
            env["payment.transaction"].search([]).is_post_processed = True
            env["sale.order"].search([("company_id", "=", env.company.id)]).next_invoice_date = "2999-01-01"

    def charges(self, env, order):
        """The transactions of a subscription, the oldest first."""
        return env["sale.order"].browse(order).period_ids.transaction_ids.sorted("id")

    def during(self, work, rival):
        """Let one do its work, and the other act while the provider has not answered yet.

        :return: what went wrong for the other, or None
        """
        self.provider.may_answer.clear()
        worker = Thread(work)
        try:
            assert self.provider.asked.wait(PATIENCE), worker.error
            return _error_of(rival)
        finally:
            self.provider.may_answer.set()
            worker.finish()

    def at_once(self, *works):
        """Let several work at the same moment."""
        together = threading.Barrier(len(works))

        def begin(work):
            together.wait(PATIENCE)
            work()

        for thread in [Thread(lambda work=work: begin(work)) for work in works]:
            thread.finish()

    def settle(self):
        """Do what is done every night."""
        self.post_process()
        self.bill()

    def check(self, *orders, charged=1, state="progress"):
        """Check that each of these subscriptions was billed and paid for one period, by as many charges."""
        with self.env() as env:
            for order in env["sale.order"].browse(orders):
                period = order.period_ids
                invoices = order.invoice_ids.filtered(lambda invoice: invoice.state != "cancel")
                references = period.transaction_ids.mapped("reference")
                assert [reference in references for reference in self.provider.booked].count(True) == charged
                assert (len(period), period.state, period.status) == (1, "invoiced", "paid")
                assert (len(invoices), invoices.state) == (1, "posted")
                assert len(invoices.matched_payment_ids) == 1
                assert (order.subscription_state, order.payment_exception) == (state, False)
                if state == "progress":
                    assert order.next_invoice_date == period.date_end


class Thread:
    """Another user, who works at the same time as the test."""

    def __init__(self, work):
        self.error = None
        self._thread = threading.Thread(target=self._run, args=[work], daemon=True)
        self._thread.start()

    def _run(self, work):
        self.error = _error_of(work)

    def finish(self):
        """Wait for the end, and fail if it went wrong."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "It does not come to an end."
        if self.error:
            raise self.error


def _error_of(work):
    try:
        work()
    except Exception as error:
        return error
    return None


def test_two_workers_invoice_each_subscription_once(shop):
    orders = shop.sell(20, by_card=False)
    shop.at_once(shop.bill, shop.bill)
    with shop.env() as env:
        for order in env["sale.order"].browse(orders):
            assert order.period_ids.mapped("state") == ["invoiced"]
            assert order.invoice_ids.mapped("state") == ["posted"]
            assert order.next_invoice_date == order.period_ids.date_end


def test_two_workers_charge_each_subscription_once(shop):
    orders = shop.sell(6)
    shop.at_once(shop.bill, shop.bill)
    shop.check(*orders)


def test_second_worker_leaves_the_charge_of_the_first_alone(shop):
    first, second = shop.sell(2)
    assert shop.during(shop.bill, lambda: shop.provider.may_answer.set() or shop.bill()) is None
    shop.check(first, second)


def test_bill_now_during_a_charge_is_refused(shop):
    [order] = shop.sell()
    refused = shop.during(shop.bill, lambda: shop.bill_now(order))
    assert "unknown" in str(refused)
    shop.check(order)


def test_bill_now_and_a_worker_charge_once(shop):
    [order] = shop.sell()
    shop.at_once(shop.bill, lambda: _error_of(lambda: shop.bill_now(order)))
    shop.check(order)


def test_bill_now_and_a_worker_invoice_once(shop):
    [order] = shop.sell(by_card=False)
    shop.at_once(shop.bill, lambda: _error_of(lambda: shop.bill_now(order)))
    with shop.env() as env:
        [period] = env["sale.order"].browse(order).period_ids
        assert (period.state, len(period.invoice_ids)) == ("invoiced", 1)


def test_worker_during_bill_now_charges_nothing(shop):
    [order] = shop.sell()
    assert shop.during(lambda: shop.bill_now(order), shop.bill) is None
    shop.check(order)


def test_online_payment_during_a_charge_is_refused(shop):
    [order] = shop.sell()
    shop.decline(order)
    refused = shop.during(shop.bill, lambda: shop.pay_online(order))
    assert "is being processed" in str(refused)
    shop.check(order)


def test_worker_during_an_online_payment_charges_nothing(shop):
    [order] = shop.sell()
    shop.decline(order)
    assert shop.during(lambda: shop.pay_online(order), shop.bill) is None
    shop.check(order)


def test_online_payment_that_does_not_see_the_charge_is_refused(shop):
    """Its transaction began before that of the charge, so that it does not see what is written there."""
    [order] = shop.sell()
    shop.decline(order)
    with shop.env() as env:
        assert not env["sale.order"].browse(order).payment_exception
        refused = shop.during(shop.bill, lambda: shop.start_payment(env, order)._charge_with_token())
        env.cr.rollback()
    assert refused
    shop.check(order)


def test_payment_registered_without_seeing_the_charge_is_refused(shop):
    [order] = shop.sell()
    shop.decline(order)
    with shop.env() as env:
        assert not env["sale.order"].browse(order).payment_exception
        refused = shop.during(shop.bill, lambda: shop.start_registering(env, order))
        env.cr.rollback()
    assert refused
    shop.check(order)


def test_payment_registered_during_a_charge_is_refused(shop):
    [order] = shop.sell()
    shop.decline(order)
    refused = shop.during(shop.bill, lambda: shop.register_payment(order))
    assert "is being processed" in str(refused)
    shop.check(order)


def test_worker_waits_for_a_payment_that_is_being_registered(shop):
    [order] = shop.sell()
    shop.decline(order)
    with shop.env() as env:
        shop.start_registering(env, order)
        shop.bill()
    shop.bill()
    shop.check(order, charged=0)


def test_close_during_a_charge_wins_and_the_charge_settles(shop):
    [order] = shop.sell()
    assert shop.during(shop.bill, lambda: shop.close(order)) is None
    shop.settle()
    shop.check(order, state="churned")


def test_close_during_a_retry_stops_the_next(shop):
    [order] = shop.sell()
    shop.decline(order)
    shop.provider.says = "error"
    shop.bill_next_period(order)
    shop.provider.says = "done"
    shop.provider.asked.clear()
    booked = len(shop.provider.booked)
    assert shop.during(shop.bill, lambda: shop.close(order)) is None
    assert len(shop.provider.booked) == booked + 1


@pytest.mark.parametrize("rival", ["pay_at_the_bank", "remove_card"])
def test_who_acts_while_a_charge_begins_wins(shop, rival):
    """The charge has read everything, and has not yet written that it begins."""
    [order] = shop.sell()
    shop.decline(order)
    with shop.env() as env:
        transaction = shop.start_payment(env, order)
        getattr(shop, rival)(order)
        refused = _error_of(transaction._charge_with_token)
        env.cr.rollback()
    assert "could not serialize" in str(refused)
    assert not shop.provider.asked.is_set()


def test_close_during_a_charge_that_is_declined_leaves_nothing(shop):
    [order] = shop.sell()
    shop.provider.says = "error"
    assert shop.during(shop.bill, lambda: shop.close(order)) is None
    shop.settle()
    with shop.env() as env:
        order = env["sale.order"].browse(order)
        assert (order.subscription_state, order.payment_exception) == ("churned", False)
        assert order.invoice_ids.mapped("state") == ["cancel"]


def test_worker_leaves_a_subscription_alone_that_is_being_closed(shop):
    [order] = shop.sell()
    with shop.env() as env:
        reason = env["sale.order.close.reason"].search([], limit=1)
        env["sale.order"].browse(order).subscription_close(reason.id)
        env.flush_all()
        shop.bill()
    shop.bill()
    assert shop.provider.booked == []


def test_notification_during_a_charge_is_paid_once(shop):
    [order] = shop.sell()
    assert shop.during(shop.bill, lambda: shop.notify(order)) is None
    shop.settle()
    shop.check(order)


def test_notification_that_was_carried_out_during_a_charge_is_paid_once(shop):
    [order] = shop.sell()
    assert shop.during(shop.bill, lambda: (shop.notify(order), shop.post_process())) is None
    shop.settle()
    shop.check(order)


def test_three_notifications_at_once_are_paid_once(shop):
    [order] = shop.sell()
    shop.provider.says = "pending"
    shop.bill()
    shop.provider.booked = ["booked later"]
    notify = [lambda: shop.notify(order)] * 3
    shop.at_once(*notify)
    shop.at_once(shop.post_process, shop.post_process, shop.bill)
    shop.settle()
    shop.check(order, charged=0)


def pay(shop, *orders):
    """Let the first period of each of these subscriptions be charged, so that they can be renewed."""
    shop.bill()
    with shop.env() as env:
        assert set(env["sale.order"].browse(orders).period_ids.mapped("status")) == {"paid"}


def as_a_request(shop, work):
    """Let somebody do something as a request that Odoo repeats when somebody else was quicker."""
    from odoo.service.model import retrying

    with shop.env() as env:
        return retrying(lambda: work(env["sale.order"]), env)


def press_renew(shop, order):
    """Press Renew; the id of the quotation."""
    return as_a_request(shop, lambda orders: orders.browse(order).subscription_renew())


def confirm(shop, quotation):
    """Press Confirm; what went wrong, or None."""
    return _error_of(lambda: as_a_request(shop, lambda orders: orders.browse(quotation).action_confirm()))


def close(shop, order):
    """Press Close, now."""

    def work(orders):
        reason = orders.env["sale.order.close.reason"].search([], limit=1)
        orders.browse(order).subscription_close(reason.id)

    as_a_request(shop, work)


def get_outcomes(shop, *works):
    """What each of several gets who act at the same moment: what its work returns, or what goes wrong."""
    outcomes = {}

    def act(number):
        try:
            outcomes[number] = works[number]()
        except Exception as error:
            outcomes[number] = error

    shop.at_once(*[lambda number=number: act(number) for number in range(len(works))])
    return [outcomes[number] for number in range(len(works))]


def check_renewed(shop, order, renewal):
    """Check that a subscription was renewed by one order, and that MRR went over once (P8, P9)."""
    with shop.env() as env:
        order, renewal = env["sale.order"].browse([order, renewal])
        assert (order.subscription_state, renewal.subscription_state) == ("renewed", "progress")
        assert order.renewal_ids.filtered(lambda other: other.state == "sale") == renewal
        assert order.movement_ids.sorted("id").mapped("kind") == ["new", "renewal"]
        assert renewal.movement_ids.mapped("kind") == ["renewal"]
        assert order._get_mrr_differences() == []
        assert renewal.start_date == order.period_ids.date_end


def test_two_who_press_renew_make_one_quotation(shop):
    for order in shop.sell(5):
        pay(shop, order)
        press = partial(press_renew, shop, order)
        made = get_outcomes(shop, press, press)
        assert len(set(made)) == 1, made
        with shop.env() as env:
            assert env["sale.order"].browse(order).renewal_ids.ids == made[:1]


def test_second_who_presses_renew_waits_for_the_first_and_finds_its_quotation(shop):
    [order] = shop.sell()
    pay(shop, order)
    found = []
    with shop.env() as env:
        made = env["sale.order"].browse(order).subscription_renew()
        env.flush_all()
        second = Thread(lambda: found.append(press_renew(shop, order)))
    second.finish()
    assert found == [made]


def test_two_who_confirm_the_same_renewal_confirm_it_once_and_one_is_told(shop):
    for order in shop.sell(5):
        pay(shop, order)
        renewal = press_renew(shop, order)
        press = partial(confirm, shop, renewal)
        [error] = filter(None, get_outcomes(shop, press, press))
        assert "not in a state requiring confirmation" in str(error)
        check_renewed(shop, order, renewal)


def test_two_who_confirm_two_renewals_renew_once_and_one_is_told_by_which(shop):
    [order] = shop.sell()
    pay(shop, order)
    first = press_renew(shop, order)
    with shop.env() as env:
        second = env["sale.order"].browse(order)._make_renewals().id
    told = get_outcomes(shop, partial(confirm, shop, first), partial(confirm, shop, second))
    [error] = filter(None, told)
    winner = second if told[0] else first
    # Cancelled by the first to come, or, tried again after that, refused.
    assert "not in a state requiring confirmation" in str(error) or "been renewed by" in str(error)
    check_renewed(shop, order, winner)


def test_close_and_confirmation_at_once_leave_one_of_both(shop):
    for order in shop.sell(5):
        pay(shop, order)
        renewal = press_renew(shop, order)
        told = get_outcomes(shop, partial(close, shop, order), partial(confirm, shop, renewal))
        with shop.env() as env:
            chain = env["sale.order"].browse([order, renewal])
            states = chain.mapped("subscription_state")
            assert states in (["renewed", "progress"], ["churned", "renewal"]), states
            assert len(list(filter(None, told))) == 1, told
            assert chain._get_mrr_differences() == []


def test_billing_and_confirmation_at_once_bill_no_period_twice(shop):
    from dateutil.relativedelta import relativedelta

    for order in shop.sell(5, by_card=False):
        shop.bill()
        with shop.env() as env:
            # A month ago, so that the second period is due.
            subscription = env["sale.order"].browse(order)
            back = relativedelta(months=1)
            subscription.period_ids.write(
                {name: subscription.period_ids[name] - back for name in ("date_start", "date_end")}
            )
            dates = {name: subscription[name] - back for name in ("anchor_date", "start_date")}
            subscription._write_subscription(dates)
            subscription._update_next_invoice_date()
            renewal = subscription._make_renewals().id
        assert get_outcomes(shop, shop.bill, partial(confirm, shop, renewal)) == [None, None]
        shop.bill()
        with shop.env() as env:
            chain = env["sale.order"].browse([order, renewal])
            assert chain.mapped("subscription_state") == ["renewed", "progress"]
            periods = chain.period_ids.filtered(lambda period: period.state == "invoiced").sorted("date_start")
            assert len(periods) >= 2
            for period, following in itertools.pairwise(periods):
                assert following.date_start == period.date_end


@pytest.mark.parametrize("point", ["_transition_subscription", "_take_over_mrr"])
def test_process_killed_between_the_renewal_and_its_parent_leaves_neither(shop, point):
    """The child is written, and the parent is not, when the process dies."""
    [order] = shop.sell()
    pay(shop, order)
    renewal = press_renew(shop, order)
    assert die_confirming(shop, renewal, point) == -signal.SIGKILL
    with shop.env() as env:
        chain = env["sale.order"].browse([order, renewal])
        assert chain.mapped("subscription_state") == ["progress", "renewal"]
        assert chain[1].state == "draft"
        assert not chain[1].movement_ids
        assert chain._get_mrr_differences() == []
    assert confirm(shop, renewal) is None
    check_renewed(shop, order, renewal)


def die_confirming(shop, renewal, point):
    """Let a process of its own confirm a renewal, and die before a method is called on what it renews.

    :return: how it ended, as an exit code
    """
    import odoo.sql_db

    # A process must not share the connections of another.
    odoo.sql_db.close_all()
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        with shop.env() as env:
            orders = type(env["sale.order"])
            method = getattr(orders, point)

            def die(order, *arguments, **options):
                env.flush_all()
                if point != "_transition_subscription" or arguments[0] == "renew":
                    os.kill(os.getpid(), signal.SIGKILL)
                return method(order, *arguments, **options)

            with patch.object(orders, point, die):
                env["sale.order"].browse(renewal).action_confirm()
    finally:
        os._exit(1)
