"""The monthly value of a recurring price.

A year has 12 months and 52 weeks, as in the usual definition of monthly recurring revenue: a weekly
price is worth 52/12 of itself each month.
"""

from fractions import Fraction

MONTHS_PER_UNIT = {
    "week": Fraction(12, 52),
    "month": Fraction(1),
    "year": Fraction(12),
}


def monthly_factor(value, unit):
    """Return the fraction of the price of a period that one month is worth.

    :param int value: units per period, at least 1
    :param str unit: ``week``, ``month`` or ``year``
    :rtype: Fraction
    :raises ValueError: for another unit, or less than one unit

    >>> monthly_factor(1, "year"), monthly_factor(3, "month"), monthly_factor(2, "week")
    (Fraction(1, 12), Fraction(1, 3), Fraction(13, 6))
    """
    if unit not in MONTHS_PER_UNIT:
        raise ValueError(f"A period is counted in {', '.join(MONTHS_PER_UNIT)}, not in {unit!r}.")
    if value < 1:
        raise ValueError(f"A period has at least one {unit}, not {value}.")
    return 1 / (MONTHS_PER_UNIT[unit] * value)


def monthly_amount(amount, value, unit):
    """Return the monthly value of a price that is paid once per period, not rounded.

    :param float amount: price of one period, in any currency
    :param int value: units per period, at least 1
    :param str unit: ``week``, ``month`` or ``year``
    :return: monthly value, in the same currency; round it with that currency
    :rtype: float
    :raises ValueError: for another unit, or less than one unit

    >>> monthly_amount(120.0, 1, "year")
    10.0
    """
    factor = monthly_factor(value, unit)
    # Multiply first: 120 / 12 is exact where 120 * 0.0833… is not.
    return amount * factor.numerator / factor.denominator
