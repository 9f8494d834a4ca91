"""./dev bench: what work costs beside the least that it could cost, measured in one run.

Seconds say little about another machine. What counts are ratios, and the number of queries.
"""

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from . import cache, console, process, project, workspace
from .console import Stop
from .database import Databases
from .odoo import Odoo
from .workspace import Workspace

SIZES = (200, 1000, 5000, 10000)
_REFERENCE = 1000
_MARKER = "MEASURED "
_OCA = ("odoo-addon-contract", "odoo-addon-subscription-oca")

_FLOOR = "floor: Odoo's create and post"
_BILLING = "billing"
_BAD = "billing, one cannot be invoiced"
_ONE, _TWO = "billing, one process", "billing, two processes"
_SALE = "Odoo's own sales invoicing"

_DATA = """
Due: monthly subscriptions of as many customers, one product line of 100.00 and 15 % tax each, without a payment token.
Done: an invoice each, posted, committed; commits count. The company has the chart of accounts of its country.
Each measurement has a process and a copy of the database to itself, and warms up with 20 invoices that do not count.
Work is processor time, which other programs on the machine disturb less than the time that passes.
"""


class Took(NamedTuple):
    """What one measurement found."""

    due: int
    seconds: float
    cpu: float
    """Seconds that Python worked, in all processes together."""
    database: float
    """Seconds that the database worked for it."""
    queries: int
    kilobytes: int
    """By how much the peak of memory rose."""
    profile: str = ""


class Row(NamedTuple):
    """One way at one size: its measurements."""

    name: str
    took: list[Took]

    @property
    def due(self) -> int:
        return self.took[0].due

    @property
    def each(self) -> float:
        """Milliseconds that an invoice takes."""
        return statistics.median(took.seconds / took.due * 1000 for took in self.took)

    @property
    def cpu(self) -> float:
        """Milliseconds that Python works for an invoice."""
        return statistics.median(took.cpu / took.due * 1000 for took in self.took)

    @property
    def database(self) -> float:
        """Milliseconds that the database works for an invoice; zero if it runs elsewhere."""
        return statistics.median(took.database / took.due * 1000 for took in self.took)

    @property
    def work(self) -> float:
        """Milliseconds of work for an invoice, which do not depend on what else the machine does."""
        return statistics.median((took.cpu + took.database) / took.due * 1000 for took in self.took)

    @property
    def queries(self) -> float:
        return statistics.median(took.queries / took.due for took in self.took)

    @property
    def megabytes(self) -> float:
        return max(took.kilobytes for took in self.took) / 1024


class Budget(NamedTuple):
    """What was promised, and what came of it."""

    text: str
    found: float
    limit: float
    least: bool = False
    """Whether the limit is the least that it may be, rather than the most."""

    @property
    def kept(self) -> bool:
        found, limit = round(self.found, 2), self.limit
        return found >= limit if self.least else found <= limit

    def __str__(self) -> str:
        sign = "≥" if self.least else "≤"
        return f"{'ok' if self.kept else 'OVER':4}  {self.text}: {self.found:.2f} ({sign} {self.limit:g})"


class Report(NamedTuple):
    """All that was measured."""

    rows: list[Row]
    budgets: list[Budget]
    remarks: list[str]

    def __str__(self) -> str:
        widest = max(len(row.name) for row in self.rows)
        floors = {row.due: row for row in self.rows if row.name == _FLOOR}
        lines = [
            f"{'':{widest}}  {'':6}  {'passed, an invoice':>18}  {'worked, an invoice':^38}  {'queries':>7}  {'memory':>8}",
            f"{'':{widest}}  {'due':>6}  {'ms':>9}  {'× floor':>7}  {'Python ms':>10}  {'database ms':>11}  {'× floor':>7}",
        ]
        for row in self.rows:
            floor = floors.get(row.due)
            lines.append(
                f"{row.name:{widest}}  {row.due:6,}  {row.each:9.1f}  {_times(row.each, floor and floor.each)}"
                f"  {row.cpu:10.1f}  {row.database:11.1f}  {_times(row.work, floor and floor.work)}"
                f"  {row.queries:13.1f}  {row.megabytes:5.1f} MB"
            )
        return "\n".join([*lines, "", *map(str, self.budgets), *self.remarks])


def _times(found: float, floor: float | None) -> str:
    return f"{found / floor:7.2f}" if floor else " " * 7


def billing(asked: str | None, repeat: int, peers: bool, profile: bool, strict: bool) -> int:
    """Measure the billing and print what was found; the exit code."""
    sizes = _sizes(asked)
    repeat = max(repeat, 1)
    with workspace.opened("test") as place:
        [[version]] = place.databases.sql("SHOW server_version")
        load = os.getloadavg()[0]
        report = measure(place, sizes, repeat, peers, profile)
        console.line(_DATA)
        console.line(
            f"Python {platform.python_version()}, PostgreSQL {version} as for the tests (without fsync), "
            f"{os.cpu_count()} processors, load {load:.1f} at the start and {os.getloadavg()[0]:.1f} at the end; "
            f"medians of {repeat} at {_reference(sizes):,} due."
        )
        if load > (os.cpu_count() or 1):
            console.line(
                "Other programs were waiting for a processor: the speed of two processes says nothing this time."
            )
        console.line()
        console.line(str(report))
    return 1 if strict and not all(budget.kept for budget in report.budgets) else 0


