"""Shared fixtures of the tests outside the addon: a workspace on the test server, a served site and a browser."""

import pytest

from devtools import browser, i18n, site, workspace

# Their tests run in Odoo, once they are installed there.
collect_ignore = ["addons"]


@pytest.fixture(scope="session")
def place():
    """Odoo on the test server started by ./dev test."""
    with workspace.opened("test") as opened:
        yield opened


@pytest.fixture(scope="session")
def base(place):
    """The template with Odoo's demonstration data and without the addon: ordinary orders and invoices."""
    return place.databases.base_template()


@pytest.fixture(scope="session")
def languages(place):
    """A demonstration database with all languages, and the log of loading them."""
    template, _logged = place.databases.addon_template()
    name = place.scratch.database(place.databases, template, "languages")
    command = place.odoo.command("-d", name, "-l", *i18n.languages(), subcommand="i18n loadlang")
    return name, place.odoo.finish(command, "Loading the languages", "languages")


@pytest.fixture(scope="module")
def served(place):
    """A site that serves a copy of the demonstration database."""
    template, _logged = place.databases.addon_template()
    with site.served(place.odoo, place.scratch.database(place.databases, template, "served")) as opened:
        yield opened


@pytest.fixture(scope="session")
def chromium():
    """The browser, for `browser.new_page`."""
    with browser.launched() as opened:
        yield opened
