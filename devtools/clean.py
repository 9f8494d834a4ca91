"""./dev clean: remove the cache and the data of this project."""

import os
import shutil
import sys
from pathlib import Path

from . import cache, console, postgres
from .console import Stop


def run(yes: bool, keep_data: bool) -> int:
    """List the folders with their sizes, ask, and remove them."""
    homes = postgres.homes()
    if keep_data:
        del homes["run"]
    folders = [cache.home(), *([] if keep_data else [cache.data()]), *homes.values()]
    folders = [folder for folder in dict.fromkeys(folders) if folder.exists()]
    outermost = [folder for folder in folders if not any(other in folder.parents for other in folders)]
    for folder in outermost:
        console.line(f"{_size(folder):>9}  {folder}")
    if not yes:
        if not sys.stdin.isatty():
            raise Stop("Run `./dev clean --yes` to remove them: there is no terminal to ask at.")
        included = "" if keep_data else ", the database of ./dev run included"
        if input(f"Remove them{included}? [y/N] ").strip().lower() not in ("y", "yes"):
            return 1
    for purpose in homes:
        if not postgres.stop_unused(purpose):
            raise Stop(f"A `./dev {purpose}` is running: stop it first.")
    for folder in outermost:
        shutil.rmtree(folder)
    return 0


def _size(folder: Path) -> str:
    seen = set()
    total = 0
    for root, _folders, files in os.walk(folder):
        for file in files:
            status = os.lstat(os.path.join(root, file))
            if status.st_ino not in seen:
                seen.add(status.st_ino)
                total += status.st_blocks * 512
    return f"{total / 2**30:.1f} GB" if total >= 2**30 else f"{total / 2**20:.0f} MB"
