import doctest
from datetime import date, timedelta

from dateutil.relativedelta import relativedelta

from odoo.tests import BaseCase, tagged

from ..tools import recurrence
from ..tools.recurrence import next_start, period_index, period_start

INTERVALS = [
    ("week", 1),
    ("week", 2),
    ("week", 52),
    *(("month", n) for n in (1, 2, 3, 6, 12, 18)),
    ("year", 1),
    ("year", 3),
]
# The 28th to 31st of each month, in ordinary years, leap years and around 2100, which is not a leap year.
ANCHORS = [
    date(year, month, day)
    for year in (2023, 2024, 2027, 2096, 2099, 2100)
    for month in range(1, 13)
    for day in range(28, 32)
    if day <= (date(year, month, 1) + relativedelta(months=1, days=-1)).day
]


def _last_day_of_month(day):
    return (day + relativedelta(day=31)).day


@tagged("post_install", "-at_install")
class TestRecurrence(BaseCase):
    def _all_cases(self):
        for anchor in ANCHORS:
            for unit, value in INTERVALS:
                yield anchor, unit, value

    def test_examples_in_the_documentation_hold(self):
        failed, attempted = doctest.testmod(recurrence)
        self.assertTrue(attempted)
        self.assertFalse(failed)

    def test_periods_tile_for_five_years(self):
        for anchor, unit, value in self._all_cases():
            index = 0
            while (start := period_start(anchor, index, value, unit)) < anchor + relativedelta(years=5):
                end = period_start(anchor, index + 1, value, unit)
                self.assertLess(start, end)
                self.assertEqual(next_start(anchor, start, value, unit), end)
                self.assertEqual(next_start(anchor, end - timedelta(days=1), value, unit), end)
                index += 1

    def test_every_day_lies_in_exactly_one_period(self):
        for anchor in (date(2024, 1, 31), date(2024, 2, 29), date(2027, 12, 30)):
            for unit, value in INTERVALS:
                for offset in range(-800, 800):
                    day = anchor + timedelta(days=offset)
                    index = period_index(anchor, day, value, unit)
                    self.assertLessEqual(period_start(anchor, index, value, unit), day)
                    self.assertGreater(period_start(anchor, index + 1, value, unit), day)

    def test_months_return_to_the_day_of_the_anchor(self):
        for anchor, unit, value in self._all_cases():
            if unit == "week":
                continue
            for index in range(61):
                start = period_start(anchor, index, value, unit)
                self.assertEqual(start.day, min(anchor.day, _last_day_of_month(start)))

    def test_weeks_keep_their_weekday(self):
        for anchor, unit, value in self._all_cases():
            if unit == "week":
                self.assertEqual(period_start(anchor, 61, value, unit) - anchor, timedelta(days=7 * value * 61))

    def test_month_ends_come_back_after_february(self):
        starts = [period_start(date(2027, 1, 31), index, 1, "month") for index in range(4)]
        self.assertEqual(starts, [date(2027, 1, 31), date(2027, 2, 28), date(2027, 3, 31), date(2027, 4, 30)])

    def test_leap_day_is_kept_where_there_is_one(self):
        starts = [period_start(date(2096, 2, 29), index, 1, "year") for index in range(9)]
        self.assertEqual([start.day for start in starts], [29, 28, 28, 28, 28, 28, 28, 28, 29])

    def test_unknown_unit_is_refused(self):
        with self.assertRaisesRegex(ValueError, "week, month, year"):
            period_start(date(2027, 1, 1), 1, 1, "day")

    def test_empty_period_is_refused(self):
        with self.assertRaisesRegex(ValueError, "at least one month"):
            period_index(date(2027, 1, 1), date(2027, 1, 2), 0, "month")