def measure(place: Workspace, sizes: list[int], repeat: int = 3, peers: bool = False, profile: bool = False) -> Report:
    """Measure the billing at all sizes, and everything else at the one in between."""
    reference = _reference(sizes)
    ours = {_FLOOR: {"way": "floor"}, _BILLING: {"way": "billing"}}
    spoiled = {_BAD: {"way": "billing", "bad": True}}
    shared = {_ONE: {"way": "worker"}, _TWO: {"way": "worker", "together": 2}}
    rows: list[Row] = []
    remarks: list[str] = []
    world = _World(place, place.databases.addon_template()[0], "subscriptions")
    for size in sizes:
        world.grow(size)
        if size != reference:
            rows += _alternating(world, 1, ours)
            continue
        rows += _alternating(world, repeat, {**ours, **spoiled})
        rows += _alternating(world, repeat, shared)
        if profile:
            for label, options in ours.items():
                remarks.append(f"\n{label}\n{world.measure(label, profile=True, **options).profile}")
    world.drop()
    if peers:
        rows.append(_ordinary(place, reference))
        for distribution in _OCA:
            found = _peer(place, distribution, reference)
            (rows if isinstance(found, Row) else remarks).append(found)
    return Report(rows, list(_budgets(rows, reference, sizes[-1])), remarks)


def _sizes(asked: str | None) -> list[int]:
    parts = asked.split(",") if asked else map(str, SIZES)
    sizes = {int(part) if part.isdecimal() else 0 for part in parts}
    if 0 in sizes:
        raise Stop(f"`{asked}` are no sizes: write them as in --sizes 200,1000.")
    return sorted(sizes)


def _reference(sizes: list[int]) -> int:
    return _REFERENCE if _REFERENCE in sizes else min(sizes)


def _budgets(rows: list[Row], reference: int, most: int) -> Iterator[Budget]:
    """What docs and tests promise, as ratios."""
    found = {(row.name, row.due): row for row in rows}
    floor, clean, bad = (found[name, reference] for name in (_FLOOR, _BILLING, _BAD))
    at = f"{reference:,} due"
    yield Budget(f"{at}: work of billing, floor = 1", clean.work / floor.work, 1.10)
    yield Budget(f"{at}: queries of an invoice", clean.queries, 12)
    yield Budget(f"{at}, one cannot be invoiced: work, without it = 1", bad.work / clean.work, 1.3)
    two = found[_ONE, reference].each / found[_TWO, reference].each
    yield Budget(f"{at}: speed of two processes, one = 1", two, 1.8, least=True)
    if most > reference:
        large = found[_BILLING, most]
        yield Budget(f"{most:,} due: work for an invoice, at {at} = 1", large.work / clean.work, 1.10)
        more = (large.megabytes - clean.megabytes) / (most - reference) * 1000
        yield Budget(f"{most:,} due: MB of memory per 1,000 more", more, 2)


class _World:
    """A database in which documents wait to be billed, and copies of it in which they are."""

    def __init__(self, place: Workspace, origin: str, what: str, odoo: Odoo | None = None):
        self.odoo = odoo or place.odoo
        self.databases = Databases(self.odoo)
        self.scratch = place.scratch
        self.what = what
        self.size = 0
        self.name = self.scratch.database(self.databases, origin, f"bench_{what}")

    def grow(self, size: int) -> None:
        """Add documents until there are `size`."""
        code = f"from benchmarks import world; world.build(env, {self.what!r}, {size - self.size}, {not self.size})"
        with console.step(f"Making {size - self.size:,} {self.what.replace('_', ' ')}"):
            self.odoo.script(self.name, code, f"Making {self.what}")
        self.size = size

    def drop(self) -> None:
        """Make room."""
        self.databases.drop(self.name)

    def measure(self, label: str, way: str, together: int = 1, bad: bool = False, profile: bool = False) -> Took:
        """Measure processes, one or several, that begin at the same moment and end when all is billed."""
        copy = self.scratch.database(self.databases, self.name, "bench_run")
        with console.step(f"Measuring {self.size:,} due: {label}"):
            found = self._run(copy, way, together, {"bad": bad, "profile": profile})
        self._check(copy, label, self.size - bad)
        self.databases.drop(copy)
        return Took(
            due=self.size,
            seconds=max(one["ended"] for one in found) - min(one["began"] for one in found),
            cpu=sum(one["cpu"] for one in found),
            # Each process saw the work for all of them.
            database=max(one["database"] for one in found),
            queries=sum(one["queries"] for one in found),
            kilobytes=max(one["kilobytes"] for one in found),
            profile=found[0]["profile"],
        )

    def _run(self, database: str, way: str, together: int, options: dict) -> list[dict]:
        folder = self.odoo.work / f"meeting-{os.urandom(3).hex()}"
        folder.mkdir()
        children = []
        try:
            # One after the other, so that each warms up alone.
            for number in range(together):
                meeting = {"folder": str(folder), "number": number, "last": number == together - 1}
                children.append(_Child(self.odoo, database, way, {**options, "meeting": meeting}, folder, number))
                children[-1].wait_until_ready()
            (folder / "go").touch()
            return [child.result() for child in children]
        finally:
            for child in children:
                child.stop()

    def _check(self, database: str, label: str, expected: int) -> None:
        """Who bills less than all is not fast but wrong."""
        posted = "SELECT count(*), count(DISTINCT partner_id), round(coalesce(sum(amount_total), 0)) FROM account_move"
        due = "state = 'posted' AND partner_id IN (SELECT id FROM res_partner WHERE ref = 'due')"
        [found] = self.databases.sql(f"{posted} WHERE {due}", database)
        if [int(one) for one in found] != [expected, expected, expected * 115]:
            raise Stop(
                f"{label}: {found[0]} invoices for {found[1]} customers, {found[2]}.00 in all, were posted; "
                f"{expected} for as many, {expected * 115}.00 in all, were due."
            )


