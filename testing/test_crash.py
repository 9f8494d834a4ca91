"""Billing killed at every point or at random charges nobody twice and forgets no charge.

`./dev test crash` covers every kind of answer and every point of death; a plain `./dev test` covers some of them.
"""

import contextlib
import itertools
import os
import queue
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import pytest

from devtools import postgres
from devtools.database import Databases, owned
from testing.crash import audit
from testing.crash.stage import ADDONS, DEEDS, OPENED, Prefork, Stage
from testing.fake_provider import MODES

THOROUGH = bool(os.environ.get("DEVTOOLS_THOROUGH"))
LEFT_BEHIND = {
    "before-commit": (0, None, False),
    "committed": (0, "draft", True),
    "booked": (1, "draft", True),
    "answered": (1, "draft", True),
    "done": (1, "done", True),
    "posted": (1, "done", True),
    "moved": (1, "done", False),
}
"""What shows that a process died where it was to, while it charged a good card: how often that was booked, the state of
its transaction, and whether the subscription is in exception."""
ALIKE = ("402", "401", "403", "404", *(f"{mode}+caught" for mode in ("drop", "lost", "timeout", "500", "429")))
"""Treated like others once they are answered. What is caught fails in the hands of the provider's own code."""
FIRST_OF_TWO = ("authorised",)
"""No treatment of a whole charge: a second request follows, see `test_however_an_addon_asks_no_charge_is_repeated`."""
MODES_AND_POINTS = (
    [
        *itertools.product([mode for mode in MODES if mode not in (*ALIKE, *FIRST_OF_TWO)], LEFT_BEHIND),
        *itertools.product(ALIKE, ["answered"]),
    ]
    if THOROUGH
    else [
        ("drop", "booked"),
        ("timeout", "before-commit"),
        ("ok", "answered"),
        ("ok", "posted"),
        ("soft-decline", "answered"),
        ("pending", "moved"),
    ]
)
WAYS = (
    *("", "caught", "provider", "provider-caught", "raw", "wrapped", "wrapped-twice", "from-none", "raised-after"),
    *("set-within", "set-after", "processed", "session", "urllib"),
)
"""How a provider's addon asks, as in `payment_fake.ways`."""
QUESTIONS = ("404", "429", "nowhere", "drop", "500", "timeout", "ok")
"""What becomes of the question that follows a charge."""
CARDS = (
    {
        **{
            way: [
                f"{mode}+{way}"
                for mode in ("ok", "soft-decline", "402", "404", "drop", "lost", "timeout", "500-booked")
            ]
            for way in WAYS
            if way
        },
        **{
            f"{first}-then-{way}": [f"{first}~{second}+{way}" for second in QUESTIONS]
            for first in ("ok", "authorised")
            for way in ("", "from-none", "processed")
        },
    }
    if THOROUGH
    else {
        "short": [
            *("drop+provider-caught", "drop+from-none", "drop+set-after", "500-booked+processed"),
            *("ok~404", "ok~nowhere", "authorised~drop"),
        ]
    }
)
"""Cards, by the name of the story in which all of them are charged."""
STATES = {"unknown": "drop", "lost": "lost", "pending": "pending", "under-way": "held-ok"}
"""How a card is treated of which a charge is in a state."""
BY_HAND = (
    [
        *itertools.product(["unknown"], DEEDS, ["notified", "resolved"]),
        *itertools.product(["pending", "under-way"], DEEDS, ["notified"]),
        *itertools.product(["lost"], DEEDS, ["resolved"]),
    ]
    if THOROUGH
    else [
        ("unknown", "delete-draft", "notified"),
        ("unknown", "invoice-by-hand-untick-and-pay", "notified"),
        ("under-way", "cancel-order", "resolved"),
        ("pending", "credit-invoice", "notified"),
    ]
)
"""The state of a charge, what a person does, and how the truth comes to light: first by the provider's notification, or
first by a person."""
ENDINGS = {"open": "", "expires": "soft-decline", "is paid": "ok", "waits": "pending"}
"""What becomes of a checkout, as a way in which the provider treats it."""
CHECKOUTS = [*itertools.product(ENDINGS, ("drop", "lost"))] if THOROUGH else [("expires", "drop"), ("is paid", "drop")]
EARLIER = (
    [*itertools.product(("drop", "timeout", "lost", "pending"), ("drop", "lost"))] if THOROUGH else [("drop", "drop")]
)
"""How the attempt was treated that was given up, and how the one that follows it."""
MEANWHILE = (
    [*itertools.product(("held-ok", "held-decline", "held-drop"), ("close", "pause", "cancel-order"))]
    if THOROUGH
    else [("held-ok", "close")]
)
SUBSCRIPTIONS, KILLS, LONGEST = (200, 50, 1.6) if THOROUGH else (6, 3, 0.8)
"""How many are sold, how often a process is killed, and after how many seconds at the most."""
# Two periods are due in February. Declined charges are retried the day after. A third period is due in March.
FEBRUARY, DAY_AFTER, MARCH = "2027-02-28 12:00", "2027-03-01 12:00", "2027-03-31 12:00"
NEXT_DAY = "2027-03-02 12:00"


