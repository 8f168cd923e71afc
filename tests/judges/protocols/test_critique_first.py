"""The judge reasons, then answers after its own reasoning; the clamp is exact."""

import pytest

from judges.behaviour import Behaviour, Fault
from judges.client import ChatClient
from judges.errors import ProtocolError
from judges.fence import escape, read_fences
from judges.protocols.critique_first import CritiqueFirst
from judges.records import Abstention, Preference
from judges.scripted_verdicts import written_text
from tests.judges.conftest import PLAIN, Scripted
from tests.judges.protocols.conftest import KIND, LONG, ONE, SHORT, pair


async def test_the_verdict_follows_the_reasoning_of_its_order(sockets):
    async with Scripted(sockets) as scripted, ChatClient([scripted.endpoint], ONE) as client:
        told = await CritiqueFirst(max_tokens=77).judge(client, pair(), KIND)
    reasons = [body for body in scripted.server.bodies if "logprobs" not in body]
    by_prompt = {
        body["messages"][0]["content"]: written_text(body["messages"][0]["content"], PLAIN) for body in reasons
    }
    choices = [body for body in scripted.server.bodies if "logprobs" in body]
    assert len(reasons) == len(choices) == 2
    assert all(body["max_tokens"] == 77 and body["temperature"] == 0 for body in reasons)
    for body in choices:
        asked, reasoned, decide = body["messages"]
        assert (asked["role"], reasoned["role"], decide["role"]) == ("user", "assistant", "user")
        assert reasoned["content"] == escape(by_prompt[asked["content"]]) != by_prompt[asked["content"]]
        assert decide["content"].endswith("Answer with exactly one letter, A or B, and nothing else.")
        assert body["max_tokens"] == 1
    firsts = {dict(read_fences(body["messages"][0]["content"]))["reply A"] for body in choices}
    assert firsts == {SHORT, LONG}
    assert isinstance(told.verdict, Preference)
    shows_a_first = next(prompt for prompt in by_prompt if dict(read_fences(prompt))["reply A"] == SHORT)
    assert told.verdict.reason == by_prompt[shows_a_first]


@pytest.mark.parametrize(
    ("strength", "lowest_p", "expected"),
    [(2.0, 0.0, 0.8807971), (2.0, 0.4, 0.6), (-2.0, 0.4, 0.4), (0.2, 0.4, 0.5498340), (2.0, 0.2, 0.8), (2.0, 0.5, 0.5)],
)
async def test_the_clamp_is_exact_and_leaves_what_is_inside(judged, strength, lowest_p, expected):
    """1 / (1 + e^-2) = 0.8808 and 1 / (1 + e^-0.2) = 0.5498; 0.4 clamps to 0.4 and 0.6 to the last digit."""
    told = await judged(CritiqueFirst(lowest_p=lowest_p), Behaviour(strength=strength))
    assert isinstance(told.verdict, Preference)
    if expected in (0.4, 0.5, 0.6, 0.8):
        assert told.verdict.p_a == expected
    assert told.verdict.p_a == pytest.approx(expected)
    assert told.verdict.p_a_ab == pytest.approx(1 / (1 + 2.718281828459045**-strength))


@pytest.mark.parametrize("lowest_p", [-0.1, 0.51, float("nan")])
def test_a_clamp_that_leaves_nothing_is_refused(lowest_p):
    with pytest.raises(ProtocolError, match=r"0 to 0\.5"):
        CritiqueFirst(lowest_p=lowest_p)


async def test_without_reasoning_there_is_no_verdict(judged):
    told = await judged(CritiqueFirst(), Behaviour(faults=(Fault("empty", only="write"),)))
    assert told.verdict == Abstention("empty", "")


def test_settings_that_change_a_verdict_change_its_key():
    keys = {p.template_sha256 for p in (CritiqueFirst(), CritiqueFirst(128), CritiqueFirst(lowest_p=0.4))}
    assert len(keys) == 3
