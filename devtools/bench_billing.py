"""./dev bench billing: what billing costs, compared with Odoo's own create and post of equal invoices."""

import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks import answer

from . import bench, cache, console, process, project
from .bench import Limit, Report
from .console import Stop
from .database import Databases
from .odoo import Odoo
from .workspace import Workspace

SIZES = (200, 1000, 5000, 10000)
COLUMNS = {
    "": "",
    "due": ",",
    "time ms": ".1f",
    "× floor": ".2f",
    "Python ms": ".1f",
    "database ms": ".1f",
    "work × floor": ".2f",
    "queries": ".1f",
    "memory MB": ".1f",
}
_REFERENCE = 1000
_OCA = ("odoo-addon-contract", "odoo-addon-subscription-oca")

FLOOR = "floor: Odoo's create and post"
BILLING = "billing"
BAD = "billing, one cannot be invoiced"
ONE, TWO = "billing, one process", "billing, two processes"
_SALE = "Odoo's own sales invoicing"

_ABOUT = """
Time, work and queries are for one invoice, memory is for all. Work is processor time of Python and the database: other
programs on the machine disturb it less than the time that passes.
Due are monthly subscriptions of as many customers, each with one product line of 100.00, 15 % tax and no payment token. At
the end each has a posted and committed invoice. The company has the chart of accounts of its country.
Each measurement has its own process and its own copy of the database, and warms up with 20 invoices that do not count.
"""


class Took(NamedTuple):
    """The figures of one measurement."""

    due: int
    seconds: float
    cpu: float
    """Processor seconds of Python, in all processes together."""
    database: float
    """Processor seconds of the database; zero if it runs on another machine."""
    queries: int
    kilobytes: int
    """The rise of the peak of memory."""
    profile: str = ""


def run(asked: str | None, repeat: int, peers: bool, profile: bool, strict: bool) -> int:
    """Measure the billing and print the figures; return the exit code."""
    sizes = bench.sizes(asked, SIZES)
    return bench.run(lambda place: [measure(place, sizes, repeat, peers, profile)], _ABOUT, strict)


def measure(place: Workspace, sizes: list[int], repeat: int = 3, peers: bool = False, profile: bool = False) -> Report:
    """Measure the billing at all sizes, and everything else at 1,000 or, without it, at the smallest."""
    busy = os.getloadavg()[0] > (os.cpu_count() or 1)
    repeat = max(repeat, 1)
    reference = _REFERENCE if _REFERENCE in sizes else sizes[0]
    ours = {FLOOR: {"method": "floor"}, BILLING: {"method": "billing"}}
    with_bad = {**ours, BAD: {"method": "billing", "bad": True}}
    shared = {ONE: {"method": "worker"}, TWO: {"method": "worker", "processes": 2}}
    rows: list[dict] = []
    remarks: list[str] = []
    data = _Data(place, place.odoo, place.databases.addon_template()[0], "subscriptions")
    for size in sizes:
        data.grow(size)
        if size != reference:
            rows += _alternating(data, 1, ours)
            continue
        rows += _alternating(data, repeat, with_bad) + _alternating(data, repeat, shared)
        if profile:
            for label, options in ours.items():
                remarks.append(f"\n{label}\n{data.measure(label, profile=True, **options).profile}")
    data.drop()
    if peers:
        rows += _measure_alone(place, place.odoo, "orders", reference, _SALE, "sale")
        for distribution in _OCA:
            try:
                rows += _measure_peer(place, distribution, reference)
            except Stop as stop:
                remarks.append(f"{distribution} is left out: {str(stop).splitlines()[-1]}")
    if busy:
        remarks.append("Other programs waited for a processor: ignore the speed of two processes this time.")
    floors = {row["due"]: row for row in rows if row[""] == FLOOR}
    for row in rows:
        if row["due"] in floors:
            row["× floor"] = row["time ms"] / floors[row["due"]]["time ms"]
            row["work × floor"] = row["work ms"] / floors[row["due"]]["work ms"]
    title = f"Medians of {repeat} at {reference:,} due"
    return Report(title, COLUMNS, rows, list(_limits(rows, reference, sizes[-1])), remarks)


