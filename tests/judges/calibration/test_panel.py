"""Panels: equations by hand, swap symmetry, harmful judges turned only on evidence, copies that share a weight."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judges.calibration.panel import PanelBelief, PanelPrior, PanelWeights, fit_panel, panel_belief, panel_beliefs
from judges.calibration.votes import VoteTable, effective_votes, vote_table
from judges.errors import (
    CalibrationError,
    ContradictoryLabels,
    NoLabels,
    NotAProbability,
    OneLabelClass,
    Undefined,
    UnequalLengths,
)
from judges.records import Abstention, Preference, PrincipleVerdict


def verdict(judge: str, p_a: float | None, comparison: str = "c", principle: str = "p") -> PrincipleVerdict:
    answer = Abstention("refused", judge) if p_a is None else Preference(p_a, p_a, p_a, 1.0)
    return PrincipleVerdict(comparison, comparison, principle, "judged", judge, "", answer)


def table_of(p_a_NJ) -> VoteTable:
    """NaN stands for an abstention in these tests only."""
    p_a_NJ = np.array(p_a_NJ, dtype=float)
    rows, judges = p_a_NJ.shape
    names = tuple(f"c{n}" for n in range(rows)), tuple(f"j{j}" for j in range(judges))
    return VoteTable(*names, np.nan_to_num(p_a_NJ, nan=0.5), ~np.isnan(p_a_NJ))


def yes_or_no(right: int, wrong: int):
    """One judge's 0.9 and 0.1 on comparisons of which A and B win every other one."""
    label_N = np.array([n % 2 for n in range(right + wrong)], dtype=float)
    is_right_N = np.arange(right + wrong) < right
    return np.where(is_right_N == (label_N == 1), 0.9, 0.1), label_N


def test_the_table_has_a_mask_for_abstentions():
    table = vote_table([verdict("x", 0.9, "c0"), verdict("y", None, "c0"), verdict("y", 0.2, "c1")])
    assert table.comparisons == ("c0", "c1") and table.judges == ("x", "y")
    assert table.answered_NJ.tolist() == [[True, False], [False, True]]
    assert table.logits_NJ() == pytest.approx(np.array([[math.log(9), 0], [0, -math.log(4)]]))


def test_a_table_is_of_one_principle():
    with pytest.raises(CalibrationError, match="mixed"):
        vote_table([verdict("x", 0.9, principle="p"), verdict("x", 0.9, principle="q")])
    with pytest.raises(UnequalLengths):
        VoteTable(("c",), ("x", "y"), np.full((1, 1), 0.5), np.ones((1, 1), dtype=bool))
    with pytest.raises(NotAProbability):
        VoteTable(("c",), ("x",), np.array([[math.nan]]), np.ones((1, 1), dtype=bool))


def test_one_judge_alone_is_weighed_by_its_odds_of_being_right():
    """750 right of 1000: log-odds of the belief become log 3 at 0.9, where the prior hardly pulls."""
    p_a_N, label_N = yes_or_no(750, 250)
    panel = fit_panel(table_of(p_a_N[:, None]), label_N)
    assert panel.weights[0] * math.log(9) == pytest.approx(math.log(3), abs=0.01)
    assert panel.labels == 1000


def test_the_weight_is_the_root_of_its_equation():
    """Two right verdicts of scaled log-odds 1 and prior N(0.2, 1/2): 2 (1 - sigmoid(v)) = 2 (v - 0.2)."""
    p_a_N, label_N = yes_or_no(2, 0)
    v = fit_panel(table_of(p_a_N[:, None]), label_N).weights[0] * math.log(9)
    assert 2 * (1 - 1 / (1 + math.exp(-v))) == pytest.approx(2 * (v - 0.2), abs=1e-4)


