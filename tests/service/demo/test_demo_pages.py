"""What the demo says: bars and lines of a run, and the closing page."""

import io
from dataclasses import dataclass

from rich.console import Console

from judges.records import Message
from service.demo.bars import Bars, Lines, line, notice, progress_view, seconds
from service.demo.replies import BeforeAfter
from service.demo.tables import drawn_line, print_replies, print_summary, standing_line, timing_line
from tests.service.demo.test_demo_summary import a_summary


@dataclass(frozen=True)
class Happening:
    """An event as the client gives it."""

    stage: str | None
    type: str = "progress"
    done: int | None = None
    total: int | None = None
    eta_s: float | None = None
    data: object = None


def console_into(text: io.StringIO, *, terminal: bool = False) -> Console:
    return Console(file=text, force_terminal=terminal, width=100, color_system=None)


def test_durations_are_written_for_people():
    assert seconds(41.6) == "42 s"
    assert seconds(185) == "3 min 5 s"


def test_a_line_says_stage_count_and_eta():
    assert line(Happening("sample", done=120, total=440, eta_s=35.2)) == "sample        120/440   35 s left"
    assert line(Happening("train")) == "train"


def test_lines_print_a_stages_start_then_every_ten_seconds_then_its_end():
    text, now = io.StringIO(), iter([0.0, 3.0, 9.9, 10.0, 10.0, 20.0, 20.0])
    with Lines(console_into(text), clock=lambda: next(now)) as view:
        view.show(Happening("sample", done=0, total=4))  # begins: shown at 0
        view.show(Happening("sample", done=1, total=4))  # 3.0: too soon
        view.show(Happening("sample", done=2, total=4))  # 9.9: too soon
        view.show(Happening("sample", done=3, total=4))  # 10.0: shown
        view.show(Happening("sample", done=4, total=4))  # full: shown
        view.show(Happening("sample", type="metric", done=4, total=4))  # metrics are not
    assert [shown.split()[1] for shown in text.getvalue().splitlines()] == ["0/4", "3/4", "4/4"]


def test_warnings_are_shown_in_both_views():
    for terminal in (False, True):
        text = io.StringIO()
        with progress_view(console_into(text, terminal=terminal)) as view:
            assert isinstance(view, Bars if terminal else Lines)
            view.show(Happening("judge", type="warning", data={"message": "kind weighs 0 [0.4, 0.6]"}))
        assert "warning in judge: kind weighs 0 [0.4, 0.6]" in text.getvalue()


def test_bars_show_count_and_eta():
    text = io.StringIO()
    with Bars(console_into(text, terminal=True)) as view:
        view.show(Happening("sample", done=120, total=440, eta_s=35))
        view.show(Happening("train", done=5, total=20, eta_s=90))
    assert "120/440" in text.getvalue()
    assert "train" in text.getvalue()


def test_an_error_without_a_stage_is_the_runs():
    assert notice(Happening(None, type="error", data="disk full")) == "error in the run: disk full"


def test_a_judge_at_chance_is_said_plainly():
    kind, brief = a_summary().qualification.per_principle
    assert standing_line(kind) == "kind: at chance (52 %, 40-64 %, 22 examples): judged and shown, weighs 0"
    assert standing_line(brief) == "brief: check passes its 1 example(s): its verdicts weigh"
    assert (
        standing_line(brief.model_copy(update={"examples": 0})) == "brief: a check without examples: its verdicts weigh"
    )


def test_pairs_and_time_are_said_in_a_line():
    summary = a_summary()
    assert drawn_line(summary.preferences) == ("Pairs trained on: 53 of 64 human, 0 by the judge, 160 by the checks")
    assert timing_line(summary.stage_s) == "Time: sample 1 min 10 s, train 2 min 50 s; 4 min 0 s in all"


def test_the_page_holds_each_principle_and_the_joint_line():
    text = io.StringIO()
    print_summary(console_into(text), a_summary())
    page = text.getvalue()
    assert "all checks together" in page
    assert "+39" in page  # 0.45 - 0.06
    assert "+31 to +47" in page
    assert "3 abstentions, 200 flips" in page


def test_replies_are_printed_as_they_are_even_with_square_brackets():
    text = io.StringIO()
    print_replies(console_into(text), [BeforeAfter((Message("user", "Hi?"),), "[bold]Sure![/bold]", "Hello there.")])
    assert "before: [bold]Sure![/bold]" in text.getvalue()


def test_a_reply_cannot_steer_the_terminal():
    text = io.StringIO()
    print_replies(console_into(text), [BeforeAfter((Message("user", "Hi?"),), "a\x1b]0;owned\x07b", "c\rd\ne")])
    assert "before: a\ufffd]0;owned\ufffdb" in text.getvalue()
    assert "after:  c\ufffdd\ne" in text.getvalue()