@pytest.fixture(scope="module")
def databases(place):
    """The databases of an Odoo with the fake provider's addon."""
    return Databases(place.odoo.with_addons(ADDONS))


@pytest.fixture(scope="module")
def shop(databases):
    """A template database: a shop that accepts payments of the fake provider and has sold nothing yet."""
    addon, _logged = databases.addon_template()
    sources = [path for folder in (ADDONS, ADDONS.parent / "crash") for path in sorted(folder.rglob("*.*"))]
    made_from = [path.read_bytes() for path in sources if path.suffix in (".py", ".xml")]

    def build(name):
        databases.odoo.install(name, ["payment_fake"])
        prefork = Prefork(databases.odoo, name)
        prefork.run("open_shop", OPENED)
        prefork.close()

    return databases.template_from(addon, "crash", made_from, "Opening a shop", build)


@pytest.fixture(scope="module")
def played(request, place, databases, shop, tmp_path_factory):
    """The results of all selected tests as futures: two shops run at once, as machines have two cores."""
    idle = queue.SimpleQueue()
    with contextlib.ExitStack() as stack:
        for number in range(2):
            database = place.scratch.database(databases, shop, f"crash_{number}")
            prefork = Prefork(databases.odoo, database)
            stack.callback(prefork.close)
            idle.put(prefork)

        @contextlib.contextmanager
        def new_stage():
            prefork = idle.get()
            databases.copy(shop, prefork.database)
            stage = Stage(databases, prefork, tmp_path_factory.mktemp("stage"))
            try:
                yield stage
            finally:
                stage.close()
                idle.put(prefork)

        pool = ThreadPoolExecutor(2)
        stack.callback(pool.shutdown, cancel_futures=True)
        plays = {
            "test_a_killed_charge_is_never_repeated": play_kill,
            "test_random_kills_change_no_total": play_random,
            "test_however_an_addon_asks_no_charge_is_repeated": play_cards,
            "test_actions_of_users_keep_the_books_consistent": play_by_hand,
            "test_a_checkout_settles_only_itself": play_checkout,
            "test_an_earlier_attempt_settles_only_itself": play_earlier_attempt,
            "test_an_earlier_period_settles_only_itself": play_earlier_period,
            "test_a_subscription_ended_meanwhile_is_not_charged_again": play_meanwhile,
            "test_an_invoice_is_mailed_once_even_if_its_sender_is_killed": play_sender,
            "test_workers_and_their_parent_are_killed": play_workers,
        }
        cases = {
            item.name: (plays[item.originalname], item.callspec.params if hasattr(item, "callspec") else {})
            for item in request.session.items
            if item.originalname in plays
        }
        # The longest first, so that nothing waits for it at the end.
        yield {
            name: pool.submit(play, new_stage, **params)
            for name, (play, params) in sorted(cases.items(), key=lambda case: len(case[1][1]))
        }


@pytest.mark.parametrize(("mode", "point"), MODES_AND_POINTS)
def test_a_killed_charge_is_never_repeated(request, played, mode, point):
    """A process dies at a point; others take over, followed by the provider, a person and the next days."""
    played[request.node.name].result()


def test_random_kills_change_no_total(request, played):
    """A shop killed repeatedly ends up with the same invoices, periods and charges as one that never was."""
    clean, killed = played[request.node.name].result()
    assert clean == killed
    assert clean["periods"] == clean["charges"] == SUBSCRIPTIONS


@pytest.mark.parametrize("story", CARDS)
def test_however_an_addon_asks_no_charge_is_repeated(request, played, story):
    """Provider addons may use `requests`, wrap or hide errors, and ask twice: without a clear answer, it is unknown."""
    played[request.node.name].result()


