"""The Chromium that the tours and the screenshots drive."""

import os
import shutil
import tempfile
from pathlib import Path

from . import apt, cache, process, say
from .say import Stop

# Latin, Cyrillic, Arabic and Persian; Chinese and Japanese.
_FONTS = ("fonts-dejavu-core", "fonts-liberation", "fonts-wqy-microhei")
# The names that Odoo's own test class looks for.
_NAMES = ("google-chrome", "chromium", "chromium-browser", "google-chrome-stable")


def find() -> str | None:
    """The browser's path, if this machine has one."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


def fonts() -> dict[str, str]:
    """The variables with which Chromium finds letters of all our languages; where there is no apt, the machine's do."""
    if not apt.available():
        return {}

    def build(folder: Path) -> None:
        with say.step("Fetching fonts for the pictures"), tempfile.TemporaryDirectory(dir=cache.home()) as private:
            apt.PrivateApt(Path(private) / "apt").unpack(list(_FONTS), Path(private) / "root")
            shutil.copytree(Path(private) / "root/usr/share/fonts", folder / "fonts")

    return {"XDG_DATA_HOME": str(cache.made(f"fonts-{cache.digest(*_FONTS)}", build, "the fonts"))}


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
