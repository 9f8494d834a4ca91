"""All texts are translated: the template is up to date, the languages are complete, and Odoo loads them."""

import polib
import pytest

from devtools import i18n, project
from devtools.odoo import troubles

LANGUAGES = ["ar", "de", "es", "fa", "fr", "it", "ja", "nl", "pl", "pt_BR", "ru", "tr", "vi", "zh_CN", "zh_TW"]


def test_template_is_fresh(place, tmp_path):
    """If this fails, run `./dev i18n` and translate the terms that it lists."""
    database, _logged = place.databases.addon_template()
    fresh = i18n.export(place.odoo, database, tmp_path / "fresh.pot")
    assert i18n.texts(i18n.TEMPLATE) == i18n.texts(fresh)


def test_languages_are_those_promised():
    assert i18n.languages() == LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_translation_is_complete(language):
    assert list(i18n.problems(i18n.FOLDER / f"{language}.po")) == []


@pytest.mark.parametrize(
    ("text", "translation", "found"),
    [
        ("%(order)s is paused.", "%(oder)s ist pausiert.", "placeholders"),
        ("{{ object.name }} is open", "{{ objekt.name }} ist offen", "placeholders"),
        ("<b>Thank you!</b>", "<b>Danke!", "tags"),
        ('<i class="fa fa-plus"/> Add', '<i class="fa fa-minus"/> Hinzufügen', "tags"),
        ("Close", "", "not translated"),
    ],
)
def test_faults_are_found(tmp_path, monkeypatch, text, translation, found):
    entries = [("Renew", "Verlängern"), (text, translation)]
    for path in (tmp_path / "de.po", tmp_path / "it.pot"):
        catalogue = polib.POFile()
        catalogue.metadata = {"Language": "de", "Content-Type": "text/plain; charset=UTF-8"}
        catalogue.extend(polib.POEntry(msgid=msgid, msgstr=msgstr) for msgid, msgstr in entries)
        catalogue.save(str(path))
    monkeypatch.setattr(i18n, "TEMPLATE", tmp_path / "it.pot")
    [problem] = i18n.problems(tmp_path / "de.po")
    assert found in problem


class TestLoading:
    """All languages in one database."""

    def test_loading_logs_no_warning(self, languages):
        _database, log = languages
        assert troubles(log) == []

    def test_each_language_is_loaded_as_in_its_file(self, place, languages, tmp_path):
        """Odoo silently drops terms that it does not accept, so its own export shows what it has loaded."""
        database, _log = languages
        code = f"""
from odoo.tools.translate import trans_export
for lang in env["res.lang"].search([("code", "!=", "en_US")]):
    with open(f"{tmp_path}/{{lang.iso_code}}.po", "wb") as target:
        trans_export(lang.code, ["{project.ADDON}"], target, "po", env)
"""
        place.odoo.script(database, code, "Exporting the languages")
        dropped = {}
        for language in LANGUAGES:
            written, taken = (self.said(folder / f"{language}.po") for folder in (i18n.FOLDER, tmp_path))
            # Odoo does not export translations equal to the source.
            lost = [text for text in written if written[text] != (taken.get(text) or text)]
            dropped |= {language: lost} if lost else {}
        assert dropped == {}

    @staticmethod
    def said(path):
        # The names of Odoo's own models come from Odoo.
        return {
            entry.msgid: entry.msgstr
            for entry in polib.pofile(str(path))
            if not any(place.startswith("model:ir.model,name:") for place, _line in entry.occurrences)
        }
