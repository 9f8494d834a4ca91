"""Billing that is killed, at every point and at random, charges nobody twice and forgets no charge.

`./dev test crash` takes every way of answering and every point to die at; a plain `./dev test` takes some of them.
"""

import contextlib
import itertools
import os
import queue
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from devtools.database import Databases
from testing.crash import audit
from testing.crash.stage import ADDONS, OPENED, Prefork, Stage
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
MODES_AND_POINTS = (
    [
        *itertools.product([mode for mode in MODES if mode not in ALIKE], LEFT_BEHIND),
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
SUBSCRIPTIONS, KILLS, LONGEST = (200, 50, 1.6) if THOROUGH else (6, 3, 0.8)
"""How many are sold, how often a process is killed, and after how many seconds at the most."""
# Two periods are due in February. What was declined is tried again the day after. A third period is due in March.
FEBRUARY, DAY_AFTER, MARCH = "2027-02-28 12:00", "2027-03-01 12:00", "2027-03-31 12:00"


@pytest.fixture(scope="module")
def databases(place):
    """The databases of an Odoo that knows the fake provider's addon."""
    return Databases(place.odoo.with_addons(ADDONS))


@pytest.fixture(scope="module")
def shop(databases):
    """A template: a shop that can be paid by the fake provider and has sold nothing yet."""
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
    """What becomes of each test that is to run, as a future: two shops work at once, for machines have two cores."""
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
        plays = {"test_a_killed_charge_is_never_repeated": play_kill, "test_random_kills_change_no_total": play_random}
        cases = {
            item.name: (plays[item.originalname], item.callspec.params if hasattr(item, "callspec") else {})
            for item in request.session.items
            if item.originalname in plays
        }
        # The longest first, so that it does not keep everybody waiting in the end.
        yield {
            name: pool.submit(play, new_stage, **params)
            for name, (play, params) in sorted(cases.items(), key=lambda case: len(case[1][1]))
        }


@pytest.mark.parametrize(("mode", "point"), MODES_AND_POINTS)
def test_a_killed_charge_is_never_repeated(request, played, mode, point):
    """A process dies at a point; others take over, then the provider, a person and time do their part."""
    played[request.node.name].result()


def test_random_kills_change_no_total(request, played):
    """Killed again and again, a shop comes to the same invoices, periods and charges as one that never was."""
    clean, killed = played[request.node.name].result()
    assert clean == killed
    assert clean["periods"] == clean["charges"] == SUBSCRIPTIONS


def play_kill(new_stage, mode, point):
    """Let a process die while it charges a card that is treated in a way, and all others do what they can."""
    card = f"{mode}:1"
    with new_stage() as stage:
        stage.sell({card: OPENED[:10], "ok:2": FEBRUARY[:10]})
        with stage.open_for_notifications(FEBRUARY):
            assert stage.bill(FEBRUARY, {"KILL_AT": point}), f"nothing came to {point}"
            assert mode != "ok" or left_behind(stage) == LEFT_BEHIND[point], stage.told()
            check(stage)
            for day in (FEBRUARY, DAY_AFTER):
                stage.rest(day)
                check(stage, rested=day)
        stage.notify(DAY_AFTER)
        stage.rest(DAY_AFTER)
        check(stage, rested=DAY_AFTER)
        stage.send(DAY_AFTER)
        stage.mend(card)
        stage.resolve(DAY_AFTER)
        stage.notify(MARCH)
        stage.rest(MARCH)
        check(stage, rested=MARCH)
        stage.send(MARCH)
        check(stage, complete=MARCH)
        books = stage.books()
        assert not audit.not_mailed(books), stage.told()
        assert len(books.periods) == 5, stage.told()


def left_behind(stage):
    """What is there after the first kill, as in `LEFT_BEHIND`."""
    books = stage.books()
    booked = [line for line in stage.provider.ledger() if line["kind"] == "booked"]
    states = [transaction["state"] for transaction in books.transactions]
    return len(booked), *(states or [None]), any(order["payment_exception"] for order in books.orders)


def play_random(new_stage):
    """Run the same shop without a kill and with many; what both come to."""
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
    :param str complete: that, when every card is good and every exception resolved
    """
    ledger, books = stage.provider.ledger(), stage.books()
    found = audit.findings(ledger, stage.runs, books)
    if rested:
        found += audit.unsettled(ledger, books, rested[:10])
    if complete:
        found += audit.incomplete(ledger, books, complete[:10])
    assert not found, "\n".join([*found, "", *stage.told()])
