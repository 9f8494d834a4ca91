"""The Chromium that the tours and the screenshots drive."""

import os
import shutil

from . import cache, process, say
from .say import Stop

# The names that Odoo's own test class looks for.
_NAMES = ("google-chrome", "chromium", "chromium-browser", "google-chrome-stable")


def find() -> str | None:
    """The browser's path, if this machine has one."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


def ensure() -> str:
    """The browser's path; root gets one installed."""
    found = find()
    if found:
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        with cache.locked("chromium", "installing Chromium"):
            if not find():
                quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
                with say.step("Installing Chromium for the browser tests"):
                    process.output(["apt-get", "update", "-qq"], "Reading the package lists", env=quiet)
                    command = ["apt-get", "install", "-qq", "--yes", "--no-install-recommends", "chromium"]
                    process.output(command, "Installing Chromium", env=quiet)
        found = find()
    if not found:
        raise Stop(
            "No Chromium or Chrome on this machine: install one (on Debian: `apt-get install chromium`), "
            "or leave the browser tests out with --no-browser."
        )
    return found