@pytest.mark.parametrize(("state", "deed", "truth"), BY_HAND)
def test_actions_of_users_keep_the_books_consistent(request, played, state, deed, truth):
    """Users' actions during a payment are refused, or leave books that agree with the provider's."""
    played[request.node.name].result()


@pytest.mark.parametrize(("ending", "mode"), CHECKOUTS)
def test_a_checkout_settles_only_itself(request, played, ending, mode):
    """A checkout opened earlier by the customer finishes while the outcome of a charge is unknown."""
    played[request.node.name].result()


@pytest.mark.parametrize(("given_up", "mode"), EARLIER)
def test_an_earlier_attempt_settles_only_itself(request, played, given_up, mode):
    """The notification of an abandoned attempt arrives while the outcome of the next one is unknown."""
    played[request.node.name].result()


@pytest.mark.parametrize("outcome", ["pending", "pending-decline"])
def test_an_earlier_period_settles_only_itself(request, played, outcome):
    """The notification of an earlier period arrives while the outcome of a later one is unknown."""
    played[request.node.name].result()


@pytest.mark.parametrize(("mode", "deed"), MEANWHILE)
def test_a_subscription_ended_meanwhile_is_not_charged_again(request, played, mode, deed):
    """Two declined periods are retried; the subscription ends during the request for the first."""
    played[request.node.name].result()


@pytest.mark.parametrize("point", ["mailing", "mailed", "all-mailed"] if THOROUGH else ["mailed"])
def test_an_invoice_is_mailed_once_even_if_its_sender_is_killed(request, played, point):
    """Odoo's sender of invoices dies at a point, and again after some of the invoices."""
    played[request.node.name].result()


@pytest.mark.parametrize("kill_at", ["", "booked", "committed"] if THOROUGH else ["booked"])
def test_workers_and_their_parent_are_killed(request, played, kill_at):
    """Odoo runs with workers, one billing on its own. They are killed, then their parent, and others take over."""
    played[request.node.name].result()


@pytest.mark.skipif(not THOROUGH, reason="takes a server of its own, and a minute")
def test_postgresql_crashes_in_the_middle_of_a_charge(place, databases, shop, tmp_path):
    """PostgreSQL crashes during a request to the provider, again at a random moment, and is restarted."""
    with postgres.brittle(place.odoo.environment) as (server, crash):
        brittle = Databases(place.odoo.on(server).with_addons(ADDONS))
        name = owned(f"test_{place.scratch.folder.name}_brittle")
        brittle.fetch(databases, shop, name)
        prefork = Prefork(brittle.odoo, name)
        stage = Stage(brittle, prefork, tmp_path)
        try:
            play_restart(stage, crash)
        finally:
            stage.close()
            prefork.close()
            brittle.drop(name)


def play_kill(new_stage, mode, point):
    """Kill a process while it charges a card of a mode, then let all others finish the work."""
    card = f"{mode}:1"
    with new_stage() as stage:
        stage.sell({card: OPENED[:10], "ok:2": FEBRUARY[:10]})
        with stage.open_for_notifications(FEBRUARY):
            assert stage.bill(FEBRUARY, {"KILL_AT": point}), f"nothing came to {point}"
            assert mode != "ok" or left_behind(stage) == LEFT_BEHIND[point], stage.told()
            check(stage)
            live_on(stage)
        come_to_light(stage, card)
        assert len(stage.books().periods) == 5, stage.told()


def play_cards(new_stage, story):
    """Charge two periods to each card of many modes, and check the results."""
    cards = [f"{card}:{number}" for number, card in enumerate(CARDS[story])]
    with new_stage() as stage:
        stage.sell({**dict.fromkeys(cards, OPENED[:10]), "ok:x": FEBRUARY[:10]})
        live_on(stage)
        come_to_light(stage, *cards)
        assert len(stage.books().periods) == 3 * len(cards) + 2, stage.told()


def live_on(stage):
    """Bill on the next two days."""
    for day in (FEBRUARY, DAY_AFTER):
        stage.bill(day)
        check(stage)
        stage.rest(day)
        check(stage, rested=day)


def come_to_light(stage, *cards):
    """Send notifications, resolve exceptions and bill on; in the end, all periods are paid once."""
    stage.notify(DAY_AFTER)
    stage.rest(DAY_AFTER)
    check(stage, rested=DAY_AFTER)
    stage.send(DAY_AFTER)
    for card in cards:
        stage.accept(card)
    stage.resolve(DAY_AFTER)
    stage.notify(MARCH)
    stage.rest(MARCH)
    check(stage, rested=MARCH)
    stage.send(MARCH)
    check(stage, complete=MARCH)
    assert not audit.not_mailed(stage.books()), stage.told()


