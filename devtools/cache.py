"""The cache: folders that are slow to make, kept between commands.

A folder is complete or absent. It is made under another name and then renamed; one that cannot be moved has a marker,
which is written last. Each has a lock, so that several ./dev can run at once.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from . import console

_NAME = "subscription-close-renew"
_MARKER = ".complete"


def home() -> Path:
    """Return the folder for what can be made again."""
    return _folder("XDG_CACHE_HOME", ".cache")


def data() -> Path:
    """Return the folder for what must last: the database of ./dev run."""
    return _folder("XDG_DATA_HOME", ".local/share")


def digest(*parts: str | bytes | Path) -> str:
    """Return a short digest of what something is made from."""
    sha = hashlib.sha256()
    for part in parts:
        raw = part if isinstance(part, bytes) else str(part).encode()
        sha.update(b"%d:" % len(raw) + raw)
    return sha.hexdigest()[:12]


@contextlib.contextmanager
def locked(name: str, what: str = "the same thing"):
    """Hold the lock `name`. A message appears while another ./dev holds it."""
    with lock_file(name).open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with console.step(f"Waiting for another ./dev that is busy with {what}"):
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def lock_file(name: str) -> Path:
    """Return the file of a lock. It is never removed: a process that waits for a removed file would get in beside another."""
    locks = home() / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    return locks / f"{name}.lock"


def made(name: str, build: Callable[[Path], None], what: str) -> Path:
    """Return the folder `name`. If there is none, `build(folder)` makes it under another name, before it is renamed."""
    place = home() / name
    if place.is_dir():
        return place
    with locked(name, what):
        if place.is_dir():
            return place
        for leftover in home().glob(f".{name}.*"):
            shutil.rmtree(leftover, ignore_errors=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=home()))
        try:
            build(draft)
            os.rename(draft, place)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    return place


def made_in_place(name: str, build: Callable[[Path], None], what: str) -> Path:
    """Do as `made` for what cannot be moved, such as a virtual environment. An unfinished one is replaced."""
    place = home() / name
    if (place / _MARKER).exists():
        return place
    with locked(name, what):
        if (place / _MARKER).exists():
            return place
        shutil.rmtree(place, ignore_errors=True)
        try:
            build(place)
            (place / _MARKER).touch()
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
    return place


def log(name: str) -> Path:
    """Return the path for a log. Logs older than a week are removed."""
    logs = home() / "logs"
    logs.mkdir(exist_ok=True)
    for old in logs.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if old.stat().st_mtime < time.time() - 7 * 24 * 3600:
                old.unlink()
    return logs / name


def _folder(variable: str, default: str) -> Path:
    base = os.environ.get(variable)
    if not base or not os.path.isabs(base):
        base = Path.home() / default
    folder = Path(base) / _NAME
    folder.mkdir(parents=True, exist_ok=True)
    return folder
