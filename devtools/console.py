"""Messages at the terminal: lines, errors, and the steps that take a while."""

import sys
import threading
import time
from contextlib import contextmanager

_steps: list["_Step"] = []


class Stop(Exception):
    """A problem that the user can solve. It is printed as one sentence, without a traceback."""


class DiskFull(Stop):
    """The disk is full: trying another way would not help."""


class NoNetwork(Stop):
    """Nothing can be downloaded."""


def line(text: str = "") -> None:
    """Print a line at once, even into a pipe."""
    _clear()
    print(text, flush=True)


def error(text: str) -> None:
    """Print a line to the standard error."""
    _clear()
    print(text, file=sys.stderr, flush=True)


@contextmanager
def step(text: str):
    """Show that `text` is being done, how long it takes, and that it is over."""
    current = _Step(text)
    _steps.append(current)
    current.start()
    try:
        yield
    except BaseException:
        current.finish("stopped")
        raise
    else:
        current.finish("done")


def _clear() -> None:
    if sys.stdout.isatty() and _steps:
        sys.stdout.write("\r\033[K")
        sys.stdout.flush()


class _Step:
    """A running step. On a terminal its seconds count up in place; elsewhere a line appears twice a minute."""

    def __init__(self, text: str):
        self.text = text
        self.began = time.monotonic()
        self.over = threading.Event()
        self.live = sys.stdout.isatty()

    def start(self) -> None:
        if not self.live:
            print(f"{self.text} …", flush=True)
        threading.Thread(target=self._tick, daemon=True).start()

    def _seconds(self) -> str:
        return f"{time.monotonic() - self.began:.0f} s"

    def _tick(self) -> None:
        while not self.over.wait(0.5 if self.live else 30):
            if _steps[-1:] != [self]:
                continue
            if self.live:
                sys.stdout.write(f"\r\033[K{self.text} … {self._seconds()}")
                sys.stdout.flush()
            else:
                print(f"  still running: {self.text}, {self._seconds()}", flush=True)

    def finish(self, how: str) -> None:
        self.over.set()
        _clear()
        _steps.remove(self)
        print(f"{self.text}: {how} in {self._seconds()}", flush=True)
