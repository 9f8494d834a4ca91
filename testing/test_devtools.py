"""./dev keeps what it makes whole, stops in a sentence, and leaves everybody's folders as they are."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from devtools import apt, cache, odoo, project, tests
from devtools.lint import xml_problems
from devtools.say import Stop

BUILDER = """
import sys, time
from pathlib import Path
from devtools import cache

kind, seconds, trace = sys.argv[1:]

def build(folder):
    folder.mkdir(exist_ok=True)
    (folder / "begun").touch()
    with Path(trace).open("a") as lines:
        lines.write("built\\n")
    time.sleep(float(seconds))
    (folder / "finished").touch()

print(getattr(cache, kind)("thing", build, "a thing"))
"""
KINDS = ("made", "made_in_place")


@pytest.fixture
def private(tmp_path, monkeypatch):
    """A home of its own, closed to others like a real one."""
    folders = {
        "HOME": tmp_path / "home",
        "XDG_CACHE_HOME": tmp_path / "home/cache",
        "XDG_DATA_HOME": tmp_path / "home/data",
    }
    for variable, folder in folders.items():
        folder.mkdir(mode=0o700)
        monkeypatch.setenv(variable, str(folder))
    return tmp_path


def builder(kind, seconds, trace):
    command = [sys.executable, "-c", BUILDER, kind, str(seconds), str(trace)]
    return subprocess.Popen(command, cwd=project.ROOT, stdout=subprocess.PIPE, text=True)


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_two_builders_at_once_build_once(private, kind):
    trace = private / "trace"
    both = [builder(kind, 1, trace) for _ in range(2)]
    printed = [one.communicate(timeout=30)[0].splitlines()[-1] for one in both]
    assert trace.read_text() == "built\n"
    assert printed[0] == printed[1]
    assert (Path(printed[0]) / "finished").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_builder_leaves_nothing_half_made(private, kind):
    trace = private / "trace"
    victim = builder(kind, 60, trace)
    wait_until(trace.exists)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    if kind == "made":
        assert not (cache.home() / "thing").exists()
    second = builder(kind, 0, trace)
    place = Path(second.communicate(timeout=30)[0].splitlines()[-1])
    assert (place / "finished").exists()
    assert [entry.name for entry in cache.home().iterdir() if "thing" in entry.name] == ["thing"]


def test_a_failed_builder_leaves_nothing_half_made(private):
    def build(folder):
        (folder / "begun").touch()
        raise Stop("no network")

    with pytest.raises(Stop):
        cache.made("thing", build, "a thing")
    assert [entry.name for entry in cache.home().iterdir()] == ["locks"]


def test_a_port_in_use_is_one_sentence(private):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, project.ROOT / "dev", "run", "--port", str(port)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == f"Port {port} is in use: stop what uses it, or choose another with --port.\n"
    assert done.stdout == ""


def test_an_unknown_area_is_one_sentence():
    with pytest.raises(Stop, match="No tests are called `nowhere`"):
        tests.select(["nowhere"], None, [])


@pytest.mark.skipif(
    bool(os.environ.get("PGHOST") and not os.environ["PGHOST"].startswith("/")), reason="the server is not our own"
)
def test_a_server_changes_no_mode_and_ends_with_its_last_user(private, place):
    """A server that starts below a closed home, as it does on a fresh machine, in a path too long for a socket."""
    deep = private / "home" / ("d" * 60) / ("e" * 60)
    deep.mkdir(mode=0o700, parents=True)
    parents = [deep, *deep.parents]
    before = {folder: stat.S_IMODE(folder.stat().st_mode) for folder in parents}
    code = """
import os, sys
from pathlib import Path
from devtools import postgres
from devtools.virtualenv import Environment
environment = Environment(Path(sys.argv[1]))
with postgres.serving("test", environment) as server:
    with postgres.serving("test", environment):
        pass
    print("answer", server.sql("SELECT 40 + 2")[0][0])
    print("socket", server.reach["PGHOST"])
print("home", postgres.homes()["test"])
"""
    variables = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    variables["XDG_CACHE_HOME"] = str(deep)
    command = [sys.executable, "-c", code, str(place.odoo.environment.path)]
    done = subprocess.run(command, cwd=project.ROOT, env=variables, capture_output=True, text=True, check=False)
    assert "answer 42" in done.stdout, done.stdout + done.stderr
    socket_folder = Path(re.search("socket (.*)", done.stdout)[1])
    home = Path(re.search("home (.*)", done.stdout)[1])
    try:
        assert not list(socket_folder.glob(".s.*")) and not (home / "data/postmaster.pid").exists()
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert {folder: stat.S_IMODE(folder.stat().st_mode) for folder in parents} == before
    finally:
        if private not in home.parents:
            subprocess.run(["rm", "-rf", "--", str(home)], check=True)


def test_troubles_are_warnings_with_what_follows_them():
    log = (
        "2026-01-01 10:00:00,000 7 INFO db odoo.x: fine\n"
        "2026-01-01 10:00:00,000 7 WARNING db odoo.y: not so\nmore of it\n"
        "2026-01-01 10:00:00,000 7 INFO db odoo.x: fine again\n"
    )
    assert [line.splitlines()[1] for line in odoo.troubles(log)] == ["more of it"]


def test_apt_sources_are_read_in_both_forms():
    new = "Types: deb deb-src\nURIs: http://mirror/debian\nSuites: a a-updates\nComponents: main\nSigned-By: /key\n"
    old = "# deb http://no a main\ndeb [signed-by=/key arch=amd64] http://mirror/debian a main contrib # why\n"
    [first] = apt._deb822(new)
    [second] = apt._one_line(old)
    assert first["URIs"] == second["URIs"] == "http://mirror/debian"
    assert first["Signed-By"] == second["Signed-By"] == "/key"
    assert second["Components"] == "main contrib"


def test_xml_is_checked(tmp_path, monkeypatch):
    monkeypatch.setattr(project, "ROOT", tmp_path)
    file = tmp_path / "views.xml"
    file.write_text('<?xml version="1.0" encoding="utf-8"?>\n<odoo>\n  <record id="a"/><record id="a"/>\n</odoo>\n')
    assert [problem.partition(": ")[2] for problem in xml_problems(file)] == [
        "indent elements by four spaces",
        "the id a is there twice",
    ]
