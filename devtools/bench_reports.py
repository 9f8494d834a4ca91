"""./dev bench reports: what the reports cost beside a bare sum of the table that they read."""

import json
import os
import platform
from typing import NamedTuple

from . import bench, console, workspace
from .database import Databases
from .workspace import Workspace

SIZE = 100_000
LIMIT = 3
_MARKER = "MEASURED "

_DATA = """
Confirmed subscriptions with a line each, of half as many customers and 20 salespeople, and three years of MRR movements: a
start, a change every four months, a close of every fifth. The reports are asked for as their views do, through the ORM,
with warm caches, in turn with the bare sum: the best turn counts. Cost is what PostgreSQL expects of the largest statement.
"""


class Row(NamedTuple):
    """One report, as one user sees it, or the bare sum of a table."""

    name: str
    user: str
    table: str
    ms: float
    cost: float
    statements: int
    ratio: float

    @property
    def is_report(self) -> bool:
        return bool(self.user)

    @property
    def kept(self) -> bool:
        return round(self.ratio, 2) <= LIMIT


class Report(NamedTuple):
    """All that was measured."""

    subscriptions: int
    movements: int
    rows: list[Row]

    def __str__(self) -> str:
        lines = [
            f"{self.subscriptions:,} subscriptions, {self.movements:,} movements",
            f"{'':36}  {'':13}  {'ms':>8}  {'cost':>8}  {'queries':>7}  {'× sum()':>7}",
        ]
        for row in self.rows:
            verdict = ("ok" if row.kept else f"OVER {LIMIT}") if row.is_report else ""
            lines.append(
                f"{row.name:36}  {row.user:13}  {row.ms:8.1f}  {row.cost:8.0f}  {row.statements:7}  {row.ratio:7.2f}"
                f"  {verdict}".rstrip()
            )
        return "\n".join(lines)


def run(asked: str | None, repeat: int, strict: bool) -> int:
    """Measure the reports and print what was found; the exit code."""
    kept = True
    with workspace.opened("test") as place:
        [[version]] = place.databases.sql("SHOW server_version")
        console.line(_DATA)
        for size in bench._sizes(asked) if asked else [SIZE]:
            report = measure(place, size, repeat)
            kept &= all(row.kept for row in report.rows if row.is_report)
            console.line(str(report))
        console.line(
            f"Python {platform.python_version()}, PostgreSQL {version}, {os.cpu_count()} processors, "
            f"load {os.getloadavg()[0]:.1f} at the end."
        )
    return 1 if strict and not kept else 0


def measure(place: Workspace, size: int, repeat: int = 3) -> Report:
    """Make so many subscriptions in a database of their own, and measure each report."""
    databases = Databases(place.odoo)
    name = place.scratch.database(databases, databases.addon_template()[0], "bench_reports")
    with console.step(f"Making {size:,} subscriptions"):
        place.odoo.script(name, f"from benchmarks import reports; reports.build(env, {size})", "Making subscriptions")
    with console.step("Measuring the reports"):
        code = f"from benchmarks import reports; reports.measure(env, {max(repeat, 1)})"
        printed = place.odoo.script(name, code, "Measuring the reports")
    databases.drop(name)
    [line] = [line for line in printed.splitlines() if line.startswith(_MARKER)]
    found = json.loads(line.removeprefix(_MARKER))
    return Report(found["subscriptions"], found["movements"], [Row(**row) for row in found["rows"]])
