"""A hook of pre-commit: a translation has the placeholders and tags of its original.

Other checks rely on the flag `python-format`, which Odoo's export does not set.
"""

import sys

import polib

from .i18n import differences


def main(paths: list[str]) -> int:
    """Print the mistakes in the .po files; return the exit code."""
    problems = [
        f"{path}:{entry.linenum}: other {what} than in {entry.msgid!r}: {entry.msgstr!r}"
        for path in paths
        for entry in polib.pofile(path)
        if entry.msgstr and not entry.obsolete
        for what in differences(entry.msgid, entry.msgstr)
    ]
    for problem in problems:
        print(problem)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
