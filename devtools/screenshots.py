"""./dev shots: the pictures of the documentation, which show the demonstration company on `clock.PICTURE_DAY`.

`screenshots.toml` lists them. Runs inside the virtual environment, which has Playwright.
"""

import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

from playwright.sync_api import Browser, Error, Page

from . import browser, clock, console, project, store_page, workspace
from .console import Stop
from .site import Site, served
from .workspace import Workspace

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

_LIST = Path(__file__).with_name("screenshots.toml")
_TARGET = project.ROOT / "docs/images"
_IMAGES_LOADED = "Promise.all(Array.from(document.images, (image) => image.decode().catch(() => null)))"


def take(names: list[str]) -> int:
    """Take the named screenshots, or all; return the exit code."""
    wanted = _listed(names)
    with workspace.opened("test") as place, browser.launched(**browser.fonts()) as chromium:
        seconds = clock.seconds_ahead()
        database = _database(place, seconds)
        languages = list(dict.fromkeys(shot["lang"] for shot in wanted))
        foreign = [language for language in languages if language != "en_US"]
        if foreign:
            with console.step(f"Loading {', '.join(foreign)}"):
                place.odoo.ahead(seconds).load_languages(database, foreign)
        failed = 0
        for language in languages:
            # Some steps change data: each language gets a copy, so that all pictures show the same story.
            copy = place.scratch.database(place.databases, database, f"shots_{language.lower()}")
            clock.shift(place.databases, copy, seconds)
            with served(place.odoo.ahead(seconds), copy) as site:
                for shot in wanted:
                    if shot["lang"] == language:
                        failed |= _take(chromium, site, shot, seconds)
        store_page.take_banner(chromium)
    return failed


def _listed(names: list[str]) -> list[dict]:
    """Return the named entries of the list, or all, completed with its defaults."""
    listed = tomllib.loads(_LIST.read_text(encoding="utf-8"))
    shots = {shot["name"]: {**listed["defaults"], **shot} for shot in listed["shot"]}
    unknown = sorted(set(names) - set(shots))
    if unknown:
        raise Stop(f"{_LIST.name} has no screenshot called {', '.join(unknown)}.")
    return [shot for name, shot in shots.items() if not names or name in names]


def _database(place: Workspace, seconds: int) -> str:
    """Make the demonstration company as of the day of the pictures."""
    database = place.scratch.database(place.databases, place.databases.base_template(), "shots")
    clock.shift(place.databases, database, seconds)
    with console.step(f"Installing {project.ADDON} on {clock.PICTURE_DAY:%-d %B %Y}"):
        place.odoo.ahead(seconds).install(database, [project.ADDON])
    # The real address has another port each time.
    for key, value in (("web.base.url", "https://www.example.com"), ("web.base.url.freeze", "True")):
        place.databases.sql(
            f"INSERT INTO ir_config_parameter (key, value) VALUES ('{key}', '{value}')"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            database,
        )
    return database


def _take(chromium: Browser, site: Site, shot: dict, seconds: int) -> int:
    """Take one screenshot; return the exit code."""
    file = _TARGET / f"{shot['name']}.png"
    with browser.new_page(chromium, shot["width"], shot["height"], device_scale_factor=shot["scale"]) as page:
        page.clock.install(time=datetime.now(timezone.utc) + timedelta(seconds=seconds))
        try:
            _prepare(page, site, shot)
            (page.locator(shot["crop"]) if "crop" in shot else page).screenshot(path=file, animations="disabled")
        except (Error, Stop) as failure:
            broken = Path(tempfile.gettempdir()) / file.name
            page.screenshot(path=broken)
            console.error(f"{shot['name']}: {failure}\nWhat was there instead: {broken}")
            return 1
    store_page.publish(file)
    console.line(f"{shot['name']}: {file.relative_to(project.ROOT)}")
    return 0


def _prepare(page: Page, site: Site, shot: dict) -> None:
    """Bring a page to the moment of its picture."""
    site.set_language(shot["user"], shot["lang"])
    site.log_in(page, shot["user"])
    page.goto(site.address(shot["url"]))
    for step in shot.get("steps", []):
        kind, _, rest = step.partition(" ")
        if kind == "wait":
            browser.wait_for(page, rest)
        elif kind == "js":
            page.evaluate(f"async () => {{ {rest} }}")
        elif kind == "sleep":
            page.wait_for_timeout(float(rest) * 1000)
        else:
            # No real click: the mouse would rest on the element, and the picture show it hovered.
            page.locator(step).filter(visible=True).first.dispatch_event("click")
    browser.wait_for(page, shot["wait_for"])
    page.evaluate(_IMAGES_LOADED)
    page.evaluate("document.activeElement?.blur()")
    page.wait_for_timeout(shot["settle"] * 1000)
