"""The report benchmark measures all reports; the speed of the machine does not matter."""

import re

import pytest

from devtools import bench_reports

SIZE = 60
REPORTS = ["MRR Analysis", "MRR Breakdown", "Churn", "Subscriptions", "Retention, customers", "Retention, MRR"]
TABLES = ["sale_subscription_movement", "sale_order_line", "sale_subscription_report"]


@pytest.fixture(scope="module")
def report(place):
    return bench_reports.measure(place, SIZE, repeat=1)


def test_bare_sums_and_all_reports_are_measured(report):
    bare = [row for row in report.rows if "user" not in row]
    assert [row["report"] for row in bare] == [f"sum() of {table}" for table in TABLES]
    for user in ("administrator", "own documents"):
        assert [row["report"] for row in report.rows if row.get("user") == user] == REPORTS
    for row in report.rows:
        assert row["ms"] > 0 and row["cost"] > 0 and row["× sum()"] > 0, row
        assert row["queries"] <= 2, row


def test_there_are_as_many_subscriptions_as_requested(report):
    found = re.match(r"(\d+) subscriptions, (\d+) movements$", report.title)
    assert int(found[1]) == SIZE
    assert int(found[2]) > 2 * SIZE


def test_each_report_has_a_limit(report):
    assert [limit.limit for limit in report.limits] == [3] * 2 * len(REPORTS)
    lines = str(report).splitlines()
    assert [line for line in lines if line.startswith(("ok  ", "OVER  "))] == list(map(str, report.limits))
