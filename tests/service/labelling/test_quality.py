"""The quality report, against published worked examples, numbers by hand, and properties of any set of labels."""

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.intervals import Interval, wilson
from service.labelling.agreement import alpha_of_counts
from service.labelling.drift import difference, median_interval
from service.labelling.figures import Unknown, Window
from service.labelling.judge_in_orders import judge_of_rankings
from service.labelling.judged_orders import reply_hash
from service.labelling.quality import quality_report
from service.labelling.reliability import LEAST_WEIGHT, MOST_WEIGHT, reliabilities, weight_of
from tests.service.labelling.answers import label, labels_of

# Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, section C: four observers, twelve units.


def published_counts():
    rows = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    return [[column.count(value) for value in range(1, 6)] for column in zip(*rows, strict=True)]


def annotator(report, name):
    return next(one for one in report.annotators if one.annotator_id == name)


def test_alpha_of_the_published_example():
    assert alpha_of_counts(published_counts(), "nominal") == pytest.approx(0.743, abs=5e-4)
    assert alpha_of_counts(published_counts(), "ordinal") == pytest.approx(0.815, abs=5e-4)


def test_kappa_of_the_textbook_example():
    # Fifty proposals: both yes 20, both no 15, only the first yes 5, only the second yes 10. Kappa is 0.4.
    report = quality_report(
        [*labels_of("x", "a" * 25 + "b" * 25), *labels_of("y", "a" * 20 + "b" * 5 + "a" * 10 + "b" * 15)]
    )
    (pair,) = report.pairs
    assert (pair.first, pair.second, pair.shared) == ("x", "y", 50)
    assert pair.kappa == pytest.approx(0.4)
    assert pair.agreement == wilson(35, 50)


def test_agreement_does_not_hang_on_which_reply_is_called_a():
    # 40 questions, 36 agreed, 2 x 2 not, and the judge says a each time, as where a is a set's chosen reply:
    # observed 0.9, chance 1/2, so kappa 0.8. Of each question in both namings, 80 units with 160 answers, 80 of them a:
    # alpha = 1 - 0.1 / (1 - 2 * 80 * 79 / (160 * 159)) = 1 - 0.1 * 159 / 80.
    said = {"x": "a" * 36 + "aabb", "y": "a" * 36 + "bbaa"}
    named = [one for who, choices in said.items() for one in labels_of(who, choices, judge_p_a=0.9)]
    turned = {"a": "b", "b": "a"}
    other = [
        dataclasses.replace(one, choice=turned[one.choice], judge_p_a=0.1, order=(1, 0)) if at % 2 else one
        for at, one in enumerate(labels_of("x", said["x"], judge_p_a=0.9) + labels_of("y", said["y"], judge_p_a=0.9))
    ]
    for labels in (named, other):
        report = quality_report(labels)
        assert report.alpha == pytest.approx(1 - 0.1 * 159 / 80)
        assert report.pairs[0].kappa == pytest.approx(0.8)
        # The four that people part on have no majority; the judge has all the others right.
        assert report.judge.kappa == pytest.approx(1)
    assert quality_report(named) == quality_report(other)


def ranked(who, ranking, n, **more):
    """Of the replies x, y and z of pair n."""
    return label(who, f"pair_{n}", "ranked", kind="rank", replies=("x", "y", "z"), ranking=ranking, **more)


def test_ordinal_alpha_counts_near_places_as_near():
    same = [ranked(who, (0, 1, 2), n, number=n) for who in "xy" for n in range(4)]
    near = [*same[:7], ranked("y", (0, 2, 1), 3, number=3)]
    far = [*same[:7], ranked("y", (2, 1, 0), 3, number=3)]
    assert quality_report(same).ranking_alpha == pytest.approx(1)
    assert 1 > quality_report(near).ranking_alpha > quality_report(far).ranking_alpha
    assert isinstance(quality_report(same).alpha, Unknown)


