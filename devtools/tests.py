"""./dev test: the linters, the addon's tests inside Odoo, and the tests in testing/."""

import contextlib
import json
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from . import browser, cache, console, lint, process, project, workspace
from .console import Stop
from .counts import Count, summarise
from .odoo import Odoo, troubles
from .workspace import Workspace

_ADDON_TESTS = project.ADDON_PATH / "tests"
_OTHER_TESTS = project.ROOT / "testing"
_NOTHING_RAN = 5
# Small machines have two cores.
_AT_ONCE = 2
# Odoo's summary of the tests that it ran.
_RAN = re.compile(r"(\d+) failed, (\d+) error\(s\) of (\d+) tests")


class Selection(NamedTuple):
    """Which tests to run."""

    addon: list[str]
    other: list[str]
    options: list[str]
    whole: bool
    thorough: bool
    """Whether tests that have a short and a long form take the long one: for a named area, a wait is welcome."""
    extending: tuple[Path, ...] = ()
    """Folders of addons that extend this one."""


def run(parts: list[str], keyword: str | None, options: list[str], with_browser: bool) -> int:
    """Run the chosen tests and print the counts; return the exit code."""
    chosen = select(parts, keyword, options)
    if with_browser:
        browser.ensure()
    counts: list[Count] = []
    if chosen.whole:
        counts.append(_lint())
    with workspace.opened("test") as place:
        sessions = []
        if chosen.addon:
            installed, sessions = _addon_sessions(place, chosen, with_browser)
            counts += installed
        counts += [extension(place, folder)[0] for folder in chosen.extending]
        if chosen.other:
            # It starts first, because it is not split.
            sessions.insert(0, _other_session(place, chosen, with_browser))
        # All tests run side by side. Parts run one after the other, so that their output can be shown as it comes.
        for together in [sessions] if chosen.whole else [[session] for session in sessions]:
            counts += _finish(together)
    return summarise(counts)


def select(parts: list[str], keyword: str | None, options: list[str]) -> Selection:
    """Choose the tests from areas, paths and a keyword."""
    options = ["-k", keyword, *options] if keyword else list(options)
    if not parts:
        addon = [str(_ADDON_TESTS)] if _ADDON_TESTS.is_dir() else []
        other = [str(_OTHER_TESTS)] if any(_OTHER_TESTS.glob("test_*.py")) else []
        return Selection(addon, other, options, whole=not keyword, thorough=False)
    addon, other, extending, thorough = [], [], [], False
    for part in parts:
        path = Path(part.partition("::")[0])
        if (path / "__manifest__.py").exists() and path.resolve() != project.ADDON_PATH:
            extending.append(path.resolve())
            continue
        # The area `devtools` has the name of a folder without tests.
        found = [part] if path.exists() and part not in areas() else []
        if not found and re.fullmatch(r"\w+", part):
            found = sorted(
                str(file) for folder in (_ADDON_TESTS, _OTHER_TESTS) for file in folder.glob(f"test_*{part}*.py")
            )
            thorough = True
        if not found:
            raise Stop(f"No tests are called `{part}`: name a path, or one of the areas {', '.join(areas())}.")
        for one in found:
            file, colons, case = one.partition("::")
            absolute = f"{Path(file).resolve()}{colons}{case}"
            (addon if absolute.startswith(str(project.ADDON_PATH)) else other).append(absolute)
    return Selection(addon, other, options, whole=False, thorough=thorough, extending=tuple(extending))


def areas() -> list[str]:
    """Return the names that `./dev test` takes for parts of the tests."""
    files = [file for folder in (_ADDON_TESTS, _OTHER_TESTS) for file in folder.glob("test_*.py")]
    return sorted({file.stem.removeprefix("test_") for file in files})


def _lint() -> Count:
    began = time.monotonic()
    try:
        failed = bool(lint.run())
    except lint.NoRepository as stop:
        console.line(str(stop))
        return Count("lint", 0, 0, 1)
    return Count("lint", int(not failed), int(failed), 0, time.monotonic() - began)


def _addon_sessions(place: Workspace, chosen: Selection, with_browser: bool) -> tuple[list[Count], list["_Session"]]:
    counts = []
    began = time.monotonic()
    try:
        template, logged = place.databases.addon_template()
    except Stop as stop:
        console.error(str(stop))
        return [Count("installation", 0, 1, 0, time.monotonic() - began)], []
    for trouble in logged:
        console.error(f"The installation logged: {trouble}")
    if chosen.whole or logged:
        counts.append(Count("installation", int(not logged), int(bool(logged)), 0, time.monotonic() - began))
    # Each session gets its own database, so that they can run side by side.
    options = {"addon": ["--browser=all" if with_browser else "--browser=no"]}
    if chosen.whole:
        options = {f"addon_{part}": ["--browser=no", f"--share={part}/{_AT_ONCE}"] for part in range(1, _AT_ONCE + 1)}
        if with_browser:
            options["browser"] = ["--browser=only"]
    sessions = []
    for name, which in options.items():
        has_tours = "--browser=no" not in which and _names_tours(chosen.addon)
        origin = place.databases.pages_template(template) if has_tours else template
        database = place.scratch.database(place.databases, origin, name)
        arguments = [f"--odoo-database={database}", f"--odoo-config={place.odoo.config}", "--odoo-http"]
        arguments += ["--odoo-log-level=warn", *which, *chosen.options, *chosen.addon]
        sessions.append(_Session(name, place.odoo, arguments))
    return counts, sessions


def _names_tours(parts: list[str]) -> bool:
    """Whether tours are among these; a folder has some."""
    return any(Path(part).is_dir() or re.search(r"tour|browser", part.rpartition("/")[2]) for part in parts)


