"""Metrics and a reference are made once for a prompt, before any reply is seen."""

from judges.behaviour import Behaviour, Fault
from judges.client import ChatClient, ClientSettings
from judges.fence import read_fences
from judges.gathering import all_of
from judges.protocols.guided import Guided
from judges.records import Abstention, Preference
from tests.judges.conftest import Scripted
from tests.judges.protocols.conftest import KIND, ONE, pair


async def test_they_are_made_once_for_all_pairs_of_a_prompt(sockets):
    protocol = Guided()
    pairs = [pair("one", "two words", prompt) for prompt in ("p1", "p2")] + [pair("x" * i, "longer") for i in range(4)]
    async with Scripted(sockets) as scripted, ChatClient([scripted.endpoint], ONE) as client:
        told = await all_of(protocol.judge(client, one, KIND) for one in pairs)
        again = await protocol.judge(client, pairs[0], KIND)
    assert scripted.server.kinds == {"write": 2 * 2, "compare": 2 * 7}
    assert all(isinstance(one.verdict, Preference) for one in told)
    assert again.verdict == told[0].verdict


async def test_they_stand_in_the_verdicts_prompt_and_have_seen_no_reply(sockets):
    async with Scripted(sockets) as scripted, ChatClient([scripted.endpoint], ONE) as client:
        await Guided(("metrics", "reference"), max_tokens=50).judge(client, pair("the first", "the second"), KIND)
    prompts = [body["messages"][0]["content"] for body in scripted.server.bodies]
    made = [prompt for prompt, body in zip(prompts, scripted.server.bodies, strict=True) if "logprobs" not in body]
    assert len(made) == 2 and not any("the first" in prompt or "the second" in prompt for prompt in made)
    verdicts = [prompt for prompt in prompts if prompt not in made]
    labels = ["conversation", "conversation metrics", "reply for reference", "reply A", "reply B"]
    assert [[label for label, _ in read_fences(prompt)] for prompt in verdicts] == [labels, labels]


async def test_only_the_guides_asked_for_are_made(sockets):
    async with Scripted(sockets) as scripted, ChatClient([scripted.endpoint], ONE) as client:
        await Guided(("reference",)).judge(client, pair(), KIND)
    assert scripted.server.kinds == {"write": 1, "compare": 2}


async def test_a_refusal_is_heard_once_for_the_prompt(sockets):
    protocol = Guided(("reference",))
    async with (
        Scripted(sockets, Behaviour(taste="unwilling")) as scripted,
        ChatClient([scripted.endpoint], ONE) as client,
    ):
        told = await all_of(protocol.judge(client, pair(str(i)), KIND) for i in range(3))
    assert scripted.server.number == 1
    assert all(isinstance(one.verdict, Abstention) and one.verdict.cause == "refused" for one in told)


async def test_a_failure_on_the_way_is_tried_again_by_the_next_pair(sockets):
    protocol = Guided(("reference",))
    # Both orders of the first pair ask for the text, one after the other.
    failing = Behaviour(faults=(Fault("500", until_request=2),))
    async with (
        Scripted(sockets, failing) as scripted,
        ChatClient([scripted.endpoint], ClientSettings(attempts=1)) as client,
    ):
        first = await protocol.judge(client, pair("first"), KIND)
        second = await protocol.judge(client, pair("second"), KIND)
    assert isinstance(first.verdict, Abstention) and first.verdict.cause == "server_error"
    assert isinstance(second.verdict, Preference)


async def test_another_judge_makes_its_own(sockets):
    protocol = Guided(("reference",))
    async with Scripted(sockets, model="one") as one, Scripted(sockets, model="two") as two:
        for scripted in (one, two):
            async with ChatClient([scripted.endpoint], ONE) as client:
                await protocol.judge(client, pair(), KIND)
    assert one.server.kinds["write"] == two.server.kinds["write"] == 1
