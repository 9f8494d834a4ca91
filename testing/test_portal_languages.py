"""The pop-up in which customers close their subscription, in every language and on a phone: whole, and in their direction."""

import polib
import pytest

from devtools import browser as chromium
from devtools import camera, i18n, serve

COFFEE = "/my/subscriptions/{subscription_close_renew.order_joel_coffee}"
POP_UP = "#subscription_close_modal.show"
SAID = (
    "Close Subscription",
    "Why do you close it?",
    "Too expensive",
    "I do not use it enough",
    "Another reason",
    "Talk to us",
    "Submit",
    "Cancel",
)
RIGHT_TO_LEFT = ("ar", "fa")
TELEPHONE = (390, 844)


@pytest.fixture(scope="module")
def site(place, languages):
    name, _log = languages
    with serve.aside(place.odoo, name) as url:
        site = camera.Site(url, name)
        yield site
        site.connection.close()


@pytest.fixture(scope="module")
def window():
    """A browser."""
    window = camera.Browser(chromium.ensure())
    yield window
    window.close()


@pytest.mark.parametrize("language", i18n.languages())
def test_pop_up_is_whole(window, site, language):
    [code] = site._row("SELECT code FROM res_lang WHERE iso_code = %s", language)
    site.speak("portal", code)
    window.begin(*TELEPHONE)
    site.admit("portal", window)
    window.open(site.address(COFFEE))
    camera._until(lambda: window.script("Boolean(window.Modal)"), "Bootstrap is not there")
    window.click("a[name=subscription_close]")
    window.wait_for(POP_UP)
    window.click(f"{POP_UP} input[type=radio]")
    window.wait_for(f"{POP_UP} [name=subscription_retention]")

    # French has blanks of its own before a question mark.
    shown = " ".join(window.script(f"document.querySelector('{POP_UP}').innerText").split())
    known = {entry.msgid: " ".join(entry.msgstr.split()) for entry in polib.pofile(str(i18n.FOLDER / f"{language}.po"))}
    assert [text for text in SAID if known[text] not in shown] == [], shown
    assert cut(window) == []
    across = f"document.querySelector('{POP_UP} .%s').getBoundingClientRect().x"
    cross, title = (window.script(across % part) for part in ("btn-close", "modal-title"))
    assert (cross < title) == (language in RIGHT_TO_LEFT)


def cut(window):
    """What is wider than the place that it has."""
    return window.script(
        f"""Array.from(document.querySelectorAll("body, {POP_UP} *"))
            .filter((one) => one.clientWidth && one.scrollWidth > one.clientWidth + 1)
            .map((one) => one.outerHTML.slice(0, 120))"""
    )
