"""Odoo's own checks of code, manifests and catalogues pass with the addon installed."""

from devtools import tests
from devtools.odoo import troubles


def test_odoos_own_checks_pass(place):
    template, _logged = place.databases.addon_template()
    database = place.scratch.database(place.databases, template, "lint")
    # Odoo's pylint and eslint take a quarter of an hour for Odoo's code. ./dev lint runs both for the addon.
    tags = "/test_lint,-/test_lint:TestPyLint,-/test_lint:TestESLint"
    suite = tests.run_in_odoo(place.odoo, database, tags, "-i", "test_lint", log="test_lint")
    assert suite.failed == 0, "\n".join(troubles(suite.printed))
    assert suite.passed > 20
