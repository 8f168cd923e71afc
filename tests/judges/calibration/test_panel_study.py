"""A panel and cascades on labelled pairs: by hand, and on the recorded judges of LLMBar."""

import numpy as np
import pytest

from benchmarks.llmbar import VOTES, adversarial, read_votes, recorded_panel, setups_of
from judges.calibration.panel_study import MOST_LOST, study_panel
from judges.calibration.votes import VoteTable
from judges.errors import TooFewLabels
from tests.data import data_file


def table(**beliefs) -> VoteTable:
    p_a_NJ = np.array(list(beliefs.values()), dtype=np.float64).T
    return VoteTable(tuple(map(str, range(len(p_a_NJ)))), tuple(beliefs), p_a_NJ, np.ones(p_a_NJ.shape, dtype=bool))


LABELS = np.tile([1.0, 0.0], 20)
RIGHT = np.where(LABELS == 1, 0.9, 0.1)
PROMPTS = [f"p{n}" for n in range(40)]


def test_two_judges_of_one_mind_are_one_and_the_second_is_never_needed():
    wrong_on_four = np.where(np.arange(40) < 4, 1 - RIGHT, RIGHT)
    found = study_panel(table(a=wrong_on_four, b=wrong_on_four), LABELS, PROMPTS)
    assert found.panel == found.best == pytest.approx(0.9)
    assert found.effective_judges == pytest.approx(1.0)
    assert found.disagreed is None and found.agreed == pytest.approx(0.9)
    assert found.members[0].weight == pytest.approx(found.members[1].weight)
    assert [(one.saved, one.lost) for one in found.cascades] == [pytest.approx((1.0, 0.0))] * len(MOST_LOST)


def test_a_judge_that_knows_when_it_knows_saves_what_it_knows():
    """Sure and right on thirty pairs, unsure and wrong on ten, which the strong judge answers: nothing is lost."""
    knows = np.arange(40) >= 10
    cheap = np.where(knows, RIGHT, np.where(LABELS == 1, 0.45, 0.55))
    found = study_panel(table(cheap=cheap, strong=RIGHT), LABELS, PROMPTS)
    assert [(one.saved, one.lost) for one in found.cascades] == [pytest.approx((0.75, 0.0))] * len(MOST_LOST)
    # Where they differ more is where the cheap one is wrong; the strong one's weight carries those pairs.
    assert found.agreed == found.disagreed == found.panel == pytest.approx(1.0)


def test_a_prompts_pairs_stand_in_one_fold():
    """One prompt's pairs say the contrary of all others: a fit that had seen them would know, another cannot."""
    labels = LABELS.copy()
    labels[:4] = 1 - labels[:4]
    prompts = ["odd"] * 4 + PROMPTS[4:]
    found = study_panel(table(a=RIGHT, b=RIGHT), labels, prompts)
    assert found.prompts == 37 and found.panel == pytest.approx(36 / 40)


def test_too_few_prompts_are_refused():
    with pytest.raises(TooFewLabels, match="have 19 prompts"):
        study_panel(table(a=RIGHT[:38], b=RIGHT[:38]), LABELS[:38], [f"p{n // 2}" for n in range(38)])


def test_the_recorded_judges_of_llmbar():
    """Six judges of whom the best has 81 %: together, by a tenth's distance from what they were fitted to, more."""
    votes = read_votes(data_file(VOTES))
    six = recorded_panel(votes, setups_of(votes, prompt="Vanilla"), adversarial)
    found = study_panel(six.table, six.label_N, six.table.comparisons)
    assert found.labels == 319 and found.best == pytest.approx(0.810, abs=0.002)
    assert found.panel > 0.86
    assert found.effective_judges == pytest.approx(2.2, abs=0.1)
