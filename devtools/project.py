"""Names and paths of this repository, and the addon's manifest."""

import ast
import functools
from pathlib import Path

from . import cache
from .console import Stop

ROOT = Path(__file__).resolve().parent.parent
ADDON = "subscription_close_renew"
ADDON_PATH = ROOT / ADDON
SERIES = "19.0"

# Installed beside the addon's dependencies, so that the demonstration company looks like a real one.
EXTRA_MODULES = ("sale_management",)


@functools.cache
def manifest() -> dict:
    """Return the addon's manifest."""
    path = ADDON_PATH / "__manifest__.py"
    try:
        return ast.literal_eval(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        raise Stop(f"The manifest {path} cannot be read: {error}.") from None


def base_modules() -> list[str]:
    """Return the modules that a database has before the addon is installed."""
    return sorted({*manifest().get("depends", []), *EXTRA_MODULES})


def addon_digest() -> str:
    """Return a digest of the files that a database is made from: all but tests and compiled files."""
    parts = []
    for path in sorted(ADDON_PATH.rglob("*")):
        relative = path.relative_to(ADDON_PATH)
        if path.is_file() and relative.parts[0] != "tests" and path.suffix != ".pyc":
            parts += [str(relative), path.read_bytes()]
    return cache.digest(*parts)
