"""The pictures of the page that Odoo's list of apps and its store show. They are made from those of the documentation."""

import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser

from . import browser, project

_PAGE = project.ADDON_PATH / "static/description/index.html"
_BANNER = Path(__file__).with_name("store_banner.html")
# The store crops its covers to twice as wide as high.
_BANNER_SIZE = (1120, 560)


def publish(picture: Path) -> None:
    """Copy a picture to the page, if the page shows it."""
    if f'src="{picture.name}"' in _PAGE.read_text(encoding="utf-8"):
        _save(picture.read_bytes(), picture.name)


def take_banner(chromium: Browser) -> None:
    """Take the cover, which shows a picture of the documentation."""
    with browser.new_page(chromium, *_BANNER_SIZE) as page:
        page.goto(_BANNER.as_uri())
        _save(page.screenshot(), "banner.png")


def _save(picture: bytes, name: str) -> None:
    # 256 colours take a third of the bytes. MAXCOVERAGE keeps each colour close to the original.
    colours = Image.open(io.BytesIO(picture)).convert("RGB")
    colours = colours.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
    colours.save(_PAGE.with_name(name), optimize=True)
