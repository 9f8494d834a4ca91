"""What the other modules need to know about the repository."""

import ast
import functools
from pathlib import Path

from . import cache
from .console import Stop

ROOT = Path(__file__).resolve().parent.parent
ADDON = "subscription_close_renew"
ADDON_PATH = ROOT / ADDON
SERIES = "19.0"

# Beside the addon's own dependencies: what makes the demonstration company look like a real one.
EXTRA_MODULES = ("sale_management",)


@functools.cache
def manifest() -> dict:
    """The addon's manifest."""
    path = ADDON_PATH / "__manifest__.py"
    try:
        return ast.literal_eval(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        raise Stop(f"The manifest {path} cannot be read: {error}.") from None


def base_modules() -> list[str]:
    """The modules that a database has before the addon comes."""
    return sorted({*manifest().get("depends", []), *EXTRA_MODULES})


def addon_digest() -> str:
    """Changes when a file changes that a database is made from; tests and compiled files do not count."""
    parts = []
    for path in sorted(ADDON_PATH.rglob("*")):
        relative = path.relative_to(ADDON_PATH)
        if path.is_file() and relative.parts[0] != "tests" and path.suffix != ".pyc":
            parts += [str(relative), path.read_bytes()]
    return cache.digest(*parts)
