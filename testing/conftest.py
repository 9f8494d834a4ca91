"""What the tests around the addon share: a workspace on the test server."""

import pytest

from devtools import workspace


@pytest.fixture(scope="session")
def place():
    """Odoo on the test server, joined to the one that ./dev test has started."""
    with workspace.opened("test") as opened:
        yield opened


@pytest.fixture(scope="session")
def base(place):
    """The template with Odoo's demonstration data and without the addon: ordinary orders and invoices."""
    return place.databases.base_template()
