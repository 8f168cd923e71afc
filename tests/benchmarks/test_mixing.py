"""The pieces of the mixing study on small worlds: equal cost, the simulated judge, the head, the tests."""

import argparse

import numpy as np
import pytest

from benchmarks.mixing import (
    FIRST_SEED,
    SIMULATED,
    Comparison,
    McNemar,
    Setting,
    by_source,
    compared,
    gain_of,
    held,
    missed,
    section,
    setting,
)
from benchmarks.mixing_arms import ARMS, Budget, buy, fill, measured
from benchmarks.mixing_world import (
    SIMULATED_MARGIN_SD,
    Judge,
    PairFeatures,
    head,
    real_world,
    right_T,
    rows_of,
    simulated_world,
    verdicts,
    votes,
)
from training.reliability import length_gap
from training.worth import Chances


def test_no_arm_pays_more_than_the_budget_and_all_its_rows_are_of_the_pool():
    world = simulated_world(600, 10, seed=1)
    p_a_N = verdicts(world, Judge(0.2, 0.0), seed=2)
    for calls in (60, 700, 2000, 20_000):
        for arm in ARMS:
            bought = buy(arm, world, p_a_N, Budget(calls, human_cost=20))
            assert bought.calls == 20 * bought.labels + 2 * bought.judged <= calls
            assert bought.labels <= 600 and bought.judged <= 600
            assert {row.source for row in bought.rows} <= {"human", "ai"}
    assert buy("human", world, p_a_N, Budget(2000, 20)).labels == 100
    assert buy("ai", world, p_a_N, Budget(700, 20)).judged == 350


def test_the_judge_is_wrong_as_often_as_it_should_and_likes_length():
    world = simulated_world(20_000, 10, seed=3)
    noisy = verdicts(world, Judge(0.2, 0.0), seed=4)
    assert np.mean((noisy > 0.5) == (world.truth_N > 0.5)) == pytest.approx(0.8, abs=0.01)
    biased = verdicts(world, Judge(0.0, 1.0), seed=4)
    # wrong where the length says otherwise by more than one standard deviation: 16 % of pairs
    assert np.mean((biased > 0.5) != (world.truth_N > 0.5)) == pytest.approx(0.159, abs=0.01)


def test_labels_are_bought_until_the_judge_is_shown_to_be_worth_its_price():
    budget = Budget(6000, human_cost=20)
    world = simulated_world(2000, 10, seed=12)
    sure, chance = (fill(world, verdicts(world, Judge(noise, 0.0), seed=13), budget) for noise in (0.0, 0.5))
    assert sure.labels == 100 and sure.judged == 2000  # what is left when all pairs are judged goes to labels
    assert chance.labels > 150 > sure.labels and chance.judged < sure.judged
    # of the pairs that a person and this judge see, 74 to 80 % are alike
    found = measured(world, verdicts(world, Judge(0.0, 0.0), seed=13), sure)
    tells = Chances(tuple(found.tells_C), tuple(found.chance_CK.sum(axis=1)))
    assert tells.quantile(0.025) < 0.54 < tells.quantile(0.975)


def test_people_of_the_simulated_gold_agree_in_two_pairs_of_three():
    world = simulated_world(20_000, 10, seed=5)
    assert 0.74 < np.mean(world.vote_N == world.truth_N) < 0.80
    rng = np.random.default_rng(5)
    margin_N = rng.normal(size=20_000) * SIMULATED_MARGIN_SD
    assert 0.62 < np.mean(votes(margin_N, rng) == votes(margin_N, rng)) < 0.70


def test_rows_have_the_pairs_lengths_and_beliefs():
    world = simulated_world(50, 10, seed=6)
    rows = rows_of(world, np.arange(50), verdicts(world, Judge(0.1, 0.5), seed=7), "ai")
    assert {(len(row.chosen), len(row.rejected)) for row in rows} == {
        (int(a), int(b)) if row.chosen.startswith("a") else (int(b), int(a))
        for row, (a, b) in zip(rows, world.chars_N2, strict=True)
    }
    assert all(abs(length_gap(row)) <= 0.9 for row in rows)


