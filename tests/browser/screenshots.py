"""Pictures of the pages for the docs: `python -m tests.browser.screenshots HOME docs/images`.

HOME is a copy of a service's folder with a finished run, as `make demo` leaves in out/demo/service: a service is opened
on it. Left out: the labelling pages, which have pictures of their own.
"""

import argparse
import io
from dataclasses import replace
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from constitutions.canonical import canonical_json, constitution_sha256
from constitutions.loader import load_constitution
from service.store.records import ConstitutionRecord
from tests.browser.conftest import chromium
from tests.browser.serving import Served, serving

_MOST_BYTES = 150_000
_WIDTH = 1200
_COLOURS = 64  # the pages have few, and a picture of few is a third as large


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("images", type=Path)
    arguments = parser.parse_args()
    arguments.images.mkdir(parents=True, exist_ok=True)
    with serving(arguments.home) as served, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        take_all(signed_in(browser, served), served, arguments.images)
        browser.close()


def take_all(page: Page, served: Served, images: Path) -> None:
    """The newest run, its preference set, and its constitution beside a version that differs in a few words."""
    overview = served.backend.store.overview
    run = served.do(overview.runs(served.project_id, None, 1))[0].run
    mixed = served.do(overview.preference_sets(served.project_id, None, 1))[0]
    law = served.do(overview.constitutions(served.project_id, None, 1))[0]
    take(page, "/ui/runs", images / "ui-runs.png", height=360)
    take(page, f"/ui/runs/{run.id}", images / "ui-run.png", height=1300)
    take(page, f"/ui/preference-sets/{mixed.id}", images / "ui-preference-set.png", height=1400)
    newer = served.do(served.backend.store.constitutions.add(edited(law)))
    take(page, f"/ui/constitutions/{newer.id}?against={law.id}", images / "ui-constitution-diff.png", height=760)


def take(page: Page, address: str, file: Path, height: int) -> None:
    """The upper part of one page."""
    page.set_viewport_size({"width": _WIDTH, "height": height})
    page.goto(address)
    page.wait_for_load_state("networkidle")
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    image.quantize(_COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
    size = file.stat().st_size
    print(f"{file} {size} bytes")
    if size > _MOST_BYTES:
        raise SystemExit(f"{file}: {size} bytes are over {_MOST_BYTES}; show less of the page")


def edited(law: ConstitutionRecord) -> ConstitutionRecord:
    """A version in which one word and one number differ."""
    first = load_constitution(law.canonical, name=law.id)
    principle = first.principles[0].model_copy(update={"text": f"{first.principles[0].text} Plain words are best."})
    changed = first.model_copy(update={"version": f"{law.version}.1", "principles": (principle, *first.principles[1:])})
    sha256, canonical = constitution_sha256(changed), canonical_json(changed)
    return replace(law, version=changed.version, sha256=sha256, canonical=canonical, source=canonical)


def signed_in(browser: Browser, served: Served) -> Page:
    page = browser.new_page(base_url=served.url, color_scheme="light")
    page.goto("/ui/login")
    page.get_by_label("API key").fill(served.key("read", "write"))
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/ui/runs")
    return page


if __name__ == "__main__":
    main()
