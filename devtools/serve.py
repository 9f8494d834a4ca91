"""./dev run, update, shell and psql: the demonstration company, whose database is kept."""

import contextlib
import errno
import json
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request

from . import cache, console, database, process, project, workspace
from .console import Stop
from .workspace import Workspace

_WELCOME = """
The address is {url}

  admin / admin     administrator: plans, close reasons, everybody's subscriptions
  demo / demo       salesperson
  portal / portal   customer, under {url}/my/subscriptions

Start with the app Subscriptions as admin: open one that is In Progress, press Close and pick a reason.
The log is {log}. Ctrl-C stops everything; the data is kept.
"""


def run(port: int, host: str, lang: str | None, fresh: bool, watch: bool) -> int:
    """Serve until Ctrl-C; return the exit code."""
    check_port(host, port)
    if lang and not re.fullmatch(r"[a-z]{2,3}(_[A-Z]{2}|_[0-9]{3})?(@[a-z]+)?", lang):
        raise Stop(f"`{lang}` is no language code: write it as in fr_FR, de_DE or fa_IR.")
    with workspace.opened("run") as place:
        name = prepare(place, fresh, lang)
        log = cache.log(f"run-{port}.log")
        arguments = ["-d", name, f"--db-filter=^{name}$", "--http-port", str(port), "--http-interface", host]
        arguments += ["--max-cron-threads=1", *(["--dev=reload,xml"] if watch else [])]
        server = place.odoo.start(place.odoo.command(*arguments), log)
        url = f"http://{'localhost' if host in ('127.0.0.1', '0.0.0.0') else host}:{port}"
        try:
            with console.step("Starting Odoo"):
                wait_for(server, f"http://127.0.0.1:{port}" if host == "0.0.0.0" else url, log)
            console.line(_WELCOME.format(url=url, log=log))
            code = server.wait()
        except KeyboardInterrupt:
            code = 0
            with console.step("Stopping Odoo"):
                process.stop(server)
        finally:
            if server.poll() is None:
                process.stop(server)
        if code:
            raise process.explain("Odoo", log.read_text(errors="replace"), log)
    return 0


def prepare(place: Workspace, fresh: bool = False, lang: str | None = None) -> str:
    """Return the database of ./dev run, which is made if there is none, and upgraded if the addon has changed."""
    name = database.owned("run")
    databases = place.databases
    with cache.locked("run-database", "preparing the database"):
        if fresh:
            databases.drop(name)
        if name not in databases.names():
            template, logged = databases.addon_template()
            for trouble in logged:
                console.error(f"The installation logged: {trouble}")
            draft = database.owned("run_new")
            databases.copy(template, draft)
            _remember(place, draft, addon=project.addon_digest())
            databases.rename(draft, name)
        elif _memory(place, name).get("addon") != project.addon_digest():
            upgrade(place, name)
        if lang and _memory(place, name).get("lang") != lang:
            _set_language(place, name, lang)
    return name


def upgrade(place: Workspace, name: str) -> None:
    """Upgrade the addon in a database to its files."""
    digest = project.addon_digest()
    with console.step("Upgrading the addon in the database"):
        place.odoo.install(name, [project.ADDON], update=True)
    _remember(place, name, addon=digest)


def update() -> int:
    """./dev update: upgrade the addon, even while a server runs."""
    with workspace.opened("run") as place:
        upgrade(place, _existing(place))
    console.line("A running server uses the new Python code after a restart.")
    return 0


def shell() -> int:
    """./dev shell: Odoo's Python shell on the database of ./dev run."""
    with workspace.opened("run") as place:
        command = place.odoo.command("-d", _existing(place), "--no-http", "--log-level=warn", subcommand="shell")
        return _in_front(command, place.odoo.variables())


def psql(arguments: list[str]) -> int:
    """./dev psql: SQL on the database of ./dev run."""
    with workspace.opened("run") as place:
        command = [place.odoo.server.psql, "-d", _existing(place), *arguments]
        return _in_front(command, place.odoo.server.variables())


def check_port(host: str, port: int) -> None:
    """Check that the port is free, before anything slow starts."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            number = getattr(error, "errno", None)
            if number == errno.EADDRINUSE:
                raise Stop(f"Port {port} is in use: stop what uses it, or choose another with --port.") from None
            if number == errno.EACCES:
                raise Stop(f"Port {port} is for root alone: choose one above 1023 with --port.") from None
            raise Stop(f"{host}:{port} cannot be listened on ({error}): choose another --port or --host.") from None


def wait_for(server: subprocess.Popen, url: str, log) -> None:
    """Wait until the server answers with a page. The first one takes long, because Odoo bundles its styles."""
    while server.poll() is None:
        with contextlib.suppress(urllib.error.URLError, OSError):
            # This machine's own address needs no proxy.
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            opener.open(f"{url}/web/login", timeout=120).read()
            return
        time.sleep(0.3)
    raise process.explain("Odoo", log.read_text(errors="replace"), log)


def _existing(place: Workspace) -> str:
    name = database.owned("run")
    if name not in place.databases.names():
        raise Stop("There is no database yet: `./dev run` makes it.")
    return name


def _in_front(command: list, variables: dict[str, str]) -> int:
    # The program gets Ctrl-C from the terminal, too: it decides what to do.
    child = subprocess.Popen([str(part) for part in command], cwd=project.ROOT, env=variables)
    while True:
        with contextlib.suppress(KeyboardInterrupt):
            return child.wait()


def _set_language(place: Workspace, name: str, lang: str) -> None:
    with console.step(f"Loading the language {lang}"):
        place.odoo.load_languages(name, [lang])
        place.databases.sql(f"UPDATE res_partner SET lang = '{lang}'", name)
    _remember(place, name, lang=lang)


def _memory(place: Workspace, name: str) -> dict:
    try:
        return json.loads(place.databases.note(name) or "{}")
    except ValueError:
        return {}


def _remember(place: Workspace, name: str, **facts: str) -> None:
    place.databases.note(name, json.dumps({**_memory(place, name), **facts}))
