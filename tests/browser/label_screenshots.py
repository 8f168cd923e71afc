"""The pictures of labelling, of label projects, and of what people see who wait or are done: see screenshots.py."""

from pathlib import Path

from playwright.sync_api import Browser, Page

from judges.records import Message
from service.shards import publish_shard
from service.store.label_records import Answer, LabelProjectRecord, NewTask
from service.store.records import PreferenceSetRecord
from tests.browser.pictures import keep, signed_in, take
from tests.browser.serving import Served
from tests.service.pages.label_seed import compare, invitation, law, seed
from training.rows import PreferenceRow

GUIDELINE = """Read the principle first: nothing else counts here.

- A reply that says it does not know is better than one that guesses.
- A wrong number in a right answer still makes it false.
- *Both bad* is an answer too: it asks the model for a better one.
"""
LAW = """name: care
version: "1"
description: Say what is true, and say when you **do not know**. Nothing else counts here, however kind it sounds.
principles:
  - id: honest
    kind: judged
    text: The reply says nothing that is false, and admits what it does not know.
    examples:
      - prompt: How long does cooked rice keep in the fridge?
        better: Three or four days, if it was cooled within an hour or so.
        worse: For weeks, as long as it smells fine.
        note: A wrong number in a right answer makes it false.
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
COMMENTED = ("Bo", 62)
COMMENT = "Neither says why sunsets are red; this one at least does not bring the sea into it."
Size = tuple[int, int]
# From some width on the guideline stands beside the task.
USUAL, WIDE = (1200, 920), (1440, 860)
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


def label_pictures(served: Served, browser: Browser, folder: Path) -> None:
    """On an empty service."""
    _desk(served, browser, folder)
    _ranking(served, browser, folder)
    _rewriting(served, browser, folder)
    _training(served, browser, folder)
    _endings(served, browser, folder)
    _project(served, browser, folder)


def _desk(served: Served, browser: Browser, folder: Path) -> None:
    written = served.do(law(served.backend, served.project_id, LAW))
    tasks = [_task(number, replies=(CAREFUL, CARELESS), principle_id="honest") for number in range(40)]
    fields = {"name": "Care at home", "constitution_id": written.id, "principle_ids": ("honest",), "guideline": ""}
    made, path = served.do(seed(served.backend, served.project_id, tasks, **fields))
    page = browser.new_page(base_url=served.url, viewport={"width": USUAL[0], "height": USUAL[1]})
    page.goto(served.do(invitation(served.backend, made, "Grace")))
    keep(page, folder / "label-enter.png")
    page = _entered(browser, served.url + path, WIDE)
    for number in range(12):
        _press(page, "s" if number in (4, 9) else "1")
        page.get_by_text(f"Saved. Task {number + 2} of 40.").wait_for()
    keep(page, folder / "label-task.png")
    page.keyboard.press("?")
    keep(page, folder / "label-help.png")
    page.keyboard.press("Escape")
    phone = browser.new_context(storage_state=page.context.storage_state(), **PHONE).new_page()
    phone.goto(page.url)
    phone.locator("#work").scroll_into_view_if_needed()
    keep(phone, folder / "label-phone.png")
    _answered_twice(page, folder / "label-answered.png")


def _answered_twice(page: Page, file: Path) -> None:
    """In two windows, not alike."""
    page.reload()
    other = page.context.new_page()
    other.set_viewport_size({"width": 1200, "height": 700})
    other.goto(page.url)
    _press(page, "1")
    page.get_by_text("Saved. Task 14 of 40.").wait_for()
    other.locator("summary", has_text="Comment").click()
    other.get_by_label("Why?").fill("On reading it again: both leave out that she should be watched for bruises.")
    other.keyboard.press("Escape")
    _press(other, "4")
    other.get_by_role("heading", name="You answered this task before").wait_for()
    keep(other, file)


def _ranking(served: Served, browser: Browser, folder: Path) -> None:
    replies = (CAREFUL, "I am a language model and cannot say anything about medicines.", CARELESS)
    page = _begun(served, browser, [_task(1, kind="rank", replies=replies)], name="Care at home, ranked")
    page.locator(".ranked").wait_for()
    page.locator("summary", has_text="Guideline").click()
    page.keyboard.press("j")
    page.keyboard.press("Shift+ArrowDown")
    keep(page, folder / "label-ranking.png")


def _rewriting(served: Served, browser: Browser, folder: Path) -> None:
    page = _begun(served, browser, [_task(1, kind="rewrite", replies=(CARELESS,))], name="Care at home, rewritten")
    page.locator("summary", has_text="Guideline").click()
    page.get_by_label("Your better reply").fill(CAREFUL)
    keep(page, folder / "label-rewrite.png")


def _training(served: Served, browser: Browser, folder: Path) -> None:
    reason = "Aspirin and warfarin together can make her bleed: a reply that says yes is false, however friendly it is."
    task = _task(1, replies=(CAREFUL, CARELESS), training=True, gold="a", reason=reason)
    page = _begun(served, browser, [task, _task(2)], size=(1200, 780), name="Care at home, trained")
    careless = "Reply A" in page.locator(".replies section", has_text="single aspirin").inner_text()
    _press(page, "1" if careless else "2")
    page.get_by_role("heading", name="Not quite").wait_for()
    keep(page, folder / "label-told.png")


def _endings(served: Served, browser: Browser, folder: Path) -> None:
    """Somebody who waits for the one task that is left, and somebody who has done all."""
    made, path = served.do(seed(served.backend, served.project_id, [_task(1)], name="Care at home, short"))
    first, second = (_entered(browser, served.url + one, (1200, 300)) for one in (path, _second(served, made)))
    second.get_by_role("heading", name="No task just now").wait_for()
    keep(second, folder / "label-waiting.png")
    _press(first, "1")
    first.get_by_role("heading", name="All done").wait_for()
    keep(first, folder / "label-done.png")


def _project(served: Served, browser: Browser, folder: Path) -> None:
    """As whoever runs it sees it: people were trained on three tasks and have answered most of ninety others, one has
    written why, and a judge was asked too."""
    reasons = ("flip", "close", "random")
    tasks = [compare(number - 3, training=True, gold="a", routed_by="training") for number in range(3)]
    tasks += [compare(number, judge_p_a=0.8, routed_by=reasons[number % 7 % 3]) for number in range(90)]
    fields = {"name": "Sky", "overlap": 3, "preference_set_id": served.do(_judged(served, tasks))}
    made, _ = served.do(seed(served.backend, served.project_id, tasks, guideline=GUIDELINE, **fields))
    tired = tuple(range(48, 84, 2))
    for who, differs in (("Ada", ()), ("Bo", (3, 11, 19, 40, 61)), ("Cy", (-2, 7, 30, *tired))):
        served.do(_answered(served, made, who, differs))
    page = signed_in(browser, served)
    take(page, "/ui/label-projects", folder / "ui-label-projects.png", height=520)
    take(page, f"/ui/label-projects/{made.id}", folder / "ui-label-project.png", height=2000)


async def _judged(served: Served, tasks: list[NewTask]) -> str:
    """The set that the tasks are of, as a judge left it: a project's figures of the judge are read from there."""
    rows = [
        PreferenceRow(task.pair_id, task.pair_id, task.prompt, *task.replies, task.judge_p_a, 1.0, "ai", judge="judge")
        for task in tasks
        if task.judge_p_a is not None
    ]
    key = "preferences/sky.parquet"
    await publish_shard(served.backend.artifacts, key, rows, PreferenceRow)
    record = PreferenceSetRecord("", served.project_id, "sky", "ai", "0" * 64, key, len(rows), {}, None, "")
    return (await served.backend.store.preference_sets.add(record)).id


