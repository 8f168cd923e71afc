"""The pages for holders of a key, before a real browser: a person signs in, follows a run, and looks around."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from service.store.records import NewEvent
from tests.browser.conftest import NewPage, Violations
from tests.browser.serving import Served
from tests.service.pages.seeding import Seeded, seed

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def seeded(served: Served) -> Seeded:
    return served.do(seed(served.backend, served.project_id))


@pytest.fixture(scope="module")
def session(browser: Browser, served: Served, seeded: Seeded) -> Iterator[dict]:
    """What a browser keeps of a person who has signed in."""
    context = browser.new_context(base_url=served.url)
    page = context.new_page()
    page.goto("/")
    page.get_by_label("API key").fill(served.key("read", "write"))
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile("/ui/runs$"))
    yield context.storage_state()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_fault_of_accessibility(
    new_page: NewPage, session: dict, seeded: Seeded, axe: Violations, scheme: str
) -> None:
    page = new_page(storage_state=session, color_scheme=scheme)
    found = {}
    for address in (*seeded.pages, "/ui/login", "/ui/runs/run_x"):
        page.goto(address)
        if address.endswith(seeded.finished_run):
            page.wait_for_selector("#charts canvas")
        if "/report?" in address:
            expect(page.get_by_role("heading", name="Which principles decide what")).to_be_visible()
        if address.endswith(seeded.label_project):
            expect(page.get_by_role("region", name="Quality of each annotator")).to_be_visible()
        for details in page.locator("details:not([hx-get])").all():
            details.evaluate("details => { details.open = true; }")
        if faults := axe(page):
            found[address] = faults
    assert found == {}


def row(page: Page, stage: str):
    return page.locator(f'tr[data-stage="{stage}"]')


def test_a_living_run_moves_without_a_reload(new_page: NewPage, session: dict, served: Served, seeded: Seeded) -> None:
    page = new_page(storage_state=session)
    page.goto(f"/ui/runs/{seeded.living_run}")
    page.evaluate("window.notReloaded = true")
    runs = served.backend.store.runs
    expect(row(page, "sample")).to_contain_text("3 of 12")
    served.do(runs.add_event(seeded.living_run, NewEvent("sample", "progress", done=9, total=12, eta_s=4.0)))
    expect(row(page, "sample")).to_contain_text("9 of 12")
    expect(row(page, "sample")).to_contain_text("about 4 s left")
    assert page.locator('tr[data-stage="sample"] progress').evaluate("bar => bar.value / bar.max") == 0.75
    served.do(runs.record_stage(seeded.living_run, "sample", {"samples": 12}, 5.0))
    finished = NewEvent("sample", "stage", data={"status": "finished", "seconds": 5.0})
    served.do(runs.add_event(seeded.living_run, finished))
    expect(row(page, "sample")).to_contain_text("finished")
    expect(row(page, "revise")).to_contain_text("in progress")
    expect(page.locator("#said")).to_have_text("Stage sample: finished")
    assert page.locator("#charts canvas").count() == 0
    for step in (1, 2):
        data = {"step": step, "loss": 1 / step}
        served.do(runs.add_event(seeded.living_run, NewEvent("train", "metric", done=step, total=2, data=data)))
    expect(page.locator("#charts canvas")).to_have_count(1)
    expect(page.get_by_role("heading", name="Curves")).to_be_visible()
    page.get_by_role("button", name="Cancel this run").click()
    expect(page.locator("#live .badge").first).to_have_text("cancelling")
    served.do(runs.move(seeded.living_run, "cancelled"))
    expect(page.get_by_role("button", name="Resume")).to_be_visible()


def test_the_curves_are_drawn(new_page: NewPage, session: dict, seeded: Seeded) -> None:
    page = new_page(storage_state=session)
    page.goto(f"/ui/runs/{seeded.finished_run}")
    expect(page.locator("#charts canvas")).to_have_count(2)
    painted = page.locator("#charts canvas").first.evaluate(
        "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(byte => byte > 0)"
    )
    assert painted
    # The same numbers for those who cannot see them.
    expect(page.locator("#curve-table")).to_contain_text("held out kl")


def test_without_javascript_everything_is_there(new_page: NewPage, session: dict, seeded: Seeded) -> None:
    page = new_page(storage_state=session, java_script_enabled=False)
    page.goto(f"/ui/runs/{seeded.finished_run}")
    expect(page.locator("#curve-table")).to_contain_text("held out kl")
    expect(page.get_by_role("heading", name="Effect on held-out prompts")).to_be_visible()
    page.goto(f"/ui/preference-sets/{seeded.preference_set}")
    page.get_by_text("Verdicts in both orders").first.click()
    page.get_by_role("link", name="Show the verdicts").first.click()
    expect(page.get_by_text("The two orders name different winners.")).to_be_visible()


def test_the_difference_between_two_versions_is_shown(new_page: NewPage, session: dict, seeded: Seeded) -> None:
    page = new_page(storage_state=session)
    page.goto(f"/ui/constitutions/{seeded.new_law}")
    page.get_by_role("button", name="Show what changed").click()
    expect(page.get_by_role("heading", name="What changed from version 1 to 2")).to_be_visible()
    expect(page.locator("del").first).to_contain_text("fifty")
    expect(page.locator("ins").first).to_contain_text("thirty")


def test_the_report_on_a_set_follows_its_page(new_page: NewPage, session: dict, seeded: Seeded) -> None:
    page = new_page(storage_state=session, viewport={"width": 390, "height": 844})
    page.goto(f"/ui/preference-sets/{seeded.preference_set}?")
    page.get_by_role("link", name="Coverage, bias, duplicates and leakage").click()
    expect(page.locator("#findings").get_by_text("1 of 1")).to_be_visible()  # the run's own prompts
    page.get_by_label("Held-out prompts of").select_option("no prompt set")
    page.get_by_role("button", name="Examine").click()
    table = page.get_by_role("region", name="Where each principle decides")
    expect(table.get_by_role("columnheader", name="kind", exact=True)).to_be_visible()
    expect(page.locator("#findings").get_by_text("none to look for")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_pairs_are_filtered_and_open_their_verdicts(new_page: NewPage, session: dict, seeded: Seeded) -> None:
    page = new_page(storage_state=session, viewport={"width": 390, "height": 844})
    page.goto(f"/ui/preference-sets/{seeded.preference_set}")
    expect(page.locator("article.pair")).to_have_count(4)
    page.get_by_label("Unsure only").check()
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("article.pair")).to_have_count(1)
    page.get_by_text("Verdicts in both orders").click()
    expect(page.get_by_text("abstained: no label mass")).to_be_visible()
    assert page.url.split("?")[0].endswith(seeded.preference_set)  # a part of the page, no page of its own
    # On a phone nothing is wider than the screen but what scrolls in its own box.
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_person_is_invited_and_revoked(new_page: NewPage, session: dict, served: Served, seeded: Seeded) -> None:
    page = new_page(storage_state=session, viewport={"width": 390, "height": 844})
    page.goto(f"/ui/label-projects/{seeded.label_project}")
    # The figures come after the page, as a part of it.
    expect(page.get_by_role("region", name="Quality of each annotator")).to_contain_text("Bo")
    page.get_by_label("Name").first.fill("Cy")
    page.get_by_role("button", name="Invite").click()
    link = page.get_by_label("The link for Cy").input_value()
    assert link.startswith(f"{served.url}/label/enter/")
    annotator = new_page()
    annotator.goto(link)
    expect(annotator.get_by_role("button", name="Begin")).to_be_visible()
    page.get_by_role("button", name="Revoke the invitation of Cy").click()
    expect(page.locator("#people tr", has_text="Cy")).to_contain_text("revoked")
    annotator.reload()
    expect(annotator.get_by_text("was revoked; ask for a new one")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_what_people_found_bad_becomes_a_prompt_set(new_page: NewPage, session: dict, seeded: Seeded) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "java_script_enabled": False}
    page = new_page(storage_state=session, **phone)
    page.goto(f"/ui/label-projects/{seeded.label_project}")
    page.get_by_label("Name of the prompt set").fill("weak")
    page.get_by_role("button", name="Make a prompt set").click()
    expect(page.get_by_role("status")).to_contain_text("weak (prm_")


def test_hostile_replies_are_text(new_page: NewPage, session: dict, seeded: Seeded) -> None:
    page = new_page(storage_state=session)
    for address in seeded.pages:
        page.goto(address)
    page.goto(f"/ui/runs/{seeded.finished_run}")
    expect(page.get_by_text("<script>alert('reply')</script>").first).to_be_visible()
    assert page.locator("main script, main img").count() == 0
