"""The pop-up in which customers close their subscription is complete on a phone, in each language and direction."""

import polib
import pytest
from playwright.sync_api import expect

from devtools import browser, i18n, site

COFFEE = "/my/subscriptions/{subscription_close_renew.order_joel_coffee}"
TEXTS = (
    "Close Subscription",
    "Why are you closing it?",
    "Too expensive",
    "I don't use it enough",
    "Another reason",
    "Talk to us",
    "Submit",
    "Cancel",
)
RIGHT_TO_LEFT = ("ar", "fa")
PHONE = (390, 844)
CUT_OFF = """(pop_up) => [document.body, ...pop_up.querySelectorAll("*")]
    .filter((element) => element.clientWidth && element.scrollWidth > element.clientWidth + 1)
    .map((element) => element.outerHTML.slice(0, 120))"""


@pytest.fixture(scope="module")
def served(place, languages):
    name, _log = languages
    with site.served(place.odoo, name) as opened:
        yield opened


@pytest.mark.parametrize("language", i18n.languages())
def test_pop_up_is_complete(chromium, served, language):
    [[code]] = served.sql(f"SELECT code FROM res_lang WHERE iso_code = '{language}'")
    served.set_language("portal", code)
    known = {entry.msgid: " ".join(entry.msgstr.split()) for entry in polib.pofile(str(i18n.FOLDER / f"{language}.po"))}
    with browser.new_page(chromium, *PHONE) as page:
        served.log_in(page, "portal")
        page.goto(served.address(COFFEE))
        page.wait_for_function("Boolean(window.Modal)")
        page.locator("a[name=subscription_close]").click()
        pop_up = page.locator("#subscription_close_modal.show")
        pop_up.locator("input[type=radio]").first.click()
        expect(pop_up.locator("[name=subscription_retention]:visible")).to_have_count(1)

        # French uses a different space before a question mark.
        shown = " ".join(pop_up.inner_text().split())
        assert [text for text in TEXTS if known[text] not in shown] == [], shown
        assert pop_up.evaluate(CUT_OFF) == []
        cross, title = (pop_up.locator(f".{part}").bounding_box()["x"] for part in ("btn-close", "modal-title"))
        assert (cross < title) == (language in RIGHT_TO_LEFT)
