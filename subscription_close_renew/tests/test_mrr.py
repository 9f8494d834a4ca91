import doctest
from fractions import Fraction

from odoo.tests import BaseCase, tagged

from ..tools import mrr
from ..tools.mrr import monthly_amount, monthly_factor


@tagged("post_install", "-at_install")
class TestMrr(BaseCase):
    def test_examples_in_the_documentation_hold(self):
        failed, attempted = doctest.testmod(mrr)
        self.assertTrue(attempted)
        self.assertFalse(failed)

    def test_year_in_any_unit_is_worth_twelve_months(self):
        self.assertEqual(monthly_factor(12, "month"), monthly_factor(1, "year"))
        self.assertEqual(monthly_factor(52, "week"), monthly_factor(1, "year"))

    def test_week_is_worth_52_twelfths(self):
        self.assertEqual(monthly_factor(1, "week"), Fraction(52, 12))

    def test_longer_period_is_worth_less_a_month(self):
        for unit in ("week", "month", "year"):
            for value in range(1, 60):
                self.assertEqual(monthly_factor(value, unit) * value, monthly_factor(1, unit))

    def test_whole_months_are_exact(self):
        self.assertEqual(monthly_amount(1200.0, 1, "year"), 100.0)
        self.assertEqual(monthly_amount(255.0, 6, "month"), 42.5)

    def test_unknown_unit_is_refused(self):
        with self.assertRaisesRegex(ValueError, "week, month, year"):
            monthly_factor(1, "day")

    def test_empty_period_is_refused(self):
        with self.assertRaisesRegex(ValueError, "at least one year"):
            monthly_factor(0, "year")