def test_a_judge_and_its_copy_share_one_weight():
    p_a_N, label_N = yes_or_no(750, 250)
    alone = fit_panel(table_of(p_a_N[:, None]), label_N).weights[0]
    twice = fit_panel(table_of(np.stack([p_a_N, p_a_N], axis=1)), label_N).weights
    assert twice[0] == pytest.approx(twice[1], abs=1e-4) and sum(twice) == pytest.approx(alone, rel=0.01)


@pytest.mark.parametrize(("right", "turned"), [(8, True), (9, True), (10, True), (11, False), (13, False), (15, False)])
def test_a_judge_is_turned_round_only_where_labels_show_it(right, turned):
    """Wilson's one-sided 95 % bound of r / 30 lies below one half up to r = 10: its test is z = (15 - r) / sqrt(7.5),
    1.826 at 10 and 1.461 at 11, against 1.645."""
    p_a_N, label_N = yes_or_no(right, 30 - right)
    table = table_of(p_a_N[:, None])
    weight = fit_panel(table, label_N).weights[0]
    assert (weight < 0) == turned and (turned or weight >= 0)
    assert fit_panel(table, label_N, PanelPrior(turn_harmful=False)).weights[0] >= 0


def test_a_harmful_judge_is_worth_as_much_as_its_mirror():
    """Right in 1 of 10: each 0.9 is worth 0.1, but for what the prior pulls."""
    p_a_N, label_N = yes_or_no(100, 900)
    weight = fit_panel(table_of(p_a_N[:, None]), label_N).weights[0]
    assert weight == pytest.approx(-1, abs=0.03)


def test_thirty_labels_find_the_good_judge_among_five_that_guess():
    """A judge that is right always among five coins: where they disagree with it, it wins in 95 %."""
    random = np.random.default_rng(3)
    label_N = random.integers(0, 2, 500).astype(float)
    p_a_NJ = np.where(random.random((500, 6)) < 0.5, 0.9, 0.1)
    p_a_NJ[:, 2] = np.where(label_N == 1, 0.9, 0.1)
    panel = fit_panel(table_of(p_a_NJ[:30]), label_N[:30])
    beliefs_N = panel_beliefs(table_of(p_a_NJ[30:]), panel)
    assert np.mean((beliefs_N > 0.5) == (label_N[30:] == 1)) > 0.95


vote = st.sampled_from([0.0, 0.1, 0.5, 0.8, 1.0, math.nan])


@given(st.lists(st.tuples(vote, vote, st.sampled_from([0.0, 0.5, 1.0])), min_size=4, max_size=20))
@settings(max_examples=60, deadline=None)
def test_which_reply_is_called_a_means_nothing(rows):
    votes, label_N = np.array([row[:2] for row in rows]), np.array([row[2] for row in rows])
    if not {0.0, 1.0} <= set(label_N):
        return
    table, mirror = table_of(votes), table_of(1 - votes)
    panel, mirrored = fit_panel(table, label_N), fit_panel(mirror, 1 - label_N)
    assert panel.weights == pytest.approx(mirrored.weights, abs=1e-3)
    assert panel_beliefs(table, panel) + panel_beliefs(mirror, panel) == pytest.approx(1)


def test_a_judge_that_abstains_pulls_nothing():
    p_a_N, label_N = yes_or_no(20, 10)
    panel = fit_panel(table_of(np.stack([p_a_N, np.full(30, np.nan)], axis=1)), label_N)
    beliefs_N = panel_beliefs(table_of([[np.nan, 0.9], [np.nan, np.nan]]), panel)
    assert panel.weights[1] == pytest.approx(0.2, abs=1e-4)  # the prior's, at scale 1
    assert beliefs_N == pytest.approx([9**0.2 / (1 + 9**0.2), 0.5], abs=1e-4)


def test_one_comparison_by_hand():
    """Odds 9 with weight 1/2 and odds 1/4 with weight -1/2: 3 * 2 = 6, so p = 6/7. Log-odds spread around their mean;
    (1/2 + 1/2)^2 / (1/4 + 1/4) = 2 judges decided."""
    panel = PanelWeights(("x", "y", "z"), (0.5, -0.5, 2.0), 30)
    found = panel_belief([verdict("x", 0.9), verdict("y", 0.2), verdict("z", None)], panel)
    assert found == PanelBelief(
        pytest.approx(6 / 7), pytest.approx((math.log(9) + math.log(4)) / 2), pytest.approx(2), abstentions=1
    )