def test_rankings_are_compared_by_their_pairs():
    # Of x y z, (0, 2, 1) has two of three pairs in the order of (0, 1, 2), tau 1/3; (2, 1, 0) has none, tau -1.
    first = [ranked("x", (0, 1, 2), n, number=n) for n in range(12)]
    again = [ranked("x", (0, 2, 1) if n < 9 else (2, 1, 0), n, number=20 + n, routed_by="repeat") for n in range(12)]
    other = [ranked("y", (0, 2, 1), n, number=40 + n) for n in range(12)]
    report = quality_report([*first, *again, *other])
    assert (report.questions, report.overlapping) == (12, 12)
    assert annotator(report, "x").repeats == wilson(9 * 2 / 3, 12)
    assert annotator(report, "x").with_majority == annotator(report, "y").with_majority == wilson(12 * 2 / 3, 12)
    (pair,) = report.pairs
    assert (pair.shared, pair.agreement) == (12, wilson(8, 12))
    assert pair.kappa == pytest.approx(1 / 3)


def test_the_others_order_is_that_of_most_of_them_pair_by_pair():
    # y and z both put 0 before 2, and part on the other two pairs; x has 2 before 0.
    labels = [
        ranked(who, ranking, n, number=n)
        for who, ranking in (("x", (2, 1, 0)), ("y", (1, 0, 2)), ("z", (0, 2, 1)))
        for n in range(10)
    ]
    report = quality_report(labels)
    assert annotator(report, "x").with_majority == wilson(0, 10)
    # x and z part on 0 and 1 and on 0 and 2, and agree on 2 before 1; y has 1 before 2.
    assert annotator(report, "y").with_majority == wilson(0, 10)


def test_the_judge_beside_rankings_by_their_pairs():
    # Twelve prompts; the judge believes x over y and z over x, is open on y and z. Two people say x, y, z and one says
    # z, x, y: most put x first, then y; so of each prompt's pairs the judge has one right, one wrong and half a one.
    said = {"p": (0, 1, 2), "q": (0, 1, 2), "r": (2, 0, 1)}
    labels = [ranked(who, ranking, n, number=n) for who, ranking in said.items() for n in range(12)]
    x, y, z = map(reply_hash, "xyz")
    beliefs = {(x, y): 0.9, (y, x): 0.1, (x, z): 0.2, (z, x): 0.8, (y, z): 0.5, (z, y): 0.5}
    otherwise = quality_report(labels).judge
    found = judge_of_rankings(labels, {(f"pair_{n}", None): beliefs for n in range(12)}, otherwise)
    assert (found.questions, found.ties, found.alpha) == (12, 0, otherwise.alpha)
    assert found.with_majority == wilson(6, 12) and found.kappa == pytest.approx(0)
    # Only the first pair: all right. On nine prompts: too few to tell.
    first = {(x, y): 0.9, (y, x): 0.1}
    found = judge_of_rankings(labels, {(f"pair_{n}", None): first for n in range(12)}, otherwise)
    assert found.with_majority == wilson(12, 12) and found.kappa == pytest.approx(1)
    few = judge_of_rankings(labels, {(f"pair_{n}", None): first for n in range(9)}, otherwise)
    assert few.questions == 9 and isinstance(few.with_majority, Unknown) and isinstance(few.kappa, Unknown)
    # Two people against each other on a pair, and a judge of another principle: nothing to be right about.
    even = [one for one in labels if one.annotator_id in ("p", "r")]
    open_pair = {(x, z): 0.9, (z, x): 0.1}
    found = judge_of_rankings(even, {(f"pair_{n}", None): open_pair for n in range(12)}, otherwise)
    assert found.questions == 12 and isinstance(found.with_majority, Unknown)
    assert judge_of_rankings(labels, {("pair_1", "kind"): beliefs}, otherwise).questions == 0


def test_who_ranks_against_all_others_weighs_little():
    # The prior's 8 of 10 and ten rankings of three pairs at 3/4 of a label each: 30.5 of 32.5, and 8 of 32.5.
    orders = {"x": (0, 1, 2), "y": (0, 1, 2), "z": (2, 1, 0)}
    found = reliabilities([ranked(who, order, n, number=n) for who, order in orders.items() for n in range(10)])
    assert [one.accuracy for one in found] == pytest.approx([30.5 / 32.5, 30.5 / 32.5, 8 / 32.5], abs=2e-3)
    assert [one.checked for one in found] == [10, 10, 10]
    assert found[2].weight == LEAST_WEIGHT < 1 < found[0].weight


