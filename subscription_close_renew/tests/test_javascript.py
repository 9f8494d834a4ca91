import logging
import re

from odoo.tests import HttpCase, tagged


class _Lines(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


@tagged("post_install", "-at_install")
class TestJavaScript(HttpCase):
    def test_unit_tests_pass_in_the_browser(self):
        handler = _Lines()
        logger = self._logger.getChild("browser")
        # No other test uses this logger.
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        self.addCleanup(logger.removeHandler, handler)
        self.browser_js(
            "/web/tests?headless&loglevel=2&preset=desktop&timeout=15000&filter=%22@subscription_close_renew%22",
            "",
            login="admin",
            timeout=300,
            success_signal="[HOOT] Test suite succeeded",
            # The run ends with the summary, not with the first failing test.
            error_checker=lambda message: "[HOOT]" not in message,
        )
        # Hoot also succeeds when the filter matches nothing.
        self.assertRegex("\n".join(handler.lines), re.compile(r"Passed [1-9]\d* tests"))