def _row(name: str, took: list[Took]) -> dict:
    """Make a row of the table from one or more measurements."""

    def median(*figures: str) -> float:
        return statistics.median(sum(getattr(one, figure) for figure in figures) / one.due for one in took)

    return {
        "": name,
        "due": took[0].due,
        "time ms": median("seconds") * 1000,
        "Python ms": median("cpu") * 1000,
        "database ms": median("database") * 1000,
        "work ms": median("cpu", "database") * 1000,
        "queries": median("queries"),
        "memory MB": max(one.kilobytes for one in took) / 1024,
    }


def _limits(rows: list[dict], reference: int, most: int) -> Iterator[Limit]:
    """Hold the rows to the limits that the guide for operators documents."""
    found = {(row[""], row["due"]): row for row in rows}
    floor, clean, bad = (found[name, reference] for name in (FLOOR, BILLING, BAD))
    at = f"{reference:,} due"
    yield Limit(f"{at}: work of billing, floor = 1", clean["work ms"] / floor["work ms"], 1.10)
    yield Limit(f"{at}: queries of an invoice", clean["queries"], 12)
    yield Limit(f"{at}, one cannot be invoiced: work, without it = 1", bad["work ms"] / clean["work ms"], 1.3)
    speed = found[ONE, reference]["time ms"] / found[TWO, reference]["time ms"]
    yield Limit(f"{at}: speed of two processes, one = 1", speed, 1.8, at_least=True)
    if most > reference:
        large = found[BILLING, most]
        yield Limit(f"{most:,} due: work for an invoice, at {at} = 1", large["work ms"] / clean["work ms"], 1.10)
        more = (large["memory MB"] - clean["memory MB"]) / (most - reference) * 1000
        yield Limit(f"{most:,} due: MB of memory per 1,000 more", more, 2)


class _Data:
    """A database with documents that wait to be billed. Each measurement bills them in a copy."""

    def __init__(self, place: Workspace, odoo: Odoo, origin: str, kind: str):
        self.odoo = odoo
        self.databases = Databases(odoo)
        self.scratch = place.scratch
        self.kind = kind
        self.size = 0
        self.name = self.scratch.database(self.databases, origin, f"bench_{kind}")

    def grow(self, size: int) -> None:
        """Add documents until there are `size`."""
        code = f"from benchmarks import data; data.build(env, {self.kind!r}, {size - self.size}, {not self.size})"
        with console.step(f"Making {size - self.size:,} {self.kind.replace('_', ' ')}"):
            self.odoo.script(self.name, code, f"Making {self.kind}")
        self.size = size

    def drop(self) -> None:
        """Drop the database, which makes room."""
        self.databases.drop(self.name)

    def measure(self, label: str, method: str, processes: int = 1, **options: bool) -> Took:
        """Bill in one process or several, which start at the same moment."""
        copy = self.scratch.database(self.databases, self.name, "bench_run")
        with console.step(f"Measuring {self.size:,} due: {label}"):
            found = self._run(copy, method, processes, options)
        self._check(copy, label, self.size - options.get("bad", False))
        self.databases.drop(copy)
        return Took(
            due=self.size,
            seconds=max(one["ended"] for one in found) - min(one["began"] for one in found),
            cpu=sum(one["cpu"] for one in found),
            # Each process counts the work of the database for all of them.
            database=max(one["database"] for one in found),
            queries=sum(one["queries"] for one in found),
            kilobytes=max(one["kilobytes"] for one in found),
            profile=found[0]["profile"],
        )

    def _run(self, database: str, method: str, processes: int, options: dict) -> list[dict]:
        folder = self.odoo.work / f"start-{os.urandom(3).hex()}"
        folder.mkdir()
        children = []
        try:
            # One after the other, so that each warms up alone.
            for number in range(processes):
                start = {"folder": str(folder), "number": number, "last": number == processes - 1}
                children.append(_Process(self.odoo, database, method, {**options, "start": start}))
                children[-1].wait_until_ready()
            (folder / "go").touch()
            return [child.result() for child in children]
        finally:
            for child in children:
                child.stop()

    def _check(self, database: str, label: str, expected: int) -> None:
        """Check that all was billed: whatever bills less is wrong, not fast."""
        posted = "SELECT count(*), count(DISTINCT partner_id), round(coalesce(sum(amount_total), 0)) FROM account_move"
        due = "state = 'posted' AND partner_id IN (SELECT id FROM res_partner WHERE ref = 'due')"
        [found] = self.databases.sql(f"{posted} WHERE {due}", database)
        if [int(one) for one in found] != [expected, expected, expected * 115]:
            raise Stop(
                f"{label}: {found[0]} invoices for {found[1]} customers, {found[2]}.00 in all, were posted; "
                f"{expected} for as many, {expected * 115}.00 in all, were due."
            )