def _other_session(place: Workspace, chosen: Selection, with_browser: bool) -> "_Session":
    # Without pytest-odoo, which needs a database.
    arguments = ["-p", "no:odoo", f"--browser={'all' if with_browser else 'no'}", *chosen.options, *chosen.other]
    session = _Session("devtools", place.odoo, arguments)
    session.variables["DEVTOOLS_THOROUGH"] = "1" if chosen.thorough else ""
    return session


class _Session:
    """A process of pytest."""

    def __init__(self, name: str, odoo: Odoo, arguments: list[str]):
        self.name = name
        self.log = cache.log(f"pytest-{name}-{odoo.work.name}.log")
        self.counts = odoo.work / f"counts-{name}.json"
        self.command = [odoo.environment.python, "-m", "pytest", "-p", "devtools.pytest_plugin", "-q", *arguments]
        self.variables = {
            **odoo.variables(),
            "PYTHONPATH": str(project.ROOT),
            "DEVTOOLS_COUNTS": str(self.counts),
            "ODOO_SRC": str(odoo.source.path),
        }
        self.began = time.monotonic()
        self.seconds = 0.0
        self.child: subprocess.Popen | None = None

    def start(self, live: bool) -> None:
        self.began = time.monotonic()
        streams = {} if live else {"stdout": self.log.open("w"), "stderr": subprocess.STDOUT}
        self.child = process.start(
            self.command, cwd=project.ROOT, env=self.variables, stdin=subprocess.DEVNULL, **streams
        )

    def result(self) -> Count:
        if self.counts.exists():
            found = json.loads(self.counts.read_text())
            count = Count(self.name, **found, seconds=self.seconds)
        else:
            count = Count(self.name, 0, 0, 0, self.seconds)
        # A session that breaks off counts nothing, and one may fail outside of its tests: both are failures.
        if self.child.returncode not in (0, _NOTHING_RAN) and not count.failed:
            count = count._replace(failed=1)
        return count


def _finish(sessions: list[_Session]) -> list[Count]:
    """Run sessions, two at a time. The output of a single one is shown as it comes, that of several at the end of each."""
    if not sessions:
        return []
    live = len(sessions) == 1
    waiting, running = list(sessions), []
    names = ", ".join(session.name for session in sessions)
    try:
        with contextlib.nullcontext() if live else console.step(f"Running the tests of {names}"):
            while waiting or running:
                while waiting and len(running) < _AT_ONCE:
                    running.append(waiting.pop(0))
                    running[-1].start(live)
                time.sleep(0.2)
                for session in [one for one in running if one.child.poll() is not None]:
                    running.remove(session)
                    session.seconds = time.monotonic() - session.began
                    if not live:
                        console.line(f"--- {session.name}")
                        console.line(session.log.read_text(errors="replace").rstrip())
    finally:
        for session in running:
            process.stop(session.child)
    return [session.result() for session in sessions]


class Suite(NamedTuple):
    """The result of tests that Odoo itself has run."""

    passed: int
    failed: int
    printed: str
    log: Path


def run_in_odoo(odoo: Odoo, database: str, tags: str, *arguments: str, log: str, **variables: str) -> Suite:
    """Run the tests with some tags in Odoo's own runner."""
    command = odoo.command("-d", database, *arguments, "--test-tags", tags, "--stop-after-init")
    command += ["--http-port", str(free_port()), "--log-level=info"]
    file = cache.log(f"{log}.log")
    _code, printed = process.run(command, log=file, env={**odoo.variables(), **variables}, cwd=project.ROOT)
    ran = _RAN.search(printed)
    if not ran:
        raise process.explain(f"Running the tests {tags}", printed, file)
    failed = int(ran[1]) + int(ran[2])
    return Suite(int(ran[3]) - failed, failed, printed, file)


def extension(place: Workspace, folder: Path) -> tuple[Count, str, Odoo]:
    """Install an addon that extends this one, and run its tests in Odoo.

    :return: the count, the database, and the Odoo that finds the addon
    """
    began = time.monotonic()
    name = folder.name
    odoo = place.odoo.with_addons(folder.parent)
    database = place.scratch.database(place.databases, place.databases.addon_template()[0], name)
    with console.step(f"Installing {name} and running its tests"):
        suite = run_in_odoo(odoo, database, f"/{name}", "-i", name, log=f"test-{name}")
    found = troubles(suite.printed)
    for trouble in found:
        console.error(trouble)
    # A warning or an error in the log is a failure, too.
    failed = suite.failed or int(bool(found))
    return Count(name, suite.passed, failed, 0, time.monotonic() - began), database, odoo


def core() -> int:
    """Run Odoo's suites of `sale` and `sale_management` with the addon and without it.

    :return: the exit code, which is 1 if a test fails only with the addon
    """
    browser.ensure()
    failures = {}
    with workspace.opened("test") as place:
        origins = {"without": place.databases.base_template(), "with": place.databases.addon_template()[0]}
        for label, origin in origins.items():
            database = place.scratch.database(place.databases, origin, f"core_{label}")
            modules = "sale,sale_management"
            tags = ",".join(f"/{name}" for name in modules.split(","))
            with console.step(f"Running Odoo's tests of {modules} {label} the addon"):
                suite = run_in_odoo(place.odoo, database, tags, "-u", modules, log=f"core-{label}")
            failures[label] = set(re.findall(r"(?:FAIL|ERROR): (\w+\.\w+)", suite.printed))
            console.line(f"{label} the addon: {suite.passed} passed, {suite.failed} failed ({suite.log})")
            for name in sorted(failures[label]):
                console.line(f"  {name}")
    ours = failures["with"] - failures["without"]
    for name in sorted(ours):
        console.error(f"Fails only with the addon: {name}")
    return 1 if ours else 0


def free_port() -> int:
    """Return a port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
