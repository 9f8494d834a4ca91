"""What holds of the dates of periods for any anchor, interval and day."""

import importlib.util
from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from devtools import project


def _load(name):
    """Load a module of pure functions from its file: neither Odoo nor a database is needed."""
    spec = importlib.util.spec_from_file_location(name, project.ROOT / project.ADDON / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


recurrence = _load("recurrence")
mrr = _load("mrr")

days = st.dates(date(1990, 1, 1), date(2200, 12, 31))
month_ends = st.builds(
    lambda year, month, back: date(year + month // 12, month % 12 + 1, 1) - timedelta(days=back),
    st.sampled_from([*range(2020, 2032), *range(2096, 2105)]),
    st.integers(0, 11),
    st.integers(1, 4),
)
anchors = days | month_ends
intervals = st.tuples(st.integers(1, 12), st.sampled_from(recurrence.UNITS))
indexes = st.integers(-60, 120)


@given(anchors, indexes, intervals)
@settings(max_examples=2000, deadline=None)
def test_periods_tile(anchor, index, interval):
    start = recurrence.period_start(anchor, index, *interval)
    end = recurrence.period_start(anchor, index + 1, *interval)
    assert start < end
    assert recurrence.period_index(anchor, start, *interval) == index
    assert recurrence.period_index(anchor, end - timedelta(days=1), *interval) == index
    assert recurrence.next_start(anchor, start, *interval) == end


@given(anchors, days, intervals)
@settings(max_examples=2000, deadline=None)
def test_every_day_lies_in_one_period(anchor, day, interval):
    index = recurrence.period_index(anchor, day, *interval)
    assert recurrence.period_start(anchor, index, *interval) <= day
    assert day < recurrence.period_start(anchor, index + 1, *interval)


@given(anchors, indexes, intervals)
@settings(max_examples=2000, deadline=None)
def test_no_drift_from_the_day_of_the_anchor(anchor, index, interval):
    value, unit = interval
    start = recurrence.period_start(anchor, index, value, unit)
    if unit == "week":
        assert start.weekday() == anchor.weekday()
    else:
        month_end = start.day < anchor.day
        assert not month_end or (start + timedelta(days=1)).month != start.month
        assert start.day <= anchor.day


@given(anchors, st.integers(0, 60), st.integers(1, 12))
@settings(max_examples=1000, deadline=None)
def test_a_year_is_twelve_months(anchor, years, value):
    by_year = recurrence.period_start(anchor, years, value, "year")
    assert by_year == recurrence.period_start(anchor, years, 12 * value, "month")
    assert mrr.monthly_factor(value, "year") == mrr.monthly_factor(12 * value, "month")


@given(st.decimals(0, 10**9, places=2), intervals)
@settings(max_examples=1000, deadline=None)
def test_monthly_value_pays_the_period_back(amount, interval):
    value, unit = interval
    monthly = mrr.monthly_amount(float(amount), value, unit)
    assert abs(monthly * value * float(mrr.MONTHS_PER_UNIT[unit]) - float(amount)) <= 1e-9 * max(1.0, float(amount))
