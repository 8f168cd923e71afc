"""Routing: what is sent and why, that the random part is random, and that the chances of being sent are exact."""

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.errors import NotAProbability
from service.errors import InvalidInput
from service.labelling.gains import (
    UNFITTED,
    GainModel,
    LabelledCandidate,
    RoutingCandidate,
    expected_gains,
    fit_gain_model,
)
from service.labelling.routing import Routed, draw_pairs, labels_in_minutes, route_pairs

FLIP = RoutingCandidate("flip", "p1", 0.5, order_flip=True)
CLOSE = RoutingCandidate("close", "p2", 0.6)
SURE = RoutingCandidate("sure", "p3", 0.98)
OPPOSED = RoutingCandidate("opposed", "p4", 0.8, panel_p_a=(0.3, 0.3))


def gain(candidate, model=GainModel()):  # noqa: B008
    return float(expected_gains([candidate], model)[0])


def test_the_gain_is_the_chance_that_the_verdict_is_wrong():
    assert gain(FLIP) == 0.5
    assert gain(CLOSE) == pytest.approx(0.4)
    assert gain(RoutingCandidate("other side", "p", 0.4)) == pytest.approx(0.4)
    # By hand: odds of A 4 to 1 from the judge, 3 to 7 from the panel, together 12 to 7.
    assert gain(OPPOSED) == pytest.approx(7 / 19)
    # A flip with an unequal sum keeps half of its log-odds: 9 to 1 become 3 to 1.
    assert gain(RoutingCandidate("uneven", "p", 0.9, order_flip=True)) == pytest.approx(0.25)
    # Principles at 9 to 1 and 1 to 9 cancel out wholly, which halves the judge's log-odds too.
    assert gain(RoutingCandidate("torn", "p", 0.9, principle_p_a=(0.9, 0.1))) == pytest.approx(0.25)


def test_an_unfitted_model_believes_a_calibrated_judge():
    assert gain(RoutingCandidate("x", "p", 1.0)) == pytest.approx(0.01)


def test_labels_find_out_a_judge_that_is_wrong_where_it_is_sure():
    wrong = [LabelledCandidate(RoutingCandidate(f"{n}", f"{n}", float(n % 2)), 1.0 - n % 2) for n in range(8)]
    model = fit_gain_model(wrong)
    assert model.judge < 0 and model.labels == 8
    assert gain(SURE, model) > gain(FLIP, model) == 0.5


def test_labels_that_leave_the_direction_open_send_pairs_at_random():
    torn = [LabelledCandidate(RoutingCandidate(f"{n}", f"{n}", 0.9), float(n % 2)) for n in range(10)]
    model = fit_gain_model(torn)
    assert not model.shown
    assert gain(SURE, model) == gain(CLOSE, model) == 0.5
    agreed = fit_gain_model([LabelledCandidate(row.candidate, 1.0) for row in torn])
    assert agreed.shown and gain(SURE, agreed) < gain(CLOSE, agreed)


def test_a_fit_is_the_same_when_every_pair_is_called_the_other_way_round():
    rows = [(0.9, 0.2, 1.0), (0.3, 0.4, 1.0), (0.8, 0.7, 0.0), (0.5, 0.9, 0.5)]
    there, back = (
        fit_gain_model(
            [
                LabelledCandidate(RoutingCandidate(f"{n}", "p", turn(p), panel_p_a=(turn(panel),)), turn(label))
                for n, (p, panel, label) in enumerate(rows)
            ]
        )
        for turn in (lambda p: p, lambda p: 1 - p)
    )
    assert (there.judge, there.panel) == pytest.approx((back.judge, back.panel), abs=1e-4)


def test_the_targeted_part_goes_by_gain_and_says_why():
    routed = route_pairs((SURE, CLOSE, OPPOSED, FLIP), 3, 0.0, seed=1)
    assert [(one.pair_id, one.routed_by) for one in routed] == [
        ("flip", "flip"),
        ("close", "close"),
        ("opposed", "disagreement"),
    ]
    assert {one.probability for one in routed} == {1.0}


def test_a_novel_pair_is_sent_for_its_novelty():
    # Gains of 0.4 and 0.35: a quarter more takes the second to 0.4375.
    new = RoutingCandidate("new", "p5", 0.65, novelty=1.0)
    (one,) = route_pairs((CLOSE, new), 1, 0.0, seed=1)
    assert (one.pair_id, one.routed_by) == ("new", "novel")


def test_where_labels_leave_the_judge_open_novelty_and_flips_draw_no_pair():
    new = [RoutingCandidate(f"new {n}", f"new {n}", 0.9, order_flip=True, novelty=1.0) for n in range(20)]
    usual = [RoutingCandidate(f"usual {n}", f"usual {n}", 0.9, novelty=0.0) for n in range(20)]
    model = replace(UNFITTED, labels=10, shown=False)
    routed = [one for seed in range(100) for one in route_pairs((*new, *usual), 10, 0.0, seed, model)]
    assert {one.routed_by for one in routed} == {"drawn"}
    # 1,000 of half and half: 500, with a standard deviation of at most 16.
    assert abs(sum(one.pair_id.startswith("new") for one in routed) - 500) < 64


