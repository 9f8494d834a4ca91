"""Measuring one billing method in this process."""

import cProfile
import gc
import io
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

from . import answer, data
from .methods import ADDON, METHODS
from .statements import watched


def measure(env, method, start, bad=False, profile=False):
    """Warm up, prepare, wait for the other processes, bill, and print the figures.

    :param str method: a key of :data:`METHODS`
    :param dict start: how processes start together: the ``folder`` in which each shows that it is ready and waits for
        the sign to go, the ``number`` of this one, and whether it is the ``last``
    :param bool bad: whether one of the orders cannot be invoiced
    :param bool profile: whether to tell where time and queries are spent, which takes time itself
    """
    env = data.of_company(env)
    # A worker bills all that is due: it would leave nothing for the next one to warm up with.
    METHODS["floor" if method == "worker" else method](env, data.WARM_UP)()
    if bad:
        data.make_one_fail(env, data.DUE)
    bill = METHODS[method](env, data.DUE)
    if method == "worker" and start["last"]:
        data.release_orders(env, data.DUE)
    env.cr.commit()
    gc.collect()
    report = io.StringIO()
    before = _reset_peak()
    _wait_for_start(Path(start["folder"]), start["number"])
    database = _database_seconds(env)
    queries, cpu, began = sql_db.sql_counter, time.process_time(), time.time()
    with _profiled(report) if profile else nullcontext():
        bill()
    answer.write(
        {
            "began": began,
            "ended": time.time(),
            "cpu": time.process_time() - cpu,
            "queries": sql_db.sql_counter - queries,
            "kilobytes": _peak() - before,
            "database": _database_seconds(env) - database,
            "profile": report.getvalue(),
        }
    )


def _wait_for_start(folder, number):
    (folder / f"ready{number}").touch()
    while not (folder / "go").exists():
        time.sleep(0.001)


def _database_seconds(env):
    """Return the processor time of the server's processes for this database, if they run on this machine."""
    env.cr.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state IS NOT NULL")
    ticks = 0
    for (pid,) in env.cr.fetchall():
        process = Path("/proc") / str(pid)
        # On another machine than the server's, the number may belong to any program.
        with suppress(OSError):
            if env.cr.dbname in (process / "cmdline").read_text():
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
    env.cr.rollback()
    return ticks / os.sysconf("SC_CLK_TCK")


def _reset_peak():
    # Loading Odoo must not hide the memory that billing takes. Only Linux can reset the peak.
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@contextmanager
def _profiled(report):
    """Write to `report` where the block spends its time and queries."""
    shapes = Counter()

    def count(_cursor, query, _params):
        shapes[_shape(query), _caller()] += 1

    profiler = cProfile.Profile()
    with watched(count):
        profiler.enable()
        try:
            yield
        finally:
            profiler.disable()
    report.write("Statements: number, method, statement\n")
    for (shape, caller), number in shapes.most_common(60):
        report.write(f"{number:7}  {caller:70}  {shape}\n")
    for order in ("cumulative", "tottime"):
        pstats.Stats(profiler, stream=report).sort_stats(order).print_stats(80)


def _shape(query):
    """Return a statement without its values, so that all of a kind are equal."""
    text = " ".join(str(getattr(query, "code", query)).split())
    text = re.sub(r"\(%s(, ?%s)*\)", "(…)", text)
    text = re.sub(r"(\(…\))(, ?\(…\))+", r"\1, …", text)
    text = re.sub(r'"(\w+)"', r"\1", text)
    text = re.sub(r"^SELECT (.{60}).*? FROM ", r"SELECT \1… FROM ", text)
    return re.sub(r"\b\d+\b", "N", text)[:160]


def _caller():
    """Return the innermost method on the stack that belongs to an addon."""
    frame = sys._getframe(1)
    while frame:
        path = Path(frame.f_code.co_filename)
        if "addons" in path.parts or ADDON in path.parts:
            return f"{path.parent.parent.name}/{path.stem}:{frame.f_code.co_name}"
        frame = frame.f_back
    return ""
