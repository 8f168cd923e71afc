"""When a run stops, by hand and against a slow reading of the rule; reading the metrics again knows the same."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.errors import TrainingError
from training.limits import Limits, Score, Stop, Watch, watch_again

LIMITS = Limits(max_kl=0.5, min_distinct_2=0.2, max_length_ratio=2.0, max_refusal_rate=0.1)

scores = st.lists(st.tuples(st.floats(-10, 10), st.floats(0, 2)), max_size=30)


def scored(*values: float, error: float = 0.0) -> list[dict[str, float]]:
    return [
        {"step": step, "held_out_score": value, "held_out_error": error} for step, value in enumerate(values, start=1)
    ]


@pytest.mark.parametrize(
    ("metric", "value", "limit"),
    [("kl", 0.51, 0.5), ("distinct_2", 0.19, 0.2), ("length_ratio", 2.1, 2.0), ("refusal_rate", 0.2, 0.1)],
)
def test_a_limit_that_is_broken_stops_the_run_and_is_named(metric: str, value: float, limit: float):
    at_limits = {"kl": 0.5, "distinct_2": 0.2, "length_ratio": 2.0, "refusal_rate": 0.1}
    watch = Watch(LIMITS).after(1, at_limits).after(2, {"loss": 9.0})
    assert watch.stop is None
    assert watch.after(3, at_limits | {metric: value}).stop == Stop(metric, value, limit, 3)
    assert Watch(Limits()).after(3, {metric: value}).stop is None


def test_the_limits_that_read_replies_are_named():
    assert LIMITS.read_replies == ("min_distinct_2", "max_length_ratio", "max_refusal_rate")
    assert Limits(max_kl=0.5, max_refusal_rate=0.1, patience=2).read_replies == ("max_refusal_rate",)
    assert not Limits(max_kl=0.5, patience=2).read_replies
    assert Limits(patience=2, score="held_out_score_checks").read_replies == ("patience",)
    assert not Limits(score="held_out_score_checks").read_replies


def test_patience_by_hand():
    # Best 2 at step 2. With an error of 0.1 on both sides a score is clearly worse below 2 - 2.5 sqrt(0.02) = 1.646.
    watch = watch_again(Limits(patience=2), scored(1.0, 2.0, 1.6, 1.7, 1.5, 1.6, 9.0, error=0.1))
    assert watch.best == Score(2, 2.0, 0.1)
    assert watch.stop == Stop("held_out_score", 1.6, pytest.approx(1.6464466), 6)
    # Without errors any fall counts, and an equal score is no fall.
    assert watch_again(Limits(patience=2), scored(1.0, 2.0, 2.0, 1.9, 2.0, 1.9)).stop is None
    assert watch_again(Limits(patience=2), scored(1.0, 2.0, 1.9, 1.8)).stop == Stop("held_out_score", 1.8, 2.0, 4)


def test_patience_reads_the_score_that_it_is_told_to_by_hand():
    # The loss gets worse, the checks rise to 0.9 and fall: clearly below 0.9 - 2.5 sqrt(0.03^2 + 0.04^2) = 0.775.
    checks = [(0.5, 0.1), (0.9, 0.03), (0.8, 0.04), (0.7, 0.04)]
    lines = [
        {"step": n, "held_out_score": -float(n), "held_out_score_checks": score, "held_out_error_checks": error}
        for n, (score, error) in enumerate(checks, start=1)
    ]
    watch = watch_again(Limits(patience=1, score="held_out_score_checks"), lines)
    assert watch.best == Score(2, 0.9, 0.03)
    assert watch.stop == Stop("held_out_score_checks", 0.7, pytest.approx(0.775), 4)
    assert watch_again(Limits(patience=1), lines).stop == Stop("held_out_score", -2.0, -1.0, 2)


def test_a_score_that_broke_a_limit_is_not_the_best():
    watch = Watch(LIMITS).after(1, {"held_out_score": 1.0}).after(2, {"held_out_score": 5.0, "kl": 0.6})
    assert watch.best == Score(1, 1.0, 0.0)
    assert watch.stop == Stop("kl", 0.6, 0.5, 2)


@pytest.mark.parametrize(
    "metrics", [{"kl": math.nan}, {"held_out_score": math.nan}, {"held_out_score": 1.0, "held_out_error": math.inf}]
)
def test_what_is_no_number_is_an_error(metrics: dict[str, float]):
    with pytest.raises(TrainingError, match=r"step 7: .* is (nan|inf)"):
        Watch(LIMITS).after(7, metrics)


def slow_stop(values: list[tuple[float, float]], patience: int) -> int | None:
    """The number of the score that ends the run, from the rule's words."""
    clearly_worse = []
    for number, (value, error) in enumerate(values):
        best, best_error = max(values[: number + 1], key=lambda one: one[0])
        clearly_worse.append(value < best - 2.5 * math.hypot(best_error, error))
        if patience and len(clearly_worse) >= patience and all(clearly_worse[-patience:]):
            return number
    return None


@given(values=scores, patience=st.integers(0, 4))
def test_patience_is_what_its_words_say(values: list[tuple[float, float]], patience: int):
    lines = [{"step": n, "held_out_score": value, "held_out_error": error} for n, (value, error) in enumerate(values)]
    watch = watch_again(Limits(patience=patience), lines)
    end = slow_stop(values, patience)
    assert (watch.stop.step if watch.stop else None) == end
    seen = [value for value, _ in values[: len(values) if end is None else end + 1]]
    assert (watch.best.step if watch.best else None) == (seen.index(max(seen)) if seen else None)


@given(values=scores, cut=st.integers(0, 30))
def test_a_run_that_is_resumed_knows_what_it_knew(values: list[tuple[float, float]], cut: int):
    lines = [
        {"step": n, "held_out_score": value, "held_out_error": error, "kl": abs(value) / 10}
        for n, (value, error) in enumerate(values)
    ]
    limits = Limits(max_kl=0.9, patience=2)
    resumed = watch_again(limits, lines[:cut])
    for line in lines[cut:]:
        resumed = resumed.after(int(line["step"]), line)
    assert resumed == watch_again(limits, lines)


@given(values=st.lists(st.floats(0, 1), max_size=30), limit=st.floats(0.01, 1))
def test_the_first_value_beyond_a_limit_stops(values: list[float], limit: float):
    watch = watch_again(Limits(max_kl=limit), [{"step": n, "kl": value} for n, value in enumerate(values)])
    beyond = [n for n, value in enumerate(values) if value > limit]
    assert watch.stop == (Stop("kl", values[beyond[0]], limit, beyond[0]) if beyond else None)


@given(values=st.lists(st.floats(-10, 10), min_size=1, max_size=30), patience=st.integers(1, 3))
def test_scores_that_never_fall_never_stop(values: list[float], patience: int):
    assert watch_again(Limits(patience=patience), scored(*sorted(values))).stop is None
