"""With an addon that adds a state, events, a movement kind and a close policy, every screen, report and page opens."""

import pytest

from devtools import project, tests
from devtools.odoo import troubles

EXTENSION = project.ROOT / "testing/addons/subscription_suspended"


@pytest.fixture(scope="module")
def installed(place):
    """The counts of the addon's own tests, their database, and the Odoo with the addon."""
    return tests.extension(place, EXTENSION)


def test_its_own_tests_pass_and_log_nothing(installed):
    count, _database, _odoo = installed
    assert count.passed >= 102
    assert not count.failed


def test_uninstall_leaves_no_state_and_no_movement_behind(place, installed):
    _count, database, odoo = installed
    assert troubles(odoo.uninstall(database, [EXTENSION.name])) == []
    assert place.databases.sql("SELECT 1 FROM sale_order WHERE subscription_state = 'suspended'", database) == []
    assert place.databases.sql("SELECT 1 FROM sale_subscription_movement WHERE kind = 'suspension'", database) == []