def play_by_hand(new_stage, state, deed, truth):
    """Perform a person's action while a charge is in a state, then reveal its outcome and bill for a month."""
    card = f"{STATES[state]}:1"
    with new_stage() as stage:
        stage.sell(dict.fromkeys((card, "ok:2"), FEBRUARY[:10]))
        if state == "under-way":
            with stage.billing_meanwhile(FEBRUARY):
                stage.try_by_hand(FEBRUARY, deed, card)
        else:
            stage.bill(FEBRUARY)
            stage.accept(card)
            stage.try_by_hand(FEBRUARY, deed, card)
        check(stage)
        stage.accept(card)
        stage.rest(FEBRUARY)
        check(stage, rested=FEBRUARY)
        for tell in (stage.notify, stage.resolve) if truth == "notified" else (stage.resolve, stage.notify):
            tell(DAY_AFTER)
            stage.rest(DAY_AFTER)
            check(stage, rested=DAY_AFTER)
        end(stage)


def play_checkout(new_stage, ending, mode):
    """Leave a declined invoice in a checkout; a new charge has an unknown outcome; then the checkout ends."""
    card = "soft-decline:1"
    with new_stage() as stage:
        stage.sell(dict.fromkeys((card, "ok:2"), FEBRUARY[:10]))
        stage.rest(FEBRUARY)
        stage.open_checkout(OPENED, card, "checkout")
        stage.change(card, mode)
        stage.rest(DAY_AFTER)
        assert stage.unknown(card), stage.told()
        check(stage, rested=DAY_AFTER)
        if ENDINGS[ending]:
            stage.check_out(DAY_AFTER, "checkout", ENDINGS[ending])
        wait_and_see(stage, card)


def play_earlier_attempt(new_stage, given_up, mode):
    """Abandon an unknown attempt, make a second one also unknown, then send the notification of the first."""
    card = f"{given_up}:1"
    with new_stage() as stage:
        stage.sell(dict.fromkeys((card, "ok:2"), FEBRUARY[:10]))
        stage.bill(FEBRUARY)
        earlier = stage.books().transactions[0]["reference"]
        stage.change(card, mode)
        stage.try_by_hand(FEBRUARY, "resolve-as-unpaid", card)
        stage.rest(DAY_AFTER)
        check(stage, rested=DAY_AFTER)
        if given_up == "pending":
            assert not stage.unknown(card), stage.told()
        else:
            assert stage.unknown(card) not in ([], [earlier]), stage.told()
        if given_up != "lost":
            stage.notify(DAY_AFTER, earlier)
        wait_and_see(stage, card)


def play_earlier_period(new_stage, outcome):
    """Leave one period pending and the outcome of a later one unknown, then send the notification of the first."""
    card = f"{outcome}:1"
    with new_stage() as stage:
        stage.sell({card: OPENED[:10], "ok:2": FEBRUARY[:10]})
        stage.rest(OPENED)
        [earlier] = [each["reference"] for each in stage.books().transactions]
        stage.change(card, "drop")
        stage.rest(FEBRUARY)
        assert stage.unknown(card), stage.told()
        stage.notify(DAY_AFTER, earlier)
        wait_and_see(stage, card)


def wait_and_see(stage, card):
    """Check that an outcome is still unknown, and reveal it a day later."""
    unknown = stage.unknown(card)
    for day in (DAY_AFTER, NEXT_DAY):
        stage.rest(day)
        check(stage, rested=day)
        assert stage.unknown(card) == unknown, stage.told()
    stage.accept(card)
    for tell in (stage.resolve, stage.notify):
        tell(NEXT_DAY)
        stage.rest(NEXT_DAY)
        check(stage, rested=NEXT_DAY)
    end(stage)


def play_meanwhile(new_stage, mode, deed):
    """Retry two declined periods, and end the subscription during the request for the first."""
    card = "soft-decline:1"
    with new_stage() as stage:
        stage.sell({card: OPENED[:10], "ok:2": FEBRUARY[:10]})
        stage.rest(FEBRUARY)
        stage.change(card, mode)
        with stage.billing_meanwhile(DAY_AFTER):
            stage.try_by_hand(DAY_AFTER, deed, card)
        check(stage)
        stage.accept(card)
        stage.rest(DAY_AFTER)
        check(stage, rested=DAY_AFTER)
        for tell in (stage.notify, stage.resolve):
            tell(DAY_AFTER)
            stage.rest(DAY_AFTER)
            check(stage, rested=DAY_AFTER)
        end(stage)


