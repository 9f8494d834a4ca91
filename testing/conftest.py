"""What the tests around the addon share: a workspace on the test server, and a site that is served from it."""

import contextlib
import subprocess

import pytest

from devtools import cache, i18n, process, project, serve, workspace
from devtools.tests import free_port


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
    with serving(place, name) as url:
        yield url, name


@contextlib.contextmanager
def serving(place, name):
    """Serve a database; its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = cache.log(f"served-{port}.log")
    command = place.odoo.command("-d", name, "--http-port", str(port), f"--db-filter=^{name}$")
    with log.open("w") as stream:
        streams = {"stdin": subprocess.DEVNULL, "stdout": stream, "stderr": subprocess.STDOUT}
        server = process.start(command, cwd=project.ROOT, env=place.odoo.variables(), **streams)
    try:
        serve.wait_for(server, url, log)
        yield url
    finally:
        process.stop(server)
