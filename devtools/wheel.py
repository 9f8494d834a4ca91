"""./dev wheel: the addon as a package for pip, built by whool."""

import shutil
import tempfile
from pathlib import Path

from . import console, process, project, workspace
from .virtualenv import Environment

_TARGET = project.ROOT / "dist"
_LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.py[cod]", "*~")


def run() -> int:
    """Build the wheel from the files as they are, and print its path."""
    environment = workspace.environment()
    with console.step("Building the wheel"):
        wheel = build(environment, _TARGET)
    console.line(f"{wheel.relative_to(project.ROOT)} ({wheel.stat().st_size / 1024:.0f} kB)")
    return 0


def build(environment: Environment, folder: Path) -> Path:
    """Build the wheel into a folder; return its path."""
    with tempfile.TemporaryDirectory(prefix="wheel-") as work:
        # whool asks git for the files, and without git would take caches, too. A copy outside of git is the same
        # everywhere.
        addon = Path(work, project.ADDON)
        shutil.copytree(project.ADDON_PATH, addon, ignore=_LEFT_OUT)
        shutil.copy(project.ROOT / "LICENSE", addon)
        variables = {key: value for key, value in environment.variables().items() if not key.startswith("GIT_")}
        variables["GIT_CEILING_DIRECTORIES"] = work
        command = [environment.python, "-m", "pip", "wheel", "--no-input", "--disable-pip-version-check"]
        command += ["--no-deps", "--no-build-isolation", "--wheel-dir", Path(work, "made"), addon]
        process.output(command, "Building the wheel", env=variables, cwd=work)
        [made] = Path(work, "made").glob("*.whl")
        folder.mkdir(parents=True, exist_ok=True)
        return shutil.copy(made, folder / made.name)
