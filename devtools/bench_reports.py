"""./dev bench reports: what the reports cost, compared with a bare sum of the table that they read."""

from collections.abc import Iterator

from benchmarks import answer

from . import bench, console
from .bench import Limit, Report
from .database import Databases
from .workspace import Workspace

SIZES = (100_000,)
LIMIT = 3
COLUMNS = {"report": "", "user": "", "ms": ".1f", "cost": ".0f", "queries": "d", "× sum()": ".2f"}

_ABOUT = """
Confirmed subscriptions with a line each, of half as many customers and 20 salespeople, and three years of MRR movements:
a start, a change every four months, and a close of every fifth. Each report is read as its view reads it, through the
ORM, with warm caches, in turn with the bare sum; the best turn counts. Cost is what PostgreSQL estimates for the largest
statement.
"""


def run(asked: str | None, repeat: int, strict: bool) -> int:
    """Measure the reports and print the figures; return the exit code."""
    sizes = bench.sizes(asked, SIZES)

    def reports(place: Workspace) -> Iterator[Report]:
        for size in sizes:
            yield measure(place, size, repeat)

    return bench.run(reports, _ABOUT, strict)


def measure(place: Workspace, size: int, repeat: int = 3) -> Report:
    """Make a database with `size` subscriptions, and measure each report in it."""
    databases = Databases(place.odoo)
    name = place.scratch.database(databases, databases.addon_template()[0], "bench_reports")
    with console.step(f"Making {size:,} subscriptions"):
        place.odoo.script(name, f"from benchmarks import reports; reports.build(env, {size})", "Making subscriptions")
    with console.step("Measuring the reports"):
        code = f"from benchmarks import reports; reports.measure(env, {max(repeat, 1)})"
        found = answer.read(place.odoo.script(name, code, "Measuring the reports"))
    databases.drop(name)
    limits = [
        Limit(f"{row['report']}, {row['user']}: time, bare sum = 1", row["× sum()"], LIMIT)
        for row in found["rows"]
        if "user" in row
    ]
    title = f"{found['subscriptions']:,} subscriptions, {found['movements']:,} movements"
    return Report(title, COLUMNS, found["rows"], limits, [])