def test_a_head_learns_the_gold_from_true_labels():
    world = simulated_world(3000, 1000, seed=8)
    assert right_T(world, head(world, rows_of(world, np.arange(3000), world.truth_N, "human"))).mean() > 0.95


def test_real_pairs_are_split_by_prompt_and_their_sides_are_drawn():
    rng = np.random.default_rng(0)
    prompts = tuple(f"p{n // 2}" for n in range(400))
    pairs = PairFeatures(rng.normal(size=(400, 12)), rng.integers(1, 99, (400, 2)), prompts, np.arange(400) < 200)
    world = real_world(pairs, 0.25, seed=1)
    assert len(world.vote_N) + len(world.truth_T) == 400 and len(world.truth_T) % 2 == 0
    assert 0.35 < world.vote_N.mean() < 0.65
    assert world.gap_NH.shape[1] == 18


def test_a_gain_is_students_t_by_hand():
    # 1, 2, 3: mean 2, standard error 1 / sqrt(3), t(2) at 97.5 % 4.30265, t = 3.4641, p = 0.0742
    gain = gain_of(np.array([1.0, 2.0, 3.0]))
    assert (gain.points, gain.p) == (pytest.approx(2), pytest.approx(0.0742, abs=1e-4))
    assert gain.high - gain.points == pytest.approx(4.30265 / 3**0.5, abs=1e-4)


def test_mcnemar_counts_where_one_alone_is_right():
    ours = [np.array([True, True, False]), np.array([True, True, True])]
    other = [np.array([True, False, True]), np.array([False, False, False])]
    found = compared("ai", {"ours": ours, "ai": other}).mcnemar
    assert (found.only_ours, found.only_other) == (4, 1)
    assert found.p == pytest.approx(0.375)  # two-sided binomial: 2 * (1 + 5) / 32


def test_misses_are_counted_one_by_one_and_as_a_family():
    def beside(*sources: tuple[float, float]) -> tuple[Comparison, ...]:
        none = McNemar(0, 0, 1.0)
        return tuple(
            Comparison(arm, points, -9.0, 9.0, p, p, none, ())
            for arm, (points, p) in zip(("human", "ai"), sources, strict=True)
        )

    settings = [
        Setting(SIMULATED, Judge(noise, 0.0), {}, 0.0, 0.0, 0, comparisons)
        for noise, comparisons in ((0.2, beside((-1.0, 0.01), (0.2, 0.5))), (0.3, beside((-0.5, 0.02), (-0.1, 0.6))))
    ]
    found = held(settings)
    # by hand: 4 * 0.01, 3 * 0.02, 2 * 0.5, then no lower than that
    assert [c.p_holm for s in found for c in s.comparisons] == pytest.approx([0.04, 1.0, 0.06, 1.0])
    said = by_source(found)
    assert "Of 4 comparisons" in said and "(5 %) in 2, each" in said and "show 0.1 by chance; in 1 as one" in said
    assert [line.split(" | ")[1:] for line in said.splitlines()[-3:]] == [
        ["people", "-1.0 (-9.0 to +9.0)", "0.01", "0.04 |"],
        ["people", "-0.5 (-9.0 to +9.0)", "0.02", "0.06 |"],
        ["judge", "-0.1 (-9.0 to +9.0)", "0.6", "1 |"],
    ]


def test_the_study_runs_and_names_what_it_missed():
    options = argparse.Namespace(seeds=3, human_cost=20)
    found = held([setting(SIMULATED, lambda seed: simulated_world(500, 200, seed), Judge(0.2, 1.0), options)])
    assert FIRST_SEED >= 100
    assert set(found[0].accuracy) == set(ARMS) and len(found[0].comparisons) == 3
    assert all(c.p_holm >= c.p for c in found[0].comparisons)
    assert "### Simulated gold" in section(found, options)
    assert all(isinstance(claim, str) for claim in missed(found))
