"""Points at which a process can die: `KILL_AT` in the environment names the point, `KILL_NTH` says on which visit."""

import os
import signal

_reached = {}


def is_here(point):
    """Return whether the process is to die at this point and this time.

    :param str point: name of a point, as in `KILL_AT`
    """
    if os.environ.get("KILL_AT") != point:
        return False
    _reached[point] = _reached.get(point, 0) + 1
    return _reached[point] == int(os.environ.get("KILL_NTH", "1"))


def reach(point):
    """Die at this point if requested, as in a power cut: no handler runs, nothing is rolled back or logged."""
    if is_here(point):
        os.kill(os.getpid(), signal.SIGKILL)
