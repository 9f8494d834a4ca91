"""Dates of periods, counted from an anchor.

Every date is computed from the anchor, not from the previous date, so that a short month does not affect the dates in
the months that follow:

>>> [str(period_start(date(2027, 1, 31), n, 1, "month")) for n in range(4)]
['2027-01-31', '2027-02-28', '2027-03-31', '2027-04-30']

Periods are half-open: the end of one is the first day of the next.
"""

from datetime import date, timedelta
from fractions import Fraction

from dateutil.relativedelta import relativedelta

UNITS = ("week", "month", "year")
MONTHS_PER_UNIT = {"month": 1, "year": 12}


def period_start(anchor: date, index: int, value: int, unit: str) -> date:
    """Return the first day of a period.

    :param date anchor: first day of period 0
    :param int index: number of the period; negative ones lie before the anchor
    :param int value: units per period, at least 1
    :param str unit: ``week``, ``month`` or ``year``
    :rtype: date
    :raises ValueError: for another unit, or less than one unit

    >>> period_start(date(2024, 2, 29), 1, 1, "year")
    datetime.date(2025, 2, 28)
    >>> period_start(date(2024, 2, 29), 4, 1, "year")
    datetime.date(2028, 2, 29)
    """
    _check_interval(value, unit)
    if unit == "week":
        return anchor + relativedelta(weeks=index * value)
    return anchor + relativedelta(months=index * value * MONTHS_PER_UNIT[unit])


def period_index(anchor: date, day: date, value: int, unit: str) -> int:
    """Return the number of the period that contains a day.

    :param date anchor: first day of period 0
    :param date day: any day, also before the anchor
    :param int value: units per period, at least 1
    :param str unit: ``week``, ``month`` or ``year``
    :rtype: int
    :raises ValueError: for another unit, or less than one unit

    >>> period_index(date(2027, 1, 31), date(2027, 2, 27), 1, "month")
    0
    >>> period_index(date(2027, 1, 31), date(2027, 2, 28), 1, "month")
    1
    """
    _check_interval(value, unit)
    if unit == "week":
        return (day - anchor).days // (7 * value)
    months = (day.year - anchor.year) * 12 + day.month - anchor.month
    index = months // (value * MONTHS_PER_UNIT[unit])
    # Counting whole months ignores the day of the month, so the result can be one period too high.
    return index if period_start(anchor, index, value, unit) <= day else index - 1


def next_start(anchor: date, day: date, value: int, unit: str) -> date:
    """Return the first day of the period after the one that contains a day.

    This is also the end of a period that starts on ``day``, whether it is a whole period or the rest of one after an
    interruption: later dates are counted from the anchor again.

    :param date anchor: first day of period 0
    :param date day: any day
    :param int value: units per period, at least 1
    :param str unit: ``week``, ``month`` or ``year``
    :rtype: date
    :raises ValueError: for another unit, or less than one unit

    >>> next_start(date(2027, 1, 31), date(2027, 3, 10), 1, "month")
    datetime.date(2027, 3, 31)
    """
    return period_start(anchor, period_index(anchor, day, value, unit) + 1, value, unit)


def share(anchor: date, start: date, end: date, value: int, unit: str) -> Fraction:
    """Return the fraction of a whole period that a range of days covers: 1 for a whole period, less for a part.

    The fraction is counted in days of the period that contains the first day.

    :param date anchor: first day of period 0
    :param date start: first day of the range
    :param date end: first day after it
    :param int value: units per period, at least 1
    :param str unit: ``week``, ``month`` or ``year``
    :rtype: Fraction
    :raises ValueError: for another unit, less than one unit, or a range that is empty or longer than a period

    >>> share(date(2027, 1, 31), date(2027, 3, 10), date(2027, 3, 31), 1, "month")
    Fraction(21, 31)
    >>> share(date(2027, 1, 31), date(2027, 2, 28), date(2027, 4, 30), 1, "month")
    Traceback (most recent call last):
    ValueError: From 2027-02-28 to 2027-04-30 is not within one period.
    """
    index = period_index(anchor, start, value, unit)
    whole = period_start(anchor, index + 1, value, unit) - period_start(anchor, index, value, unit)
    part = Fraction((end - start).days, whole.days)
    if not 0 < part <= 1:
        raise ValueError(f"From {start} to {end} is not within one period.")
    return part


def add_days(day: date, days: int) -> date:
    """Return the day a number of days later, or the last possible date if that is earlier.

    :param date day: day to count from
    :param int days: number of days, 0 or more
    :rtype: date

    >>> add_days(date(2027, 1, 31), 3)
    datetime.date(2027, 2, 3)
    >>> add_days(date(2027, 1, 31), 9999999)
    datetime.date(9999, 12, 31)
    """
    return day + timedelta(days=min(days, (date.max - day).days))


def _check_interval(value, unit):
    if unit not in UNITS:
        raise ValueError(f"A period is counted in {', '.join(UNITS)}, not in {unit!r}.")
    if value < 1:
        raise ValueError(f"A period has at least one {unit}, not {value}.")