def test_of_equal_pairs_each_prompt_gets_one_before_any_gets_two():
    same = [RoutingCandidate(f"{prompt}{n}", prompt, 0.5) for prompt in "xyz" for n in range(4)]
    assert Counter(one.pair_id[0] for one in route_pairs(same, 3, 0.0, seed=5)) == {"x": 1, "y": 1, "z": 1}


def test_a_budget_for_all_sends_all():
    routed = route_pairs((SURE, FLIP), 5, 0.3, seed=0)
    assert {(one.pair_id, one.routed_by, one.probability) for one in routed} == {
        ("sure", "all", 1.0),
        ("flip", "all", 1.0),
    }
    assert route_pairs((), 5, 0.3, seed=0) == ()


def test_the_random_part_is_uniform_and_does_not_hang_on_the_model():
    candidates = [RoutingCandidate(f"{n}", f"{n}", n / 20) for n in range(20)]
    counts = Counter[str]()
    for seed in range(400):
        routed = route_pairs(candidates, 10, 0.5, seed)
        random = [one.pair_id for one in routed if one.routed_by == "random"]
        again = route_pairs(candidates, 10, 0.5, seed, GainModel(judge=-1.0))
        assert random == [one.pair_id for one in again if one.routed_by == "random"]
        counts.update(random)
    assert sum(counts.values()) == 400 * 5
    # Chi squared with 19 degrees of freedom: 43.8 at one in a thousand, less here since draws have no repeats.
    assert sum((counts[f"{n}"] - 100) ** 2 / 100 for n in range(20)) < 43.8


def test_a_draw_is_a_routing_that_is_all_random():
    candidates = [RoutingCandidate(f"{n}", f"{n}", n / 20) for n in range(20)]
    ids = [candidate.pair_id for candidate in candidates]
    assert draw_pairs(ids, 6, 5) == route_pairs(candidates, 6, 1.0, 5)
    assert {(one.routed_by, one.probability) for one in draw_pairs(ids, 6, 5)} == {("random", 0.3)}
    assert draw_pairs(ids, 20, 5) == tuple(Routed(id, "all", 1.0) for id in ids)


@pytest.mark.parametrize(("total", "random", "targeted"), [(6, 2, 2), (7, 3, 1), (5, 1, 3), (4, 0, 2), (4, 3, 0)])
def test_the_chance_of_being_sent_is_that_of_all_draws(total, random, targeted):
    sent, draws = Counter[int](), 0
    for part in combinations(range(total), random):
        sent.update([*part, *[k for k in range(total) if k not in part][:targeted]])
        draws += 1
    exact = [float(Fraction(sent[k], draws)) for k in range(total)]
    # Falling gain with the rank.
    candidates = [RoutingCandidate(f"{k}", f"{k}", 0.51 + k / 100) for k in range(total)]
    budget = random + targeted
    for seed in range(20):
        for one in route_pairs(candidates, budget, random / budget, seed):
            assert one.probability == pytest.approx(exact[int(one.pair_id)])


beliefs = st.floats(0, 1)
pairs = st.builds(
    RoutingCandidate,
    pair_id=st.uuids().map(str),
    prompt_id=st.sampled_from("abc"),
    p_a=beliefs,
    order_flip=st.booleans(),
    principle_p_a=st.lists(beliefs, max_size=3).map(tuple),
    panel_p_a=st.lists(beliefs, max_size=3).map(tuple),
    novelty=st.none() | beliefs,
)


@given(
    candidates=st.lists(pairs, max_size=12, unique_by=lambda c: c.pair_id),
    budget=st.integers(0, 15),
    share=beliefs,
    seed=st.integers(0, 9),
)
def test_any_routing_keeps_its_budget_and_no_order(candidates, budget, share, seed):
    routed = route_pairs(candidates, budget, share, seed)
    assert len(routed) == min(budget, len(candidates)) == len({one.pair_id for one in routed})
    assert all(0 < one.probability <= 1 for one in routed)
    assert set(route_pairs(candidates[::-1], budget, share, seed)) == set(routed)


@given(candidate=pairs)
def test_a_pair_called_the_other_way_round_gains_the_same(candidate):
    turned = RoutingCandidate(
        candidate.pair_id,
        candidate.prompt_id,
        1 - candidate.p_a,
        candidate.order_flip,
        tuple(1 - p for p in candidate.principle_p_a),
        tuple(1 - p for p in candidate.panel_p_a),
    )
    # Beside one half, rounding may turn a belief into a tie.
    if abs(candidate.p_a - 0.5) > 1e-6:
        assert gain(turned) == pytest.approx(gain(candidate), abs=1e-6)


def test_a_budget_in_minutes():
    assert labels_in_minutes(10, 20) == 30
    assert labels_in_minutes(0.5, 31) == 0
    with pytest.raises(InvalidInput, match="seconds above 0"):
        labels_in_minutes(10, 0)


def test_what_cannot_be_routed_is_named():
    with pytest.raises(InvalidInput, match="'flip' stands twice"):
        route_pairs((FLIP, FLIP), 1, 0.0, 0)
    with pytest.raises(InvalidInput, match="random share"):
        route_pairs((FLIP,), 1, 1.5, 0)
    with pytest.raises(NotAProbability, match="pair 'x'"):
        RoutingCandidate("x", "p", float(np.nan))
    with pytest.raises(InvalidInput, match="outside 0 to 1"):
        fit_gain_model([LabelledCandidate(FLIP, 2.0)])