def test_newcombe_of_the_published_example():
    # Newcombe (1998), Statistics in Medicine 17, table II: 56/70 against 48/80, method 10.
    assert difference(wilson(48, 80), wilson(56, 70)) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_gold_is_no_part_of_agreement():
    # Everybody is right on gold. Of twelve open questions x and y agree on six: as often as chance, kappa 0.
    gold = [row for who in "xyz" for row in labels_of(who, " " * 20 + "ab" * 10, gold="a", judge_p_a=0.9)]
    graded = [dataclasses.replace(row, gold=row.choice, routed_by="gold") for row in gold]
    asked = [*labels_of("x", "a" * 12, judge_p_a=0.9), *labels_of("y", "ab" * 6, judge_p_a=0.9)]
    report = quality_report([*asked, *graded])
    assert (report.questions, report.overlapping) == (12, 12)
    assert report.gold_accuracy == wilson(60, 60)
    assert [(pair.shared, pair.agreement, pair.kappa) for pair in report.pairs] == [(12, wilson(6, 12), 0)]
    assert report.alpha == quality_report(asked).alpha == pytest.approx(1 - 0.5 * 47 / 24)
    assert annotator(report, "x").with_majority == wilson(6, 12)
    assert isinstance(annotator(report, "z").with_majority, Unknown)
    # The judge says a: right on half of the gold; beside the majority, the six that x and y agree on.
    assert report.judge.gold_accuracy == wilson(10, 20)
    assert "too few: 6" in report.judge.with_majority.reason
    # Weights rest on gold: ten in ten, with the prior.
    assert annotator(report, "z").weight > 1
    alone = quality_report(graded)
    assert (alone.questions, alone.overlapping) == (0, 0) and isinstance(alone.alpha, Unknown)


def test_an_annotator_in_numbers():
    gold = labels_of("x", "a" * 12 + "b" * 4, gold="a")
    swapped = labels_of("x", "a" * 10, start=100, order=(1, 0), seconds=0.5, principle_id="honest")
    one = annotator(quality_report([*gold, *swapped, label("x", "later", "skip", number=200)]), "x")
    assert (one.labels, one.skips) == (26, 1)
    assert one.gold_accuracy == wilson(12, 16)
    # Twelve times a shown first; b and the swapped a were shown second.
    assert one.first_share == wilson(12, 26)
    assert one.quick_share == wilson(10, 26)
    assert one.median_seconds == 20
    assert isinstance(one.with_majority, Unknown) and "too few: 0" in one.with_majority.reason
    assert isinstance(one.drift, Unknown)


def test_a_long_reply_takes_longer_to_read():
    # 300 words at 15 a second are 20 seconds.
    long = {"replies": ("word " * 150, "word " * 150)}
    slow = labels_of("x", "a" * 10, **long, seconds=20.1)
    quick = labels_of("y", "a" * 10, **long, seconds=19.9)
    report = quality_report([*slow, *quick])
    assert annotator(report, "x").quick_share.estimate == 0
    assert annotator(report, "y").quick_share.estimate == 1


def test_the_majority_is_of_the_others():
    # x differs from y and z on the last 5 of 20; with x counted in, nothing would change; with y alone, no majority.
    labels = [*labels_of("x", "a" * 15 + "b" * 5), *labels_of("y", "a" * 20), *labels_of("z", "a" * 20)]
    report = quality_report(labels)
    assert annotator(report, "x").with_majority == wilson(15, 20)
    # For y the others tie where x differs, so those five are not counted.
    assert annotator(report, "y").with_majority == wilson(15, 15)


def test_drift_is_seen_on_gold():
    one = annotator(quality_report(labels_of("x", "a" * 20 + "b" * 20, gold="a")), "x")
    assert one.drift.measure == "gold"
    assert (one.drift.first, one.drift.last) == (wilson(20, 20), wilson(0, 20))
    assert one.drift.change == -1 and one.drift.high < -0.7


def test_work_over_time_by_windows_of_twenty():
    # 30 right, then 25 wrong: twenties of 20, 10 and none right; of 55 the last 15 are a window of their own.
    gold = labels_of("x", "a" * 30 + "b" * 25, gold="a")
    slow = [dataclasses.replace(one, seconds=float(place)) for place, one in enumerate(gold, start=1)]
    found = annotator(quality_report(slow), "x").over_time
    beside = [*(dataclasses.replace(one, gold=None) for one in slow), *labels_of("y", "a" * 55)]
    followed = annotator(quality_report(beside), "x").over_time
    assert found.gold == followed.agreement and found.agreement == followed.gold == ()
    assert found.gold == (
        Window(1, 20, 20, wilson(20, 20)),
        Window(21, 40, 20, wilson(10, 20)),
        Window(41, 55, 15, wilson(0, 15)),
    )
    assert [window.value.estimate for window in found.seconds] == [10.5, 30.5, 48]
    # Nine more than two windows join the second; nineteen are none.
    merged = annotator(quality_report(labels_of("x", "a" * 49, gold="a")), "x").over_time
    assert [(one.first, one.last, one.answers) for one in merged.gold] == [(1, 20, 20), (21, 49, 29)]
    assert annotator(quality_report(labels_of("x", "a" * 19, gold="a")), "x").over_time.gold == ()


