"""The benchmark measures everything that it promises to; how fast this machine is does not matter."""

import re

import pytest

from devtools import bench
from devtools.console import Stop

DUE = 12


@pytest.fixture(scope="module")
def report(place):
    return bench.measure(place, [DUE], repeat=1)


def test_every_way_to_bill_is_measured(report):
    assert [row.name for row in report.rows] == [
        "floor: Odoo's create and post",
        "billing",
        "billing, one cannot be invoiced",
        "billing, one process",
        "billing, two processes",
    ]
    for row in report.rows:
        assert row.due == DUE
        assert row.each > 0 and row.cpu > 0, row
        assert row.queries > 1, row


def test_every_promise_is_compared_with_what_was_found(report):
    assert [budget.limit for budget in report.budgets] == [1.10, 12, 1.3, 1.8]


def test_report_is_a_table_and_a_line_for_each_promise(report):
    lines = str(report).splitlines()
    numbers = r"  +12" + 6 * r" +[\d.]+" + r" +[\d.]+ MB$"
    for row, line in zip(report.rows, lines[2:], strict=False):
        assert re.match(re.escape(row.name) + numbers, line), line
    assert all(re.match(r"(ok|OVER) +12 due", line) for line in lines[-len(report.budgets) :]), lines


def test_larger_sizes_are_compared_with_the_one_in_between():
    def row(name, due, each, megabytes):
        return bench.Row(
            name, [bench.Took(due, each * due / 1000, each * due / 1000, 0, 9 * due, int(megabytes * 1024))]
        )

    names = ("floor: Odoo's create and post", "billing", "billing, one cannot be invoiced")
    names += ("billing, one process", "billing, two processes")
    rows = [*(row(name, 1000, 20, 5) for name in names), row("billing", 10_000, 30, 41)]
    budgets = list(bench._budgets(rows, 1000, 10_000))
    assert [str(budget) for budget in budgets[-2:]] == [
        "OVER  10,000 due: work for an invoice, at 1,000 due = 1: 1.50 (≤ 1.1)",
        "OVER  10,000 due: MB of memory per 1,000 more: 4.00 (≤ 2)",
    ]
    assert [budget.kept for budget in budgets] == [True, True, True, False, False, False]


@pytest.mark.parametrize("asked", ["many", "0", ",", "-5", "1,000", "200,many"])
def test_sizes_that_are_none_are_refused(asked):
    with pytest.raises(Stop, match="no sizes"):
        bench._sizes(asked)


def test_sizes_are_measured_from_the_smallest():
    assert bench._sizes("1000,200,1000") == [200, 1000]
    assert bench._sizes(None) == list(bench.SIZES)
