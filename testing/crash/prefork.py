"""Odoo, loaded once and forked for each run, as Odoo's prefork server does with its workers.

A run is a process with its own connections, which SIGKILL ends like any other; forking only saves the loading
time. The database may be replaced by another copy of the same template between two runs.

    python -m testing.crash.prefork -c odoo.conf -d NAME

reads one JSON command per line and answers each with a line. `{"do": NAME, "at": "2027-02-28 12:00", "with": {…}}`
runs a function of `actions` at that time; with `"kill_after": SECONDS` the run is killed then. With `"meanwhile": true`
other commands are accepted while it runs, until `{"do": "join"}` waits for it. `{"do": "serve"}` serves HTTP on a port
until `{"do": "stop"}`.
"""

import ctypes
import json
import logging
import os
import select
import signal
import socket
import sys
import time

import freezegun
import werkzeug.serving

import odoo.http
import odoo.sql_db
from odoo import SUPERUSER_ID, api
from odoo.exceptions import UserError
from odoo.modules.registry import Registry
from odoo.service.server import load_server_wide_modules
from odoo.tools import config

from testing.crash import REFUSED, actions

_logger = logging.getLogger("testing.crash")
_PATIENCE = 300


def main() -> None:
    """Load Odoo, report it, and run commands until standard input ends."""
    config.parse_config(sys.argv[1:], setup_logging=True)
    load_server_wide_modules()
    name = config["db_name"][0]
    _warm(Registry(name))
    servers: list[int] = []
    meanwhile: list[tuple[int, float]] = []
    _say({"ready": name})
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "serve":
            listening = socket.create_server(("127.0.0.1", 0))
            servers.append(_fork(_serve, command, listening))
            _say({"port": listening.getsockname()[1]})
            listening.close()
        elif command["do"] == "stop":
            for pid in servers:
                _end(pid)
            servers.clear()
            _say({})
        elif command["do"] == "join":
            pid, began = meanwhile.pop()
            _say({"status": _wait(pid, command.get("kill_after")), "seconds": time.monotonic() - began})
        else:
            began = time.monotonic()
            pid = _fork(_act, command)
            if command.get("meanwhile"):
                meanwhile.append((pid, began))
                _say({})
                continue
            _say({"status": _wait(pid, command.get("kill_after")), "seconds": time.monotonic() - began})


def _warm(registry: Registry) -> None:
    """Do the database-independent work of every run once."""
    # The first freeze inspects all loaded modules.
    with freezegun.freeze_time("2027-01-31", tick=True):
        pass
    for model in registry.values():
        for field in model._fields.values():
            registry.get_field_trigger_tree(field)


def _fork(run, command: dict, *arguments) -> int:
    """Run a function in its own process, with the environment and at the time of the command."""
    odoo.sql_db.close_all()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        # Nothing else would end it.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        os.environ.update(command.get("environment", {}))
        with freezegun.freeze_time(command["at"], tick=True):
            status = run(command, *arguments)
    except BaseException:
        _logger.exception("The run of %s failed", command)
    finally:
        logging.shutdown()
        os._exit(status)


def _act(command: dict) -> int:
    registry = Registry(config["db_name"][0]).check_signaling()
    with registry.cursor() as cr:
        env = api.Environment(cr, SUPERUSER_ID, {})
        try:
            return int(not getattr(actions, command["do"])(env, **command.get("with", {})))
        except UserError as refusal:
            _logger.warning("%s was refused: %s", command, refusal)
            # All or nothing, like a request.
            cr.rollback()
            return REFUSED


def _serve(_command: dict, listening: socket.socket) -> int:
    port = listening.getsockname()[1]
    werkzeug.serving.make_server(
        "127.0.0.1", port, odoo.http.root, threaded=True, fd=listening.fileno()
    ).serve_forever()
    return 0


def _wait(pid: int, kill_after: float | None) -> int:
    """Return the exit code of the process, or minus the signal that killed it."""
    handle = os.pidfd_open(pid)
    try:
        if not select.select([handle], [], [], _PATIENCE if kill_after is None else kill_after)[0]:
            os.kill(pid, signal.SIGKILL)
    finally:
        os.close(handle)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _say(answer: dict) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
