"""The npm packages, installed by the Node of the virtual environment: axe-core for the accessibility tests, and rtlcss,
with which Odoo makes right-to-left pages.
"""

import shutil
from pathlib import Path

from . import cache, console, process
from .virtualenv import Environment

_MANIFESTS = ("package.json", "package-lock.json")


def modules(environment: Environment) -> Path:
    """Return the folder `node_modules`."""
    here = Path(__file__).parent
    key = cache.digest(*((here / name).read_bytes() for name in _MANIFESTS))

    def build(folder: Path) -> None:
        for name in _MANIFESTS:
            shutil.copy(here / name, folder)
        npm = environment / "npm"
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        with console.step("Installing the front-end tools"):
            process.output(command, "Installing the npm packages", cwd=folder, env=environment.variables())

    return cache.made(f"node-{key}", build, "the front-end tools") / "node_modules"
