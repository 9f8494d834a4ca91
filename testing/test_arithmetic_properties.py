"""Properties of the arithmetic of periods, prices and the ledger, for any values."""

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
ledger = _load("ledger")

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


RATES = {"EUR": 1.0, "USD": 1.25, "JPY": 160.0}
DIGITS = {"EUR": 2, "USD": 2, "JPY": 0}
currencies = st.sampled_from(sorted(RATES))
entries = st.builds(
    ledger.Entry,
    currencies,
    st.integers(-(10**6), 10**6).map(float),
    st.integers(-(10**8), 10**8).map(lambda cents: cents / 100),
)
markets = st.builds(
    lambda factor: ledger.Market(
        home="EUR",
        round=lambda amount, currency: round(amount, DIGITS[currency]),
        convert=lambda amount, source, target: round(
            amount
            / (RATES[source] if source == "EUR" else RATES[source] * factor)
            * (RATES[target] if target == "EUR" else RATES[target] * factor),
            DIGITS[target],
        ),
    ),
    st.floats(0.5, 2),
)


@given(st.lists(entries, max_size=6), st.integers(0, 10**6).map(float), currencies, markets)
@settings(max_examples=2000, deadline=None)
def test_entries_bring_a_ledger_to_exactly_the_amount(before, amount, currency, market):
    balance = ledger.Balance.of(before).rounded(market)
    exchanged, change = balance.entries_to(amount, currency, market)
    after = balance.plus([*exchanged, change]).rounded(market)
    assert after[currency][0] == amount
    assert all(after[other] == ledger.NOTHING for other in RATES if other != currency)


@given(st.lists(entries, max_size=6), st.integers(0, 10**6).map(float), currencies, markets)
@settings(max_examples=2000, deadline=None)
def test_change_has_the_value_of_its_day(before, amount, currency, market):
    balance = ledger.Balance.of(before).rounded(market)
    exchanged, change = balance.entries_to(amount, currency, market)
    if change.amount:
        after = balance.plus([*exchanged, change]).rounded(market)
        assert after[currency][1] == market.convert(amount, currency, "EUR")


@given(st.lists(entries, max_size=6), st.integers(0, 10**6).map(float), currencies, markets)
@settings(max_examples=2000, deadline=None)
def test_correct_ledger_needs_no_entry(before, amount, currency, market):
    balance = ledger.Balance.of(before).rounded(market)
    exchanged, change = balance.entries_to(amount, currency, market)
    again = balance.plus([*exchanged, change]).rounded(market).entries_to(amount, currency, market)
    assert again == ([], ledger.Entry(currency, 0.0, 0.0))


@given(st.lists(entries, max_size=6), currencies, markets)
@settings(max_examples=2000, deadline=None)
def test_transfer_leaves_nothing_behind_and_loses_no_value(before, currency, market):
    balance = ledger.Balance.of(before).rounded(market)
    pairs = balance.transfer(currency, market)
    rest = balance.plus(taken for taken, _given in pairs)
    assert all(amounts == ledger.NOTHING for amounts in rest.amounts.values())
    assert [taken.value for taken, _given in pairs] == [-given.value for _taken, given in pairs]


@given(st.lists(entries, max_size=6), entries)
def test_balance_is_never_changed(before, entry):
    balance = ledger.Balance.of(before)
    amounts = dict(balance.amounts)
    balance.plus([entry])
    assert balance.amounts == amounts