@pytest.mark.parametrize(("count", "low", "high"), [(10, 2, 9), (20, 6, 15), (25, 8, 18), (5, 1, 5)])
def test_a_medians_interval_by_the_published_ranks(count, low, high):
    # Conover, Practical Nonparametric Statistics, table of the sign test: the ranks for 95 % at least; of 5 all.
    found = median_interval([float(value) for value in range(1, count + 1)])
    assert found == Interval((count + 1) / 2, low, high)


def test_what_the_judge_leaves_open_is_counted_apart():
    left_open = labels_of("x", "a" * 9 + "t", judge_p_a=0.5)
    judge = quality_report([*left_open, *labels_of("x", " " * 10 + "aa", judge_p_a=0.9)]).judge
    assert (judge.questions, judge.ties) == (12, 10)
    assert judge.with_majority == wilson(7, 12)  # ten ties of the judge are half right, two names wholly


def test_repeats_are_measured_and_count_once_for_agreement():
    first, again = labels_of("x", "a" * 12), labels_of("x", "a" * 9 + "bbb", start=50, routed_by="repeat")
    report = quality_report([*again, *first])
    assert annotator(report, "x").repeats == wilson(9, 12)
    assert (report.questions, report.overlapping, report.labels) == (12, 0, 24)


def test_training_answers_measure_nothing():
    report = quality_report(labels_of("x", "b" * 20, gold="a", training=True))
    assert (report.labels, report.training) == (0, 20)
    assert isinstance(report.gold_accuracy, Unknown)
    assert annotator(report, "x").weight == 1


def test_the_training_round_is_told_of_each_person():
    rounds = [*labels_of("x", "bbas", gold="a", training=True), *labels_of("y", "aaaa", gold="a", training=True)]
    report = quality_report([*rounds, label("z", "later", number=90)])
    told = [(one.annotator_id, one.training_right, one.training, one.labels, one.skips) for one in report.annotators]
    assert told == [("x", 1, 4, 0, 0), ("y", 4, 4, 0, 0), ("z", 0, 0, 1, 0)]


def test_the_judge_is_one_more_annotator():
    people = [
        row
        for who in ("x", "y")
        for row in (
            *labels_of(who, "a" * 10, judge_p_a=0.9),
            *labels_of(who, " " * 10 + "bbbbb", judge_p_a=0.7),
            *labels_of(who, " " * 15 + "a" * 10, judge_p_a=0.9, gold="a"),
        )
    ]
    judge = quality_report(people).judge
    assert judge.questions == 25
    assert judge.gold_accuracy == wilson(10, 10)
    assert judge.with_majority == wilson(10, 15)
    assert judge.kappa == pytest.approx((10 / 15 - 1 / 2) / (1 / 2))
    assert judge.alpha < quality_report(people).alpha == pytest.approx(1)


def test_what_a_judge_cannot_say_is_no_error_of_its():
    # 12 both bad, 8 ties, 20 times the judge's choice: of 28, 20 right and 8 half right; kappa of the 20.
    people = [row for who in "xy" for row in labels_of(who, "x" * 12 + "t" * 8 + "a" * 20, judge_p_a=0.9)]
    report = quality_report(people)
    assert report.judge.with_majority == wilson(24, 28)
    assert report.judge.kappa == pytest.approx(1)
    assert report.judge.alpha == report.alpha == pytest.approx(1)
    # The same on gold.
    gold = quality_report([dataclasses.replace(row, gold=row.choice) for row in people]).judge
    assert gold.gold_accuracy == wilson(24, 28)


def test_a_judge_in_doubt_is_half_right():
    judge = quality_report([row for who in "xy" for row in labels_of(who, "ab" * 10, judge_p_a=0.5)]).judge
    assert judge.with_majority == wilson(10, 20)
    assert isinstance(judge.kappa, Unknown)


