"""Rankings are read strictly, and every pair is seen in both orders."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.asking import Asking, outcome_of
from judges.behaviour import Behaviour
from judges.client import ChatClient
from judges.errors import ProtocolError
from judges.protocols.listwise import ListRanking, Listwise, Ranked, presentations, read_permutation
from judges.protocols.registry import load_protocol
from judges.records import Abstention, Message, Preference, Prompt
from tests.judges.conftest import Scripted
from tests.judges.protocols.conftest import KIND, ONE

PROMPT = Prompt("p1", (Message("user", "How are you?"),))
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
REPLIES = ("four", "two", "three hundred", "one")


async def rank(sockets, behaviour, replies=REPLIES, rotations=1):
    protocol = Listwise(load_protocol("listwise").template, rotations)
    async with Scripted(sockets, behaviour) as scripted, ChatClient([scripted.endpoint], ONE) as client:
        return await protocol.rank(client, PROMPT, replies, KIND), scripted.server.number


async def test_the_ranking_of_a_judge_that_likes_short_replies(sockets):
    """3, 3, 4 and 13 characters. `two` and `one` tie: the judge leaves them as shown, so each leads once."""
    told, requests = await rank(sockets, Behaviour())
    assert isinstance(told, ListRanking) and requests == 2
    assert told.answers == (Ranked((0, 1, 2, 3), (1, 3, 0, 2)), Ranked((3, 2, 1, 0), (3, 1, 0, 2)))
    assert told.mean_ranks == (3.0, 1.5, 4.0, 1.5)
    assert told.preference(1, 3).p_a == pytest.approx(0.5)
    assert told.preference(1, 3).flipped


async def test_a_judge_that_only_sees_the_order_says_nothing(sockets):
    told, _ = await rank(sockets, Behaviour(taste="first", strength=0.0), rotations=2)
    assert isinstance(told, ListRanking)
    for a, b in itertools.combinations(range(4), 2):
        assert told.preference(a, b).p_a == pytest.approx(0.5)


def test_preferences_by_hand():
    """One answer for an order says (1 + 1/2) / (1 + 1) = 0.75; both say so, and their mean in logit space is that."""
    agreed = ListRanking((Ranked((0, 1), (0, 1)), Ranked((1, 0), (0, 1))))
    told = agreed.preference(0, 1)
    assert (told.p_a, told.p_a_ab, told.p_a_ba) == (pytest.approx(0.75), 0.75, 0.75)
    assert agreed.preference(1, 0).p_a == pytest.approx(0.25)
    assert agreed.mean_ranks == (1.0, 2.0)


def test_more_answers_are_surer():
    """Two answers for each order, all for the same: (2 + 1/2) / 3 = 5/6."""
    answers = tuple(Ranked(shown, (1, 0, 2, 3)) for shown in presentations(4, 2))
    assert ListRanking(answers).preference(2, 3).p_a == pytest.approx(5 / 6)


@pytest.mark.parametrize(
    ("count", "rotations", "expected"),
    [
        (2, 1, ((0, 1), (1, 0))),
        (2, 5, ((0, 1), (1, 0))),
        (3, 1, ((0, 1, 2), (2, 1, 0))),
        (4, 2, ((0, 1, 2, 3), (3, 2, 1, 0), (2, 3, 0, 1), (1, 0, 3, 2))),
    ],
)
def test_presentations_by_hand(count, rotations, expected):
    assert presentations(count, rotations) == expected


@given(st.integers(2, 26), st.integers(1, 30))
def test_every_pair_is_seen_as_often_in_each_order(count, rotations):
    shown = presentations(count, rotations)
    assert len(set(shown)) == len(shown) and all(sorted(order) == list(range(count)) for order in shown)
    for a, b in itertools.combinations(range(count), 2):
        assert sum(order.index(a) < order.index(b) for order in shown) == len(shown) / 2


@given(st.integers(2, 26).flatmap(lambda n: st.permutations(range(n))), st.sampled_from([" > ", ">", "\n>\n", "> "]))
def test_a_permutation_is_read_back(order, sign):
    text = sign.join(LETTERS[place] for place in order)
    for written in (text, f"  {text}.\n"):
        assert read_permutation(written, len(order)) == tuple(order)


@given(st.text(alphabet="ABCD> \n.,ab1", max_size=14), st.integers(2, 5))
def test_anything_else_is_an_abstention(text, count):
    told = read_permutation(text, count)
    if not isinstance(told, Abstention):
        assert sorted(told) == list(range(count))
        assert text.replace("\n", "").replace(" ", "").rstrip(".").split(">") == [LETTERS[place] for place in told]


@pytest.mark.parametrize(
    "text",
    ["", "A", "A > B", "A > B > B", "A > B > C > D", "A > B > C > A", "A, B, C", "ABC", "a > b > c", "A > B >"],
)
def test_no_guess_is_made_of_three(text):
    assert read_permutation(text, 3) == Abstention("unreadable", text)


@pytest.mark.parametrize(
    "text",
    ["B > A > C, I think", "The ranking is B > A > C", "1. B\n2. A\n3. C", "A > B = C", "[[A]] > B > C", "我不知道"],
)
def test_nor_of_words_around_one(text):
    assert read_permutation(text, 3) == Abstention("unreadable", text)


async def test_an_answer_that_is_cut_off_is_an_abstention(sockets):
    """Six replies need 11 words and may have 28; a ranking is asked for whole, a critique need not be."""
    told, _ = await rank(sockets, Behaviour(), tuple("abcdef"))
    assert isinstance(told, ListRanking)
    async with Scripted(sockets) as scripted, ChatClient([scripted.endpoint], ONE) as client:
        asked = [Message("user", "Tell me a long story.")]
        assert len((await Asking(client, "p1").text(asked, 2)).split()) == 2
        outcome = await outcome_of(Asking(client, "p1").text(asked, 2, whole=True))
    assert isinstance(outcome, Abstention) and outcome.cause == "truncated"


@pytest.mark.parametrize("count", [0, 1, 27])
async def test_a_list_of_one_is_no_list(sockets, count):
    with pytest.raises(ProtocolError, match=f"2 to 26 replies; {count} came for prompt 'p1'"):
        await rank(sockets, Behaviour(), ("x",) * count)


async def test_a_pair_is_a_list_of_two(judged):
    told = await judged(load_protocol("listwise"))
    assert isinstance(told.verdict, Preference)
    assert told.verdict.p_a == pytest.approx(0.75)
    assert told.verdict.label_mass == 1.0
