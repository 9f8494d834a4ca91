"""Running other programs, which end with ./dev, and explaining in a sentence why one failed."""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
from pathlib import Path

from .console import DiskFull, NoNetwork, Stop

_NO_SPACE = re.compile(r"No space left on device|Disk quota exceeded|ENOSPC", re.I)
_NO_NETWORK = re.compile(
    r"Temporary failure (in name resolution|resolving)|Name or service not known|Could not resolve|Network is unreachable"
    r"|Failed to establish a new connection|Could not connect to|Connection timed out|ENOTFOUND|EAI_AGAIN|ECONNREFUSED"
    r"|ETIMEDOUT|NewConnectionError|ConnectTimeout|Could not resolve host|Could not handshake",
)


def explain(what: str, output: str, log: Path | None = None) -> Stop:
    """Return the sentence that tells why `what` failed, and what to do."""
    if _NO_SPACE.search(output):
        return DiskFull(f"The disk is full ({what}): free some space, for example with `./dev clean`.")
    if _NO_NETWORK.search(output):
        return NoNetwork(
            f"No network ({what}): connect this machine, or check its proxy settings, and run the command again."
        )
    tail = "\n".join(output.strip().splitlines()[-15:])
    where = f" The whole log is {log}." if log else ""
    return Stop(f"{what} failed.{where}\n{tail}" if tail else f"{what} failed without output.{where}")


def start(command: list, **options) -> subprocess.Popen:
    """Start a program in its own process group. It ends when ./dev ends, even by a signal."""
    command = [str(part) for part in command]
    try:
        return subprocess.Popen(command, start_new_session=True, preexec_fn=_end_with_parent, **options)
    except FileNotFoundError as missing:
        if missing.filename != command[0]:
            raise
        raise Stop(f"{Path(command[0]).name} is missing: install it and run the command again.") from None


def stop(child: subprocess.Popen, patience: float = 15) -> None:
    """End a program and all that it started."""
    for sign, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(seconds)
            break


def output(command: list, what: str, *, log: Path | None = None, text_input: str | None = None, **options) -> str:
    """Run a program and return its output, of which `log` keeps a copy. A failure raises `Stop`."""
    code, printed = run(command, log=log, text_input=text_input, **options)
    if code:
        raise explain(what, printed, log)
    return printed


def run(command: list, *, log: Path | None = None, text_input: str | None = None, **options) -> tuple[int, str]:
    """Run a program; return its exit code and its output."""
    child = start(
        command,
        stdin=subprocess.DEVNULL if text_input is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        **options,
    )
    try:
        printed, _none = child.communicate(text_input)
    except BaseException:
        stop(child)
        raise
    if log:
        log.write_text(printed, encoding="utf-8")
    return child.returncode, printed


def attached(command: list, **options) -> int:
    """Run a program whose output goes to the terminal; return its exit code."""
    child = start(command, stdin=subprocess.DEVNULL, **options)
    try:
        return child.wait()
    finally:
        if child.poll() is None:
            stop(child)


def _end_with_parent() -> None:
    # Linux only. Elsewhere a child survives a kill -9 of ./dev.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
