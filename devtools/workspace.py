"""All that a command needs to run Odoo: fetched, started and put together."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from . import cache, database, node, odoo_source, postgres, virtualenv
from .database import Databases, Scratch
from .odoo import Odoo
from .virtualenv import Environment


class Workspace(NamedTuple):
    """Odoo on a running server, its databases, and the scratch space of this run."""

    odoo: Odoo
    databases: Databases
    scratch: Scratch


def environment() -> Environment:
    """Return the virtual environment alone, for commands that need no database."""
    return virtualenv.ready(odoo_source.find())


def enter() -> None:
    """Restart this command inside the virtual environment, unless it runs there already."""
    inside = environment()
    if Path(sys.prefix).resolve() != inside.path.resolve():
        os.execve(inside.python, [str(inside.python), *sys.argv], inside.variables())


@contextlib.contextmanager
def opened(purpose: str) -> Iterator[Workspace]:
    """Open the workspace for `run`, which keeps its data, or for `test`, which does not."""
    source = odoo_source.find()
    inside = virtualenv.ready(source)
    node.modules(inside)
    data_dir = (cache.data() if purpose == "run" else cache.home()) / "odoo-data"
    with database.scratch() as mine, postgres.serving(purpose, inside) as server:
        odoo = Odoo(source, inside, server, data_dir, mine.folder)
        databases = Databases(odoo)
        mine.sweep(databases)
        try:
            yield Workspace(odoo, databases, mine)
        finally:
            mine.close()
