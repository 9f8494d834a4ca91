"""./dev i18n: the template of the texts, exported by Odoo, and the translations, updated to it.

Runs inside a virtual environment with polib.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import polib

from . import project, workspace
from .odoo import Odoo

FOLDER = project.ADDON_PATH / "i18n"
TEMPLATE = FOLDER / f"{project.ADDON}.pot"
_WIDTH = 78
_PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[sd]|\{\{.*?\}\}|\{\w+\}", re.DOTALL)
_TAG = re.compile(r"<[^>]+>")
# The attributes of a tag that people read are translated.
_SPOKEN = re.compile(r'\b(aria-label|title|placeholder|alt)="[^"]*"')


def update() -> int:
    """Export the template, update the translations, and print the texts that each language lacks."""
    with workspace.opened("test") as place:
        database, _logged = place.databases.addon_template()
        merge(export(place.odoo, database, place.odoo.work / TEMPLATE.name))
    return 0


def export(odoo: Odoo, database: str, to: Path, language: str = "pot") -> Path:
    """Export the addon's texts into a file; with a language, their translations, too."""
    command = odoo.command("-d", database, "-l", language, "-o", to, project.ADDON, subcommand="i18n export")
    odoo.finish(command, "Exporting the texts", f"i18n-export-{language}")
    return to


def languages() -> list[str]:
    """Return the languages of the translation files, as Odoo names them."""
    return sorted(path.stem for path in FOLDER.glob("*.po"))


def texts(path: Path) -> dict[str, list]:
    """Return the texts of a catalogue, each with its comment and its places."""
    return {entry.msgid: [entry.comment, sorted(entry.occurrences)] for entry in polib.pofile(str(path))}


def problems(path: Path) -> Iterator[str]:
    """Return the mistakes in a translation, compared with its template."""
    catalogue, expected = polib.pofile(str(path)), texts(TEMPLATE)
    if catalogue.metadata.get("Language") != path.stem:
        yield f"the header says the language {catalogue.metadata.get('Language')}"
    for entry in catalogue:
        about = f"{entry.msgid[:60]!r}"
        if entry.obsolete or entry.msgid not in expected:
            yield f"{about} is no text of the addon"
        elif entry.fuzzy:
            yield f"{about} is fuzzy"
        elif not entry.msgstr.strip():
            yield f"{about} is not translated"
        else:
            for what in differences(entry.msgid, entry.msgstr):
                yield f"{about} has other {what} than its translation {entry.msgstr[:60]!r}"
    for text in expected.keys() - {entry.msgid for entry in catalogue}:
        yield f"{text[:60]!r} is missing"


def differences(text: str, translation: str) -> list[str]:
    """Return which parts differ of those that a translation must keep."""
    checked = {"placeholders": _placeholders, "tags": _tags}
    return [what for what, parts in checked.items() if parts(text) != parts(translation)]


def merge(fresh: Path) -> None:
    """Make a fresh export the template, keep the translations of its texts, and print the missing ones."""
    template = polib.pofile(str(fresh), wrapwidth=_WIDTH)
    # The dates would change with every export.
    for key in ("POT-Creation-Date", "PO-Revision-Date"):
        template.metadata.pop(key, None)
    template.save(str(TEMPLATE))
    for language in languages():
        path = FOLDER / f"{language}.po"
        known = polib.pofile(str(path), wrapwidth=_WIDTH)
        # Another indentation of a view is no change of its text.
        said = {_flat(entry.msgid): entry.msgstr for entry in known if entry.msgstr}
        merged = polib.POFile(wrapwidth=_WIDTH)
        merged.header, merged.metadata = known.header, known.metadata
        for entry in template:
            found = said.get(_flat(entry.msgid), "").strip()
            # Odoo expects the same blanks around a translation as around the text.
            msgstr = found and entry.msgid.replace(entry.msgid.strip(), found)
            merged.append(
                polib.POEntry(
                    msgid=entry.msgid, msgstr=msgstr, comment=entry.comment, occurrences=list(entry.occurrences)
                )
            )
        merged.save(str(path))
        missing = [entry.msgid for entry in merged if not entry.msgstr]
        print(f"{language}: {len(merged) - len(missing)} of {len(merged)}")
        for text in missing:
            print(f"  {text!r}")


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _placeholders(text: str) -> list[str]:
    return sorted(set(_PLACEHOLDER.findall(text)))


def _tags(text: str) -> list[str]:
    return sorted(_flat(_SPOKEN.sub(r"\1", tag)) for tag in _TAG.findall(text))
