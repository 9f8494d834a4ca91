"""What the tests around the addon share: a workspace on the test server, and a site that is served from it."""

import pytest

from devtools import i18n, serve, workspace


@pytest.fixture(scope="session")
def place():
    """Odoo on the test server, joined to the one that ./dev test has started."""
    with workspace.opened("test") as opened:
        yield opened


@pytest.fixture(scope="session")
def base(place):
    """The template with Odoo's demonstration data and without the addon: ordinary orders and invoices."""
    return place.databases.base_template()


@pytest.fixture(scope="session")
def languages(place):
    """A demonstration database with all languages, and what loading them logged."""
    template, _logged = place.databases.addon_template()
    name = place.scratch.database(place.databases, template, "languages")
    command = place.odoo.command("-d", name, "-l", *i18n.languages(), subcommand="i18n loadlang")
    return name, place.odoo.finish(command, "Loading the languages", "languages")


@pytest.fixture(scope="module")
def served(place):
    """The address and the database of an Odoo that serves a copy of the demonstration database."""
    template, _logged = place.databases.addon_template()
    name = place.scratch.database(place.databases, template, "served")
    with serve.aside(place.odoo, name) as url:
        yield url, name
