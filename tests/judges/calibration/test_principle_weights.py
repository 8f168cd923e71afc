"""Principles weighed by people's labels, with weights worked out by hand."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.calibration.principle_weights import PairLabel, fit_weights
from judges.errors import OneLabelClass, TooFewLabels
from judges.records import Abstention, Preference, PrincipleVerdict


def verdict(pair: int, principle: str, p_a: float | None, kind="judged") -> PrincipleVerdict:
    told = Abstention("empty", "") if p_a is None else Preference(p_a, p_a, p_a, 1.0)
    return PrincipleVerdict(f"c{pair}", f"p{pair}", principle, kind, "j", "t", told)


def label(pair: int, label_a: float) -> PairLabel:
    return PairLabel(f"c{pair}", f"p{pair}", label_a)


def half_and_half(pairs: int) -> list[PairLabel]:
    return [label(n, float(n % 2)) for n in range(pairs)]


def right_on(labels: list[PairLabel], right: int, principle: str, p=0.9, kind="judged") -> list[PrincipleVerdict]:
    """Right on the first `right` of the pairs, wrong on the others."""
    return [
        verdict(n, principle, p if (one.label_a == 1) == (n < right) else 1 - p, kind) for n, one in enumerate(labels)
    ]


def test_one_principles_weight_by_hand():
    """Right on 15 of 20 with log-odds of one size, x = +-1 once scaled: 20 sigmoid(w) - 15 + 2 (w - 0.2) = 0.

    At w = 0.8: 20 * 0.68997 - 15 + 1.2 = 0.0 to three digits. Unscaled it is 0.8 / log(9) = 0.3641.
    """
    labels = half_and_half(20)
    found = fit_weights(right_on(labels, 15, "kind"), labels, {"kind": 1.0})
    assert found.weights["kind"] == pytest.approx(0.8 / math.log(9), abs=2e-4)
    assert (found.labels, found.prompts, found.undecided) == (20, 20, 0)
    # As written, the belief is the verdict's own: 15 of 20 right, (15 * 0.01 + 5 * 0.81) / 20.
    assert (found.as_written.accuracy, found.as_written.brier) == pytest.approx((0.75, 0.21))


def test_a_check_counts_as_it_does_in_a_run():
    """Its 1 and 0 are 0.9 and 0.1 to the fit as to `combine_verdicts`: the same weight as above, by another road."""
    labels = half_and_half(20)
    found = fit_weights(right_on(labels, 15, "brief", p=1.0, kind="checked"), labels, {"brief": 3.0})
    assert found.weights["brief"] == pytest.approx(0.8 / math.log(9), abs=2e-4)


def test_people_against_a_principle_bring_it_to_nothing_not_round():
    labels = half_and_half(40)
    verdicts = right_on(labels, 32, "kind") + right_on(labels, 8, "long")
    found = fit_weights(verdicts, labels, {"kind": 1.0, "long": 1.0})
    assert found.weights["long"] == 0 and found.weights["kind"] > 0.3
    # As written both are right on 8, both wrong on 8, and against each other on 24, which are ties: 20 of 40.
    assert found.as_written.accuracy == pytest.approx(0.5) and found.fitted.accuracy == pytest.approx(0.8)


def test_what_has_no_weight_takes_no_part():
    labels = half_and_half(20)
    verdicts = right_on(labels, 15, "kind") + right_on(labels, 20, "unfit")
    found = fit_weights(verdicts, labels, {"kind": 1.0, "unfit": 0.0})
    assert found.weights["unfit"] == 0
    assert found.weights["kind"] == pytest.approx(0.8 / math.log(9), abs=2e-4)


def test_noise_earns_no_skill_by_being_fitted():
    """Twelve coins on 60 pairs fit some of the labels that they are fitted to; on other pairs they are coins."""
    coin = random.Random(0)
    labels = [label(n, float(coin.random() < 0.5)) for n in range(60)]
    verdicts = [verdict(n, f"coin{k}", coin.choice((0.1, 0.9))) for n in range(60) for k in range(12)]
    found = fit_weights(verdicts, labels, {f"coin{k}": 1.0 for k in range(12)})
    assert found.fitted.accuracy < 0.65 and found.fitted.brier > 0.22


def test_abstentions_are_counted_and_pairs_without_any_verdict_left_out():
    labels = half_and_half(24)
    verdicts = [*right_on(labels, 16, "kind")[:-2], verdict(22, "kind", None), verdict(23, "kind", None)]
    found = fit_weights(verdicts, labels, {"kind": 1.0})
    assert (found.labels, found.undecided) == (22, 2)


def test_too_few_prompts_are_refused_however_many_pairs():
    labels = [PairLabel(f"c{n}", f"p{n % 19}", float(n % 2)) for n in range(57)]
    verdicts = right_on(labels, 40, "kind")
    with pytest.raises(TooFewLabels, match="57 got a verdict, on 19 prompts; weights need pairs on 20 prompts"):
        fit_weights(verdicts, labels, {"kind": 1.0})
    with pytest.raises(TooFewLabels, match="of 0 labelled pairs 0"):
        fit_weights((), (), {"kind": 1.0})


def test_labels_that_all_name_one_side_show_nothing():
    labels = [label(n, 1.0) for n in range(24)]
    with pytest.raises(OneLabelClass):
        fit_weights(right_on(labels, 20, "kind"), labels, {"kind": 1.0})


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.sampled_from((0.0, 0.5, 1.0))), min_size=24, max_size=32)
)
def test_turning_every_pair_round_changes_no_weight(rows):
    """And none is ever below 0."""
    rows = [*rows, (0.5, 0.5, 0.0), (0.5, 0.5, 1.0), (0.5, 0.5, 0.0), (0.5, 0.5, 1.0)]

    def fitted(turned: bool):
        verdicts, labels = [], []
        for n, (one, other, said) in enumerate(rows):
            verdicts += [
                verdict(n, "one", 1 - one if turned else one),
                verdict(n, "two", 1 - other if turned else other),
            ]
            labels.append(label(n, 1 - said if turned else said))
        return fit_weights(verdicts, labels, {"one": 1.0, "two": 2.0})

    there, back = fitted(turned=False), fitted(turned=True)
    assert there.weights == pytest.approx(back.weights, abs=1e-4)
    assert min(there.weights.values()) >= 0
    assert there.fitted.brier == pytest.approx(back.fitted.brier, abs=1e-4)
