"""./dev test: the linters, the addon's tests inside Odoo, and the tests of everything around it."""

import json
import re
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
# Machines have two cores.
_AT_ONCE = 2
# How Odoo sums up the tests that it ran.
_RAN = re.compile(r"(\d+) failed, (\d+) error\(s\) of (\d+) tests")


class Selection(NamedTuple):
    """Which tests to run."""

    addon: list[str]
    other: list[str]
    options: list[str]
    whole: bool
    thorough: bool
    """Whether tests that have a short form and a long one take the long one: who names an area can wait for it."""
    extending: tuple[Path, ...] = ()
    """Folders of addons that extend the addon."""


def run(parts: list[str], keyword: str | None, options: list[str], with_browser: bool) -> int:
    """Run what is asked for and print the counts; the exit code."""
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
            sessions.append(_other_session(place, chosen, with_browser))
        # The whole is done side by side; of parts, somebody wants to see how they come along.
        for together in [sessions] if chosen.whole else [[session] for session in sessions]:
            counts += _finish(together)
    return summarise(counts)


def select(parts: list[str], keyword: str | None, options: list[str]) -> Selection:
    """Turn areas, paths and a keyword into what pytest understands."""
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
        # `devtools` is an area as well as a folder, which has no tests.
        found = [part] if path.exists() and part not in areas() else []
        if not found and re.fullmatch(r"\w+", part):
            found = sorted(
                str(file) for folder in (_ADDON_TESTS, _OTHER_TESTS) for file in folder.glob(f"test_*{part}*.py")
            )
            thorough = True
        if not found:
            raise Stop(f"No tests are called `{part}`: the areas are {', '.join(areas())}, and a path does as well.")
        for one in found:
            absolute = str(Path(one.partition("::")[0]).resolve()) + one[len(one.partition("::")[0]) :]
            (addon if absolute.startswith(str(project.ADDON_PATH)) else other).append(absolute)
    return Selection(addon, other, options, whole=False, thorough=thorough, extending=tuple(extending))


def areas() -> list[str]:
    """The words that `./dev test` takes for a part of the tests."""
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
    halves = {"addon": "no"}
    if with_browser:
        # With a database each, they can run side by side.
        halves = {"addon": "no", "browser": "only"} if chosen.whole else {"addon": "all"}
    sessions = []
    for name, half in halves.items():
        database = place.scratch.database(place.databases, template, name)
        arguments = [f"--odoo-database={database}", f"--odoo-config={place.odoo.config}", "--odoo-http"]
        arguments += ["--odoo-log-level=warn", f"--browser={half}", *chosen.options, *chosen.addon]
        sessions.append(_Session(name, place.odoo, arguments))
    return counts, sessions


def _other_session(place: Workspace, chosen: Selection, with_browser: bool) -> "_Session":
    # Plain pytest: pytest-odoo would want a database for it.
    arguments = ["-p", "no:odoo", f"--browser={'all' if with_browser else 'no'}", *chosen.options, *chosen.other]
    session = _Session("devtools", place.odoo, arguments)
    session.variables["DEVTOOLS_THOROUGH"] = "1" if chosen.thorough else ""
    return session


class _Session:
    """One pytest process."""

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
        # A session that broke off did not count, and a failure that no test has is one still.
        if self.child.returncode not in (0, _NOTHING_RAN) and not count.failed:
            count = count._replace(failed=1)
        return count


def _finish(sessions: list[_Session]) -> list[Count]:
    """Run sessions, two at a time; a single one prints as it goes, several print when they end."""
    live = len(sessions) == 1
    waiting, running = list(sessions), []
    try:
        if live:
            sessions[0].start(live)
            sessions[0].child.wait()
            sessions[0].seconds = time.monotonic() - sessions[0].began
        elif sessions:
            with console.step("Running the tests of " + ", ".join(session.name for session in sessions)):
                while waiting or running:
                    while waiting and len(running) < _AT_ONCE:
                        running.append(waiting.pop(0))
                        running[-1].start(live)
                    time.sleep(0.2)
                    for session in [one for one in running if one.child.poll() is not None]:
                        running.remove(session)
                        session.seconds = time.monotonic() - session.began
                        console.line(f"--- {session.name}")
                        console.line(session.log.read_text(errors="replace").rstrip())
    finally:
        for session in sessions:
            if session.child and session.child.poll() is None:
                process.stop(session.child)
    return [session.result() for session in sessions]


def extension(place: Workspace, folder: Path) -> tuple[Count, str, Odoo]:
    """Install an addon that extends this one, and run its tests in Odoo.

    :return: the counts, the database, and the Odoo that knows the addon
    """
    began = time.monotonic()
    name = folder.name
    odoo = place.odoo.with_addons(folder.parent)
    database = place.scratch.database(place.databases, place.databases.addon_template()[0], name)
    command = odoo.command("-d", database, "-i", name, "--test-tags", f"/{name}", "--stop-after-init")
    command += ["--http-port", str(free_port()), "--log-level=info"]
    log = cache.log(f"test-{name}.log")
    with console.step(f"Installing {name} and running its tests"):
        _code, printed = process.run(command, log=log, env=odoo.variables(), cwd=project.ROOT)
    ran = _RAN.search(printed)
    if not ran:
        raise process.explain(f"Installing {name}", printed, log)
    found = troubles(printed)
    for trouble in found:
        console.error(trouble)
    failed = int(ran[1]) + int(ran[2])
    passed = int(ran[3]) - failed
    # What is logged beside is a failure, too.
    counts = Count(name, passed, failed or int(bool(found)), 0, time.monotonic() - began)
    return counts, database, odoo


def core() -> int:
    """Run the suites of `sale` and `sale_management` with the addon and without; fail on what fails only with it."""
    browser.ensure()
    failures = {}
    with workspace.opened("test") as place:
        origins = {"without": place.databases.base_template(), "with": place.databases.addon_template()[0]}
        for label, origin in origins.items():
            database = place.scratch.database(place.databases, origin, f"core_{label}")
            modules = "sale,sale_management"
            tags = ",".join(f"/{name}" for name in modules.split(","))
            command = place.odoo.command("-d", database, "-u", modules, "--test-tags", tags, "--stop-after-init")
            command += ["--http-port", str(free_port()), "--log-level=info"]
            with console.step(f"Running Odoo's tests of {modules} {label} the addon"):
                log = cache.log(f"core-{label}.log")
                _code, printed = process.run(command, log=log, env=place.odoo.variables(), cwd=project.ROOT)
            ran = _RAN.search(printed)
            if not ran:
                raise Stop(f"Odoo's tests {label} the addon did not come to an end: see {log}.")
            failures[label] = set(re.findall(r"(?:FAIL|ERROR): (\w+\.\w+)", printed))
            console.line(f"{label} the addon: {ran[0]} ({log})")
            for name in sorted(failures[label]):
                console.line(f"  {name}")
    ours = failures["with"] - failures["without"]
    for name in sorted(ours):
        console.error(f"Fails only with the addon: {name}")
    return 1 if ours else 0


def free_port() -> int:
    """A port that nobody uses at this moment."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
