"""./dev leaves nothing half-built, fails with a clear message, and does not touch other folders."""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from devtools import apt, cache, lint, odoo, project, pytest_plugin, tests, workspace
from devtools.console import Stop
from devtools.virtualenv import Environment

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
    """An empty home directory, closed to others like a real one."""
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
        assert time.monotonic() < end, "the wait took too long"
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
def test_a_killed_builder_leaves_nothing_half_built(private, kind):
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


def test_a_failed_builder_leaves_nothing_half_built(private):
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


def test_an_area_may_have_the_name_of_a_folder(monkeypatch):
    monkeypatch.chdir(project.ROOT)
    assert tests.select(["devtools"], None, []).other == [str(project.ROOT / "testing/test_devtools.py")]


def test_an_extending_addon_is_not_run_by_pytest():
    example = project.ROOT / "examples/subscription_minimum_term"
    chosen = tests.select([str(example)], None, [])
    assert (chosen.extending, chosen.addon, chosen.other) == ((example,), [], [])


def test_shares_lose_no_test_and_split_no_class():
    sizes = {"test_a.py::A": 5, "test_a.py::B": 4, "test_b.py::A": 3, "test_b.py": 2}
    items = [SimpleNamespace(nodeid=f"{name}::test_{number}") for name, size in sizes.items() for number in range(size)]
    shares = [[item.nodeid for item in pytest_plugin.share(items, number, 2)] for number in (1, 2)]
    assert sorted(shares[0] + shares[1]) == sorted(item.nodeid for item in items)
    assert [len(share) for share in shares] == [7, 7]
    assert not {node.rpartition("::")[0] for node in shares[0]} & {node.rpartition("::")[0] for node in shares[1]}


@pytest.mark.skipif(
    bool(os.environ.get("PGHOST") and not os.environ["PGHOST"].startswith("/")), reason="the server is not our own"
)
def test_a_server_changes_no_mode_and_ends_with_its_last_user(private, place):
    """The server is in a private home directory, as on a new machine, in a path too long for a socket."""
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


def test_problems_are_warnings_with_the_lines_that_follow():
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


MANIFEST = """{
    "name": "Sample",
    "version": "19.0.1.0.0",
    "author": "Subscription Close Renew contributors",
    "license": "LGPL-3",
    "depends": ["base"],
    "data": ["views/menus.xml"],
}
"""
PO = """msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\\n"

#. module: subscription_close_renew
#. odoo-python
#: code:addons/subscription_close_renew/models/sale_order.py:0
msgid "%(order)s is closed on %(date)s."
msgstr "%(date)s schließt %(order)s."

#. module: subscription_close_renew
#: model:mail.template,subject:subscription_close_renew.mail_template_closed
msgid "{{ object.company_id.name }}: closed"
msgstr "{{ object.company_id.name }}: beendet"
"""
XML = """<?xml version="1.0" encoding="utf-8"?>
<odoo>
    <menuitem id="menu_root" name="Sample"/>
    <record id="menu_plan" model="ir.ui.menu">
        <field name="name">Plan</field>
    </record>
</odoo>
"""


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A repository with the configuration of this one and a clean addon."""
    for file in project.ROOT.iterdir():
        if file.is_file() and file.name != ".git":
            shutil.copy(file, tmp_path)
    shutil.copytree(project.ROOT / "devtools", tmp_path / "devtools", ignore=shutil.ignore_patterns("__pycache__"))
    addon = tmp_path / project.ADDON
    for name, text in {
        "__init__.py": "",
        "__manifest__.py": MANIFEST,
        "README.rst": "A sample\n",
        "i18n/de.po": PO,
        "static/src/sample.js": 'export const sample = "sample";\n',
        "views/menus.xml": XML,
    }.items():
        (addon / name).parent.mkdir(parents=True, exist_ok=True)
        (addon / name).write_text(text, encoding="utf-8")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    monkeypatch.setattr(project, "ROOT", tmp_path)
    monkeypatch.setattr(workspace, "environment", lambda: Environment(Path(sys.prefix)))
    return tmp_path


def broken(clone, name, old, new):
    file = clone / project.ADDON / name
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return file


def failures(capfd):
    """Lint, and return the failing hooks and the complete output."""
    subprocess.run(["git", "add", "--all"], cwd=project.ROOT, check=True)
    code = lint.run()
    printed = capfd.readouterr().out
    failed = set(re.findall(r"Failed\n- hook id: (\S+)", printed))
    assert bool(code) == bool(failed), printed
    return failed, printed


def test_the_linters_pass_a_clean_addon(clone, capfd):
    assert failures(capfd)[0] == set()


def test_the_linters_find_what_they_cannot_fix(clone, capfd):
    broken(clone, "views/menus.xml", "menu_plan", "menu_root")
    broken(clone, "views/menus.xml", "        <field", "      <field")
    broken(clone, "i18n/de.po", "#. module: subscription_close_renew\n", "")
    broken(clone, "i18n/de.po", "%(date)s schließt", "%(datum)s schließt")
    broken(clone, "i18n/de.po", "{{ object.company_id.name }}: beendet", "{{ object.firma_id.name }}: beendet")
    broken(clone, "static/src/sample.js", '"sample"', "missing")
    broken(clone, "__manifest__.py", "LGPL-3", "AGPL-3")
    (clone / project.ADDON / "models.py.rej").touch()
    failed, printed = failures(capfd)
    assert failed == {
        "forbidden-files",
        "oca-checks-odoo-module",
        "oca-checks-po",
        "po-placeholders",
        "xml-indentation",
        "eslint",
        "pylint-mandatory",
    }
    assert "i18n/de.po:5: other placeholders than in '%(order)s is closed on %(date)s.'" in printed
    assert "i18n/de.po:10: other placeholders than in '{{ object.company_id.name }}: closed'" in printed
    assert "Duplicate xml record id `menu_root`" in printed


def test_the_linters_fix_what_they_can(clone, capfd):
    mistakes = {
        "views/menus.xml": ('id="menu_root" name', 'id="menu_root"\n name'),
        "static/src/sample.js": ("const", "let"),
        "__init__.py": ("", "import os,sys \n"),
    }
    files = {broken(clone, name, old, new): new for name, (old, new) in mistakes.items()}
    assert failures(capfd)[0] == {"eslint", "prettier", "ruff-check", "trailing-whitespace"}
    assert not any(new in file.read_text() for file, new in files.items())
    assert failures(capfd)[0] == set()


def test_lint_without_a_repository_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(project, "ROOT", tmp_path)
    with pytest.raises(lint.NoRepository, match="this folder is no repository: clone the project, or run `git init`"):
        lint.run()
