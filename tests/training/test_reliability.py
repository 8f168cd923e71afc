"""What verdicts are worth beside people's votes: fits and weights worked by hand, and against the judges' own fit."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.calibration.labels import Labelled
from judges.calibration.scaling import fit_scaling
from judges.records import Message
from training.errors import TrainingError
from training.people_votes import p_first
from training.ranked import RANKED
from training.reliability import (
    BeliefFit,
    SharedPair,
    agreement,
    calibrated,
    fit_belief,
    length_gap,
    measured_weight,
    pays_length,
    shared_pairs,
    whole_belief,
)
from training.rows import PreferenceRow

from .test_rows import make_row


def shared(right: int, wrong: int, belief: float = 0.88, gap: float = 0.0) -> list[SharedPair]:
    """Sure verdicts for either side in turn."""
    found = [SharedPair(belief, 1.0, gap)] * right + [SharedPair(belief, 0.0, gap)] * wrong
    return [SharedPair(1 - p.belief, 1 - p.vote, -p.length_gap) if n % 2 else p for n, p in enumerate(found)]


def test_a_belief_is_calibrated_as_the_judges_temperature_is():
    rng = np.random.default_rng(0)
    belief_N = rng.uniform(0.02, 0.98, 200)
    vote_N = (rng.random(200) < belief_N).astype(float)
    fit = fit_belief([SharedPair(float(p), float(v), 0.0) for p, v in zip(belief_N, vote_N, strict=True)], 0.0)
    assert fit is not None
    assert fit.slope == pytest.approx(fit_scaling(Labelled(belief_N, vote_N)).slope, abs=1e-4)
    assert fit.per_length == 0


def judged(number: int, right: bool, gap: int) -> PreferenceRow:
    """A verdict of log-odds 2 for the truth and 4 a unit of length, on 100 characters in all."""
    first, second = "a" * (50 + gap), "b" * (50 - gap)
    p_first = 1 / (1 + math.exp(-((2 if right else -2) + 4 * gap / 50)))
    wins, loses = (first, second) if p_first > 0.5 else (second, first)
    return make_row(
        f"m{number}",
        prompt_id=f"p{number}",
        prompt=(Message("user", str(number)),),
        source="ai",
        chosen=wins,
        rejected=loses,
        p_chosen=max(p_first, 1 - p_first),
    )


def test_the_length_that_a_judge_pays_for_is_taken_out():
    # truth and length are in balance: least squares give 4, drawn to 0 by the 1 in the denominator
    rows = [judged(n, n % 2 == 0, gap) for n, gap in enumerate([-30, -30, -10, -10, 10, 10, 30, 30] * 25)]
    squares = 100 * (0.6**2 + 0.2**2)
    paid = pays_length(rows)
    assert paid == pytest.approx(4 * squares / (squares + 1))
    # people follow the truth in four of five pairs and have no taste for length
    pairs = [
        SharedPair(p_first(row), float((n % 2 == 0) == (n // 8 % 5 > 0)), length_gap(row)) for n, row in enumerate(rows)
    ]
    fit = fit_belief(pairs, paid)
    assert fit is not None
    assert fit.per_length == pytest.approx(0, abs=0.05)
    assert fit.apply(p_first(rows[0]), length_gap(rows[0])) == pytest.approx(0.8, abs=0.02)
    assert rows[0].chosen.startswith("b") and calibrated(rows[0], fit, 1.0).chosen.startswith("a")


def test_a_machine_that_people_speak_against_says_nothing():
    fit = fit_belief(shared(10, 60), 0.0)
    assert fit is not None and (fit.slope, fit.per_length) == (0, 0)
    assert fit.apply(0.99, 0.5) == 0.5


def test_bad_luck_with_few_votes_is_no_proof_against_a_machine():
    # 9 of 24 right: the most probable slope may be below 0, which is not shown; the mean of its positive part is left
    fit = fit_belief(shared(9, 15), 0.0)
    assert fit is not None and 0 < fit.slope < fit.slope_sd


def test_few_votes_fit_nothing():
    assert fit_belief(shared(19, 0), 0.0) is None


@given(
    st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0]), st.floats(-1, 1)), min_size=20, max_size=30)
)
def test_the_fit_has_no_favoured_side_and_no_order(values):
    pairs = [SharedPair(*value) for value in values]
    fit, mirrored = fit_belief(pairs, 0.5), fit_belief([SharedPair(1 - b, 1 - v, -g) for b, v, g in values], 0.5)
    assert fit is not None and mirrored is not None
    assert fit == fit_belief(pairs[::-1], 0.5)
    assert (fit.slope, fit.per_length) == pytest.approx((mirrored.slope, mirrored.per_length), abs=1e-5)
    assert fit.apply(0.3, 0.2) == pytest.approx(1 - fit.apply(0.7, -0.2))


def test_a_weight_is_the_slope_of_votes_on_beliefs():
    # belief 1 or 0, right 80 of 100: products (80 - 20) / 4 = 15, squares 25; prior 2.5 at weight 1: 17.5 / 27.5
    certain = shared(80, 20, belief=1.0)
    assert measured_weight(certain, 1.0, 1.0) == pytest.approx(17.5 / 27.5)
    # people who agree beyond chance by one half: a vote tells half as much, so the verdict is worth more: 32.5 / 27.5
    assert measured_weight(certain, 1.0, 0.5) == pytest.approx(32.5 / 27.5)
    assert measured_weight([], 0.7, 1.0) == 0.7
    assert measured_weight(shared(10, 90, belief=1.0), 1.0, 1.0) == 0.0
    assert measured_weight(certain, 1.0, 0.01) == 4.0


def test_the_votes_of_a_ranking_count_as_the_labels_that_they_are():
    # of five replies a row is half a label: 80 such votes weigh what 40 labels do, in the slope and in what is open
    labels, ranked = shared(30, 10, gap=0.5), [replace(pair, labels=0.5) for pair in shared(60, 20, gap=0.5)]
    of_labels, of_ranked = fit_belief(labels, 0.3), fit_belief(ranked, 0.3)
    assert of_labels is not None and of_ranked is not None
    found, wanted = ((fit.slope, fit.slope_sd, fit.per_length) for fit in (of_ranked, of_labels))
    assert found == pytest.approx(wanted, abs=1e-6)
    assert fit_belief(ranked[:39], 0.3) is None and fit_belief(ranked[:40], 0.3) is not None
    # 160 right and 40 wrong: products (160 - 40) / 8 = 15, squares 25, as of 80 and 20 labels
    half = [replace(pair, labels=0.5) for pair in shared(160, 40, belief=1.0)]
    assert measured_weight(half, 1.0, 1.0) == pytest.approx(17.5 / 27.5)
    # a label for the machine, half of one against it
    assert agreement([SharedPair(0.9, 1.0, 0), SharedPair(0.9, 0.0, 0, 0.5)]) == pytest.approx(1 / 1.5)


def test_more_votes_leave_less_open():
    few, many = fit_belief(shared(15, 5), 0.0), fit_belief(shared(1500, 500), 0.0)
    assert few is not None and many is not None and few.slope_sd > 5 * many.slope_sd


def test_peoples_pull_of_length_counts_as_far_as_it_is_shown():
    # verdicts of log-odds 2 that votes bear out in three of four; the longer reply, by 0.5, wins three of four too
    def fitted(times: int) -> float:
        right = [SharedPair(0.88, 1.0, 0.5), SharedPair(0.88, 1.0, -0.5), SharedPair(0.12, 1.0, 0.5)]
        fit = fit_belief([*right, SharedPair(0.12, 0.0, 0.5)] * times, 0.0)
        assert fit is not None
        return fit.per_length

    assert fitted(5) == 0
    assert 0 < fitted(50) < fitted(500)


def test_one_vote_errs_and_people_on_the_whole_less():
    assert whole_belief(0.8, 0.64) == pytest.approx(0.875)
    assert whole_belief(0.2, 0.64) == pytest.approx(0.125)
    assert whole_belief(0.95, 0.25) == 0.99


def test_agreement_counts_ties_half():
    assert agreement([SharedPair(0.9, 1.0, 0), SharedPair(0.9, 0.0, 0), SharedPair(0.5, 1.0, 0)]) == 0.5
    with pytest.raises(TrainingError, match="have both judge some pairs"):
        agreement([])


def test_pairs_are_shared_whichever_won():
    verdict = make_row("m", chosen="aa", rejected="bbbbbb", p_chosen=0.8, source="ai")
    vote = make_row("h", chosen="bbbbbb", rejected="aa", p_chosen=1.0)
    elsewhere = make_row("x", chosen="cc", rejected="aa")
    assert shared_pairs([verdict], [vote, elsewhere]) == (SharedPair(0.8, 0.0, -0.5),)
    assert shared_pairs([replace(verdict, rejected="aa")], [replace(vote, chosen="aa")]) == ()


def test_a_vote_of_a_ranking_is_known_by_its_tag():
    verdict = make_row("m", chosen="aa", rejected="bbbbbb", p_chosen=0.8, source="ai", tags=((RANKED, "4"),))
    ranked = make_row("h", chosen="bbbbbb", rejected="aa", p_chosen=1.0, tags=((RANKED, "9"),))
    assert shared_pairs([verdict], [ranked]) == (SharedPair(0.8, 0.0, -0.5, 0.3),)


def test_a_vote_under_a_principle_is_beside_the_belief_under_it():
    verdict = make_row(
        "m", chosen="aa", rejected="bbbbbb", p_chosen=0.8, source="ai", per_principle=(("brief", 0.3), ("kind", 0.9))
    )
    vote = make_row("h", chosen="bbbbbb", rejected="aa", p_chosen=1.0, per_principle=(("brief", 1.0),))
    assert shared_pairs([verdict], [vote]) == (SharedPair(0.3, 0.0, -0.5),)
    # an average of two answers: one vote under each that the machine was asked about
    both = replace(vote, p_chosen=0.5, per_principle=(("kind", 0.0), ("brief", 1.0), ("honest", 1.0)))
    assert shared_pairs([verdict], [both]) == (SharedPair(0.9, 1.0, -0.5), SharedPair(0.3, 0.0, -0.5))
    assert shared_pairs([verdict], [both], frozenset({"kind"})) == (SharedPair(0.3, 0.0, -0.5),)
    assert shared_pairs([verdict], [replace(vote, per_principle=(("honest", 1.0),))]) == ()


def test_length_can_turn_a_pair():
    row = make_row("m", chosen="long" * 10, rejected="short", p_chosen=0.6, source="ai", per_principle=(("p", 0.6),))
    assert length_gap(row) == pytest.approx(35 / 45)
    turned = calibrated(row, BeliefFit(1.0, 2.0, -1.0, 0.0), 1.0)
    assert (turned.chosen, turned.per_principle) == ("short", (("p", pytest.approx(0.4)),))
    assert turned.p_chosen == pytest.approx(1 - 1 / (1 + math.exp(3 * 35 / 45 - math.log(1.5))))
