"""The benchmark of the reports measures all of them; how fast this machine is does not matter."""

import re

import pytest

from devtools import bench_reports

SIZE = 60
REPORTS = ["MRR Analysis", "MRR Breakdown", "Churn", "Subscriptions", "Retention, customers", "Retention, MRR"]


@pytest.fixture(scope="module")
def report(place):
    return bench_reports.measure(place, SIZE, repeat=1)


def test_every_report_is_measured_for_who_sees_all_and_who_sees_own_documents(report):
    for user in ("administrator", "own documents"):
        assert [row.name for row in report.rows if row.user == user] == REPORTS
    for row in report.rows:
        assert row.ms > 0 and row.cost > 0 and row.ratio > 0, row
        assert row.statements <= 2, row


def test_each_is_compared_with_the_bare_sum_of_what_it_reads(report):
    sums = {row.table for row in report.rows if not row.is_report}
    assert {row.table for row in report.rows} <= sums
    for row in report.rows:
        assert row.is_report or row.ratio == pytest.approx(1, rel=0.9), row


def test_there_is_as_much_to_report_as_was_asked_for(report):
    assert report.subscriptions == SIZE
    assert report.movements > 2 * SIZE


def test_report_is_a_table_with_a_verdict_on_each(report):
    lines = str(report).splitlines()[2:]
    for row, line in zip(report.rows, lines, strict=True):
        assert line.startswith(row.name)
        assert re.search(r"(ok|OVER 3)$", line) if row.is_report else re.search(r"\d\.\d\d$", line)
