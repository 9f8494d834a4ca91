"""The billing benchmark measures everything that it has limits for; the speed of the machine does not matter."""

import re

import pytest

from devtools import bench, bench_billing
from devtools.console import Stop

DUE = 12
ROWS = [
    "floor: Odoo's create and post",
    "billing",
    "billing, one cannot be invoiced",
    "billing, one process",
    "billing, two processes",
]


@pytest.fixture(scope="module")
def report(place):
    return bench_billing.measure(place, [DUE], repeat=1)


def test_every_method_is_measured(report):
    assert [row[""] for row in report.rows] == ROWS
    for row in report.rows:
        assert row["due"] == DUE
        assert row["time ms"] > 0 and row["Python ms"] > 0, row
        assert row["queries"] > 1, row


def test_every_limit_is_compared_with_a_figure(report):
    assert [limit.limit for limit in report.limits] == [1.10, 12, 1.3, 1.8]


def test_report_is_a_table_and_a_line_for_each_limit(report):
    lines = str(report).splitlines()
    for row, line in zip(report.rows, lines[3:], strict=False):
        assert re.match(re.escape(row[""]) + r"  +12" + 7 * r" +[\d.]+" + "$", line), line
    assert [line for line in lines if line.startswith(("ok  ", "OVER  "))] == list(map(str, report.limits))


def test_larger_sizes_are_compared_with_the_one_in_between():
    def row(name, due, each, megabytes):
        return {"": name, "due": due, "time ms": each, "work ms": each, "queries": 9, "memory MB": megabytes}

    rows = [*(row(name, 1000, 20, 5) for name in ROWS), row("billing", 10_000, 30, 41)]
    limits = list(bench_billing._limits(rows, 1000, 10_000))
    assert [str(limit) for limit in limits[-2:]] == [
        "OVER  10,000 due: work for an invoice, at 1,000 due = 1: 1.50 (≤ 1.1)",
        "OVER  10,000 due: MB of memory per 1,000 more: 4.00 (≤ 2)",
    ]
    assert [limit.kept for limit in limits] == [True, True, True, False, False, False]


@pytest.mark.parametrize("asked", ["many", "0", ",", "-5", "1,000", "200,many"])
def test_an_invalid_size_is_refused(asked):
    with pytest.raises(Stop, match="no sizes"):
        bench.sizes(asked, (1,))


def test_sizes_are_measured_from_the_smallest():
    assert bench.sizes("1000,200,1000", (1,)) == [200, 1000]
    assert bench.sizes(None, (100, 50)) == [50, 100]
