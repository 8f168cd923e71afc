"""The labelling page in a real browser: by keys, by mouse, without scripts, on a phone, and against hostile replies."""

from collections.abc import Callable, Sequence

import pytest
from playwright.sync_api import Page, Route, expect

from judges.records import Message
from service.store.label_records import LabelProjectRecord, NewTask, TaskLabel
from tests.browser.conftest import NewPage, Violations
from tests.browser.serving import Served
from tests.service.pages.label_seed import compare, invitation, law, rank, rewrite, seed

pytestmark = pytest.mark.browser
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
# A press that comes sooner after a task is shown is taken for a slip: `UNREAD_MS` in label.js.
READING_MS = 220
HOSTILE = (
    "<script>alert('ran')</script><img src=x onerror=alert('ran')>{{ 7 * 7 }}</textarea></template></article>"
    "\x00\x07\x1b[31mred\x7f \u202eesrever\u202c [click](javascript:alert('ran'))"
)
Begun = Callable[..., tuple[Page, LabelProjectRecord]]


@pytest.fixture
def begun(served: Served, new_page: NewPage) -> Begun:
    """`begun(tasks, **of the context)`: a page on which somebody has just begun with these tasks."""

    def begin(tasks: list[NewTask], name: str, **options: object) -> tuple[Page, LabelProjectRecord]:
        project, path = served.do(seed(served.backend, served.project_id, tasks, name=name))
        page = new_page(**options)
        page.goto(path)
        page.get_by_role("button", name="Begin").click()
        expect(page.get_by_role("heading", name="Prompt")).to_be_visible()
        return page, project

    return begin


def labels_of(served: Served, project: LabelProjectRecord) -> Sequence[TaskLabel]:
    return served.do(served.backend.store.label_projects.labels_of(served.project_id, project.id, None, 100))


def press(page: Page, key: str) -> None:
    page.wait_for_timeout(READING_MS)
    page.keyboard.press(key)


def shows(page: Page, text: str) -> None:
    expect(page.locator("article")).to_contain_text(text)


def says(page: Page, text: str) -> None:
    expect(page.get_by_role("status")).to_have_text(text)


