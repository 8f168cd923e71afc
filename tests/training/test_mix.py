"""Mixing: shares, conflicts, caps and weights, worked by hand."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.errors import TrainingError
from training.mix import MixConfig, averaged, effective_sample_size, mix_rows
from training.rows import PreferenceRow

from .test_rows import make_row


def people(count: int) -> list[PreferenceRow]:
    return [make_row(f"h{n}", prompt_id=f"hp{n}", chosen=f"good {n}", rejected=f"bad {n}") for n in range(count)]


def machine(count: int, source: str = "check") -> list[PreferenceRow]:
    return [
        make_row(f"m{n}", prompt_id=f"mp{n}", chosen=f"yes {n}", rejected=f"no {n}", source=source)
        for n in range(count)
    ]


def test_the_ratio_caps_the_human_share():
    # h / (h + 6) <= 0.4  ->  h <= 4
    report = mix_rows(people(60), machine(6), MixConfig(ratio=0.4)).report
    assert (report.human, report.check, report.human_available, report.dropped_by_ratio) == (4, 6, 60, 56)


@given(st.integers(0, 30), st.integers(1, 30), st.floats(0, 1))
def test_the_share_is_never_passed_and_never_wasted(humans: int, machines: int, ratio: float):
    drawn = mix_rows(people(humans), machine(machines), MixConfig(ratio=ratio)).report.human
    assert drawn / (drawn + machines) <= ratio + 1e-6
    assert drawn == humans or (drawn + 1) / (drawn + 1 + machines) > ratio - 1e-6


def test_without_machine_rows_all_human_rows_are_taken_unless_the_ratio_is_zero():
    assert mix_rows(people(3), [], MixConfig(ratio=0.1)).report.human == 3
    assert mix_rows(people(3), [], MixConfig(ratio=0)).report.human == 0


def test_the_draw_follows_the_seed_and_not_the_order_of_the_file():
    one = mix_rows(people(20), machine(5), MixConfig(seed=1)).rows
    assert {row.id for row in one} == {row.id for row in mix_rows(people(20)[::-1], machine(5), MixConfig(seed=1)).rows}
    assert {row.id for row in one} != {row.id for row in mix_rows(people(20), machine(5), MixConfig(seed=2)).rows}


def conflicting() -> tuple[list[PreferenceRow], list[PreferenceRow]]:
    human = [make_row("h", chosen="X", rejected="Y", p_chosen=1.0), *people(1)]
    other = [make_row("m", chosen="Y", rejected="X", p_chosen=0.8, source="ai"), *machine(1)]
    return human, other


@pytest.mark.parametrize(
    ("policy", "ids", "review"),
    [
        ("human_wins", ["h", "h0", "m0"], []),
        ("drop", ["h0", "m0"], []),
        ("review", ["h0", "m0"], ["m", "h"]),
        ("average", ["h", "h0", "m0"], []),
    ],
)
def test_conflict_policies(policy: str, ids: list[str], review: list[str]):
    mixed = mix_rows(*conflicting(), MixConfig(ratio=1.0, conflict=policy))
    assert [row.id for row in mixed.rows] == ids
    assert [row.id for row in mixed.review] == review
    assert mixed.report.conflicts == 1
    assert mixed.report.dropped_by_conflict == {"human_wins": 1, "average": 1, "drop": 2, "review": 2}[policy]


def test_averaging_multiplies_the_odds():
    # the person: X wins with 3 : 1 at weight 1; the machine: Y wins with 4 : 1 at weight 2
    # log-odds of X: (1 * log 3 - 2 * log 4) / 2  ->  odds of Y: sqrt(16 / 3) = 2.3094  ->  0.69783
    person = make_row("h", chosen="X", rejected="Y", p_chosen=0.75, weight=1.0)
    other = make_row("m", chosen="Y", rejected="X", p_chosen=0.8, weight=2.0, source="ai")
    row = averaged(person, other)
    assert (row.chosen, row.rejected, row.source) == ("Y", "X", "human")
    assert row.p_chosen == pytest.approx(0.697830, abs=1e-6)


def test_a_tie_and_another_prompt_are_no_conflict():
    human = [make_row("h", chosen="X", rejected="Y")]
    tie = [make_row("m", chosen="Y", rejected="X", p_chosen=0.5, source="ai")]
    report = mix_rows(human, tie, MixConfig()).report
    assert (report.conflicts, report.ties) == (0, 1)
    elsewhere = [make_row("m", prompt=make_row().prompt * 2, chosen="Y", rejected="X", source="ai")]
    assert mix_rows(human, elsewhere, MixConfig()).report.conflicts == 0


def test_weights_and_effective_sample_size():
    mixed = mix_rows(people(2), machine(2), MixConfig(ratio=1, human_weight=3.0, machine_weight=1.0))
    assert [row.weight for row in mixed.rows] == [3.0, 3.0, 1.0, 1.0]
    assert mixed.report.effective_sample_size == pytest.approx(64 / 20)  # (3+3+1+1)^2 / (9+9+1+1)
    assert effective_sample_size([]) == 0.0


def test_the_cap_counts_each_annotator():
    human = [make_row(f"h{n}", annotators=("ann",), chosen=f"{n}") for n in range(5)]
    human += [make_row("x", annotators=("bo",), chosen="b"), make_row("y", chosen="nobody")]
    mixed = mix_rows(human, [], MixConfig(cap_per_annotator=2))
    names = [row.annotators for row in mixed.rows]
    assert names.count(("ann",)) == 2 and names.count(("bo",)) == 1 and names.count(()) == 1
    assert mixed.report.dropped_by_cap == 3


def test_rows_in_the_wrong_list_and_shared_ids_are_refused():
    with pytest.raises(TrainingError, match="'m0': source is 'check' among rows of human"):
        mix_rows(machine(1), [], MixConfig())
    with pytest.raises(TrainingError, match="'same' comes 2 times"):
        mix_rows([make_row("same")], [make_row("same", source="ai", chosen="z")], MixConfig())


def both(right: int, wrong: int) -> tuple[list[PreferenceRow], list[PreferenceRow]]:
    """Pairs that a person labelled and the judge was sure of; it was right, then wrong, by the person."""
    human, judged = [], []
    for n in range(right + wrong):
        sides = (
            {"chosen": f"x{n:03}", "rejected": f"y{n:03}"} if n % 2 else {"chosen": f"y{n:03}", "rejected": f"x{n:03}"}
        )
        told = sides if n < right else {"chosen": sides["rejected"], "rejected": sides["chosen"]}
        human.append(make_row(f"h{n}", prompt_id=f"p{n}", p_chosen=1.0, **sides))
        judged.append(make_row(f"m{n}", prompt_id=f"p{n}", p_chosen=0.99, source="ai", **told))
    return human, judged


def test_measured_weights_count_a_verdict_by_what_it_is_worth():
    # belief 0.99 beside votes of 1 and 0, 32 of 40 right: 24 * 0.49 * 0.5, over people's usual agreement of 0.452
    # beyond chance, and 40 * 0.49^2; prior 2.5 at weight 1
    mixed = mix_rows(*both(32, 8), MixConfig(ratio=1, weights="measured"))
    weight = (24 * 0.49 * 0.5 / 0.452 + 2.5) / (40 * 0.49**2 + 2.5)
    standing = mixed.report.standings[0]
    assert (standing.source, standing.shared_votes, standing.agreement) == ("ai", 40, 0.8)
    assert standing.weight == pytest.approx(weight)
    assert all(row.weight == pytest.approx(weight) for row in mixed.rows if row.source == "ai")
    assert {row.weight for row in mixed.rows if row.source == "human"} == {1.0}


def test_calibration_brings_sure_verdicts_to_their_accuracy():
    # votes name its winner in 80 %; people agree beyond chance by 0.452, so on the whole it is 0.3 / sqrt(0.452)
    human, judged = both(320, 80)
    soft = [row for row in mix_rows(human, judged, MixConfig(ratio=1, calibrate=True)).rows if row.source == "ai"]
    assert all(row.p_chosen == pytest.approx(0.5 + 0.3 / math.sqrt(0.452), abs=0.01) for row in soft)
    assert {row.weight for row in soft} == {1.0}
    # measured too, that goes into the weight: slope 1 / sqrt(0.452) beside a person's sure vote, times 2p - 1
    config = MixConfig(ratio=1, weights="measured", calibrate=True)
    sure = [row for row in mix_rows(human, judged, config).rows if row.source == "ai"]
    assert {row.p_chosen for row in sure} == {0.99}
    assert all(row.weight == pytest.approx(0.6 / 0.452, abs=0.03) for row in sure)


def test_verdicts_on_peoples_pairs_measure_and_stay_outside():
    human, judged = both(32, 8)
    others = machine(5, source="ai")
    mixed = mix_rows(human, others, MixConfig(ratio=1, weights="measured"), measured=judged)
    assert mixed.report.standings[0].shared_votes == 40 and mixed.report.ai == 5
    assert mixed.report.conflicts == 0


def test_a_pair_judged_for_the_run_and_to_measure_by_is_one_verdict():
    human, judged = both(32, 8)
    again = [replace(row, id=f"again-{row.id}", prompt_id=f"other-{row.prompt_id}") for row in judged]
    config = MixConfig(ratio=1, weights="measured")
    assert mix_rows(human, judged, config, measured=again).report == mix_rows(human, judged, config).report


def test_a_machine_that_people_speak_against_is_left_out_and_counted():
    human, judged = both(5, 35)
    for config in (MixConfig(ratio=1, calibrate=True), MixConfig(ratio=1, weights="measured")):
        report = mix_rows(human, judged, config).report
        assert (report.ai, report.dropped_by_reliability, report.human) == (0, 40, 40)
        assert report.standings[0].weight == 0


def test_what_people_changed():
    human, judged = both(6, 4)
    changed = mix_rows(human, judged, MixConfig(ratio=1)).report.people
    assert (changed.decided, changed.conflicts_won, changed.flips) == (10, 4, 4)
    assert changed.weight_share == pytest.approx(10 / 16)  # the four verdicts that lost are out
    heavy = mix_rows(human, judged, MixConfig(ratio=1, conflict="average", machine_weight=9)).report.people
    assert (heavy.conflicts_won, heavy.flips) == (0, 0)
    assert mix_rows([], judged, MixConfig()).report.people.flips == 0


def test_one_person_whom_two_others_outvote_is_no_conflict():
    [said], [verdict] = both(1, 0)
    against = replace(said, id="h-other", chosen=said.rejected, rejected=said.chosen)
    mixed = mix_rows([said, replace(said, id="h-second"), against], [verdict], MixConfig(ratio=1))
    assert (mixed.report.conflicts, mixed.report.ai, mixed.report.human) == (0, 1, 3)
    assert mix_rows([said, against], [verdict], MixConfig(ratio=1)).report.conflicts == 1


def test_a_tie_of_the_machine_that_a_person_decides_is_counted():
    human, judged = both(3, 0)
    tied = [replace(row, p_chosen=0.5) for row in judged]
    changed = mix_rows(human, tied, MixConfig(ratio=1)).report.people
    assert (changed.ties_decided, changed.flips, changed.conflicts_won) == (3, 0, 0)


@given(st.integers(0, 25), st.integers(0, 25), st.randoms(use_true_random=False), st.sampled_from([True, False]))
def test_the_mix_does_not_follow_the_rows_order(right, wrong, draw, calibrate):
    human, judged = both(right, wrong)
    config = MixConfig(ratio=0.4, weights="measured", calibrate=calibrate, conflict="average", cap_per_annotator=7)
    one = mix_rows(human, judged, config)
    assert one == mix_rows(human, judged, config)
    shuffled_human, shuffled = draw.sample(human, len(human)), draw.sample(judged, len(judged))
    other = mix_rows(shuffled_human, shuffled, config)
    assert sorted(one.rows, key=lambda row: row.id) == sorted(other.rows, key=lambda row: row.id)
    assert one.report == other.report
    assert one.report.effective_sample_size <= len(one.rows) + 1e-9


@given(st.lists(st.floats(0, 100), max_size=30))
def test_the_effective_sample_size_is_between_one_and_the_rows(weights: list[float]):
    found = effective_sample_size([make_row(weight=weight) for weight in weights])
    some = sum(weight * weight for weight in weights) > 0
    assert (1 - 1e-9 <= found <= len(weights) + 1e-9) if some else found == 0


def test_a_check_of_length_keeps_its_verdicts():
    human, checked = [], []
    for n in range(40):
        sides = {"prompt_id": f"p{n}", "chosen": f"short {n}", "rejected": f"long {n} " * 9}
        human.append(make_row(f"h{n}", p_chosen=1.0, **sides))
        checked.append(make_row(f"m{n}", p_chosen=0.9, source="check", **sides))
    (by_check,) = mix_rows(human, checked, MixConfig(ratio=1, calibrate=True)).report.standings
    (by_judge,) = mix_rows(
        human, [replace(row, source="ai") for row in checked], MixConfig(ratio=1, calibrate=True)
    ).report.standings
    assert by_check.pays_length == 0 and by_check.worth > 1.5
    assert by_check.worth_low < by_check.next_worth < by_check.worth < by_check.worth_high
    assert by_judge.pays_length < -2 and by_judge.worth < by_check.worth
