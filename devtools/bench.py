"""What the benchmarks of ./dev bench share: sizes, limits, the report, and the answers of Odoo's processes.

Seconds say little about another machine. Ratios within one run, and numbers of queries, do.
"""

import os
import platform
from collections.abc import Callable, Iterable
from typing import NamedTuple

from . import console, workspace
from .console import Stop
from .workspace import Workspace


class Limit(NamedTuple):
    """A figure that was found, and the limit that is documented for it."""

    text: str
    found: float
    limit: float
    at_least: bool = False
    """Whether the figure may be larger rather than smaller."""

    @property
    def kept(self) -> bool:
        found = round(self.found, 2)
        return found >= self.limit if self.at_least else found <= self.limit

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        return f"{'ok' if self.kept else 'OVER':4}  {self.text}: {self.found:.2f} ({sign} {self.limit:g})"


class Report(NamedTuple):
    """A table, and the limits that its figures are held to."""

    title: str
    columns: dict[str, str]
    """The formats of the columns, by their titles. A column without a format is text."""
    rows: list[dict]
    limits: list[Limit]
    remarks: list[str]

    def __str__(self) -> str:
        lines = [list(self.columns)]
        for row in self.rows:
            lines.append([format(row[key], form) if key in row else "" for key, form in self.columns.items()])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = [
            "  ".join(
                cell.rjust(width) if form else cell.ljust(width)
                for cell, width, form in zip(line, widths, self.columns.values(), strict=True)
            ).rstrip()
            for line in lines
        ]
        return "\n".join([self.title, "", *table, "", *map(str, self.limits), *self.remarks])


def run(measure: Callable[[Workspace], Iterable[Report]], about: str, strict: bool) -> int:
    """Print the reports; return the exit code, which `strict` makes 1 when a limit is passed."""
    kept = True
    with workspace.opened("test") as place:
        [[version]] = place.databases.sql("SHOW server_version")
        load = os.getloadavg()[0]
        for report in measure(place):
            console.line(f"\n{report}")
            kept = kept and all(limit.kept for limit in report.limits)
        console.line(about.rstrip())
        console.line(
            f"Python {platform.python_version()}, PostgreSQL {version} as for the tests (without fsync), "
            f"{os.cpu_count()} processors, load {load:.1f} at the start and {os.getloadavg()[0]:.1f} at the end."
        )
    return 1 if strict and not kept else 0


def sizes(asked: str | None, default: tuple[int, ...]) -> list[int]:
    """Read a list of sizes, as in `200,1000`."""
    parts = asked.split(",") if asked else map(str, default)
    found = {int(part) if part.isdecimal() else 0 for part in parts}
    if 0 in found:
        raise Stop(f"`{asked}` are no sizes: write them as in --sizes 200,1000.")
    return sorted(found)
