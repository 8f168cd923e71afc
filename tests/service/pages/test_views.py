"""What the pages are made of, as pure functions: numbers in words, curves, changed words, stages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pages.curves import charts_of, table_steps
from service.pages.formats import age, moment, number, percent, points, size, span
from service.pages.run_view import effect_of
from service.pages.wording import changed_words
from service.store.records import EventRecord


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "0.2 s"),
        (9.96, "10.0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_spans_have_their_two_largest_units(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_numbers_are_written_for_readers() -> None:
    assert (percent(0.125), points(-0.051), points(0.5)) == ("12.5 %", "-5.1", "+50.0")
    assert (number(1234567), number(0.000123456), number(-2.0)) == ("1,234,567", "0.0001235", "-2")
    assert (size(999), size(9_182_316), size(2 * 10**9)) == ("999 B", "9.2 MB", "2.0 GB")
    assert moment("2026-11-22T05:30:28.123456Z") == "2026-11-22 05:30:28 UTC"
    assert age("1970-01-01T00:01:00.000000Z", now=185.0) == "2 min ago"
    assert age("1970-01-01T00:01:00.000000Z", now=61.0) == "just now"


def metric(seq: int, **data: object) -> EventRecord:
    return EventRecord("run_1", seq, "train", "metric", "", seq, 9, None, data)


def test_held_out_measures_stand_beside_their_own() -> None:
    loss, kl, other = charts_of(
        [metric(1, step=1, entropy=2.0, kl=0.1, loss=1.0), metric(2, step=2, entropy=1.0, held_out_kl=0.3, loss=0.5)]
    )
    assert (loss.name, loss.steps, loss.series[0].values) == ("loss", (1, 2), (1.0, 0.5))
    assert [(line.label, line.values, line.known) for line in kl.series] == [
        ("kl", (0.1, None), (0.1,)),
        ("held out kl", (None, 0.3), (0.3,)),
    ]
    assert other.name == "entropy"


def test_each_candidate_of_a_sweep_has_a_line() -> None:
    (loss,) = charts_of([metric(n, beta=beta, step=1, loss=beta) for n, beta in enumerate((0.1, 0.5))])
    assert [(line.label, line.values) for line in loss.series] == [
        ("loss, beta 0.1", (0.1,)),
        ("loss, beta 0.5", (0.5,)),
    ]
    assert charts_of([metric(1)]) == ()  # the trainer's first line has a count and no measure


def test_a_table_of_a_long_curve_has_some_forty_rows_and_the_last() -> None:
    (loss,) = charts_of([metric(n, step=n, loss=1.0) for n in range(1, 1001)])
    shown = table_steps(loss)
    assert (len(shown), shown[0], shown[1], shown[-1]) == (41, 0, 25, 999)


WORDS = st.text(st.sampled_from("ab \n"), max_size=40)


@given(WORDS, WORDS)
def test_the_pieces_give_both_wordings(before: str, after: str) -> None:
    pieces = changed_words(before, after)
    assert "".join(piece.text for piece in pieces if piece.kind != "added") == before
    assert "".join(piece.text for piece in pieces if piece.kind != "removed") == after


def test_one_changed_word_is_one_word() -> None:
    assert [(piece.kind, piece.text) for piece in changed_words("at most fifty words", "at most thirty words")] == [
        ("kept", "at most "),
        ("removed", "fifty"),
        ("added", "thirty"),
        ("kept", " words"),
    ]
    assert [piece.kind for piece in changed_words("a " * 4000, "b")] == ["removed", "added"]
    assert {piece.kind for piece in changed_words(None, {"max_words": 3})} == {"added"}


def test_an_effect_is_of_what_the_constitution_has() -> None:
    joint = {"id": "joint", "kind": "joint", "before": 0.1, "after": 0.6}
    judged = [{"id": name, "kind": "judged", "before": 0.5, "after": after} for name, after in (("a", 0.4), ("b", 0.7))]
    assert effect_of({}) is None
    both = effect_of({"principles": [joint, *judged]})
    assert both is not None and both.joint == (0.1, 0.6) and both.win_rate == pytest.approx(0.55)
    alone = effect_of({"principles": judged[:1]})
    assert alone is not None and alone.joint is None and alone.win_rate == 0.4
