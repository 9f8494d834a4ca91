"""The pictures of the page that Odoo's list of apps and its store show, made from those of the documentation.

Runs inside the virtual environment, for `./dev shots`.
"""

import io
from pathlib import Path

from PIL import Image

from . import project

_PAGE = project.ADDON_PATH / "static/description/index.html"
_BANNER = Path(__file__).with_name("banner.html")
# Twice as wide as high, as the store crops its covers.
_BANNER_SIZE = (1120, 560)


def publish(picture: Path) -> None:
    """Bring a picture to the page, if the page shows it."""
    if f'src="{picture.name}"' in _PAGE.read_text(encoding="utf-8"):
        _save(picture.read_bytes(), picture.name)


def banner(browser) -> None:
    """Take the cover, which shows a picture of the documentation."""
    browser.begin(*_BANNER_SIZE)
    browser.open(_BANNER.as_uri())
    _save(browser.picture(*_BANNER_SIZE, None), "banner.png")


def _save(picture: bytes, name: str) -> None:
    # 256 colours take a third of the bytes, and chosen so that none is far off, they look the same.
    colours = Image.open(io.BytesIO(picture)).convert("RGB")
    colours = colours.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
    colours.save(_PAGE.with_name(name), optimize=True)
