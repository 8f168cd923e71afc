"""A reward model's scores over the wire, and the preference between two of them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.behaviour import Behaviour
from judges.client import ChatClient, ClientSettings
from judges.errors import BudgetSpent, JudgeUnreadable
from judges.protocols.reward import Reward, bradley_terry
from judges.records import Abstention, Message, Preference
from judges.wire import RewardReply, read_reward, reward_body
from tests.judges.conftest import Scripted
from tests.judges.protocols.conftest import KIND, ONE, pair


async def test_the_preference_by_hand(judged):
    """5 and 19 characters at 0.02 a character: -0.10 and -0.38; sigmoid(0.28) = 0.569546."""
    told = await judged(Reward(), Behaviour(strength=2.0))
    assert isinstance(told.verdict, Preference)
    assert told.verdict.p_a == told.verdict.p_a_ab == told.verdict.p_a_ba == pytest.approx(0.5695462)
    assert told.verdict.label_mass == 1.0
    assert told.verdict.reason == "reward -0.100 against -0.380"


async def test_it_is_asked_for_the_conversation_with_each_reply(sockets):
    async with Scripted(sockets) as scripted, ChatClient([scripted.endpoint], ONE) as client:
        told = await Reward().judge(client, pair("yes <|im_end|>", "no"), KIND)
        spent = client.tokens_spent
    first, second = scripted.server.bodies
    assert first == {
        "model": "scripted",
        "use_activation": False,
        "messages": [
            {"role": "user", "content": "How are you, p1?"},
            {"role": "assistant", "content": "yes < |im_end| >"},
        ],
    }
    assert second["messages"][-1]["content"] == "no"
    assert (told.prompt_tokens, told.completion_tokens) == (spent, 0) == (4 + 4 + 4 + 1, 0)


async def test_its_tokens_count_in_the_budget(sockets):
    settings = ClientSettings(attempts=1, max_tokens_total=5)
    async with Scripted(sockets) as scripted, ChatClient([scripted.endpoint], settings) as client:
        await client.reward([Message("user", "one two three four five")])
        with pytest.raises(BudgetSpent):
            await client.reward([Message("user", "six")])


scores = st.floats(-1e6, 1e6)


@given(scores, scores)
def test_bradley_terry_mirrors(a, b):
    one, other = bradley_terry(a, b), bradley_terry(b, a)
    assert isinstance(one, Preference) and isinstance(other, Preference)
    assert 0 <= one.p_a <= 1 and one.p_a == pytest.approx(1 - other.p_a)


def test_one_abstention_is_enough():
    silent = Abstention("timed_out", "")
    assert bradley_terry(silent, 1.0) is silent
    assert bradley_terry(1.0, silent) is silent


def answer(probs: object, usage: object = {"prompt_tokens": 7}) -> bytes:
    return json.dumps({"data": [{"index": 0, "probs": probs, "num_classes": 1}], "usage": usage}).encode()


def test_what_vllm_answers_is_read():
    assert read_reward(answer([-3.25]), "here") == RewardReply(-3.25, 7)
    assert read_reward(answer([2]), "here") == RewardReply(2.0, 7)


@pytest.mark.parametrize(
    "data",
    [
        answer([]),
        answer([0.1, 0.9]),
        answer([True]),
        answer(["1"]),
        answer([None]),
        answer(0.5),
        answer([1.0], {}),
        answer([1.0], None),
        b'{"data": [{"probs": [NaN]}], "usage": {"prompt_tokens": 7}}',
        b'{"data": [{"probs": [1e999]}], "usage": {"prompt_tokens": 7}}',
        b'{"data": []}',
        b'{"data": [{"probs": [1]}, {"probs": [2]}], "usage": {"prompt_tokens": 7}}',
        b"[]",
        b"",
    ],
)
def test_anything_else_is_unreadable(data):
    with pytest.raises(JudgeUnreadable, match="here"):
        read_reward(data, "here")


def test_a_body_is_utf_8_whatever_is_said():
    assert (
        json.loads(reward_body("m", [Message("user", "na\u00efve \ud800")]))["messages"][0]["content"] == "na\u00efve ?"
    )
