"""What the forms send."""

import time

import pytest
from pydantic import ValidationError

from service.errors import InvalidInput
from service.pages.label_forms import AnswerForm, DraftForm
from service.pages.label_views import Draft, progress_view, read_draft, said_on_page, task_view
from service.store.label_records import LeasedTask, Progress, TaskKind


def form(**fields: object) -> AnswerForm:
    return AnswerForm.model_validate({"task_id": "ltk_1", "choice": "first", **fields})


def test_a_ranking_is_read_by_its_ranks_in_any_order():
    # Reply 2 is best, then 0, then 1.
    assert form(choice="ranked", place=["0:2", "1:3", "2:1"]).answer().ranking == (2, 0, 1)
    assert form(choice="ranked", place=["2:1", "0:2", "1:3"]).answer().ranking == (2, 0, 1)


def test_a_place_given_twice_is_told_with_its_replies():
    with pytest.raises(InvalidInput, match=r"replies A and C both have place 2; go back"):
        form(choice="ranked", place=["0:2", "1:1", "2:2"]).answer()


@pytest.mark.parametrize("place", ["0:0", "9:1", "a:1", "0:10", "0"])
def test_a_place_that_is_none_is_refused(place: str):
    with pytest.raises(ValidationError):
        form(choice="ranked", place=[place])


def test_only_what_belongs_to_the_choice_is_sent_on():
    answer = form(choice="skip", place=["0:1", "1:2"], rewrite="half a text", comment=" why\r\nnot \x00").answer()
    assert (answer.ranking, answer.rewrite, answer.comment) == ((), "", "why\nnot")


def test_an_answer_that_is_taken_back_shows_what_was_typed_and_said():
    # A skip sends no rewritten text, but somebody typed it.
    skipped = form(choice="skip", rewrite="half a text", comment="hm").answer()
    view = task_view(leased(kind="rewrite", replies=("poor",), draft=skipped.draft), {})
    assert (view.said, view.comment, view.editable) == ("Skipped", "hm", "half a text")
    ranked = form(choice="ranked", place=["0:2", "1:3", "2:1"]).answer()
    view = task_view(leased(kind="rank", replies=("x", "y", "z"), draft=ranked.draft), {})
    assert (view.said, [reply.letter for reply in view.replies]) == ("An order of your own", ["C", "A", "B"])
    assert task_view(leased(draft='{"said": "elsewhere"}'), {}).said == ""


def test_seconds_are_the_scripts_or_the_pages():
    assert form(seconds="2.5").answer().seconds == 2.5
    assert form(seconds="", shown_at=str(time.time() - 60)).answer().seconds == pytest.approx(60, abs=5)
    assert form(seconds="1e9").answer().seconds == 24 * 3600
    assert form(seconds="", shown_at=str(time.time() + 1000)).answer().seconds == 0


def test_a_draft_comes_back_as_it_was():
    sent = DraftForm(task_id="ltk_1", comment="so", rewrite="a\r\nb", place=["0:2", "1:1"])
    assert read_draft(sent.draft().model_dump_json()) == Draft(comment="so", rewrite="a\nb", ranking=(1, 0))
    assert DraftForm(task_id="ltk_1", place=["0:1", "1:1"]).draft().ranking == ()
    assert read_draft("") == read_draft("not ours") == Draft()


def test_a_draft_orders_the_replies_on_the_page():
    view = task_view(leased(replies=("x", "y", "z"), draft='{"ranking": [2, 0, 1]}'), {})
    assert [(reply.letter, reply.place, reply.rank) for reply in view.replies] == [
        ("C", 2, 1),
        ("A", 0, 2),
        ("B", 1, 3),
    ]
    other = task_view(leased(replies=("x", "y"), draft='{"ranking": [2, 0, 1]}'), {})
    assert [reply.letter for reply in other.replies] == ["A", "B"]


def test_a_choice_is_told_in_the_words_of_the_page():
    assert said_on_page("a", (0, 1)) == "Reply A is better"
    assert said_on_page("a", (1, 0)) == "Reply B is better"
    assert said_on_page("b", (1, 0)) == "Reply A is better"
    assert said_on_page("both_bad", (1, 0)) == "Both bad"


def test_progress_ends_at_the_budget():
    free = progress_view(Progress(done=12, skipped=2, open_tasks=26, budget_left=None))
    assert (free.number, free.total, free.left) == (15, 40, 26)
    short = progress_view(Progress(done=12, skipped=2, open_tasks=26, budget_left=3))
    assert (short.number, short.total, short.left) == (15, 17, 3)
    done = progress_view(Progress(done=3, skipped=0, open_tasks=0, budget_left=None))
    assert (done.number, done.total, done.left) == (3, 3, 0)


def leased(replies: tuple[str, ...] = ("x", "y"), draft: str = "", kind: TaskKind = "rank") -> LeasedTask:
    return LeasedTask(
        id="ltk_1",
        kind=kind,
        prompt=(),
        replies=replies,
        order=tuple(range(len(replies))),
        principle_id=None,
        training=False,
        leased_until="",
        draft=draft,
    )
