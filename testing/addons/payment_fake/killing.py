"""Where a process dies when the environment says so: `KILL_AT` names the point, `KILL_NTH` which time it is reached."""

import os
import signal

_reached = {}


def is_here(point):
    """Tell whether this is where, and the time that, the process is to die.

    :param str point: name of a point, as in `KILL_AT`
    """
    if os.environ.get("KILL_AT") != point:
        return False
    _reached[point] = _reached.get(point, 0) + 1
    return _reached[point] == int(os.environ.get("KILL_NTH", "1"))


def reach(point):
    """Die here, if this is where to die, as by a power cut: no handler runs, nothing is rolled back or said."""
    if is_here(point):
        os.kill(os.getpid(), signal.SIGKILL)
