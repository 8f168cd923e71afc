"""Cascades: whom it asks, what recorded verdicts say it costs, and a threshold that stops at the first step too far."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.calibration.cascade import (
    CascadeReport,
    RecordedPairs,
    choose_threshold,
    judge_all_in_cascade,
    judge_in_cascade,
    simulate,
)
from judges.choices import logit
from judges.errors import CalibrationError, NoLabels, NotAProbability, UnequalLengths
from judges.records import Abstention, Comparison, Message, Preference, PrincipleVerdict, Verdict

PAIR = Comparison("c", "p", (Message("user", "Hi"),), "a", "b")
# Reply A is better in all five; the cheap judge is right where it is sure, the strong one in four of five.
FIVE = RecordedPairs(np.array([0.95, 0.9, 0.2, 0.6, 0.5]), np.array([0.9, 0.9, 0.9, 0.9, 0.1]), np.ones(5))


class Judge:
    """Says the same of everything, and counts how often it was asked."""

    def __init__(self, name: str, verdict: Verdict) -> None:
        self.name, self.verdict, self.asked = name, verdict, 0

    async def __call__(self, comparison: Comparison, /) -> PrincipleVerdict:
        self.asked += 1
        return PrincipleVerdict(comparison.id, comparison.prompt_id, "kind", "judged", self.name, "", self.verdict)


def says(p_a: float) -> Preference:
    return Preference(p_a, p_a, p_a, 1.0)


@pytest.mark.parametrize(
    ("cheap", "asked_strong"),
    [(says(0.9), False), (says(0.1), False), (says(0.76), False), (says(0.74), True), (says(0.5), True)],
)
async def test_the_strong_judge_is_asked_where_the_cheap_one_is_unsure(cheap: Verdict, asked_strong: bool):
    """The threshold is log 3: p of 3/4, or of 1/4."""
    strong = Judge("strong", says(0.99))
    found = await judge_in_cascade(Judge("cheap", cheap), strong, PAIR, threshold=math.log(3))
    assert found.asked_strong == asked_strong and strong.asked == asked_strong
    assert found.verdict.judge == ("strong" if asked_strong else "cheap") and found.cheap.verdict == cheap


async def test_a_verdict_at_the_threshold_is_sure():
    found = await judge_in_cascade(Judge("cheap", says(0.9)), Judge("strong", says(0.1)), PAIR, threshold=logit(0.9))
    assert not found.asked_strong


async def test_an_abstention_is_never_sure():
    strong = Judge("strong", Abstention("refused", "no"))
    found = await judge_in_cascade(Judge("cheap", Abstention("empty", "")), strong, PAIR, threshold=0.0)
    assert found.asked_strong and found.verdict.verdict == Abstention("refused", "no")


async def test_many_at_once_keep_their_order_and_count_what_was_saved():
    """The cheap judge is sure of "sure" only."""

    async def cheap(comparison: Comparison, /) -> PrincipleVerdict:
        return await Judge("cheap", says(0.95 if comparison.a == "sure" else 0.5))(comparison)

    pairs = [dataclasses.replace(PAIR, id=f"c{n}", a=a) for n, a in enumerate(["sure", "not", "sure", "sure"])]
    run = await judge_all_in_cascade(cheap, Judge("strong", says(0.9)), pairs, threshold=1.0)
    assert [one.verdict.comparison_id for one in run.verdicts] == ["c0", "c1", "c2", "c3"]
    assert [one.verdict.judge for one in run.verdicts] == ["cheap", "strong", "cheap", "cheap"]
    assert run.saved == 0.75


def test_the_cost_by_hand():
    """At 0.9 or more the cheap judge decides two, right both; of the other three the strong one gets two: 4/5 and 4/5.
    At 0.8 (which 0.2 is as far as) it gets a third, wrong: 3/5."""
    assert simulate(FIVE, math.log(9) - 1e-9) == CascadeReport(pytest.approx(math.log(9)), 0.4, 0.8, 0.8)
    report = simulate(FIVE, math.log(4) - 1e-9)
    assert (report.saved, report.accuracy) == (0.6, 0.6) and report.lost == pytest.approx(0.2)


def test_the_threshold_stops_at_the_first_step_too_far():
    """Sure to sureness 0.9 nothing is lost, to 0.8 a third, and to 0.6 nothing again, by luck: it stops at 0.9."""
    lucky = RecordedPairs(np.array([0.9, 0.2, 0.6]), np.array([0.9, 0.9, 0.1]), np.ones(3))
    assert simulate(lucky, 0.0).lost == 0
    assert choose_threshold(lucky, 0.0).saved == pytest.approx(1 / 3)
    assert choose_threshold(lucky, 0.0).threshold == pytest.approx(math.log(9))
    assert choose_threshold(lucky, 0.34).saved == 1.0


def test_no_step_allowed_leaves_all_to_the_strong_judge():
    wrong = RecordedPairs(np.array([0.1, 0.1]), np.array([0.9, 0.9]), np.ones(2))
    report = choose_threshold(wrong, 0.1)
    assert report == CascadeReport(math.inf, 0.0, 1.0, 1.0)
    assert choose_threshold(wrong, 1.0).saved == 1.0


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=30),
    st.floats(0, 1),
)
def test_no_more_is_lost_on_gold_than_was_allowed(rows, most_lost):
    report = choose_threshold(RecordedPairs(*np.array(rows).T), most_lost)
    assert report.lost <= most_lost + 1e-9 and 0 <= report.saved <= 1


def test_what_is_no_record_is_refused():
    one, none = np.array([0.5]), np.array([])
    for columns, error in (
        ((none, none, none), NoLabels),
        ((one, one, none), UnequalLengths),
        ((one, np.array([math.nan]), one), NotAProbability),
    ):
        with pytest.raises(error):
            RecordedPairs(*columns)
    with pytest.raises(CalibrationError):
        choose_threshold(FIVE, -0.1)
    with pytest.raises(CalibrationError):
        choose_threshold(FIVE, math.nan)
