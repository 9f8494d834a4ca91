"""Chromium, for the browser tests and the screenshots."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from . import apt, cache, console, process
from .console import Stop

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# Latin, Cyrillic, Arabic and Persian; Chinese and Japanese.
_FONTS = ("fonts-dejavu-core", "fonts-liberation", "fonts-wqy-microhei")
# The names that Odoo's own test class looks for.
_NAMES = ("google-chrome", "chromium", "chromium-browser", "google-chrome-stable")
# Narrower pages are shown as on a phone.
_PHONE_WIDTH = 600
# The first page of each kind makes Odoo bundle its assets.
_TIMEOUT = 40_000


def find() -> str | None:
    """Return the path of this machine's browser, if there is one."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


def ensure() -> str:
    """Return the path of the browser, which is installed first if root needs it."""
    found = find()
    if found:
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        with cache.locked("chromium", "installing Chromium"):
            if not find():
                quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
                with console.step("Installing Chromium for the browser tests"):
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


def fonts() -> dict[str, str]:
    """Return variables that give Chromium fonts for all our languages; without apt, the machine's own have to do."""
    if not apt.available():
        return {}

    def build(folder: Path) -> None:
        with console.step("Fetching fonts for the pictures"), tempfile.TemporaryDirectory(dir=cache.home()) as private:
            apt.PrivateApt(Path(private) / "apt").unpack(list(_FONTS), Path(private) / "root")
            shutil.copytree(Path(private) / "root/usr/share/fonts", folder / "fonts")

    return {"XDG_DATA_HOME": str(cache.made(f"fonts-{cache.digest(*_FONTS)}", build, "the fonts"))}


@contextlib.contextmanager
def launched(**variables: str) -> Iterator["Browser"]:
    """Start the browser for Playwright, which only the virtual environment has."""
    from playwright.sync_api import sync_playwright

    program, environment = ensure(), {**os.environ, **variables}
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=program, env=environment) as found:
        yield found


def new_page(browser: "Browser", width: int, height: int, **options) -> "Page":
    """Open an empty page in a context of its own, which knows no cookies; `options` are Playwright's."""
    page = browser.new_page(
        viewport={"width": width, "height": height},
        is_mobile=width < _PHONE_WIDTH,
        reduced_motion="reduce",
        **options,
    )
    page.set_default_timeout(_TIMEOUT)
    return page


def wait_for(page: "Page", selector: str) -> None:
    """Wait until something that matches is visible."""
    page.locator(selector).filter(visible=True).first.wait_for()
