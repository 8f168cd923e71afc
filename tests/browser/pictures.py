"""How a picture of a page is taken: in light colours, of few of them, and never a large file."""

import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Locator, Page

from tests.browser.serving import Served

_MOST_BYTES = 150_000
_WIDTH = 1200
_WITHIN_MS = 60_000
_COLOURS = 128  # the pages have few, and a picture of few is a third as large


def take(page: Page, address: str, file: Path, height: int, at: str = "") -> None:
    """Of one page its upper part, or the part from the heading `at` on."""
    page.set_viewport_size({"width": _WIDTH, "height": height})
    page.goto(address)
    page.wait_for_load_state("networkidle")
    wait_for_parts(page)
    if at:
        heading = page.get_by_role("heading", name=at, exact=True)
        heading.evaluate("heading => scrollTo(0, heading.getBoundingClientRect().top + scrollY - 16)")
    keep(page, file)


def wait_for_parts(page: Page) -> None:
    """Until each part that comes by itself has taken the place of the link to it."""
    for part in page.locator("[hx-trigger=load]").all():
        part.locator(f'a[href="{part.get_attribute("hx-get")}"]').wait_for(state="detached", timeout=_WITHIN_MS)


def keep(shown: Page | Locator, file: Path) -> None:
    """What is on the screen now."""
    image = Image.open(io.BytesIO(shown.screenshot())).convert("RGB")
    image.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(file, optimize=True)
    size = file.stat().st_size
    print(f"{file} {size} bytes")
    if size > _MOST_BYTES:
        raise SystemExit(f"{file}: {size} bytes are over {_MOST_BYTES}; show less of the page")


def signed_in(browser: Browser, served: Served) -> Page:
    """Who holds a key that may read and write, on the list of runs."""
    page = browser.new_page(base_url=served.url, color_scheme="light")
    page.goto("/ui/login")
    page.get_by_label("API key").fill(served.key("read", "write"))
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/ui/runs")
    return page
