"""All pictures of the pages for the docs: `python -m tests.browser.screenshots HOME docs/images`.

HOME is a service's folder with a finished run, as `make demo` leaves in out/demo/service: a service is opened on a copy
of it. The labelling pages have an empty service of their own (label_screenshots.py).
"""

import argparse
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from constitutions.canonical import canonical_json, constitution_sha256
from constitutions.loader import load_constitution
from service.store.records import ConstitutionRecord
from tests.browser.conftest import chromium
from tests.browser.label_screenshots import label_pictures
from tests.browser.pictures import signed_in, take
from tests.browser.serving import Served, serving


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("images", type=Path)
    arguments = parser.parse_args()
    arguments.images.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        home = Path(folder) / "home"
        shutil.copytree(arguments.home, home, ignore=shutil.ignore_patterns("sockets", "scratch"))
        with serving(home) as served:
            run_pictures(signed_in(browser, served), served, arguments.images)
            _sign_in(browser, served, arguments.images)
        with serving(Path(folder) / "empty") as served:
            label_pictures(served, browser, arguments.images)
        browser.close()


def run_pictures(page: Page, served: Served, images: Path) -> None:
    """The newest run and what belongs to it, and its constitution beside a version that differs in a few words."""
    overview = served.backend.store.overview
    run = served.do(overview.runs(served.project_id, None, 1))[0].run
    mixed = served.do(overview.preference_sets(served.project_id, None, 1))[0]
    law = served.do(overview.constitutions(served.project_id, None, 1))[0]
    adapter = served.do(overview.adapters(served.project_id, None, 1))[0]
    take(page, "/ui/runs", images / "ui-runs.png", height=360)
    take(page, f"/ui/runs/{run.id}", images / "ui-run.png", height=1300)
    take(page, f"/ui/runs/{run.id}", images / "ui-run-replies.png", height=900, at="Replies before and after")
    take(page, "/ui/preference-sets", images / "ui-preference-sets.png", height=330)
    take(page, f"/ui/preference-sets/{mixed.id}", images / "ui-preference-set.png", height=1400)
    take(page, f"/ui/preference-sets/{mixed.id}/report", images / "ui-set-report.png", height=1100)
    wins = "What wins beside the matter"
    take(page, f"/ui/preference-sets/{mixed.id}/report", images / "ui-set-report-bias.png", height=1100, at=wins)
    take(page, f"/ui/constitutions/{law.id}", images / "ui-constitution.png", height=900)
    newer = served.do(served.backend.store.constitutions.add(edited(law)))
    take(page, f"/ui/constitutions/{newer.id}?against={law.id}", images / "ui-constitution-diff.png", height=760)
    take(page, "/ui/adapters", images / "ui-adapters.png", height=330)
    take(page, f"/ui/adapters/{adapter.id}", images / "ui-adapter.png", height=900)


def edited(law: ConstitutionRecord) -> ConstitutionRecord:
    """A version in which one word and one number differ."""
    first = load_constitution(law.canonical, name=law.id)
    principle = first.principles[0].model_copy(update={"text": f"{first.principles[0].text} Plain words are best."})
    changed = first.model_copy(update={"version": f"{law.version}.1", "principles": (principle, *first.principles[1:])})
    sha256, canonical = constitution_sha256(changed), canonical_json(changed)
    return replace(law, version=changed.version, sha256=sha256, canonical=canonical, source=canonical)


def _sign_in(browser: Browser, served: Served, images: Path) -> None:
    take(
        browser.new_page(base_url=served.url, color_scheme="light"), "/ui/login", images / "ui-sign-in.png", height=400
    )


if __name__ == "__main__":
    main()
