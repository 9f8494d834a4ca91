"""The source of Odoo 19 Community: the checkout that ODOO_SRC names, Debian's packages, or a clone."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from . import apt, cache, console, process, project
from .console import DiskFull, NoNetwork, Stop

# Debian has parts of the front end in separate packages. Odoo's files are relative links to them, which resolve once all
# are unpacked into one folder. Icons and fonts come from the machine's release, because newer ones are elsewhere.
_FROM_NEWEST = ("odoo-19", "fonts-montserrat")
_FROM_RELEASE = (
    "libjs-jquery",
    "libjs-jquery-form",
    "libjs-underscore",
    "fonts-roboto-unhinted",
    "fonts-font-awesome",
    "fonts-inconsolata",
)
_FROM_EITHER = ("fonts-ocr-b",)
_REPOSITORY = "https://github.com/odoo/odoo.git"
_RECIPE = "2"


class Source(NamedTuple):
    """The place of Odoo's code."""

    path: Path
    """The folder with the package `odoo`."""
    addons: tuple[Path, ...]
    version: str
    """Tells two sources apart."""


def find() -> Source:
    """Return Odoo's source, which is fetched first if this machine has none."""
    given = os.environ.get("ODOO_SRC")
    if given:
        return _read(Path(given).expanduser().resolve(), given=True)
    return _read(_fetched())


def _fetched() -> Path:
    kept = sorted(cache.home().glob(f"odoo-*-{_RECIPE}"))
    if kept:
        return _tree(kept[0])
    ways = []
    if apt.available():
        ways.append((f"odoo-debian-{_RECIPE}", _from_packages))
    if shutil.which("git"):
        ways.append((f"odoo-git-{_RECIPE}", _from_git))
    problems = []
    for name, build in ways:
        try:
            return _tree(cache.made(name, build, "Odoo's source"))
        except DiskFull:
            raise
        except Stop as stop:
            problems.append(stop)
    if problems and all(isinstance(problem, NoNetwork) for problem in problems):
        raise Stop(
            f"No network: connect this machine or check its proxy settings, or set ODOO_SRC to a checkout of Odoo {project.SERIES}."
        )
    reasons = " ".join(str(problem).splitlines()[0] for problem in problems) or "There is neither apt nor git."
    raise Stop(f"Odoo {project.SERIES} could not be fetched: set ODOO_SRC to a checkout of its source. {reasons}")


def _from_packages(folder: Path) -> None:
    with console.step("Fetching Odoo 19 (about 130 MB of packages)"):
        private = apt.PrivateApt(folder / ".apt")
        packages = [f"{name}/{private.newest}" for name in _FROM_NEWEST]
        packages += [f"{name}/{private.suite}" for name in _FROM_RELEASE]
        private.unpack([*packages, *_FROM_EITHER], folder)
        shutil.rmtree(folder / ".apt")
        package = folder / "usr/lib/python3/dist-packages/odoo"
        if not package.is_dir():
            raise Stop("The packages of Odoo do not have the expected files.")
        # The manifest names this file, but the package lacks it: every back-end page would report an asset error.
        missing = package / "addons/mail/static/lib/selfie_segmentation/selfie_segmentation.js"
        if not missing.exists():
            missing.parent.mkdir(parents=True, exist_ok=True)
            missing.touch()


def _from_git(folder: Path) -> None:
    with console.step(f"Cloning Odoo {project.SERIES} (about 300 MB)"):
        command = ["git", "clone", "--quiet", "--depth=1", f"--branch={project.SERIES}", _REPOSITORY, folder / "odoo"]
        process.output(command, "Cloning Odoo", env={**os.environ, "GIT_TERMINAL_PROMPT": "0"})


def _tree(fetched: Path) -> Path:
    packaged = fetched / "usr/lib/python3/dist-packages"
    return packaged if packaged.is_dir() else fetched / "odoo"


def _read(path: Path, given: bool = False) -> Source:
    release = path / "odoo/release.py"
    if not release.is_file():
        where = "ODOO_SRC" if given else "the cache"
        raise Stop(f"{path}, named by {where}, is not a checkout of Odoo: it has no odoo/release.py.")
    match = re.search(r"version_info\s*=\s*\((\d+),\s*(\d+)", release.read_text(encoding="utf-8"))
    series = ".".join(match.groups()) if match else "unknown"
    if series != project.SERIES:
        raise Stop(f"{path} is Odoo {series}, and this addon is for {project.SERIES}.")
    addons = tuple(folder for folder in (path / "odoo/addons", path / "addons") if folder.is_dir())
    return Source(path, addons, cache.digest(path, _revision(path)))


def _revision(path: Path) -> str:
    if not (path / ".git").exists():
        return ""
    asked = subprocess.run(["git", "-C", path, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip()
