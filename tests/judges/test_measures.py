"""The numbers of an examination, worked by hand; the scripted judge's beliefs follow from its logits."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constitutions.schema import Constitution, JudgedPrinciple
from judges.behaviour import Behaviour
from judges.choices import Choice
from judges.client import ChatClient, ClientSettings
from judges.compare import average
from judges.intervals import clustered_wilson, wilson
from judges.labelled_sets import labelled_pair
from judges.measures import JudgedPair, Measures, measure
from judges.qualify import qualify
from judges.records import Abstention, Message, Preference
from tests.judges.conftest import Scripted

SHORT, LONG = "Yes.", "That is a question with many sides to it."


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def a_pair(n: int, label: float = 1.0, a: str = SHORT, b: str = LONG):
    return replace(labelled_pair((Message("user", f"{n}?"),), a, b, label, "mine"), principle_id="brief")


async def examined(sockets, pairs, behaviour: Behaviour) -> Measures:
    law = Constitution(name="t", principles=(JudgedPrinciple(kind="judged", id="brief", text="Be brief."),))
    async with (
        Scripted(sockets, behaviour) as scripted,
        ChatClient([scripted.endpoint], ClientSettings(attempts=1)) as client,
    ):
        (found,) = (await qualify(client, law, labelled=pairs)).per_slice
    return found.measures


async def test_a_judge_that_is_right_three_times_in_four(sockets):
    """Strength 2 for the shorter reply, which is the better one of 15 of 20 pairs: every belief is sigmoid(2) = 0.8808.

    kappa = (0.75 - 0.5) / 0.5. alpha, of 80 values: 1 - (10 * 2) / ((80^2 - 2 * 40^2) / 79) = 0.50625. ECE: 0.8808 was
    believed and 0.75 came true. Brier: 0.75 * 0.1192^2 + 0.25 * 0.8808^2. All that the judge sees is length, so given
    the label its belief falls with the gap: (-1 + 0.5 * 0.5) / (1 - 0.5^2) = -1.
    """
    pairs = [a_pair(n, 1.0 if n < 15 else 0.0) for n in range(20)]
    found = await examined(sockets, pairs, Behaviour(taste="shorter", strength=2.0))
    p = sigmoid(2)
    assert (found.examples, found.answered, found.decided, found.prompts) == (20, 20, 20, 20)
    assert (found.accuracy.value, found.consistency.value, found.consistent_and_correct.value) == (0.75, 1.0, 0.75)
    assert (found.low, found.high) == (wilson(15, 20).low, wilson(15, 20).high)
    assert (found.first_pick_rate.value, found.longest_wins.value, found.abstentions) == (0.5, 0.25, {})
    assert found.kappa.value == pytest.approx(0.5)
    assert found.alpha.value == pytest.approx(0.50625)
    assert found.ece.value == pytest.approx(p - 0.75, abs=1e-6)
    assert found.brier.value == pytest.approx(0.75 * (1 - p) ** 2 + 0.25 * p**2, abs=1e-6)
    assert found.length_bias.value == pytest.approx(-1)
    assert found.label_mass.value == pytest.approx(0.9)


async def test_a_judge_that_prefers_the_first_place(sockets):
    """Logit 2 for the shorter and 3 for the first: either order picks the first, their mean is right (logit 2)."""
    found = await examined(sockets, [a_pair(n) for n in range(20)], Behaviour(strength=2.0, first_bias=3.0))
    assert (found.accuracy.value, found.consistency.value, found.first_pick_rate.value) == (1.0, 0.0, 1.0)
    assert found.consistent_and_correct.value == 0.0
    assert found.brier.value == pytest.approx((1 - sigmoid(2)) ** 2, abs=1e-6)


async def test_a_judge_that_will_not_say_has_no_statistic_and_says_why(sockets):
    found = await examined(sockets, [a_pair(n) for n in range(3)], Behaviour(taste="unwilling"))
    assert (found.examples, found.answered, found.low, found.high) == (3, 0, 0.0, 1.0)
    assert found.abstentions == {"no_label_mass": 3}
    undefined = (
        *(found.accuracy, found.consistency, found.consistent_and_correct, found.first_pick_rate, found.label_mass),
        *(found.length_bias, found.kappa, found.alpha, found.ece, found.brier),
    )
    assert all(one.value is None and one.reason for one in undefined)
    assert found.longest_wins.value == 0.0


async def test_length_bias_is_undefined_where_the_label_is_the_length(sockets):
    """The better reply is always the shorter one: nobody can tell whether the judge goes by length or by the matter."""
    found = await examined(sockets, [a_pair(n) for n in range(20)], Behaviour())
    assert found.length_bias.value is None and "determines" in found.length_bias.reason
    few = await examined(sockets, [a_pair(n) for n in range(9)], Behaviour())
    assert few.length_bias.value is None and few.length_bias.reason.startswith("9 answers are too few")


def test_ties_in_labels_are_no_part_of_accuracy():
    """Two right, one tied verdict, one label that is a tie: (1 + 1 + 0.5) / 3 are right. Brier by hand."""
    told = [(1.0, 0.9), (0.0, 0.2), (1.0, 0.5), (0.5, 0.9)]
    judged = [JudgedPair(a_pair(n, label), Preference(p, p, p, 1.0)) for n, (label, p) in enumerate(told)]
    found = measure([*judged, JudgedPair(a_pair(9), Abstention("refused", ""))])
    assert (found.examples, found.answered, found.decided) == (5, 4, 3)
    assert found.accuracy.value == pytest.approx(2.5 / 3)
    assert found.brier.value == pytest.approx((0.01 + 0.04 + 0.25 + 0.16) / 4)
    assert found.longest_wins.value == pytest.approx(
        1 / 4
    )  # of the four pairs with a winner, one wins by B, the longer
    assert found.abstentions == {"refused": 1}


def test_only_ties_have_no_accuracy():
    found = measure([JudgedPair(a_pair(n, 0.5), Preference(0.5, 0.5, 0.5, 1.0)) for n in range(3)])
    assert found.accuracy.value is None and found.longest_wins.value is None
    assert found.kappa.value is None and found.alpha.value is None
    assert found.brier.value == 0.0


BELIEFS = st.sampled_from([0.05, 0.3, 0.5, 0.6, 0.9])


@given(st.lists(st.tuples(BELIEFS, BELIEFS, st.sampled_from([0.0, 0.5, 1.0]), st.integers(1, 60), st.booleans())))
def test_which_reply_is_called_a_changes_nothing(rows):
    straight, turned = [], []
    for n, (ab, ba, label, length, turn) in enumerate(rows):
        p = (ab + ba) / 2
        pair = a_pair(n, label, "x" * length, "y" * 30)
        straight.append(JudgedPair(pair, Preference(p, ab, ba, 0.9)))
        other = a_pair(n, 1 - label, "y" * 30, "x" * length)
        turned.append(JudgedPair(other, Preference(1 - p, 1 - ba, 1 - ab, 0.9)) if turn else straight[-1])
    one, other = measure(straight), measure(turned)
    for name in ("accuracy", "consistency", "consistent_and_correct", "first_pick_rate", "longest_wins", "kappa"):
        assert getattr(one, name).value == pytest.approx(getattr(other, name).value)
    for name in ("alpha", "ece", "brier", "length_bias"):
        assert getattr(one, name).value == pytest.approx(getattr(other, name).value, abs=1e-6)


def test_clustered_wilson_by_hand():
    """Four prompts of two pairs, three all right, one all wrong: the mean's variance, (4/3) (3 * 0.5^2 + 1.5^2) / 8^2 =
    0.0625, is that of 0.1875 / 0.0625 = 3 independent answers.
    """
    values, prompts = [1.0, 1, 1, 1, 1, 1, 0, 0], list("aabbccdd")
    assert clustered_wilson(values, prompts) == wilson(2.25, 3)
    assert clustered_wilson(values, list("abcdefgh")) == wilson(6, 8)
    assert clustered_wilson([1.0] * 8, prompts) == wilson(4, 4)
    assert clustered_wilson([1.0, 0.0], "aa") == wilson(0.5, 1)
    assert clustered_wilson([1.0, 0, 1, 0], "aabb") == wilson(2, 4)  # nothing between the prompts
    assert clustered_wilson([], []) == wilson(0, 0)


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from("abcdef"))))
def test_clusters_never_narrow_an_interval(rows):
    values, prompts = [value for value, _ in rows], [prompt for _, prompt in rows]
    clustered, plain = clustered_wilson(values, prompts), wilson(sum(values), len(values))
    assert clustered.estimate == pytest.approx(plain.estimate)
    assert clustered.high - clustered.low >= plain.high - plain.low - 1e-9


async def test_a_judge_that_only_sees_the_place_is_at_chance(sockets):
    """Both orders cancel out: every verdict is a tie."""
    pairs = [a_pair(n, 1.0, "x" * (n + 1), "y" * 9) for n in range(24)]
    found = await examined(sockets, pairs, Behaviour(taste="tie", first_bias=2.0))
    assert (found.accuracy.value, found.consistency.value, found.first_pick_rate.value) == (0.5, 0.0, 1.0)


def test_no_rounding_makes_a_winner_of_orders_that_cancel_out():
    """Of 1,999 judges of the place alone some 48 have a mean a bit off one half, mostly below it."""
    shares = [sigmoid(n / 200) for n in range(1, 2000)]
    means = [average(Choice(p, 0.9), Choice(p, 0.9)) for p in shares]
    assert any(mean.p_a != 0.5 for mean in means)
    found = measure([JudgedPair(a_pair(n), mean) for n, mean in enumerate(means)])
    assert (found.accuracy.value, found.first_pick_rate.value) == (0.5, 1.0)
