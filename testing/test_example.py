"""The example addon of the integrator guide works, and leaves nothing behind when uninstalled."""

import pytest

from devtools import project, tests
from devtools.odoo import troubles

EXAMPLE = project.ROOT / "examples/subscription_minimum_term"


@pytest.fixture(scope="module")
def installed(place):
    """The counts of the example's tests, their database, and the Odoo with the example."""
    return tests.extension(place, EXAMPLE)


class TestExample:
    """The tests run in this order."""

    def test_its_own_tests_pass_and_log_nothing(self, installed):
        count, _database, _odoo = installed
        assert count.passed >= 8
        assert not count.failed

    def test_uninstall(self, place, installed):
        _count, database, odoo = installed
        assert troubles(odoo.uninstall(database, [EXAMPLE.name])) == []
        left = place.databases.sql(f"SELECT name FROM ir_model_data WHERE module = '{EXAMPLE.name}'", database)
        assert left == []
