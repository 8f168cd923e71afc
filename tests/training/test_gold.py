"""What gold says of a judge's kind: likelihoods worked by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.records import Message
from training.gold import CHECKS_SHARES, GoldPair, Kind, answer_strength, gold_pairs, kinds, verdict_worth, worths
from training.people_votes import LOWEST_AGREEMENT, Agreement
from training.rows import PreferenceRow, Source
from training.worth import Chances, agreement_beyond_chance

RIGHT = GoldPair(1.0, 1, 0)


def known(value: float) -> Chances:
    return Chances((value,), (1.0,))


def row(pair: int, winner: str, source: Source, p: float = 0.88) -> PreferenceRow:
    texts = ("a", "b") if winner == "a" else ("b", "a")
    return PreferenceRow(f"{source}{pair}", str(pair), (Message("user", str(pair)),), *texts, p, 1.0, source)


def test_a_verdict_with_peoples_errors_is_worth_less_than_one_with_errors_of_its_own():
    # people agree beyond chance by 0.64; a tenth, three tenths ... nine tenths of its errors are people's:
    # ((1 - h) / 0.64 + h)^2, up to (1 / 0.64)^2 = 2.44 for none and 1 for all
    found = [kind.worth(0.1) / 0.01 for kind in kinds(known(0.64))]
    assert found == pytest.approx([2.26879, 1.94254, 1.64160, 1.36598, 1.11566], abs=1e-4)
    assert kinds(known(0.64))[0].worth(1.0) == pytest.approx(1 / 0.64)
    assert [kind.worth(0.1) for kind in kinds(known(0.64), CHECKS_SHARES)] == [pytest.approx(0.01 * 0.64**-2)]
    # where people always agree there are no errors to share
    assert [kind.worth(0.6) for kind in kinds(known(1.0))] == pytest.approx([0.36] * 5)


def test_a_right_answer_weighs_the_more_the_less_people_agree():
    assert answer_strength(known(0.25), [RIGHT]) == pytest.approx(2.0)
    # people who agree by 1 / 3 are right by 1 / 2: sin(30 degrees) = 1 / 2, whose root is the sine of 45 degrees; one
    # vote that is right has the chances 1 and 3 / 4 of both, so their agreement is on the mean
    # (1 + 1 / 3 * 3 / 4) / 1.75 = 5 / 7
    assert answer_strength(Chances((1 / 3, 1.0), (0.5, 0.5)), [RIGHT]) == pytest.approx((7 / 5) ** 0.5)
    # of ten that are half wrong it is the lower, and nothing runs over
    assert answer_strength(Chances((1 / 3, 1.0), (0.5, 0.5)), [GoldPair(0.0, 5, 5)] * 400) == pytest.approx(3**0.5)


def test_worth_is_the_ratio_of_information():
    # right in 80 % of votes: c^2 = 0.36 times the mean of the values above
    assert verdict_worth(known(0.6), kinds(known(0.64))).mean == pytest.approx(0.36 * 1.66691, abs=1e-4)
    # no correlation with people on the whole is over 1
    assert verdict_worth(known(1.0), kinds(known(0.2))).values[-1] == pytest.approx(1 / 0.2)
    both = verdict_worth(Chances((0.1, 0.3), (0.5, 0.5)), kinds(known(1.0)))
    assert both.values == pytest.approx((0.01,) * 5 + (0.09,) * 5)
    assert both.chances == pytest.approx((0.1,) * 10)


def test_few_kinds_have_about_the_mean_of_all():
    people = agreement_beyond_chance(Agreement(100, 0.75))
    found = kinds(people)
    wanted = sum(
        chance * ((1 - h) / a + h) ** 2 / 5
        for a, chance in zip(people.values, people.chances, strict=True)
        for h in (0.1, 0.3, 0.5, 0.7, 0.9)
    )
    assert len(found) == 60 and math.fsum(kind.chance for kind in found) == pytest.approx(1)
    assert sum(kind.worth(0.01) * 1e4 * kind.chance for kind in found) == pytest.approx(wanted, rel=0.01)


def test_people_who_err_where_replies_are_close():
    # agreement beyond chance 1/3: asin(sqrt(sin(30 degrees))) = asin(0.7071) is 45 of 90 degrees
    assert Kind(1 / 3, 0.0, 1.0).person_right == pytest.approx(0.5)
    assert [Kind(1 / 3, h, 1.0).rightness for h in (0.0, 0.5, 1.0)] == pytest.approx([2.0, 1.25, 0.5])
    assert Kind(1.0, 0.3, 1.0).person_right == pytest.approx(1) and Kind(1.0, 0.3, 1.0).rightness == pytest.approx(1)


def test_two_normal_errors_agree_as_the_formula_says():
    rng = np.random.default_rng(1)
    true_N, one_N, other_N = rng.normal(size=(3, 400_000))
    first_N, second_N = np.sign(true_N + one_N), np.sign(true_N + other_N)
    # errors as large as the preference: a = 2 / pi * asin(1 / 2) = 1/3
    assert np.mean(first_N * second_N) == pytest.approx(1 / 3, abs=0.005)
    assert np.mean(first_N * np.sign(true_N)) == pytest.approx(Kind(1 / 3, 0.0, 1.0).person_right, abs=0.005)


def test_gold_weighs_how_right_people_are():
    # c = 0.4. a = 1/3, errors of its own: P(g | j) = 0.9, P(v | g, j) = 0.75. a = 1: 0.7 and 1. P(v | j) = 0.7
    under = (Kind(1 / 3, 0.0, 0.5), Kind(1.0, 0.0, 0.5))
    ratio = 0.9 * 0.75 / 0.7
    assert worths(known(0.4), under, [RIGHT]).chance_CK[0] == pytest.approx([ratio / (1 + ratio), 1 / (1 + ratio)])
    # without a vote the verdict alone, without a verdict the vote alone: 0.75 and 1 over a half
    assert worths(known(0.4), under, [GoldPair(1.0, 0, 0)]).chance_CK[0, 0] == pytest.approx(0.9 / 1.6)
    assert worths(known(0.4), under, [GoldPair(0.0, 1, 0)]).chance_CK[0, 0] == pytest.approx(0.75 / 1.75)


def test_errors_on_the_same_pairs_are_peoples():
    # both wrong, c = 0.4, a = 1/3: with errors of its own 0.1 * 0.25 / 0.7, with people's 0.4 * (0.7 / 1.6) / 0.7
    under = (Kind(1 / 3, 0.0, 0.5), Kind(1 / 3, 1.0, 0.5))
    own, copied = 0.1 * 0.25, 0.4 * 0.7 / 1.6
    assert worths(known(0.4), under, [GoldPair(-1.0, 0, 1)]).chance_CK[0, 1] == pytest.approx(copied / (own + copied))
    # two votes count as two
    twice = worths(known(0.4), under, [GoldPair(-1.0, 0, 2)]).chance_CK[0]
    assert twice[1] / twice[0] == pytest.approx(0.4 * (0.7 / 1.6) ** 2 / (0.1 * 0.25**2))


def test_gold_tells_a_copy_of_the_votes_from_errors_of_its_own():
    prior = kinds(agreement_beyond_chance(None))
    alike = Chances((0.2, 0.3, 0.4), (0.25, 0.5, 0.25))
    # the vote is right wherever anybody looks, and the judge copies it in 13 of 20
    copied = [GoldPair(1.0, 1, 0)] * 13 + [GoldPair(-1.0, 1, 0)] * 7
    # people right in 15 of 20, the judge in 16, and they err apart
    apart = [GoldPair(1.0, 1, 0)] * 12 + [GoldPair(-1.0, 1, 0)] * 3 + [GoldPair(1.0, 0, 1)] * 4 + [GoldPair(-1.0, 0, 1)]
    unknown, less, more = (verdict_worth(alike, prior, gold).mean for gold in ((), copied, apart))
    assert 0.09 < less < 0.6 * unknown and more > 1.5 * unknown


def test_gold_pairs_hold_what_was_said_of_each():
    machine = [row(0, "a", "ai"), row(1, "b", "ai"), row(2, "a", "ai", p=0.5)]
    human = [row(0, "a", "human", p=1.0), row(1, "a", "human", p=1.0), row(3, "b", "human", p=1.0)]
    right = [row(n, "a", "human", p=1.0) for n in range(4)]
    found = gold_pairs(right, [*human, row(1, "b", "human", p=1.0), row(2, "a", "human", p=0.5)], machine, 0.0)
    # strengths over the root mean square of three verdicts, one of which is a tie
    assert [pair.strength for pair in found] == pytest.approx([math.sqrt(1.5), -math.sqrt(1.5), 0, 0])
    assert [(pair.right, pair.wrong) for pair in found] == [(1, 0), (1, 1), (0, 0), (0, 1)]


@given(st.lists(st.tuples(st.floats(-9, 9), st.integers(0, 3), st.integers(0, 3)), max_size=30), st.floats(0, 1))
def test_chances_stay_chances(values, correlation):
    found = worths(known(correlation), kinds(agreement_beyond_chance(None)), [GoldPair(*value) for value in values])
    assert found.chance_CK.sum() == pytest.approx(1) and (found.chance_CK >= 0).all()
    chances = found.chances()
    assert list(chances.values) == sorted(chances.values) and 0 <= chances.mean <= 1 / LOWEST_AGREEMENT
