"""Simultaneous billing, payments and closes of a subscription charge it once, and their results agree.

Each actor has its own connection. If one must be in the middle of a charge while the other acts, the provider holds its
answer back until then, so no test depends on timing.
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
        # PostgreSQL refuses the second transaction, and Odoo logs that as an error.
        mute_logger("odoo.sql_db"),
        patch.object(PaymentProvider, "_send_api_request", lambda _self, *_path, json, **_options: provider.ask(json)),
    ):
        shop = Shop(opened, provider)
        yield shop
        shop.forget()


class Provider:
    """A provider that books each charge and answers when the test allows it."""

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
    """The actions of users and programs, each in its own transaction, which it commits."""

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
        """Return the ids of new subscriptions due today."""
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
        """Decline the first charge of a subscription, with its retry due today."""
        self.provider.says = "error"
        self.bill()
        with self.env() as env:
            period = env["sale.order"].browse(order).period_ids
            assert period.charge_state == "declined", period.charge_state
            period.retry_date = env.cr.now().date()
        self.provider.says = "done"
        self.provider.asked.clear()

    def bill(self):
        """Bill like the scheduled action."""
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
        """Bill the next period today, with the retry of the previous payment also due today."""
        with self.env() as env:
            env["sale.order"].browse(order)._write_subscription({"next_invoice_date": env.cr.now().date()})
            env["sale.order"].browse(order).period_ids.retry_date = "2999-01-01"
        self.bill()
        with self.env() as env:
            env["sale.order"].browse(order).period_ids.retry_date = env.cr.now().date()

    def pay_at_the_bank(self, order):
        """Reconcile a bank statement line with the invoice, which does not consult the subscription first."""
        with self.env() as env:
            invoice = env["sale.order"].browse(order).period_ids._get_open_invoice()
            invoice.amount_residual = 0

    def remove_card(self, order):
        """Remove the card in the portal."""
        with self.env() as env:
            env["sale.order"].browse(order).payment_token_id.active = False

    def start_payment(self, env, order):
        """Return the payment with a stored card that the customer started in the portal."""
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
        """Register the payment of the invoice manually."""
        with self.env() as env:
            self.start_registering(env, order)

    def start_registering(self, env, order):
        """Register a payment without committing it yet."""
        invoice = env["sale.order"].browse(order).period_ids._get_open_invoice()
        wizards = env["account.payment.register"].with_context(active_model="account.move", active_ids=invoice.ids)
        wizards.create({})._create_payments()
        env.flush_all()

    def notify(self, order, status="done"):
        """Send the provider's notification of the last charge, as a request that Odoo retries if necessary."""
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
        """Post-process payments like Odoo's own scheduled action."""
        with self.env() as env:
            env["payment.transaction"]._cron_post_process()

    def forget(self):
        """Leave nothing to do for the next test, whatever the result of this one."""
        with self.env() as env:
            env["payment.transaction"].search([]).is_post_processed = True
            env["sale.order"].search([("company_id", "=", env.company.id)]).next_invoice_date = "2999-01-01"

    def charges(self, env, order):
        """Return the transactions of a subscription, oldest first."""
        return env["sale.order"].browse(order).period_ids.transaction_ids.sorted("id")

    def during(self, work, rival):
        """Run one action, and the other while the provider has not answered the first yet.

        :return: the error of the other action, or None
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
        """Run several actions simultaneously."""
        together = threading.Barrier(len(works))

        def begin(work):
            together.wait(PATIENCE)
            work()

        for thread in [Thread(lambda work=work: begin(work)) for work in works]:
            thread.finish()

    def settle(self):
        """Run all nightly scheduled actions."""
        self.post_process()
        self.bill()

    def check(self, *orders, charged=1, state="progress"):
        """Assert that each of these subscriptions was billed and paid for one period, with as many charges."""
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
        """Wait for the end, and raise the error if there was one."""
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
    """Its transaction began before that of the charge, so it does not see the changes of the charge."""
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


def test_close_during_a_charge_takes_precedence_and_the_charge_settles(shop):
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
def test_action_taken_while_a_charge_begins_takes_precedence(shop, rival):
    """The charge has read everything but has not yet recorded that it begins."""
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


def test_worker_skips_a_subscription_that_is_being_closed(shop):
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


def test_notification_processed_during_a_charge_is_paid_once(shop):
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
    """Charge the first period of each of these subscriptions, so that they can be renewed."""
    shop.bill()
    with shop.env() as env:
        assert set(env["sale.order"].browse(orders).period_ids.mapped("status")) == {"paid"}


def as_a_request(shop, work):
    """Perform an action as a request that Odoo retries when another one was quicker."""
    from odoo.service.model import retrying

    with shop.env() as env:
        return retrying(lambda: work(env["sale.order"]), env)


def press_renew(shop, order):
    """Press Renew and return the id of the quotation."""
    return as_a_request(shop, lambda orders: orders.browse(order).subscription_renew())


def confirm(shop, quotation):
    """Press Confirm and return the error, or None."""
    return _error_of(lambda: as_a_request(shop, lambda orders: orders.browse(quotation).action_confirm()))


def close(shop, order):
    """Press Close, now."""

    def work(orders):
        reason = orders.env["sale.order.close.reason"].search([], limit=1)
        orders.browse(order).subscription_close(reason.id)

    as_a_request(shop, work)


def get_outcomes(shop, *works):
    """Run several actions simultaneously, and return the result or error of each."""
    outcomes = {}

    def act(number):
        try:
            outcomes[number] = works[number]()
        except Exception as error:
            outcomes[number] = error

    shop.at_once(*[lambda number=number: act(number) for number in range(len(works))])
    return [outcomes[number] for number in range(len(works))]


def check_renewed(shop, order, renewal):
    """Assert that a subscription was renewed by one order and its MRR was transferred once (P8, P9)."""
    with shop.env() as env:
        order, renewal = env["sale.order"].browse([order, renewal])
        assert (order.subscription_state, renewal.subscription_state) == ("renewed", "progress")
        assert order.renewal_ids.filtered(lambda other: other.state == "sale") == renewal
        assert order.movement_ids.sorted("id").mapped("kind") == ["new", "renewal"]
        assert renewal.movement_ids.mapped("kind") == ["renewal"]
        assert order._get_mrr_differences() == []
        assert renewal.start_date == order.period_ids.date_end


def test_pressing_renew_simultaneously_creates_one_quotation(shop):
    for order in shop.sell(5):
        pay(shop, order)
        press = partial(press_renew, shop, order)
        made = get_outcomes(shop, press, press)
        assert len(set(made)) == 1, made
        with shop.env() as env:
            assert env["sale.order"].browse(order).renewal_ids.ids == made[:1]


def test_second_user_pressing_renew_waits_and_finds_the_quotation_of_the_first(shop):
    [order] = shop.sell()
    pay(shop, order)
    found = []
    with shop.env() as env:
        made = env["sale.order"].browse(order).subscription_renew()
        env.flush_all()
        second = Thread(lambda: found.append(press_renew(shop, order)))
    second.finish()
    assert found == [made]


def test_two_users_confirming_one_renewal_confirm_it_once_and_one_gets_an_error(shop):
    for order in shop.sell(5):
        pay(shop, order)
        renewal = press_renew(shop, order)
        press = partial(confirm, shop, renewal)
        [error] = filter(None, get_outcomes(shop, press, press))
        assert "not in a state requiring confirmation" in str(error)
        check_renewed(shop, order, renewal)


def test_two_users_confirming_two_renewals_renew_once_and_one_sees_by_which(shop):
    [order] = shop.sell()
    pay(shop, order)
    first = press_renew(shop, order)
    with shop.env() as env:
        second = env["sale.order"].browse(order)._make_renewals().id
    told = get_outcomes(shop, partial(confirm, shop, first), partial(confirm, shop, second))
    [error] = filter(None, told)
    winner = second if told[0] else first
    # Cancelled by the first confirmation, or refused when retried after it.
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
            # Started a month ago, so the second period is due.
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
    """When the process dies, the child is written and the parent is not."""
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
    """Confirm a renewal in a separate process that dies before a method is called on the parent.

    :return: the exit code of the process
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