class _Process:
    """A process of Odoo that bills and measures itself."""

    def __init__(self, odoo: Odoo, database: str, method: str, options: dict):
        folder, number = Path(options["start"]["folder"]), options["start"]["number"]
        self.ready = folder / f"ready{number}"
        self.log = cache.log(f"bench-{folder.name}-{number}.log")
        code = f"from benchmarks import billing; billing.measure(env, {method!r}, **{options!r})"
        command = odoo.command("-d", database, "--no-http", "--log-level=warn", subcommand="shell")
        self.process = odoo.start(command, self.log, stdin=subprocess.PIPE)
        self.process.stdin.write(code)
        self.process.stdin.close()

    def wait_until_ready(self) -> None:
        while not self.ready.exists():
            if self.process.poll() is not None:
                self.result()
            time.sleep(0.01)

    def result(self) -> dict:
        code = self.process.wait()
        printed = self.log.read_text(errors="replace")
        found = answer.read(printed)
        if code or not found:
            raise process.explain("The measurement", printed, self.log)
        return found

    def stop(self) -> None:
        if self.process.poll() is None:
            process.stop(self.process)


def _alternating(data: _Data, repeat: int, ways: dict[str, dict]) -> list[dict]:
    """Measure several ways in turn, there and back, so that other programs on the machine disturb all of them alike."""
    took: dict[str, list[Took]] = {label: [] for label in ways}
    for turn in range(repeat):
        for label in ways if turn % 2 == 0 else reversed(ways):
            took[label].append(data.measure(label, **ways[label]))
            one = _row(label, took[label][-1:])
            console.line(
                "  an invoice: {time ms:.1f} ms, {work ms:.1f} ms of work, {queries:.1f} queries".format(**one)
            )
    return [_row(label, found) for label, found in took.items()]


def _measure_alone(place: Workspace, odoo: Odoo, kind: str, size: int, label: str, method: str) -> list[dict]:
    """Measure another way to bill, in a database without the addon."""
    data = _Data(place, odoo, place.databases.base_template(), kind)
    if kind == method:
        with console.step(f"Installing {label}"):
            odoo.install(data.name, [kind])
    data.grow(size)
    rows = _alternating(data, 1, {label: {"method": method}})
    data.drop()
    return rows


def _measure_peer(place: Workspace, distribution: str, size: int) -> list[dict]:
    """Measure a community addon that bills subscriptions."""
    addons = _fetched(place, distribution)
    [addon] = [path.parent.name for path in addons.glob("*/__manifest__.py")]
    [version] = [path.stem.partition("-")[2] for path in addons.parents[1].glob("*.dist-info")]
    odoo = place.odoo.without_addon(addons)
    return _measure_alone(place, odoo, addon, size, f"OCA {addon} {version}", addon)


def _fetched(place: Workspace, distribution: str) -> Path:
    """Return the folder of the addons in a distribution for this series. They are only run, no part of this project."""
    requirement = f"{distribution}=={project.SERIES}.*"

    def build(folder: Path) -> None:
        pip = [place.odoo.environment.python, "-m", "pip", "install", "--quiet", "--no-input", "--no-deps"]
        with console.step(f"Fetching {distribution}"):
            command = [*pip, "--only-binary=:all:", "--target", folder, requirement]
            process.output(command, f"Fetching {requirement}")

    return cache.made(f"peer-{cache.digest(requirement)}", build, distribution) / "odoo/addons"
