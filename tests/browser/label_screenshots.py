"""The pictures of labelling and of a label project: `python -m tests.browser.label_screenshots docs/images`."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from judges.records import Message
from service.store.label_records import Answer, LabelProjectRecord, NewTask
from tests.browser.conftest import chromium
from tests.browser.screenshots import signed_in, take
from tests.browser.serving import Served, serving
from tests.service.pages.label_seed import compare, law, seed

GUIDELINE = """Read the principle first: nothing else counts here.

- A reply that says it does not know is better than one that guesses.
- A wrong number in a right answer still makes it false.
- *Both bad* is an answer too: it asks the model for a better one.
"""
PROMPT = (
    Message("user", "My grandmother takes 5 mg of warfarin. Can I give her aspirin for a headache?"),
    Message("assistant", "Is there a doctor or a pharmacist whom you can ask?"),
    Message("user", "It is Sunday. Just tell me if it is fine."),
)
CAREFUL = (
    "Better not without asking: both thin the blood, and together they raise the risk of bleeding, in the stomach and "
    "elsewhere.\n\nParacetamol is the usual choice beside warfarin, for a short time and in a low dose. "
    "An emergency pharmacy or a medical helpline can tell you today; please call one before you give her anything."
)
CARELESS = (
    "Yes, a single aspirin is fine. Warfarin and aspirin work in different ways and so they do not get in each other's "
    "way. Give her 500 mg with a glass of water, and a second one after four hours if the headache is still there."
)
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
WIDE = {"viewport": {"width": 1200, "height": 920}}


def pictures(folder: Path) -> None:
    """label-task.png, label-phone.png, label-ranking.png, label-help.png, label-enter.png and ui-label-project.png."""
    with tempfile.TemporaryDirectory() as home, serving(Path(home)) as served, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        _desk(served, browser, folder)
        _ranking(served, browser, folder)
        _project(served, browser, folder)
        browser.close()


def _desk(served: Served, browser: Browser, folder: Path) -> None:
    written = served.do(law(served.backend, served.project_id))
    tasks = [_task(number, replies=(CAREFUL, CARELESS), principle_id="honest") for number in range(40)]
    path = _invited(served, tasks, name="Care at home", constitution_id=written.id)
    page = browser.new_page(base_url=served.url, **WIDE)
    page.goto(path)
    page.screenshot(path=folder / "label-enter.png")
    page.get_by_role("button", name="Begin").click()
    for number in range(12):
        page.wait_for_timeout(300)
        page.keyboard.press("s" if number in (4, 9) else "1")
        page.get_by_text(f"Saved. Task {number + 2} of 40.").wait_for()
    page.screenshot(path=folder / "label-task.png")
    page.keyboard.press("?")
    page.screenshot(path=folder / "label-help.png")
    _on_a_phone(page, browser, folder)


def _on_a_phone(page: Page, browser: Browser, folder: Path) -> None:
    context = browser.new_context(storage_state=page.context.storage_state(), **PHONE)
    phone = context.new_page()
    phone.goto(page.url)
    phone.screenshot(path=folder / "label-phone.png")


def _ranking(served: Served, browser: Browser, folder: Path) -> None:
    replies = (CAREFUL, "I am a language model and cannot say anything about medicines.", CARELESS)
    page = browser.new_page(base_url=served.url, **WIDE)
    page.goto(_invited(served, [_task(1, kind="rank", replies=replies)], name="Care at home, ranked"))
    page.get_by_role("button", name="Begin").click()
    page.locator(".ranked").wait_for()
    page.get_by_text("Guideline").click()
    page.keyboard.press("j")
    page.keyboard.press("Shift+ArrowDown")
    page.screenshot(path=folder / "label-ranking.png")


def _project(served: Served, browser: Browser, folder: Path) -> None:
    """As whoever runs it sees it: two people have answered most of thirty tasks, and a judge was asked too."""
    reasons = ("flip", "close", "random")
    tasks = [compare(number, judge_p_a=0.8, routed_by=reasons[number % 3]) for number in range(30)]
    made, _ = served.do(seed(served.backend, served.project_id, tasks, guideline=GUIDELINE, name="Sky", overlap=2))
    for who, differs in (("Ada", ()), ("Bo", (3, 11, 19))):
        served.do(_answered(served, made, who, differs))
    page = signed_in(browser, served)
    take(page, f"/ui/label-projects/{made.id}", folder / "ui-label-project.png", height=1250)


async def _answered(served: Served, made: LabelProjectRecord, name: str, differs: tuple[int, ...]) -> None:
    """Two of three for the first reply, but for the tasks in which this person differs."""
    store = served.backend.store.label_projects
    there = {person.name: person for person in await store.annotators(served.project_id, made.id)}
    person = there.get(name) or (await store.invite(served.project_id, made.id, name))[0]
    for number in range(26):
        [task] = await store.next_tasks(person.id, 1)
        wanted = int((number % 3 == 0) != (number in differs))
        choice = "first" if task.order[0] == wanted else "second"
        await store.submit(person.id, task.id, Answer(choice, seconds=6 + number % 7))


def _task(number: int, **fields: object) -> NewTask:
    return compare(number, prompt=PROMPT, **fields)


def _invited(served: Served, tasks: list[NewTask], **fields: object) -> str:
    _, path = served.do(seed(served.backend, served.project_id, tasks, guideline=GUIDELINE, **fields))
    return served.url + path


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    pictures(target)
