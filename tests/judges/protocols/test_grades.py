"""Grades and propositions by hand, and what follows from two of them."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.behaviour import Behaviour
from judges.client import ChatClient
from judges.protocols.grades import YES_NO, Grade, Graded, preference_of
from judges.protocols.registry import load_protocol
from judges.records import Abstention, Message, Preference, Prompt
from judges.templates import Template
from tests.judges.conftest import Scripted
from tests.judges.protocols.conftest import KIND, LONG, ONE, SHORT, pair

PROMPT = Prompt("p1", (Message("user", "How are you?"),))


async def grade(sockets: Path, protocol: Graded, reply: str, behaviour: Behaviour):
    async with Scripted(sockets, behaviour) as scripted, ChatClient([scripted.endpoint], ONE) as client:
        return await protocol.grade(client, PROMPT, reply, KIND)


async def test_a_grade_is_the_expected_level(sockets):
    """Each level below 5 loses 2 logits: weights 1, e^-2, e^-4, e^-6, e^-8, in all 1.156465.

    Lost from 5: (0.135335 + 2 * 0.018316 + 3 * 0.002479 + 4 * 0.000335) / 1.156465 = 0.156291.
    """
    told = await grade(sockets, load_protocol("pointwise"), "short", Behaviour(strength=2.0))
    assert isinstance(told, Grade)
    assert told.score == pytest.approx(4.843709, abs=1e-5)
    assert told.label_mass == pytest.approx(0.9)
    assert sum(told.shares) == pytest.approx(1)


async def test_a_proposition_is_the_probability_of_yes(sockets):
    """One level apart at strength 2: 1 / (1 + e^-2)."""
    told = await grade(sockets, load_protocol("proposition"), "short", Behaviour(strength=2.0))
    assert isinstance(told, Grade)
    assert told.score == pytest.approx(0.8807971)
    assert told.shares == pytest.approx((0.1192029, 0.8807971))


async def test_a_judge_without_an_opinion_grades_in_the_middle(sockets):
    told = await grade(sockets, load_protocol("pointwise"), "short", Behaviour(taste="tie"))
    assert isinstance(told, Grade) and told.score == pytest.approx(3)


async def test_a_judge_that_will_not_grade_abstains(sockets):
    told = await grade(sockets, load_protocol("pointwise"), "short", Behaviour(taste="unwilling"))
    assert isinstance(told, Abstention) and told.cause == "no_label_mass"


async def test_a_pairs_verdict_comes_from_its_two_grades(sockets, judged):
    """Yes at 0.8808 for one word, at 0.1192 for twelve words: 0.5 + (0.8808 - 0.1192) / 2."""
    told = await judged(load_protocol("proposition"), Behaviour(strength=2.0), pair(SHORT, "word " * 12))
    assert isinstance(told.verdict, Preference)
    assert told.verdict.p_a == told.verdict.p_a_ab == told.verdict.p_a_ba == pytest.approx(0.8807971)
    assert told.verdict.reason == "grade 0.88 against 0.12"


def test_a_preference_by_hand():
    """P(a above b) = 0.3 * 0.5 + 0.5 * 0.8 = 0.55, P(below) = 0.2 * 0.5 + 0.3 * 0.2 = 0.16: 0.5 + 0.39 / 2."""
    a, b = Grade(2.3, (0.2, 0.3, 0.5), 0.9), Grade(1.7, (0.5, 0.3, 0.2), 0.7)
    told = preference_of(a, b)
    assert isinstance(told, Preference)
    assert told.p_a == pytest.approx(0.695)
    assert told.label_mass == 0.7


def test_one_abstention_is_enough():
    silent, answered = Abstention("refused", ""), Grade(1.0, (0.5, 0.5), 1.0)
    assert preference_of(silent, answered) is silent
    assert preference_of(answered, silent) is silent


weights = st.lists(st.floats(0.01, 1), min_size=2, max_size=9)


@given(weights, st.randoms())
def test_a_preference_is_a_probability_and_mirrors(values, random):
    shuffled = random.sample(values, len(values))
    a, b = (Grade(0.0, tuple(v / math.fsum(w) for v in w), 1.0) for w in (values, shuffled))
    one, other = preference_of(a, b), preference_of(b, a)
    assert isinstance(one, Preference) and isinstance(other, Preference)
    assert 0 <= one.p_a <= 1
    assert one.p_a == pytest.approx(1 - other.p_a)
    assert preference_of(a, a).p_a == pytest.approx(0.5)


async def test_the_scale_is_the_templates(sockets):
    """With the best of 3: weights 1, e^-1, e^-2 at strength 1; lost from 3: (0.367879 + 2 * 0.135335) / 1.503215."""
    template = Template("mine", "{{reply}}\n{{principle}}\nAnswer with one digit from 1 to {{highest}}.")
    told = await grade(sockets, Graded(template, ("1", "2", "3")), LONG, Behaviour(strength=1.0))
    assert isinstance(told, Grade) and told.score == pytest.approx(2.575215, abs=1e-5)
    assert Graded(template, ("1", "2", "3")).template_sha256 != Graded(template, YES_NO).template_sha256
