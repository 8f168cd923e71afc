"""A real Chromium before a real service. Skipped, in one line, where there is no Chromium.

CHARTER_CHROMIUM names another program, CHARTER_AXE the file axe.min.js of axe-core (npm).
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.serving import Served, serving

ROOT = Path(__file__).parents[2]
# What WCAG 2.2 AA asks for.
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
# On a busy machine a page may take long; a test waits for what should come, and does not measure.
WAIT_MS = 60_000
expect.set_options(timeout=WAIT_MS)
NewPage = Callable[..., Page]
Violations = Callable[[Page], list[str]]


def chromium() -> str | None:
    """The program, or None."""
    names = (os.environ.get("CHARTER_CHROMIUM", ""), "chromium", "chromium-browser")
    return next((found for name in names if name and (found := shutil.which(name))), None)


# One for each file: while Playwright's loop runs in this thread, no asynchronous test of another file could.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = chromium()
    if program is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium; or set CHARTER_CHROMIUM)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An empty service for the file's tests; fill it by `served.do(...)`."""
    with serving(tmp_path_factory.mktemp("served")) as served:
        yield served


@pytest.fixture
def new_page(browser: Browser, served: Served) -> Iterator[NewPage]:
    """`new_page(color_scheme="dark", java_script_enabled=False, ...)`: a page of its own context, as a stranger.

    At the end of the test no script may have failed, no header have forbidden anything, and no dialog have opened.
    """
    pages: list[Page] = []
    faults: list[str] = []

    def opened(**options: object) -> Page:
        page = browser.new_context(base_url=served.url, **options).new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("console", lambda said: faults.append(said.text) if is_fault(said.type, said.text) else None)
        page.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        pages.append(page)
        return page

    yield opened
    for page in pages:
        page.context.close()
    assert faults == []


def is_fault(kind: str, text: str) -> bool:
    """An answer of 4xx or 5xx is told by the test that asks for it; everything else on the console is a fault."""
    return kind == "error" and not text.startswith("Failed to load resource")


@pytest.fixture(scope="session")
def axe() -> Violations:
    """What axe-core finds wrong on a page: one line a fault, with its rule and the first element."""
    names = (os.environ.get("CHARTER_AXE", ""), str(ROOT / "node_modules" / "axe-core" / "axe.min.js"))
    file = next((Path(name) for name in names if name and Path(name).is_file()), None)
    if file is None:
        pytest.skip("axe-core is not installed (npm install axe-core; or set CHARTER_AXE to its axe.min.js)")
    source = file.read_text(encoding="utf-8")

    def violations(page: Page) -> list[str]:
        page.evaluate(f"() => {{ {source}\n }}")
        found = page.evaluate("rules => axe.run({runOnly: rules}).then(result => result.violations)", list(RULES))
        return [f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}" for one in found]

    return violations
