"""Databases: templates that are made once, and copies of them, which take a second."""

import contextlib
import fcntl
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

from . import cache, console, process, project
from .console import Stop
from .odoo import Odoo, troubles

# Other programs and machines may use the same server: this prefix marks the databases of this cache.
_OWNER = "scr_" + cache.digest(socket.gethostname(), cache.home())[:6]
_NAME = re.compile(r"^[a-z0-9_]+$")


class Databases:
    """The databases of a server, each with its files in Odoo's filestore."""

    def __init__(self, odoo: Odoo):
        self.odoo = odoo
        self.sql = odoo.server.sql

    def names(self) -> set[str]:
        """Return the names of our databases on the server."""
        rows = self.sql(f"SELECT datname FROM pg_database WHERE datname LIKE '{_OWNER}%'")
        return {row[0] for row in rows}

    def copy(self, origin: str, name: str) -> None:
        """Copy `origin` to `name`, with its files. Nobody may be connected to `origin`."""
        self.drop(name)
        self.sql(f'CREATE DATABASE "{name}" TEMPLATE "{origin}"')
        self._copy_files(origin, name)

    def fetch(self, others: "Databases", origin: str, name: str) -> None:
        """Copy the database `origin` of another server to `name`, with its files."""
        self.drop(name)
        programs = self.odoo.server.psql.parent
        dump = self.odoo.work / f"{name}.dump"
        variables = others.odoo.server.variables()
        process.output([programs / "pg_dump", "-Fc", "-Z0", "-f", dump, origin], "Reading the database", env=variables)
        self.sql(f'CREATE DATABASE "{name}"')
        restore = [programs / "pg_restore", "--no-owner", "-d", name, dump]
        process.output(restore, "Copying the database", env=self.odoo.server.variables())
        dump.unlink()
        self._copy_files(origin, name)

    def _copy_files(self, origin: str, name: str) -> None:
        files = self.odoo.filestore / origin
        if files.is_dir():
            shutil.copytree(files, self.odoo.filestore / name, copy_function=_link)

    def drop(self, name: str) -> None:
        """Drop a database with its files, even if somebody is connected."""
        assert _NAME.match(name), name
        self.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        shutil.rmtree(self.odoo.filestore / name, ignore_errors=True)

    def rename(self, name: str, to: str) -> None:
        """Rename a database. Its files are first, because a database with its final name counts as complete."""
        shutil.rmtree(self.odoo.filestore / to, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            (self.odoo.filestore / name).rename(self.odoo.filestore / to)
        self.sql(f'ALTER DATABASE "{name}" RENAME TO "{to}"')

    def note(self, name: str, text: str | None = None) -> str:
        """Read the comment of a database, or write one."""
        if text is not None:
            self.sql(f"""COMMENT ON DATABASE "{name}" IS $note${text}$note$""")
            return text
        rows = self.sql(f"SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{name}'")
        return rows[0][0] if rows else ""

    def base_template(self) -> str:
        """Return a database with the modules that the addon depends on and their demonstration data."""
        modules = project.base_modules()
        name = self._template_name("base", *modules)

        def build(draft: str) -> None:
            with console.step("Making a database with Odoo's demonstration data (once, about two minutes)"):
                self.sql(f"CREATE DATABASE \"{draft}\" TEMPLATE template0 ENCODING 'UTF8'")
                self.odoo.install(draft, modules)

        return self._made(name, build, kind="base")

    def addon_template(self) -> tuple[str, list[str]]:
        """Return a copy of the base template with the addon, and the warnings and errors of its installation."""
        base = self.base_template()
        kind = f"addon_{base[-6:]}"
        # The demonstration subscriptions start and end around the day of their installation.
        name = self._template_name(kind, project.addon_digest(), date.today().isoformat())
        logged: list[str] = []

        def build(draft: str) -> None:
            with console.step(f"Installing {project.ADDON}"):
                self.copy(base, draft)
                logged.extend(troubles(self.odoo.install(draft, [project.ADDON])))

        # A template whose installation logged something is not kept: the next run has to report it again.
        existing = self._made(name, build, keep=lambda: not logged, kind=kind)
        return existing, logged

    def pages_template(self, addon: str) -> str:
        """A copy of the addon's template with the scripts and styles of all pages, which each tour would compile again."""
        # Odoo tells a bundle that is out of date by the times of its files, which differ between checkouts.
        static = sorted((project.ADDON_PATH / "static").rglob("*"))
        times = [f"{path}{path.stat().st_mtime}" for path in static if path.is_file()]

        def build(draft: str) -> None:
            code = "env['ir.qweb']._pregenerate_assets_bundles()\nenv.cr.commit()"
            self.odoo.script(draft, code, "Compiling scripts and styles")

        return self.template_from(addon, "pages", times, "Compiling scripts and styles", build)

    def template_from(self, origin: str, kind: str, made_from: list, what: str, build: Callable[[str], None]) -> str:
        """Return a copy of another template that `build(name)` has changed. It is made again when `made_from` changes."""

        def build_copy(draft: str) -> None:
            with console.step(what):
                self.copy(origin, draft)
                build(draft)

        return self._made(self._template_name(kind, origin, *made_from), build_copy, kind=kind)

    def _template_name(self, kind: str, *made_from: str) -> str:
        return (
            f"{_OWNER}_tpl_{kind}_{cache.digest(self.odoo.source.version, self.odoo.environment.version, *made_from)}"
        )

    def _made(self, name: str, build, *, kind: str, keep=lambda: True) -> str:
        # The lock is that of the server, which one ./dev has started and another may have been given.
        reach = self.odoo.server.reach
        server = cache.digest(reach.get("PGHOST", ""), reach.get("PGPORT", ""))
        with cache.locked(f"template-{server}", "a template database"):
            if name in self.names():
                return name
            draft = owned(f"test_{self.odoo.work.name}_making")
            build(draft)
            if not keep():
                # The end of this run drops it.
                name = owned(f"test_{self.odoo.work.name}_unkept")
            self.rename(draft, name)
            self._drop_old(f"{_OWNER}_tpl_{kind}_")
            return name

    def _drop_old(self, prefix: str, kept: int = 4) -> None:
        # Keep a few: another checkout may be about to copy its own.
        ours = f"FROM pg_database WHERE left(datname, {len(prefix)}) = '{prefix}'"
        for [name] in self.sql(f"SELECT datname {ours} ORDER BY oid DESC OFFSET {kept}"):
            self.drop(name)


def owned(suffix: str) -> str:
    """Return the name of a database of ours."""
    return f"{_OWNER}_{suffix}"


@contextlib.contextmanager
def scratch() -> Iterator["Scratch"]:
    """Open a folder, and a place for databases, that end with this run. `Scratch.sweep` clears those of killed runs."""
    folder = cache.home() / "runs" / f"{os.getpid()}x{os.urandom(2).hex()}"
    with contextlib.ExitStack() as held:
        # Locked, so that no sweep finds the folder before its `.alive` is held.
        with cache.locked("runs"):
            folder.mkdir(parents=True)
            alive = held.enter_context((folder / ".alive").open("w"))
            fcntl.flock(alive, fcntl.LOCK_EX)
        mine = Scratch(folder)
        try:
            yield mine
        finally:
            mine.close()
            shutil.rmtree(folder, ignore_errors=True)


class Scratch:
    """The folder and the databases of one run."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._databases: list[tuple[Databases, str]] = []

    def database(self, databases: Databases, origin: str, label: str) -> str:
        """Return a copy of `origin` that is dropped at the end of the run."""
        name = owned(f"test_{self.folder.name}_{label}")
        self._databases.append((databases, name))
        databases.copy(origin, name)
        return name

    def close(self) -> None:
        """Drop the databases."""
        for databases, name in self._databases:
            with contextlib.suppress(Stop):
                databases.drop(name)

    def sweep(self, databases: Databases) -> None:
        """Remove the folders and databases of killed runs."""
        with cache.locked("runs"):
            alive = set()
            for folder in self.folder.parent.iterdir():
                if folder == self.folder or _is_alive(folder):
                    alive.add(folder.name)
                else:
                    shutil.rmtree(folder, ignore_errors=True)
        for name in databases.names():
            match = re.match(rf"{_OWNER}_test_([a-z0-9]+)_", name)
            if match and match[1] not in alive:
                databases.drop(name)


def _is_alive(folder: Path) -> bool:
    try:
        with (folder / ".alive").open("r+") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _link(source: str, target: str) -> None:
    # Odoo never changes a file of its store, whose name is the hash of its content: sharing it is safe.
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