def test_agreement_has_no_spread_and_a_lone_judge_decides_alone():
    panel = PanelWeights(("x", "y"), (1.0, 0.0), 30)
    found = panel_belief([verdict("x", 0.8), verdict("y", 0.8)], panel)
    assert isinstance(found, PanelBelief) and found.spread == pytest.approx(0, abs=1e-12)
    assert found.effective_judges == 1 and found.p_a == pytest.approx(0.8)


def test_a_panel_that_trusts_nobody_believes_nothing():
    found = panel_belief([verdict("x", 0.9)], PanelWeights(("x",), (0.0,), 30))
    assert found == PanelBelief(0.5, spread=0.0, effective_judges=0.0, abstentions=0)


def test_what_an_abstention_holds_is_never_read():
    table = VoteTable(("c",), ("x",), np.array([[math.nan]]), np.zeros((1, 1), dtype=bool))
    assert table.logits_NJ().tolist() == [[0.0]]


def test_no_answer_is_an_abstention():
    panel = PanelWeights(("x", "y"), (1.0, 1.0), 30)
    assert panel_belief([verdict("x", None), verdict("y", None)], panel) == Abstention("refused", "x")
    assert isinstance(panel_belief([], panel), Abstention)


def test_a_panel_judges_with_its_own_judges_only():
    panel = PanelWeights(("x",), (1.0,), 30)
    with pytest.raises(CalibrationError, match="'new' has no weight"):
        panel_belief([verdict("new", 0.9)], panel)
    with pytest.raises(CalibrationError):
        panel_beliefs(table_of([[0.5, 0.5]]), panel)
    with pytest.raises(CalibrationError, match="several comparisons"):
        panel_belief([verdict("x", 0.9, "c0"), verdict("x", 0.9, "c1")], panel)


def test_there_is_no_panel_without_gold():
    table = table_of([[0.9, 0.1], [0.2, 0.3]])
    for labels, error in (
        ([], UnequalLengths),
        ([1.0], UnequalLengths),
        ([1.0, 1.0], OneLabelClass),
        ([0.5, 0.5], ContradictoryLabels),
        ([1.0, math.nan], NotAProbability),
    ):
        with pytest.raises(error):
            fit_panel(table, np.array(labels))
    with pytest.raises(NoLabels):
        fit_panel(table_of(np.zeros((0, 2))), np.array([]))


def test_effective_votes_by_hand():
    """Rightness +,+,-,- and +,-,+,- do not correlate: 2 votes. A copy correlates by 1: 1 vote. The opposite by -1,
    and three judges, two of them copies and one apart: r = (1 + 0 + 0) / 3, so 3 / (1 + 2/3) = 1.8."""
    label_N = np.array([1.0, 1, 1, 1])
    x, y = [0.9, 0.9, 0.1, 0.1], [0.9, 0.1, 0.9, 0.1]
    assert effective_votes(table_of(np.array([x, y]).T), label_N) == pytest.approx(2)
    assert effective_votes(table_of(np.array([x, x]).T), label_N) == pytest.approx(1)
    assert effective_votes(table_of(np.array([x, x, y]).T), label_N) == pytest.approx(1.8)
    assert effective_votes(table_of(np.array([x]).T), label_N) == 1
    with pytest.raises(Undefined):
        effective_votes(table_of(np.array([x, [0.9] * 4]).T), label_N)
    with pytest.raises(NoLabels):
        effective_votes(table_of([[0.9], [0.1]]), np.array([1.0, 0]))
    with pytest.raises(UnequalLengths):
        effective_votes(table_of([[0.9], [0.1]]), np.array([1.0]))
