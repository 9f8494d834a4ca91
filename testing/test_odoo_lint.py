"""Odoo's own suite of checks on code, manifests and catalogues passes with the addon installed."""

import re

from devtools import cache, process, project
from devtools.odoo import troubles
from devtools.tests import free_port


def test_odoos_own_checks_pass(place):
    template, _logged = place.databases.addon_template()
    database = place.scratch.database(place.databases, template, "lint")
    # Its pylint and eslint take a quarter of an hour for Odoo's own code; ./dev lint has both for ours.
    tags = "/test_lint,-/test_lint:TestPyLint,-/test_lint:TestESLint"
    command = place.odoo.command("-d", database, "-i", "test_lint", "--test-tags", tags, "--stop-after-init")
    command += ["--http-port", str(free_port()), "--log-level=info"]
    code, printed = process.run(command, log=cache.log("test_lint.log"), env=place.odoo.variables(), cwd=project.ROOT)
    ran = re.search(r"(\d+) failed, (\d+) error\(s\) of (\d+) tests", printed)
    assert ran, printed[-2000:]
    assert (code, *ran.groups()[:2]) == (0, "0", "0"), "\n".join(troubles(printed))
    assert int(ran[3]) > 20
