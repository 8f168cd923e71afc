"""The synthetic study at a tenth of its size, and its parts by hand."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.overoptimisation import (
    OTHERS,
    Run,
    Setting,
    World,
    block,
    curve,
    draw_world,
    ending,
    fit_proxy,
    reached,
    run_policy,
    study,
)


def test_gold_by_hand():
    world = World(np.array([0.2, 1.0, 2.0]), length_cost=0.5)
    # 0.4 + 3 - 4 - 0.25 * 4
    assert world.gold(np.array([[2.0, 3.0, -2.0]])).tolist() == pytest.approx([-1.6])
    # The mean over a Gaussian about a point, less that about the base: the cost's variance part is in both.
    random = np.random.default_rng(0)
    draws = world.gold(np.array([2.0, 3.0, -2.0]) + random.standard_normal((200_000, 3)))
    base = world.gold(random.standard_normal((200_000, 3)))
    assert world.mean_gold(np.array([2.0, 3.0, -2.0])) == pytest.approx(draws.mean() - base.mean(), abs=0.03)


def test_the_proxy_of_many_labels_has_the_taste_and_the_planted_bonus():
    setting = replace(Setting(), label_pairs=100_000, length_cost=0.0)
    world = draw_world(setting, np.random.default_rng(1))
    proxy_D = fit_proxy(setting, world, np.random.default_rng(2))
    assert proxy_D[0] == pytest.approx(0.2 + 1.5, abs=0.05)
    assert proxy_D[1:] == pytest.approx(world.taste_D[1:], abs=0.05)


def test_the_policy_reaches_the_known_optimum_of_its_penalised_proxy():
    # Of gold without a cost of length the optimum is the mean taste / kl_weight, and sqrt(KL) is |mean| / sqrt(2).
    setting = replace(Setting(), length_cost=0.0, length_taste=0.0, kl_weight=1.0, steps=600, samples_per_step=256)
    run = run_policy(setting, 0, clean=True)
    assert run.sqrt_kl_C[-1] == pytest.approx(1.5 / np.sqrt(2), rel=0.1)
    assert run.gold_C[-1] == pytest.approx(1.5**2, rel=0.1)


def test_an_ending_by_hand():
    gold = np.array([1.0, 2.0, 1.0, 0.5, 0.0])
    score = np.array([1.1, 1.8, 1.9, 0.5, 0.1])
    run = Run(np.arange(5.0), gold, gold, score, np.full(5, 0.1))
    found = ending(Setting(), run)
    assert (found.stopped, found.kept, found.peak, found.checkpoints_after_peak) == (True, 2, 1, 3)
    assert (found.gold_kept, found.gold_end, found.in_time) == (0.5, 0.0, True)
    assert not ending(Setting(patience=3), run).in_time


def test_the_study_at_a_tenth_of_its_size():
    result, runs = study(Setting(), 10)
    assert reached(result)
    shown = curve(runs)
    golds = [line["gold"] for line in shown]
    assert all(after["sqrt_kl"] > before["sqrt_kl"] for before, after in itertools.pairwise(shown))
    assert all(after["proxy"] > before["proxy"] for before, after in itertools.pairwise(shown))
    assert 0 < golds.index(max(golds)) < len(golds) - 1 and golds[-1] < 0.5 * max(golds)


def test_the_tables_name_what_was_changed():
    result, runs = study(replace(Setting(), steps=24, checkpoints=2, judge_replies=32), seeds=2)
    shown = block(result, [result] * len(OTHERS), curve(runs)).splitlines()
    assert sum(line.startswith("| `") for line in shown) == len(OTHERS)
    assert "| `judge_replies: 128` |" in "\n".join(shown)
    assert shown[0] == "Means of 2 seeds at each checkpoint:"
