"""Things that are slow to make, kept between commands.

What is here is either whole or absent: it is made beside its place and renamed into it, or, when it cannot be
moved, carries a marker that is written last. A lock per thing lets several ./dev work at once.
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
    """Where this project caches what it can make again."""
    return _folder("XDG_CACHE_HOME", ".cache")


def data() -> Path:
    """Where this project keeps what must last: the database of ./dev run."""
    return _folder("XDG_DATA_HOME", ".local/share")


def digest(*parts: str | bytes | Path) -> str:
    """A short name for what something is made from."""
    sha = hashlib.sha256()
    for part in parts:
        raw = part if isinstance(part, bytes) else str(part).encode()
        sha.update(b"%d:" % len(raw) + raw)
    return sha.hexdigest()[:12]


@contextlib.contextmanager
def locked(name: str, what: str = "the same thing"):
    """Hold the lock `name`; say so when another ./dev makes us wait."""
    with lock_file(name).open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with console.step(f"Waiting for another ./dev that is busy with {what}"):
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def lock_file(name: str) -> Path:
    """The file of a lock. It stays: removing a lock file that somebody waits for would let two in."""
    locks = home() / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    return locks / f"{name}.lock"


def made(name: str, build: Callable[[Path], None], what: str) -> Path:
    """The folder `name`, made by `build(folder)` if it is not there yet, beside its place and then renamed."""
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
    """As `made`, for what cannot be moved, such as a virtual environment: an unfinished one is made anew."""
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
    """Where a log goes that a message may refer to; those of a week ago are removed."""
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