def test_by_keys_alone(served: Served, begun: Begun):
    page, project = begun([compare(n) for n in range(1, 6)], "keys")
    for number, (key, said) in enumerate(
        [("1", "Saved. Task 2 of 5."), ("2", "Saved. Task 3 of 5."), ("3", "Saved. Task 4 of 5.")], 1
    ):
        shows(page, f"Question {number}:")
        press(page, key)
        says(page, said)
        expect(page.locator("article h2").first).to_be_focused()
    press(page, "u")
    says(page, "Taken back. Task 3 of 5.")
    shows(page, "Question 3:")
    press(page, "c")
    page.keyboard.type("1 u s: both say nothing")  # no key counts while typing
    page.keyboard.press("Escape")
    press(page, "4")
    press(page, "s")
    says(page, "Saved. Task 5 of 5.")
    press(page, "?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("1")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    shows(page, "Question 5:")
    press(page, "1")
    expect(page.get_by_role("heading", name="All done")).to_be_visible()
    labels = labels_of(served, project)
    first = ["ab"[label.order[0]] for label in labels]
    assert [label.choice for label in labels] == [first[0], "ab"[labels[1].order[1]], "both_bad", "skip", first[4]]
    assert [label.comment for label in labels] == ["", "", "1 u s: both say nothing", "", ""]
    assert all(READING_MS / 1000 <= label.seconds < 30 for label in labels)


def test_the_next_task_is_there_before_the_answer_is_saved(served: Served, begun: Begun):
    page, project = begun([compare(n) for n in range(1, 4)], "prefetch")
    held: list[Route] = []
    page.route("**/label/answer", lambda route: held.append(route))
    page.wait_for_timeout(READING_MS)
    milliseconds = page.evaluate(
        """() => new Promise(done => {
            const from = performance.now();
            new MutationObserver(() => requestAnimationFrame(() => done(performance.now() - from)))
                .observe(document.getElementById("work"), {childList: true});
            document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "1", code: "Digit1", bubbles: true}));
        })"""
    )
    shows(page, "Question 2:")
    assert milliseconds < 100
    assert labels_of(served, project) == []
    held[0].continue_()
    says(page, "Saved. Task 2 of 3.")
    press(page, "1")
    page.keyboard.press("1")  # a slip: nobody has read the third task yet
    shows(page, "Question 3:")


def test_an_answer_survives_the_network_and_the_browser(served: Served, begun: Begun):
    page, project = begun([compare(n) for n in range(1, 5)], "network")
    page.context.route("**/label/answer", lambda route: route.abort())
    press(page, "1")
    says(page, "Not saved yet: 1 answer is kept in this browser, and sent as soon as the service can be reached.")
    shows(page, "Question 2:")
    press(page, "2")
    expect(page.locator("#work")).to_contain_text("The next task comes as soon as your answer is saved.")
    assert labels_of(served, project) == []
    again = page.context.new_page()
    page.close()
    page.context.unroute("**/label/answer")
    again.goto("/label")
    says(again, "Saved. Task 3 of 4.")
    shows(again, "Question 3:")
    assert [label.choice in ("a", "b") for label in labels_of(served, project)] == [True, True]


def test_a_service_that_fails_is_asked_again(served: Served, begun: Begun):
    page, project = begun([compare(n) for n in range(1, 4)], "faults")
    answers = iter([503, 200])

    def fail_twice(route: Route) -> None:
        status = next(answers, None)
        route.continue_() if status is None else route.fulfill(status=status, body="<html>Welcome to our hotel</html>")

    page.route("**/label/answer", fail_twice)
    press(page, "1")
    expect(page.get_by_role("status")).to_contain_text("Not saved yet")
    shows(page, "Question 2:")
    says(page, "Saved. Task 2 of 3.")
    assert len(labels_of(served, project)) == 1


def test_an_answer_that_is_refused_is_told(served: Served, begun: Begun):
    page, project = begun([compare(n) for n in range(1, 4)], "refused")
    served.do(served.backend.store.label_projects.close(served.project_id, project.id))
    press(page, "1")
    says(page, "An answer was not taken: label project 'refused' is closed; thank you")
    press(page, "1")
    expect(page.get_by_role("heading", name="is closed")).to_be_visible()


def test_what_was_typed_in_a_refused_answer_stays(served: Served, begun: Begun):
    page, project = begun([rewrite(1), rewrite(2), rewrite(3)], "too late")
    served.do(served.backend.store.label_projects.close(served.project_id, project.id))
    page.get_by_label("Your better reply").fill("Ten minutes' <b>work</b>.")
    press(page, "Control+Enter")
    says(page, "An answer was not taken: label project 'too late' is closed; thank you. What you wrote stands below.")
    section = page.get_by_role("region", name="What you wrote and could not be taken")
    expect(section).to_contain_text("Ten minutes' <b>work</b>.")
    press(page, "s")  # no text of the person's own goes with a skip
    expect(page.get_by_role("heading", name="is closed")).to_be_visible()
    expect(section.get_by_role("listitem")).to_have_count(1)
    expect(section).to_contain_text("Not taken: label project 'too late' is closed; thank you")
    section.get_by_role("button", name="Remove").click()
    expect(section).to_be_hidden()
    page.reload()
    expect(section).to_be_hidden()


def test_a_session_that_ended_keeps_the_answer(served: Served, begun: Begun):
    page, project = begun([compare(n) for n in range(1, 4)], "lapsed")
    cookies = page.context.cookies()
    page.context.clear_cookies()
    press(page, "1")
    expect(page.get_by_role("status")).to_contain_text("Your session has ended: 1 answer is kept in this browser.")
    page.goto("/label")
    expect(page.get_by_role("heading", name="Unauthorized")).to_be_visible()
    page.context.add_cookies(cookies)
    page.goto("/label")
    says(page, "Saved. Task 2 of 3.")
    assert len(labels_of(served, project)) == 1


def test_drafts_survive_a_reload(served: Served, begun: Begun):
    page, project = begun([rewrite(1), compare(2)], "drafts")
    with page.expect_response("**/label/draft"):
        page.get_by_label("Your better reply").fill("A better reply.")
    page.reload()
    expect(page.get_by_label("Your better reply")).to_have_value("A better reply.")
    page.evaluate("localStorage.clear()")
    page.reload()  # now from the service
    expect(page.get_by_label("Your better reply")).to_have_value("A better reply.")
    page.get_by_label("Your better reply").focus()
    press(page, "Control+Enter")
    says(page, "Saved. Task 2 of 2.")
    [label] = labels_of(served, project)
    assert (label.choice, label.rewrite) == ("rewritten", "A better reply.")


def test_undo_brings_back_what_was_typed(served: Served, begun: Begun):
    page, project = begun([rewrite(1), compare(2), rank(3)], "typed")
    page.get_by_label("Your better reply").fill("A better reply.")
    press(page, "Control+Enter")
    says(page, "Saved. Task 2 of 3.")
    press(page, "c")
    page.get_by_label("Why?").fill("because")
    page.keyboard.press("Escape")
    press(page, "3")
    says(page, "Saved. Task 3 of 3.")
    press(page, "u")
    shows(page, "You had said: Equally good. That is taken back; answer anew.")
    expect(page.get_by_label("Why?")).to_have_value("because")
    press(page, "u")
    expect(page.get_by_label("Your better reply")).to_have_value("A better reply.")
    page.get_by_label("Your better reply").fill("A still better reply.")
    press(page, "Control+Enter")
    says(page, "Saved. Task 2 of 3.")
    expect(page.get_by_label("Why?")).to_have_value("because")  # it was not sent again yet
    [label] = labels_of(served, project)
    assert label.rewrite == "A still better reply."


def test_an_answer_to_what_was_answered_before_is_told(served: Served, begun: Begun):
    page, project = begun([compare(1), compare(2), compare(3)], "windows")
    other = page.context.new_page()
    other.goto("/label")
    press(page, "3")
    says(page, "Saved. Task 2 of 3.")
    press(other, "c")
    other.keyboard.type("both are bad")
    other.keyboard.press("Escape")
    press(other, "4")
    expect(other.get_by_role("heading", name="You answered this task before")).to_be_visible()
    expect(other.get_by_role("region", name="Your first answer")).to_contain_text("Equally good")
    expect(other.get_by_role("region", name="Your answer now")).to_contain_text("both are bad")
    expect(other.get_by_role("link", name="Keep the first and go on")).to_be_focused()
    assert [label.choice for label in labels_of(served, project)] == ["tie"]
    other.get_by_role("button", name="Take the new one instead").click()
    shows(other, "Question 2:")
    [label] = labels_of(served, project)
    assert (label.choice, label.comment) == ("both_bad", "both are bad")


def test_a_page_of_the_history_shows_what_is_to_be_answered(served: Served, begun: Begun):
    page, project = begun([compare(1), compare(2)], "history", java_script_enabled=False)
    page.get_by_role("button", name="Equally good").click()
    shows(page, "Question 2:")
    page.go_back()
    shows(page, "Question 2:")
    assert [label.choice for label in labels_of(served, project)] == ["tie"]


def test_the_guideline_stays_as_it_was_left(begun: Begun, axe: Violations):
    page, _ = begun([compare(n) for n in range(1, 5)], "guideline", viewport={"width": 1440, "height": 900})
    rule = page.get_by_text("Prefer what is true")
    press(page, "1")
    says(page, "Saved. Task 2 of 4.")
    expect(rule).to_be_visible()  # beside the task, where there is room
    assert rule.bounding_box()["x"] < page.locator("article").bounding_box()["x"]
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert axe(page) == [], scheme
    page.reload()
    expect(rule).to_be_visible()
    page.locator("summary", has_text="Guideline").click()
    press(page, "1")
    says(page, "Saved. Task 3 of 4.")
    page.reload()
    shows(page, "Question 3:")
    expect(rule).to_be_hidden()


def test_by_mouse(served: Served, begun: Begun):
    page, project = begun([compare(1), compare(2)], "mouse")
    page.wait_for_timeout(READING_MS)
    page.get_by_role("button", name="B is better").click()
    says(page, "Saved. Task 2 of 2.")
    page.get_by_role("switch", name="Keys").uncheck()
    press(page, "1")
    page.locator("summary", has_text="Comment").click()
    page.get_by_label("Why?").fill("because")
    page.get_by_role("button", name="Undo").click()
    shows(page, "Question 1:")
    expect(page.get_by_role("switch", name="Keys")).not_to_be_checked()
    page.wait_for_timeout(READING_MS)
    page.get_by_role("button", name="A is better").dblclick()
    shows(page, "Question 2:")
    says(page, "Saved. Task 2 of 2.")
    expect(page.get_by_label("Why?")).to_have_value("because")
    [label] = labels_of(served, project)
    assert label.choice == "ab"[label.order[0]]


def letters(page: Page) -> str:
    return "".join(page.locator(".ranking li").evaluate_all("items => items.map(item => item.dataset.letter)"))


def test_ranking_by_keys_by_buttons_and_by_drag(served: Served, begun: Begun):
    page, project = begun([rank(1), rank(2), rank(3)], "ranking")
    press(page, "j")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Shift+J")
    assert letters(page) == "BCA"
    says(page, "Reply A is now 3 of 3.")
    page.keyboard.press("ArrowUp")
    expect(page.locator(".ranking li:focus")).to_have_attribute("data-letter", "C")
    page.keyboard.press("Shift+K")
    press(page, "Enter")
    says(page, "Saved. Task 2 of 3.")
    page.get_by_role("button", name="Move reply C up").click()
    page.wait_for_timeout(READING_MS)
    page.get_by_role("button", name="This is my order").click()
    says(page, "Saved. Task 3 of 3.")
    grip, last = page.locator(".grip").first.bounding_box(), page.locator(".ranking li").last.bounding_box()
    page.mouse.move(grip["x"] + 5, grip["y"] + 5)
    page.mouse.down()
    page.mouse.move(grip["x"] + 5, last["y"] + last["height"] - 2, steps=5)
    page.mouse.up()
    assert letters(page) == "BCA"
    page.reload()
    assert letters(page) == "BCA"
    page.wait_for_timeout(READING_MS)
    page.get_by_role("button", name="This is my order").click()
    expect(page.get_by_role("heading", name="All done")).to_be_visible()
    places = [tuple(label.order.index(reply) for reply in label.ranking) for label in labels_of(served, project)]
    assert places == [(2, 1, 0), (0, 2, 1), (1, 2, 0)]


def test_training_tells_the_right_answer(begun: Begun):
    training = compare(1, training=True, gold="a", reason="The sea has no part in it.")
    page, _ = begun([training, compare(2)], "training")
    shows(page, "The right answer is known")
    right = page.locator(".replies section", has_text="First reply 1")
    press(page, "1" if "Reply A" in right.inner_text() else "2")
    expect(page.get_by_role("heading", name="Right")).to_be_visible()
    expect(page.locator("#told")).to_contain_text("The sea has no part in it.")
    expect(page.get_by_role("link", name="Next")).to_be_focused()
    page.keyboard.press("Enter")
    shows(page, "Question 2:")


def test_a_training_answer_survives_the_network_and_the_browser(served: Served, begun: Begun):
    page, project = begun([compare(1, training=True, gold="tie", reason="Alike."), compare(2)], "training, offline")
    page.context.route("**/label/answer", lambda route: route.abort())
    press(page, "1")
    expect(page.get_by_role("status")).to_contain_text("Not saved yet: 1 answer is kept in this browser")
    expect(page.locator("#work")).to_have_text("The right answer is told as soon as yours is saved.")
    again = page.context.new_page()
    page.close()
    again.goto("/label")
    expect(again.get_by_role("status")).to_contain_text("Not saved yet")
    expect(again.locator("#work")).to_have_text("The right answer is told as soon as yours is saved.")
    assert labels_of(served, project) == []
    again.context.unroute("**/label/answer")
    expect(again.get_by_role("heading", name="Not quite")).to_be_visible()
    assert len(labels_of(served, project)) == 1
    again.get_by_role("link", name="Next").click()
    shows(again, "Question 2:")


def test_who_waits_is_told_when_there_is_a_task(served: Served, begun: Begun, new_page: NewPage):
    page, project = begun([compare(1)], "waiting")
    other = new_page()
    other.clock.install()
    other.goto(served.do(invitation(served.backend, project, "Grace")))
    other.get_by_role("button", name="Begin").click()
    expect(other.get_by_role("heading", name="No task just now")).to_be_visible()
    other.clock.run_for(16_000)
    expect(other.get_by_role("status")).to_contain_text("This page looks for a task every 15 seconds.")
    press(page, "s")
    expect(page.get_by_role("heading", name="All done")).to_be_visible()
    other.clock.run_for(16_000)
    expect(other.get_by_role("status")).to_contain_text("There is a task for you.")
    other.get_by_role("link", name="Go on").click()
    shows(other, "Question 1:")


def test_without_scripts(served: Served, begun: Begun):
    tasks = [compare(1), compare(2), rank(3), rewrite(4)]
    page, project = begun(tasks, "plain", java_script_enabled=False)
    page.locator("summary", has_text="Comment").click()
    page.get_by_label("Why?").fill("it is true")
    page.get_by_role("button", name="B is better").click()
    page.get_by_role("button", name="Skip").click()
    page.get_by_role("button", name="Undo").click()
    shows(page, "Question 2:")
    page.get_by_role("button", name="Equally good").click()
    page.get_by_label("Place of reply A").select_option("2")
    page.get_by_role("button", name="This is my order").click()
    expect(page.locator("main")).to_contain_text("replies A and B both have place 2; go back and give each its own")
    page.go_back()
    page.get_by_label("Place of reply A").select_option("2")
    page.get_by_label("Place of reply B").select_option("1")
    page.get_by_role("button", name="This is my order").click()
    page.get_by_label("Your better reply").fill("A better one.")
    page.get_by_role("button", name="This is better").click()
    expect(page.get_by_role("heading", name="All done")).to_be_visible()
    compared, tie, ranked, rewritten = labels_of(served, project)
    assert (compared.choice, compared.comment, tie.choice) == ("ab"[compared.order[1]], "it is true", "tie")
    assert tuple(ranked.order.index(reply) for reply in ranked.ranking) == (1, 0, 2)
    assert rewritten.rewrite == "A better one."


def test_the_page_before_the_first_task_is_no_wider_than_a_phone(served: Served, new_page: NewPage):
    _, path = served.do(seed(served.backend, served.project_id, [compare(1)], name="n" * 128))
    page = new_page(**PHONE)
    page.goto(path)
    expect(page.get_by_role("button", name="Begin")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_on_a_phone(begun: Begun):
    page, _ = begun([compare(1, replies=("word " * 300, "w" * 3000)), compare(2)], "phone", **PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    one, other = (page.locator(".replies section").nth(place).bounding_box() for place in (0, 1))
    assert one["x"] == other["x"] and one["y"] < other["y"]
    small = page.evaluate(
        """() => [...document.querySelectorAll("button, summary, input, select, .switch")]
            .filter(one => one.offsetParent && one.type !== "checkbox" && one.getBoundingClientRect().height < 44)
            .map(one => one.outerHTML)"""
    )
    assert small == []
    page.wait_for_timeout(READING_MS)
    page.get_by_role("button", name="A is better").tap()
    says(page, "Saved. Task 2 of 2.")


def test_hostile_replies_are_text(begun: Begun):
    line = "x" * 200_000
    hostile = compare(1, prompt=(Message("system", HOSTILE), Message("user", HOSTILE)), replies=(HOSTILE, f"{line}END"))
    page, _ = begun([hostile, compare(2, kind="rewrite", replies=(HOSTILE,))], "hostile")
    shown = "<script>alert('ran')</script><img src=x onerror=alert('ran')>{{ 7 * 7 }}</textarea></template></article>"
    assert page.locator("article").inner_text().count(shown) == 3
    shows(page, "\u2400\u2407\u241b[31mred\u2421")
    assert page.locator("article script, article img, article a").count() == 0
    more = page.get_by_text("Show all: 180,003 more characters")
    more.click()
    expect(more.locator("xpath=../div")).to_contain_text("END")
    press(page, "1")
    says(page, "Saved. Task 2 of 2.")
    box = page.get_by_label("Your better reply")
    assert box.input_value().startswith(shown)
    assert "\u241b" not in box.input_value()


def test_no_accessibility_fault(served: Served, new_page: NewPage, axe: Violations):
    written = served.do(law(served.backend, served.project_id))
    tasks = [compare(1, principle_id="honest", training=True, gold="a", reason="So."), rank(2), rewrite(3), compare(4)]
    _, path = served.do(seed(served.backend, served.project_id, tasks, name="axe", constitution_id=written.id))
    page, found = new_page(), {}

    def look(name: str, at: Page = page) -> None:
        for scheme in ("light", "dark"):
            at.emulate_media(color_scheme=scheme)
            found[f"{name}, {scheme}"] = axe(at)

    page.goto(path)
    look("enter")
    page.get_by_role("button", name="Begin").click()
    shows(page, "Judge by this principle alone: The reply says nothing that is false")
    look("training")
    usual = page.viewport_size
    page.set_viewport_size({"width": 1440, "height": 900})
    page.get_by_text("The constitution's principles, with examples").click()
    page.locator("details.cases > summary").first.click()
    case = page.get_by_text("Nobody has counted <all> of them.")
    expect(case).to_be_visible()
    assert case.bounding_box()["x"] < page.locator("article").bounding_box()["x"]
    look("beside the guideline with its principles and cases")
    page.set_viewport_size(usual)
    other = page.context.new_page()
    other.goto("/label")
    page.get_by_role("button", name="Help").click()
    look("help")
    page.keyboard.press("Escape")
    press(page, "1")
    expect(page.get_by_role("link", name="Next")).to_be_focused()
    look("told")
    press(other, "3")
    expect(other.get_by_role("heading", name="You answered this task before")).to_be_visible()
    look("answered before", other)
    other.close()
    page.get_by_role("link", name="Next").click()
    for kind in ("rank", "rewrite", "compare"):
        expect(page.locator("article")).to_have_attribute("data-kind", kind)
        look(kind)
        press(page, "s")
    expect(page.get_by_role("heading", name="All done")).to_be_visible()
    look("done")
    kept = "{texts: ['A better reply.', 'Because.'], detail: 'others have taken it', at: Date.now()}"
    whose = "document.getElementById('refused').dataset.annotator"
    page.evaluate(f"localStorage.setItem('charter.refused.' + {whose} + '.task', JSON.stringify({kept}))")
    page.reload()
    expect(page.get_by_role("region", name="What you wrote and could not be taken")).to_be_visible()
    look("what was refused")
    page.context.clear_cookies()
    page.goto("/label")
    look("lapsed")
    assert {name: faults for name, faults in found.items() if faults} == {}