class _Child:
    """A process of Odoo's that measures itself."""

    def __init__(self, odoo: Odoo, database: str, way: str, options: dict, folder: Path, number: int):
        self.ready = folder / f"ready{number}"
        self.log = cache.log(f"bench-{folder.name}-{number}.log")
        code = f"from benchmarks import measure; measure.run(env, {way!r}, **{options!r})"
        command = odoo.command("-d", database, "--no-http", "--log-level=warn", subcommand="shell")
        with self.log.open("w") as printed:
            self.process = process.start(
                command,
                cwd=project.ROOT,
                env=odoo.variables(),
                stdin=subprocess.PIPE,
                stdout=printed,
                stderr=subprocess.STDOUT,
                text=True,
            )
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
        found = [line for line in printed.splitlines() if line.startswith(_MARKER)]
        if code or not found:
            raise process.explain("The measurement", printed, self.log)
        return json.loads(found[0].removeprefix(_MARKER))

    def stop(self) -> None:
        if self.process.poll() is None:
            process.stop(self.process)


def _alternating(world: _World, repeat: int, ways: dict[str, dict]) -> list[Row]:
    """Measure ways in turn, there and back, so that what else the machine does meets all of them."""
    rows = [Row(label, []) for label in ways]
    for turn in range(repeat):
        for row in rows if turn % 2 == 0 else reversed(rows):
            took = world.measure(row.name, **ways[row.name])
            row.took.append(took)
            one = Row(row.name, [took])
            console.line(f"  an invoice: {one.each:.1f} ms, {one.work:.1f} ms of work, {one.queries:.1f} queries")
    return rows


def _ordinary(place: Workspace, size: int) -> Row:
    """Odoo's own invoicing of ordinary orders, in a database without the addon."""
    world = _World(place, place.databases.base_template(), "orders")
    world.grow(size)
    [row] = _alternating(world, 1, {_SALE: {"way": "sale"}})
    world.drop()
    return row


def _peer(place: Workspace, distribution: str, size: int) -> Row | str:
    """The same work by a community addon that bills subscriptions, or why there is none to compare with."""
    try:
        addons = _fetched(place, distribution)
        [addon] = [path.parent.name for path in addons.glob("*/__manifest__.py")]
        [version] = [path.stem.partition("-")[2] for path in addons.parents[1].glob("*.dist-info")]
        return _measured_peer(place, addons, addon, version, size)
    except Stop as stop:
        return f"{distribution} is left out: {str(stop).splitlines()[-1]}"


def _measured_peer(place: Workspace, addons: Path, addon: str, version: str, size: int) -> Row:
    work = place.odoo.work / addon
    work.mkdir()
    source = place.odoo.source._replace(addons=(*place.odoo.source.addons, addons))
    odoo = Odoo(source, place.odoo.environment, place.odoo.server, place.odoo.data_dir, work)
    world = _World(place, place.databases.base_template(), addon, odoo)
    with console.step(f"Installing {addon} {version}"):
        odoo.install(world.name, [addon])
    world.grow(size)
    [row] = _alternating(world, 1, {f"OCA {addon} {version}": {"way": addon}})
    world.drop()
    return row


def _fetched(place: Workspace, distribution: str) -> Path:
    """The folder of addons that a distribution for this series brings: only to be run, no part of this project."""
    requirement = f"{distribution}=={project.SERIES}.*"

    def build(folder: Path) -> None:
        install = [
            place.odoo.environment.python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-input",
            "--no-deps",
            "--only-binary=:all:",
        ]
        with console.step(f"Fetching {distribution}"):
            process.output([*install, "--target", folder, requirement], f"Fetching {requirement}")

    return cache.made(f"peer-{cache.digest(requirement)}", build, distribution) / "odoo/addons"
