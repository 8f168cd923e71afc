"""What docs/judging.md says of recorded judges, from the published votes themselves: the numbers of the study."""

import csv
import gzip

import numpy as np
import pytest

from benchmarks.beliefs import calibration_result, cascade_results
from benchmarks.calibration import PAGE
from benchmarks.llmbar import VOTES, adversarial, everything, natural, read_votes, recorded_panel, setups_of
from benchmarks.panels import (
    DEFAULT_PRIOR,
    GOLD,
    TRUSTING,
    best_picked,
    plain_majority,
    singles_J,
    transferred,
    weighted,
)
from benchmarks.powered import JUDGES, powered_result
from judges.calibration.votes import effective_votes
from tests.data import data_file

DRAWS = 200


@pytest.fixture(scope="module")
def votes():
    return read_votes(data_file(VOTES))


@pytest.fixture(scope="module")
def hard(votes):
    return recorded_panel(votes, setups_of(votes, prompt="Vanilla"), adversarial)


def test_a_plain_majority_of_six_is_a_coin(hard):
    assert hard.table.p_a_NJ.shape == (319, 6)
    assert plain_majority(hard) == pytest.approx(0.5, abs=0.005)


def test_the_best_judge_alone(hard):
    assert singles_J(hard, np.arange(319)).max() == pytest.approx(0.81, abs=0.005)


def test_thirty_gold_labels_lift_the_panel_above_its_best_judge(hard):
    """At least 82 %, and 86 % measured; the best judge picked by the same labels has 81 %."""
    found = weighted(hard, GOLD, DRAWS)
    assert found.mean >= 0.82
    assert found.mean == pytest.approx(0.860, abs=0.005)
    assert best_picked(hard, GOLD, DRAWS).mean < found.mean - 0.04
    row = f"| weights from 30 gold labels | {100 * found.mean:.1f} ± {100 * found.sd:.1f} |"
    assert row in PAGE.read_text(encoding="utf-8")


def test_more_labels_help(hard):
    assert weighted(hard, 100, DRAWS).mean == pytest.approx(0.876, abs=0.005)


def test_turned_judges_do_not_carry_over_to_other_pairs(votes, hard):
    """The page warns of it: weights of adversarial gold fail on natural pairs, unless no judge is turned."""
    easy = recorded_panel(votes, setups_of(votes, prompt="Vanilla"), natural)
    assert transferred(hard, easy, 50, DEFAULT_PRIOR) < 0.75
    assert transferred(hard, easy, 50, TRUSTING) > 0.95
    assert weighted(easy, GOLD, 50).mean > 0.95


def test_six_judges_are_worth_two(hard):
    assert effective_votes(hard.table, hard.label_N) == pytest.approx(2.24, abs=0.01)


@pytest.mark.parametrize("setup", JUDGES, ids=lambda setup: setup.model)
def test_powered_rates_hold_what_they_promise(votes, setup):
    """Coverage of 93.5 to 98 % over 2,000 draws; a gain of 2 where 87 % are right; no harm below chance."""
    found = powered_result(recorded_panel(votes, (setup,), everything), draws=2000)
    assert 0.935 <= found.coverage <= 0.98
    assert 0.935 <= found.coverage_of_list <= 0.98
    assert min(found.gain, found.realised_gain) >= (2.0 if found.accuracy >= 0.87 else 0.97)


@pytest.mark.parametrize(("model", "before", "after"), [("GPT-4", 0.053, 0.040), ("PaLM2", 0.116, 0.055)])
def test_calibration_makes_beliefs_truer(votes, model, before, after):
    panel = recorded_panel(votes, setups_of(votes, model=model), everything)
    found = calibration_result(model, panel, draws=50)
    assert found.raw.ece == pytest.approx(before, abs=0.006) and found.scaling.ece == pytest.approx(after, abs=0.006)
    assert found.scaling.brier < found.raw.brier and found.isotonic.brier < found.raw.brier
    assert found.isotonic.ece < found.raw.ece


def test_a_judge_below_chance_ends_at_one_half(votes):
    found = calibration_result("ChatGPT", recorded_panel(votes, setups_of(votes, model="ChatGPT"), everything), 20)
    assert found.raw.brier > 0.4 and found.scaling.brier == pytest.approx(0.25, abs=0.005)


def test_cascades_lose_about_what_was_allowed(votes):
    found = cascade_results(votes, draws=50)
    assert all(one.lost <= one.most_lost + 0.005 for one in found)
    assert max(one.saved for one in found if one.most_lost == 0.02) > 0.5


def test_the_file_is_read_whole(votes):
    with gzip.open(data_file(VOTES), "rt", encoding="utf-8") as lines:
        assert len(votes) == sum(1 for _ in csv.DictReader(lines)) == 27235
