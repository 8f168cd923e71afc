"""Mixing: shares, conflicts, caps and weights, worked by hand."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.records import Message
from training.cast_votes import CastVote, row_of_votes
from training.conflicts import averaged
from training.errors import TrainingError
from training.gold import kinds, verdict_worth
from training.mix import MixConfig, mix_rows
from training.people_votes import REVIEWED, Agreement, pair_key
from training.ranked import RANKED, effective_sample_size
from training.reliability import log_odds, shared_pairs
from training.rows import PreferenceRow
from training.worth import Had, agreement_beyond_chance, verdict_correlation, verdict_weight

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


@given(
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(0, 20),
    st.floats(0, 0.99),
    st.sampled_from(["human_wins", "average", "drop", "review"]),
)
def test_the_share_comes_out_as_asked_after_conflicts(alone: int, agreed: int, against: int, ratio: float, policy):
    human, judged = both(agreed, against)
    extra, single = ([replace(row, id=f"other {row.id}") for row in rows] for rows in (people(alone), machine(1)))
    mixed = mix_rows([*extra, *human], [*single, *judged], MixConfig(ratio=ratio, conflict=policy))
    report, machines = mixed.report, mixed.report.ai + mixed.report.check
    assert len(mixed.rows) == report.human + machines
    assert report.human / len(mixed.rows) <= ratio + 1e-6
    assert not report.dropped_by_ratio or (report.human + 1) / (len(mixed.rows) + 1) > ratio - 1e-6
    assert alone + 2 * (agreed + against) + 1 == len(mixed.rows) + report.dropped_by_conflict + report.dropped_by_ratio


def test_labels_that_took_a_verdicts_place_are_drawn_first():
    human, judged = both(12, 4)
    corrected = {row.id for row in human[12:]}
    # 12 verdicts stay: h / (h + 12) <= 0.2 has room for three; 0.3 for five, all four and one more
    few = mix_rows(human, judged, MixConfig(ratio=0.2)).rows
    assert len(kept := {row.id for row in few if row.source == "human"}) == 3 and kept < corrected
    more = mix_rows(human, judged, MixConfig(ratio=0.3))
    assert corrected < {row.id for row in more.rows if row.source == "human"}
    assert (more.report.human, more.report.people.conflicts_won) == (5, 4)


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
    assert (mixed.report.conflicts, mixed.report.review) == (1, len(review) // 2)
    assert mixed.report.dropped_by_conflict == {"human_wins": 1, "average": 1, "drop": 2, "review": 2}[policy]


@pytest.mark.parametrize("policy", ["drop", "review"])
def test_a_pair_that_is_taken_out_leaves_no_minority_behind(policy: str):
    [said], [verdict] = both(0, 1)
    rows = [said, replace(said, id="too"), replace(said, id="with", chosen=said.rejected, rejected=said.chosen)]
    rows += [replace(said, id="tie", p_chosen=0.5), under(replace(said, id="kind"), kind=1.0)]
    mixed = mix_rows(rows, [verdict], MixConfig(ratio=1, conflict=policy))
    assert (mixed.rows, mixed.report.dropped_by_conflict) == ((), 6)
    everything = [verdict.id, "h0", "too", "with", "tie", "kind"]
    assert [row.id for row in mixed.review] == (everything if policy == "review" else [])


def test_what_goes_to_review_goes_as_it_came():
    human, judged = both(30, 10)
    config = MixConfig(ratio=1, conflict="review", weights="measured", calibrate=True)
    found = mix_rows(human, judged, config)
    assert set(found.review) == {*human[30:], *judged[30:]} and found.report.review == 10


@pytest.mark.parametrize("calibrate", [True, False])
def test_a_reviewed_pair_is_not_sent_again(calibrate: bool):
    human, judged = both(20, 2)
    review = [
        replace(human[20], id="for-people", tags=((REVIEWED, "prf_1"),), annotators=("ann",)),
        replace(judged[21], id="for-judge", tags=((REVIEWED, "prf_1"),), annotators=("ann",), source="human"),
    ]
    config = MixConfig(ratio=1, conflict="review", calibrate=calibrate)
    mixed = mix_rows([*human, *review], judged, config)
    assert (mixed.report.review, mixed.review) == (0, ())
    left = {row.id for row in mixed.rows}
    # people won the first pair; in the second the review found the judge right
    assert "m20" not in left and {"m21", "for-people"} <= left
    assert mixed.report.conflicts == 1


def test_averaging_multiplies_the_odds():
    # the person: X wins with 3 : 1 at weight 1; the machine: Y wins with 4 : 1 at weight 2
    # log-odds of X: (1 * log 3 - 2 * log 4) / 2  ->  odds of Y: sqrt(16 / 3) = 2.3094  ->  0.69783
    person = make_row("h", chosen="X", rejected="Y", p_chosen=0.75, weight=1.0)
    other = make_row("m", chosen="Y", rejected="X", p_chosen=0.8, weight=2.0, source="ai")
    row = averaged(person, other)
    assert (row.chosen, row.rejected, row.source) == ("Y", "X", "human")
    assert row.p_chosen == pytest.approx(0.697830, abs=1e-6)
    assert row.weight == 2.0


def test_a_weak_annotator_does_not_take_the_machines_weight_from_a_pair():
    # log-odds of Y: (1 * log 9 - 0.1 * log 99) / 1 = 1.7377, so 0.85039, and the pair still weighs what the verdict did
    person = make_row("h", chosen="X", rejected="Y", p_chosen=1.0, weight=0.1)
    verdict = make_row("m", chosen="Y", rejected="X", p_chosen=0.9, weight=1.0, source="ai")
    config = MixConfig(ratio=1, conflict="average")
    mixed = mix_rows([person], [verdict], config)
    (row,) = mixed.rows
    assert mixed.report.people.weight_share == pytest.approx(0.1)
    assert (row.chosen, row.weight) == ("Y", 1.0) and row.p_chosen == pytest.approx(0.85039, abs=1e-5)
    # Three such people each get a third of the verdict: (log 9 / 3 - 0.1 * log 99) / (1 / 3) = 0.81863, so 0.69396.
    three = [replace(person, id=f"h{n}", annotators=(f"ann_{n}",)) for n in range(3)]
    rows = mix_rows(three, [verdict], config).rows
    assert {row.chosen for row in rows} == {"Y"} and sum(row.weight for row in rows) == pytest.approx(1.0)
    assert rows[0].p_chosen == pytest.approx(0.69396, abs=1e-5)


def test_a_tie_and_another_prompt_are_no_conflict():
    human = [make_row("h", chosen="X", rejected="Y")]
    tie = [make_row("m", chosen="Y", rejected="X", p_chosen=0.5, source="ai")]
    report = mix_rows(human, tie, MixConfig()).report
    assert (report.conflicts, report.ties, report.human) == (0, 0, 1)
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


def test_the_cap_takes_out_one_persons_votes_and_leaves_the_others():
    # ann labelled all five pairs, and may keep two; each other person labelled one
    rows = [
        row_of_votes(
            make_row(f"h{n}", prompt_id=f"p{n}", chosen="good", rejected="bad", prompt=(Message("user", str(n)),)),
            [CastVote("ann", "", 1.0, 1.0), CastVote(f"other {n}", "", 0.0, 0.5)],  # p_first is of `bad`
        )
        for n in range(5)
    ]
    assert [row.chosen for row in rows] == ["bad"] * 5 and {row.weight for row in rows} == {0.75}
    assert rows[0].p_chosen == pytest.approx(2 / 3)
    mixed = mix_rows(rows, [], MixConfig(cap_per_annotator=2))
    assert (len(mixed.rows), mixed.report.dropped_by_cap, mixed.report.votes_dropped_by_cap) == (5, 0, 3)
    left = [row for row in mixed.rows if "ann" not in row.annotators]
    assert [(row.chosen, row.p_chosen, row.weight) for row in left] == [("good", 1.0, 0.5)] * 3
    assert sum("ann" in row.annotators for row in mixed.rows) == 2


def test_a_row_of_several_people_that_cannot_be_told_apart_is_dropped_by_the_cap():
    both = {"annotators": ("ann", "bo"), "prompt": (Message("user", "2"),)}
    busy = [make_row(f"h{n}", annotators=("ann",), prompt=(Message("user", f"a{n}"),)) for n in range(9)]
    split, agreed = make_row("split", p_chosen=0.75, **both), make_row("agreed", p_chosen=1.0, **both)
    for row, annotators in ((split, []), (agreed, [("bo",)])):
        mixed = mix_rows([*busy, row], [], MixConfig(cap_per_annotator=1, seed=3)).rows
        assert [one.annotators for one in mixed if one.id == row.id] == annotators


def test_the_rows_of_a_ranking_count_towards_the_cap_as_what_they_are_worth():
    # rows of a ranking of nine are worth 0.3 labels each: ten of them are the three that the cap allows
    rows = [
        make_row(f"h{n}", annotators=("ann",), chosen=f"good {n}", weight=0.3, tags=((RANKED, "9"),)) for n in range(36)
    ]
    assert mix_rows(rows, [], MixConfig(cap_per_annotator=3)).report.human == 10


def test_the_rows_of_a_ranking_count_towards_the_ratio_as_what_they_are_worth():
    # six verdicts leave room for four labels, h / (h + 6) <= 0.4: thirteen rows of 0.3 are 3.9; two more are 4.5
    ranked = [replace(row, tags=((RANKED, "9"),)) for row in people(36)]
    assert mix_rows(ranked, machine(6), MixConfig(ratio=0.4)).report.human == 13
    # twenty verdicts of scored replies are six
    scored = [replace(row, source="ai", tags=((RANKED, "9"),)) for row in machine(20)]
    assert mix_rows(people(9), scored, MixConfig(ratio=0.4)).report.human == 4
    # what the sources weigh is another matter
    light = MixConfig(ratio=0.4, machine_weight=0.1, human_weight=5.0)
    assert mix_rows(people(9), machine(6), light).report.human == 4


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


def test_a_machine_beside_rankings_is_known_as_by_the_labels_that_they_are_worth():
    # a row of a ranking of five is half a label
    config = MixConfig(ratio=1, weights="measured", calibrate=True)
    human, judged = both(60, 20)
    ranked = [replace(row, tags=((RANKED, "5"),)) for row in human]
    (by_labels,) = mix_rows(*both(30, 10), config).report.standings
    (by_ranked,) = mix_rows(ranked, [replace(row, tags=((RANKED, "5"),)) for row in judged], config).report.standings
    assert by_ranked.shared_votes == by_labels.shared_votes == 40
    assert by_ranked.next_worth == pytest.approx(by_labels.next_worth)
    assert by_ranked.weight == pytest.approx(by_labels.weight, rel=1e-3)  # replies' texts differ a little in length


def test_calibration_brings_sure_verdicts_to_their_accuracy():
    # votes name its winner in 80 %; people agree beyond chance by 0.452, so on the whole it is 0.3 / sqrt(0.452)
    human, judged = both(320, 80)
    soft = [row for row in mix_rows(human, judged, MixConfig(ratio=1, calibrate=True)).rows if row.source == "ai"]
    assert all(row.p_chosen == pytest.approx(0.5 + 0.3 / math.sqrt(0.452), abs=0.01) for row in soft)
    assert {row.weight for row in soft} == {1.0}
    # measured too, that goes into the weight: all are as sure, so each weighs what a verdict does beside a label
    config = MixConfig(ratio=1, weights="measured", calibrate=True)
    mixed = mix_rows(human, judged, config)
    sure = [row for row in mixed.rows if row.source == "ai"]
    worth = verdict_worth(
        verdict_correlation(shared_pairs(judged, human), 0.0, log_odds(judged, 0.0)),
        kinds(agreement_beyond_chance(None)),
    )
    weight = verdict_weight(worth, Had(400, 400))
    assert 0.6 < weight < 1 / 0.6  # 0.6 / a, a from 0.6^2 to 1
    assert {row.p_chosen for row in sure} == {0.99}
    assert all(row.weight == pytest.approx(weight, rel=0.02) for row in sure)


def test_a_checks_errors_are_its_own():
    human, judged = both(320, 80)
    config = MixConfig(ratio=1, weights="measured", calibrate=True)
    worths = [
        mix_rows(human, [replace(row, source=source) for row in judged], config).report.standings[0].worth
        for source in ("ai", "check")
    ]
    # people agree by 0.452 more or less: with half of its errors theirs (0.5 / 0.452 + 0.5)^2, with none (1 / 0.452)^2
    assert worths[1] == pytest.approx(worths[0] * (1 / 0.726) ** 2, rel=0.15)


def test_a_sure_verdict_weighs_more_than_a_doubtful_one():
    human, judged = both(320, 80)
    judged = [replace(row, p_chosen=0.99 if n % 2 else 0.7) for n, row in enumerate(judged)]
    config = MixConfig(ratio=1, weights="measured", calibrate=True)
    sure = [row for row in mix_rows(human, judged, config).rows if row.source == "ai"]
    beliefs = [row for row in mix_rows(human, judged, replace(config, weights="given")).rows if row.source == "ai"]
    leads = [row.weight / (2 * soft.p_chosen - 1) for row, soft in zip(sure, beliefs, strict=True)]
    assert leads == pytest.approx([leads[0]] * len(leads), rel=1e-6)
    assert max(row.weight for row in sure) > 2 * min(row.weight for row in sure)


@pytest.mark.parametrize("labelled", ["all", "sure", "doubtful"])
def test_a_verdict_weighs_the_same_whichever_pairs_people_were_asked_about(labelled: str):
    """A judge whose word is what it is worth: half of its verdicts are at 0.95, half at 0.6."""
    human, judged = [], []
    for n in range(800):
        belief, right = (0.95, n % 40 < 38) if n < 400 else (0.6, n % 10 < 6)
        sides = {"chosen": f"x{n:03}", "rejected": f"y{n:03}"}
        sides = sides if n % 2 else {"chosen": sides["rejected"], "rejected": sides["chosen"]}
        judged.append(make_row(f"m{n}", prompt_id=f"p{n}", p_chosen=belief, source="ai", **sides))
        told = sides if right else {"chosen": sides["rejected"], "rejected": sides["chosen"]}
        human.append(make_row(f"h{n}", prompt_id=f"p{n}", p_chosen=1.0, **told))
    asked = {"all": human[200:600], "sure": human[:400], "doubtful": human[400:]}[labelled]
    mixed = mix_rows(asked, judged, MixConfig(ratio=1, weights="measured", calibrate=True))
    weights = sorted(row.weight for row in mixed.rows if row.source == "ai")
    # 0.45^2 + 0.1^2 of (2p - 1)^2 / 4, twice: c = 0.65; half of its errors people's, who agree by 0.45:
    # 0.65 * (0.5 / 0.45 + 0.5) = 1.05. The sure ones weigh 0.98 over the root of (0.98^2 + 0.3^2) / 2 as much: 1.4, and
    # less for what is left open
    assert weights[-1] == pytest.approx(1.3, rel=0.2)
    assert weights[-1] > 3 * weights[0]


def test_a_few_sure_verdicts_among_ties_weigh_what_sure_ones_do():
    human, judged = both(200, 0)
    ties = [make_row(f"t{n}", prompt_id=f"t{n}", p_chosen=0.5, source="ai", rejected="y") for n in range(300)]
    config = MixConfig(ratio=1, weights="measured", calibrate=True)
    mixed = mix_rows(human, [*judged[:3], *ties], config, measured=judged)
    weights = sorted(row.weight for row in mixed.rows if row.source == "ai")
    # always right: the correlation 1 with a vote, half of its errors people's, who usually agree by 0.452
    assert weights[-1] == pytest.approx(0.5 / 0.452 + 0.5, rel=0.1)
    assert weights[-4] < 0.3


def test_a_verdict_weighs_less_where_pooled_votes_are_softer():
    # every pair has two people's votes, who agree on 300 of 400: known agreement makes a row of their votes soft
    human, judged = both(320, 80)
    first = [replace(row, annotators=("ann",)) for row in human]
    second = [
        replace(row, id=f"second-{row.id}", annotators=("bo",))
        if n >= 100
        else replace(row, id=f"second-{row.id}", annotators=("bo",), chosen=row.rejected, rejected=row.chosen)
        for n, row in enumerate(first)
    ]
    config = MixConfig(ratio=1, weights="measured", calibrate=True)
    mixed = mix_rows([*first, *second], judged, config)
    votes = [*first, *second]
    worth = verdict_worth(
        verdict_correlation(shared_pairs(judged, votes), 0.0, log_odds(judged, 0.0)),
        kinds(agreement_beyond_chance(Agreement(400, 0.75))),
    )
    # the prior holds agreement beyond chance, 0.5, to the usual one with ten votes
    soft = math.sqrt((400 * 0.5 + 10 * 0.452) / 410)
    assert mixed.report.standings[0].weight == pytest.approx(soft * verdict_weight(worth, Had(800, 400)), rel=0.02)


def test_gold_says_what_a_copy_of_the_votes_is_worth():
    # people are right on all of 60 gold pairs, so a judge that they side with in 80 % is worth 0.6^2 labels
    human, judged = both(320, 80)
    config = MixConfig(ratio=1, weights="measured", calibrate=True)
    right = human[::6][:60]
    open_to_all, known = (mix_rows(human, judged, config, gold=gold) for gold in ((), right))
    worths = [mixed.report.standings[0].worth for mixed in (open_to_all, known)]
    assert worths[0] > 0.6 > worths[1] > 0.36
    # the right answers take the place of the verdicts on their pairs, under ids of their own; people's votes stay
    on_gold = {pair_key(row) for row in right}
    assert {pair_key(row) for row in known.rows if row.source == "ai"}.isdisjoint(on_gold)
    assert {row.id for row in right} <= {row.id for row in known.rows}
    new = [row for row in known.rows if row.id in {f"gold-{row.id}" for row in right}]
    assert (len(new), known.report.gold, known.report.dropped_by_gold) == (60, 60, 60)
    assert known.report.human + known.report.ai + known.report.gold == len(known.rows)
    # 60 of 60 votes right: people agree nearly always, and a right answer tells little more than a label
    assert all(1 < row.weight < 1.1 for row in new)


def test_under_twenty_votes_the_slope_is_held_against_pooled_votes():
    # two people agree on all of 12 pairs, so beyond chance by 1, held to 0.452 by ten votes; five pairs are judged
    human, judged = both(12, 0)
    votes = [replace(row, id=f"{row.id}-{name}", annotators=(name,)) for row in human for name in ("ann", "bo")]
    mixed = mix_rows(votes, judged[:5], MixConfig(ratio=1, weights="measured", calibrate=True))
    scale = math.sqrt((12 + 10 * 0.452) / 22)
    assert mixed.report.standings[0].shared_votes == 10
    assert mixed.report.standings[0].weight == pytest.approx(
        (10 * 0.49 * 0.5 / scale + 2.5) / (10 * 0.49**2 + 2.5), rel=1e-3
    )


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


@pytest.mark.parametrize("policy", ["human_wins", "average", "drop", "review"])
def test_a_tie_of_the_machine_goes_where_people_name_a_winner(policy: str):
    pair = {"prompt_id": "p", "chosen": "good", "rejected": "bad"}
    tie = make_row("m", source="ai", p_chosen=0.5, **pair)
    ada, bob = make_row("h", annotators=("ada",), **pair), make_row("i", annotators=("bob",), **pair)
    against = replace(bob, chosen="bad", rejected="good")
    for people, left in (([ada], ["h"]), ([ada, bob], ["h", "i"]), ([ada, against], ["h", "i", "m"]), ([], ["m"])):
        mixed = mix_rows(people, [tie], MixConfig(ratio=1.0, conflict=policy))
        assert sorted(row.id for row in mixed.rows) == left
        assert (mixed.report.conflicts, mixed.report.dropped_by_conflict) == (0, "m" not in left)
    # A label under one principle does not answer the question as a whole.
    under = replace(ada, per_principle=(("kind", 1.0),))
    assert len(mix_rows([under], [tie], MixConfig(ratio=1.0, conflict=policy)).rows) == 2


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


def under(row: PreferenceRow, **beliefs: float) -> PreferenceRow:
    """The row with what it says under principles, of its chosen reply."""
    return replace(row, per_principle=tuple(beliefs.items()))


@pytest.mark.parametrize(
    ("asked", "verdicts", "conflicts"),
    [
        ("brief", {"brief": 0.1, "honest": 0.9}, 1),  # the verdict under `brief` names the other reply
        ("honest", {"brief": 0.1, "honest": 0.9}, 0),
        ("kind", {"brief": 0.1, "honest": 0.9}, 0),  # the machine was not asked about it
        ("brief", {"brief": 0.5}, 0),
        (None, {"brief": 0.1, "honest": 0.9}, 0),
    ],
)
def test_a_label_under_a_principle_stands_beside_the_verdict_under_it(asked, verdicts, conflicts):
    [said], [verdict] = both(1, 0)
    label = under(said, **{asked: 1.0}) if asked else said
    verdict = under(verdict, **verdicts)
    mixed = mix_rows([label], [verdict], MixConfig(ratio=1))
    assert (mixed.report.conflicts, mixed.report.standings[0].shared_votes) == (conflicts, int(asked != "kind"))


def test_a_label_under_a_principle_says_nothing_against_the_whole():
    # the machine agrees under `honest`, and prefers the other reply on the whole for other reasons
    [said], [verdict] = both(0, 1)
    verdict = under(verdict, honest=0.2, brief=0.9)
    assert mix_rows([said], [verdict], MixConfig(ratio=1)).report.conflicts == 1
    assert mix_rows([under(said, honest=1.0)], [verdict], MixConfig(ratio=1)).report.conflicts == 0
    against = under(said, brief=1.0)
    assert mix_rows([against], [verdict], MixConfig(ratio=1)).report.conflicts == 1
    weightless = mix_rows([against], [verdict], MixConfig(ratio=1, weightless=frozenset({"brief"}))).report
    assert (weightless.conflicts, weightless.standings[0].shared_votes) == (0, 0)


def test_two_people_under_a_principle_outvote_one_and_none_under_another():
    [said], [verdict] = both(1, 0)
    verdict = under(verdict, brief=0.9, honest=0.9)
    against = under(replace(said, id="against", chosen=said.rejected, rejected=said.chosen), brief=1.0)
    others = [under(replace(said, id=f"other-{n}"), kind=1.0) for n in range(2)]
    assert mix_rows([against, *others], [verdict], MixConfig(ratio=1)).report.conflicts == 1
    agreeing = [under(row, brief=1.0) for row in others]
    assert mix_rows([against, *agreeing], [verdict], MixConfig(ratio=1)).report.conflicts == 0


def test_an_average_is_with_the_belief_on_the_same_question():
    # the label: X under `brief`; the machine: X on the whole, and Y with 9 to 1 under `brief`, at equal weight
    label = make_row("h", chosen="X", rejected="Y", p_chosen=0.8, per_principle=(("brief", 0.8),))
    verdict = make_row("m", chosen="X", rejected="Y", p_chosen=0.7, source="ai", per_principle=(("brief", 0.1),))
    mixed = mix_rows([label], [verdict], MixConfig(ratio=1, conflict="average"))
    assert [(row.id, row.chosen) for row in mixed.rows] == [("h", "Y")]
    assert mixed.rows[0].p_chosen == pytest.approx(9 / 13)  # odds 4 against 9