def test_weights_by_hand():
    # Ten gold answers, five right: (8 + 5) / (10 + 10) = 0.65, and log(0.65 / 0.35) / log(4).
    one, other = reliabilities([*labels_of("x", "a" * 5 + "b" * 5, gold="a"), *labels_of("y", "abab", start=90)][:14])
    assert one.accuracy == pytest.approx(0.65) and one.checked == 10
    assert one.weight == pytest.approx(math.log(0.65 / 0.35) / math.log(4))
    assert other.checked == 4


def test_nobody_to_check_against_weighs_one():
    (one,) = reliabilities(labels_of("x", "ab" * 50))
    assert (one.weight, one.checked) == (1, 0)


def test_a_random_annotator_weighs_little_and_never_nothing():
    truth = "ab" * 40
    careless = "aabb" * 20
    found = {
        one.annotator_id: one
        for one in reliabilities([*labels_of("x", truth), *labels_of("y", truth), *labels_of("z", careless)])
    }
    assert found["z"].accuracy == pytest.approx((8 + 40) / 90, abs=0.01)
    assert LEAST_WEIGHT <= found["z"].weight < 0.15 < 1 < found["x"].weight <= MOST_WEIGHT


def test_gold_turns_two_who_err_alike():
    truth, wrong = "ab" * 20, "ba" * 20
    alike = [*labels_of("x", wrong), *labels_of("y", wrong), *labels_of("z", truth)]
    gold = [dataclasses.replace(row, gold="ab"[n % 2]) for n, row in enumerate(labels_of("z", truth))]
    without = {one.annotator_id: one.weight for one in reliabilities(alike)}
    held = {one.annotator_id: one.weight for one in reliabilities([*alike[:80], *gold])}
    assert without["x"] > without["z"]
    assert held["x"] == LEAST_WEIGHT and held["z"] > 1


@given(accuracy=st.floats(0.001, 0.999), more=st.floats(0, 0.5), kinds=st.integers(2, 4))
def test_a_weight_rises_with_accuracy_and_is_capped(accuracy, more, kinds):
    weight = weight_of(accuracy, kinds)
    assert LEAST_WEIGHT <= weight <= weight_of(min(accuracy + more, 0.999), kinds) <= MOST_WEIGHT


rows = st.lists(
    st.builds(
        label,
        annotator=st.sampled_from(["x", "y", "z"]),
        pair=st.sampled_from([f"p{n}" for n in range(15)]),
        choice=st.sampled_from(["a", "b", "tie", "both_bad", "skip"]),
        number=st.integers(0, 10_000),
        gold=st.none() | st.sampled_from(["a", "b"]),
        judge_p_a=st.none() | st.floats(0, 1),
        seconds=st.floats(0, 100),
        order=st.permutations((0, 1)).map(tuple),
    ),
    max_size=60,
    unique_by=lambda row: row.label_id,
)


@given(labels=rows, seed=st.randoms())
def test_any_labels_give_a_report_that_hangs_on_no_order(labels, seed):
    report = quality_report(labels)
    json.dumps(dataclasses.asdict(report), allow_nan=False)
    shuffled = list(labels)
    seed.shuffle(shuffled)
    assert quality_report(shuffled) == report
    for one in report.annotators:
        assert LEAST_WEIGHT <= one.weight <= MOST_WEIGHT
        for found in (one.gold_accuracy, one.with_majority, one.first_share, one.quick_share, one.repeats):
            assert isinstance(found, Unknown) or (isinstance(found, Interval) and found.low <= found.high)
    for number in (report.alpha, *(pair.kappa for pair in report.pairs)):
        assert isinstance(number, Unknown) or -1 <= number <= 1


@given(labels=rows)
def test_names_of_annotators_do_not_matter(labels):
    turn = {"x": "z", "y": "x", "z": "y"}
    renamed = [dataclasses.replace(row, annotator_id=turn[row.annotator_id]) for row in labels]
    before, after = quality_report(labels), quality_report(renamed)
    assert before.alpha == after.alpha
    weights = {one.annotator_id: one.weight for one in after.annotators}
    assert {turn[one.annotator_id]: pytest.approx(one.weight, abs=1e-6) for one in before.annotators} == weights