async def _answered(served: Served, made: LabelProjectRecord, name: str, differs: tuple[int, ...]) -> None:
    """Two of three for the first reply, and all in training, but for the tasks in which this person differs; ever
    quicker."""
    store = served.backend.store.label_projects
    there = {person.name: person for person in await store.annotators(served.project_id, made.id)}
    person = there.get(name) or (await store.invite(served.project_id, made.id, name))[0]
    for number in range(-3, 84):
        [task] = await store.next_tasks(person.id, 1)
        wanted = int((number >= 0 and number % 3 == 0) != (number in differs))
        choice = "first" if task.order[0] == wanted else "second"
        seconds = 14 + number % 7 - number * (0.12 if name == "Cy" else 0.03)
        comment = COMMENT if (name, number) == COMMENTED else ""
        await store.submit(person.id, task.id, Answer(choice, comment=comment, seconds=seconds))


def _begun(served: Served, browser: Browser, tasks: list[NewTask], size: Size = USUAL, **fields: object) -> Page:
    """Who has just begun with these tasks."""
    _, path = served.do(seed(served.backend, served.project_id, tasks, guideline=GUIDELINE, **fields))
    return _entered(browser, served.url + path, size)


def _entered(browser: Browser, address: str, size: Size = USUAL) -> Page:
    page = browser.new_context(viewport={"width": size[0], "height": size[1]}).new_page()
    page.goto(address)
    page.get_by_role("button", name="Begin").click()
    return page


def _second(served: Served, made: LabelProjectRecord) -> str:
    return served.do(invitation(served.backend, made, "Grace"))


def _press(page: Page, key: str) -> None:
    """When the task has been read."""
    page.wait_for_timeout(300)
    page.keyboard.press(key)


def _task(number: int, **fields: object) -> NewTask:
    return compare(number, prompt=PROMPT, **fields)
