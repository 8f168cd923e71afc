"""Monitors by hand, and what must hold whatever the replies say."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.house.test_imports import BARE, run_python
from training.errors import TrainingError
from training.kl import k3, kl_metrics
from training.monitors import (
    distinct_n,
    edge_rate,
    length_drift,
    refusal_rate,
    refusals_can_be_found,
    reply_monitors,
    self_similarity,
    words_of,
)

replies = st.lists(st.lists(st.integers(0, 3), max_size=8), min_size=1, max_size=6)


def test_distinct_n_by_hand():
    # bigrams 12, 21, 12: two of three differ; unigrams 1 2 1 1 2: two of five
    assert distinct_n([(1, 2, 1), (1, 2)], 2) == pytest.approx(2 / 3)
    assert distinct_n([(1, 2, 1), (1, 2)], 1) == pytest.approx(2 / 5)
    assert distinct_n([(1,), ()], 2) == 0.0


def test_self_similarity_by_hand():
    # {a, b} and {b, c} share one of three, {a, b} and {d} none, {b, c} and {d} none
    texts = ["a b", "b c", "d"]
    assert self_similarity([words_of(text) for text in texts], n=1) == pytest.approx(1 / 9)
    # The first two answer the same prompt: they may be alike.
    assert self_similarity([words_of(text) for text in texts], ("p", "p", "q"), n=1) == 0.0
    # Replies shorter than n are compared whole: two empty ones are the same.
    assert self_similarity([(), (), (1,)]) == pytest.approx(1 / 3)


def test_boilerplate_by_hand():
    openings = [(1, 2), (1, 2), (1, 3), (2, 2), (1,)]
    assert edge_rate(openings, 2) == pytest.approx(2 / 5)
    assert edge_rate([(1, 2), (1, 3)], 2) == 0.0
    template = [words_of(f"as I said before now {topic} is fine I hope this helps you") for topic in "abcd"]
    found = reply_monitors([*template, words_of("quite another reply of some more words")])
    assert (found["opening_rate"], found["ending_rate"]) == (0.8, 0.8)


@given(replies=replies)
def test_collapse_is_the_one_end_and_the_order_does_not_matter(replies: list[list[int]]):
    found = reply_monitors(replies)
    assert all(0 <= value <= 1 for value in found.values())
    assert found == pytest.approx(reply_monitors(replies[::-1]))
    collapsed = reply_monitors([replies[0]] * 4)
    assert collapsed["self_similarity"] == 1.0
    assert collapsed["opening_rate"] == collapsed["ending_rate"] == (1.0 if len(replies[0]) >= 5 else 0.0)


@given(replies=replies)
def test_no_similarity_within_one_prompt(replies: list[list[int]]):
    assert self_similarity(replies, ["p"] * len(replies)) == 0.0


def test_refusals_are_those_of_the_check():
    assert refusals_can_be_found()
    texts = ["I'm sorry, but I can't help with that.", "I cannot say.", "Paris.", "It is what I won in May."]
    assert refusal_rate(texts) == 0.5


def test_where_the_checks_cannot_be_imported_it_is_said():
    program = """
from training.errors import TrainingError
from training.monitors import refusal_rate, refusals_can_be_found
assert not refusals_can_be_found()
try:
    refusal_rate(["a"])
except TrainingError as error:
    print(error)
"""
    assert run_python(BARE + program).startswith("refusals are found by the checks, which need ")


def test_length_drift_by_hand():
    # means 3 and 2; the variance of log 3 is (2 / 2) / 9, that of log 2 is 0; t of 1 degree is 12.706
    drift = length_drift([2, 4], [2, 2])
    assert drift.ratio == 1.5
    assert math.log(drift.high / 1.5) == pytest.approx(12.7062 / 3, abs=1e-4)
    assert drift.low * drift.high == pytest.approx(1.5**2)
    # 100 replies a side, 2 from their means of 20 and 10: variances of the logs 0.01 / 99 and 0.04 / 99, t(99) 1.984
    drift = length_drift([18, 22] * 50, [8, 12] * 50)
    assert (drift.ratio, drift.low, drift.high) == pytest.approx((2.0, 1.91278, 2.09120), abs=1e-4)


@pytest.mark.parametrize(
    "look",
    [
        lambda: reply_monitors([]),
        lambda: refusal_rate([]),
        lambda: length_drift([1], [1, 2]),
        lambda: length_drift([1, 2], [0, 0]),
        lambda: kl_metrics([]),
        lambda: kl_metrics([[], []]),
    ],
)
def test_nothing_to_look_at_is_an_error(look):
    with pytest.raises(TrainingError):
        look()


def test_kl_by_hand():
    # log-ratios 1 and 0 in one reply, -1 in the other: k3 is 1/e, 0, e - 2
    found = kl_metrics([[1.0, 0.0], [-1.0]])
    assert found["kl_k1"] == 0.0
    assert found["kl"] == pytest.approx((1 / math.e + math.e - 2) / 3)
    assert found["sqrt_kl"] == pytest.approx(math.sqrt((1 / math.e + math.e - 2) / 2))


@given(
    st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)), min_size=2, max_size=6),
)
def test_both_estimators_are_right_in_expectation(weights: list[tuple[float, float]]):
    policy, reference = ([one[side] / sum(w[side] for w in weights) for one in weights] for side in (0, 1))
    exact = sum(p * math.log(p / q) for p, q in zip(policy, reference, strict=True))
    by_k3 = sum(p * k3(math.log(p / q)) for p, q in zip(policy, reference, strict=True))
    assert by_k3 == pytest.approx(exact, abs=1e-9)
    assert all(k3(math.log(p / q)) >= 0 for p, q in zip(policy, reference, strict=True))
