"""Mixing: shares, conflicts, caps and weights, worked by hand."""

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


def test_averaging_weighs_both_beliefs():
    # the person: X wins with 1.0 at weight 1; the machine: Y wins with 0.8, so X with 0.2, at weight 3 -> 1.6 / 4
    person = make_row("h", chosen="X", rejected="Y", p_chosen=1.0, weight=1.0)
    other = make_row("m", chosen="Y", rejected="X", p_chosen=0.8, weight=3.0, source="ai")
    row = averaged(person, other)
    assert (row.chosen, row.rejected, row.source) == ("Y", "X", "human")
    assert row.p_chosen == pytest.approx(0.6)


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