def end(stage):
    """Bill for a month: in the end, no outcome is unknown, and running subscriptions are billed."""
    stage.rest(MARCH)
    check(stage, rested=MARCH)
    assert not any(order["payment_exception"] for order in stage.books().orders), stage.told()


def play_sender(new_stage, point):
    """Kill the sender between the mails of several invoices; in the end, each was sent once."""
    with new_stage() as stage:
        stage.sell({f"ok:{number}": FEBRUARY[:10] for number in range(4)})
        stage.rest(FEBRUARY)
        for nth in ("1", "3"):
            killed = stage.send(FEBRUARY, {"KILL_AT": point, "KILL_NTH": nth if point != "all-mailed" else "1"})
            assert killed, f"nothing came to {point}"
            check(stage, rested=FEBRUARY)
        for _again in range(3):
            stage.send(FEBRUARY)
        check(stage, complete=FEBRUARY)
        assert not audit.not_mailed(stage.books()), stage.told()


def play_workers(new_stage, kill_at):
    """Bill with workers, while they and their parent are killed."""
    now = datetime.now(timezone.utc)
    today = f"{now:%Y-%m-%d}"
    at = f"{now:%Y-%m-%d %H:%M}"
    with new_stage() as stage:
        stage.sell(dict.fromkeys(("early-ok:0", *(f"slow-ok:{number}" for number in range(5))), today), at)

        def at_rest(books):
            return all(order["payment_exception"] or order["next_invoice_date"] > today for order in books.orders)

        with stage.working(kill_at, at_rest) as kill_parent:
            kill_parent(0 if kill_at == "committed" else 2)
        check(stage)
        stage.rest(at)
        check(stage, rested=at)
        stage.notify(at)
        stage.resolve(at)
        stage.rest(at)
        check(stage, complete=at)
        stage.send(at)
        assert not audit.not_mailed(stage.books()), stage.told()


def play_restart(stage, crash):
    """Crash PostgreSQL in the middle of a charge, and between others."""
    stage.sell({"held-ok:1": OPENED[:10], **{f"slow-ok:{number}": FEBRUARY[:10] for number in range(2, 8)}})
    with stage.billing_meanwhile(FEBRUARY, breaks=True):
        crash()
    check(stage)
    assert stage.unknown("held-ok:1"), stage.told()
    for bookings in (3, 5):
        with stage.billing_meanwhile(FEBRUARY, breaks=True, bookings=bookings):
            crash()
        check(stage)
    live_on(stage)
    come_to_light(stage, "held-ok:1")


def left_behind(stage):
    """Return what exists after the first kill, as in `LEFT_BEHIND`."""
    books = stage.books()
    booked = [line for line in stage.provider.ledger() if line["kind"] == "booked"]
    states = [transaction["state"] for transaction in books.transactions]
    return len(booked), *(states or [None]), any(order["payment_exception"] for order in books.orders)


def play_random(new_stage):
    """Run the same shop with and without kills, and return the totals of both."""
    dice = random.Random(0)
    totals = []
    for kills in (0, KILLS):
        with new_stage() as stage:
            stage.sell({f"ok:{number}": OPENED[:10] for number in range(SUBSCRIPTIONS)})
            while kills:
                kills -= stage.bill(OPENED, kill_after=dice.uniform(0.05, LONGEST))
                check(stage)
            stage.rest(OPENED)
            check(stage, rested=OPENED)
            while stage.resolve(OPENED):
                stage.rest(OPENED)
            check(stage, complete=OPENED)
            totals.append(stage.totals())
    return totals


def check(stage, rested="", complete=""):
    """Compare the provider's ledger with the shop's books.

    :param str rested: the day of the last run, after which there was nothing to do
    :param str complete: the same day, when every card works and every exception is resolved
    """
    ledger, books = stage.provider.ledger(), stage.books()
    found = audit.findings(ledger, stage.runs, books)
    if rested:
        found += audit.unsettled(ledger, books, rested[:10])
    if complete:
        found += audit.incomplete(ledger, books, complete[:10])
    assert not found, "\n".join([*found, "", *stage.told()])
