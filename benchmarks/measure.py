"""Runs one way of billing in this process and prints what it took, as JSON."""

import cProfile
import gc
import io
import json
import os
import pstats
import re
import resource
import sys
import time
from collections import Counter
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from odoo import sql_db

from . import world
from .ways import ADDON, WAYS

MARKER = "MEASURED "


def run(env, way, meeting, bad=False, profile=False):
    """Warm up, prepare, wait for the others, and measure one way.

    :param str way: a key of :data:`WAYS`
    :param dict meeting: with whom: the ``folder`` in which each process shows that it is ready and finds the sign to
        go, the ``number`` of this one, and whether it is the ``last``
    :param bool bad: whether one of the orders cannot be invoiced
    :param bool profile: whether to say where the time and the queries go, which takes time itself
    """
    env = world.of_company(env)
    # One worker would leave nothing for the next to warm up with.
    WAYS["floor" if way == "worker" else way](env, world.WARM_UP)()
    if bad:
        world.spoil(env, world.DUE)
    bill = WAYS[way](env, world.DUE)
    if way == "worker" and meeting["last"]:
        world.release_orders(env, world.DUE)
    env.cr.commit()
    gc.collect()
    told = io.StringIO()
    before = _forget_peak()
    _meet(Path(meeting["folder"]), meeting["number"])
    database = _database_seconds(env)
    queries, cpu, began = sql_db.sql_counter, time.process_time(), time.time()
    with _profiled(told) if profile else nullcontext():
        bill()
    found = {
        "began": began,
        "ended": time.time(),
        "cpu": time.process_time() - cpu,
        "queries": sql_db.sql_counter - queries,
        "kilobytes": _peak() - before,
        "database": _database_seconds(env) - database,
        "profile": told.getvalue(),
    }
    print(MARKER + json.dumps(found), flush=True)


def _meet(folder, number):
    (folder / f"ready{number}").touch()
    while not (folder / "go").exists():
        time.sleep(0.001)


def _database_seconds(env):
    """How long the server's processes for this database have worked, as far as they run on this machine."""
    env.cr.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state IS NOT NULL")
    ticks = 0
    for (pid,) in env.cr.fetchall():
        process = Path("/proc") / str(pid)
        # With a server elsewhere, the number may belong to any other program here.
        with suppress(OSError):
            if env.cr.dbname in (process / "cmdline").read_text():
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
    env.cr.rollback()
    return ticks / os.sysconf("SC_CLK_TCK")


def _forget_peak():
    # Linux forgets the peak of memory when asked: loading Odoo must not hide what billing takes.
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@contextmanager
def _profiled(told):
    """Write to `told` where the time and the queries of what is inside go."""
    shapes = Counter()
    execute = sql_db.Cursor.execute

    def counted(self, query, params=None, log_exceptions=True):
        shapes[_shape(query), _caller()] += 1
        return execute(self, query, params, log_exceptions)

    profiler = cProfile.Profile()
    sql_db.Cursor.execute = counted
    profiler.enable()
    try:
        yield
    finally:
        profiler.disable()
        sql_db.Cursor.execute = execute
    told.write("Statements: how often, by whom, and what\n")
    for (shape, caller), count in shapes.most_common(60):
        told.write(f"{count:7}  {caller:70}  {shape}\n")
    for order in ("cumulative", "tottime"):
        pstats.Stats(profiler, stream=told).sort_stats(order).print_stats(80)


def _shape(query):
    """A statement without its values: equal for all of a kind."""
    text = " ".join(str(getattr(query, "code", query)).split())
    text = re.sub(r"\(%s(, ?%s)*\)", "(…)", text)
    text = re.sub(r"(\(…\))(, ?\(…\))+", r"\1, …", text)
    text = re.sub(r'"(\w+)"', r"\1", text)
    text = re.sub(r"^SELECT (.{60}).*? FROM ", r"SELECT \1… FROM ", text)
    return re.sub(r"\b\d+\b", "N", text)[:160]


def _caller():
    """The innermost method of a model that is not the ORM's own."""
    frame = sys._getframe(2)
    while frame:
        path = Path(frame.f_code.co_filename)
        if "addons" in path.parts or ADDON in path.parts:
            return f"{path.parent.parent.name}/{path.stem}:{frame.f_code.co_name}"
        frame = frame.f_back
    return ""
