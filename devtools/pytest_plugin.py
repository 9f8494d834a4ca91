"""A plugin of pytest, beside pytest-odoo.

It separates browser tests from others, splits tests into shares, fails a test that logs an unexpected error, and counts
results for ./dev test.
"""

import json
import logging
import os
import re
from pathlib import Path

import pytest

_BROWSER = re.compile(r"(tours?|browser)(?![a-z])", re.IGNORECASE)


def pytest_addoption(parser):
    parser.addoption(
        "--browser",
        choices=("all", "no", "only"),
        default="all",
        help="Whether to run tests whose file, class or function is named after a tour or a browser, or only those.",
    )
    parser.addoption(
        "--share",
        default="1/1",
        help="Which share of the test classes to run, such as 2/3. All shares have about as many tests.",
    )


def pytest_collection_modifyitems(config, items):
    wanted = config.getoption("--browser")
    chosen = [item for item in items if wanted == "all" or _needs_browser(item) == (wanted == "only")]
    chosen = share(chosen, *map(int, config.getoption("--share").split("/")))
    kept = set(chosen)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = chosen


def share(items: list, number: int, shares: int) -> list:
    """One of several shares of tests; a class stays together, for it is set up once."""
    classes: dict[str, list] = {}
    for item in items:
        classes.setdefault(item.nodeid.rpartition("::")[0], []).append(item)
    sizes = [0] * shares
    taken = set()
    for name, tests in sorted(classes.items(), key=lambda entry: -len(entry[1])):
        smallest = sizes.index(min(sizes))
        sizes[smallest] += len(tests)
        if smallest == number - 1:
            taken.add(name)
    return [item for item in items if item.nodeid.rpartition("::")[0] in taken]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    collector = _Errors(logging.ERROR)
    root = logging.getLogger()
    root.addHandler(collector)
    try:
        outcome = yield
    finally:
        root.removeHandler(collector)
    # A test that expects an error mutes its logger.
    if collector.lines and not outcome.excinfo:
        text = "\n".join(collector.lines)
        outcome.force_exception(pytest.fail.Exception(f"The test passed but logged errors:\n{text}", pytrace=False))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    # Odoo skips a tour whose browser does not start: all would be skipped, and nothing would fail.
    if report.skipped and "chrome" in str(report.longrepr).lower():
        report.outcome = "failed"
        report.longrepr = f"The browser did not start: {report.longrepr[-1]}"


def pytest_terminal_summary(terminalreporter):
    target = os.environ.get("DEVTOOLS_COUNTS")
    if target:
        stats = terminalreporter.stats
        counts = {
            "passed": len(stats.get("passed", ())),
            "failed": len(stats.get("failed", ())) + len(stats.get("error", ())),
            "skipped": len(stats.get("skipped", ())) + len(stats.get("xfailed", ())),
        }
        Path(target).write_text(json.dumps(counts), encoding="utf-8")


def _needs_browser(item) -> bool:
    return bool(_BROWSER.search(item.nodeid))


class _Errors(logging.Handler):
    def __init__(self, level):
        super().__init__(level)
        self.lines = []

    def emit(self, record):
        self.lines.append(f"{record.levelname} {record.name}: {record.getMessage()}")
