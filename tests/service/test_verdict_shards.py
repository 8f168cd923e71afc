"""Verdicts in shards: a second run asks nothing, an edited principle is judged again and no other."""

import pytest

from constitutions.schema import JudgedPrinciple
from judges.behaviour import Behaviour
from judges.errors import JudgeServerError
from judges.protocols.pairwise import Pairwise
from judges.protocols.registry import load_protocol
from judges.records import Comparison, Message, PrincipleVerdict
from judges.scripted_client import ScriptedClient
from service.artifacts import Artifacts
from service.errors import RunFailed
from service.shards import read_shards
from service.verdict_shards import Judging, ensure_verdict_shards

SHORT = JudgedPrinciple(id="short", kind="judged", text="The reply is short.")
PLAIN = JudgedPrinciple(id="plain", kind="judged", text="The reply is plain.")


def pairs(count=7):
    return [
        Comparison(f"c{n}", f"p{n}", (Message("user", "Why?"),), "Because.", "So" + " so" * n) for n in range(count)
    ]


async def ran(folder, client, *, principles=(SHORT, PLAIN), identity="weights", protocol=None, count=7):
    artifacts = Artifacts(str(folder))
    judging = Judging(client, identity, protocol or Pairwise(), principles, at_once=3)
    keys = [key async for key in ensure_verdict_shards(artifacts, judging, iter(pairs(count)), pairs_per_shard=3)]
    return await read_shards(artifacts, keys, PrincipleVerdict)


async def test_a_second_run_asks_nothing_and_reads_the_same(tmp_path):
    first, second = ScriptedClient(), ScriptedClient()
    made = await ran(tmp_path, first)
    assert (first.calls, len(made)) == (2 * 2 * 7, 2 * 7)
    assert [v.comparison_id for v in made if v.principle_id == "short"] == [f"c{n}" for n in range(7)]
    assert await ran(tmp_path, second) == made
    assert second.calls == 0


async def test_only_what_changed_is_judged_again(tmp_path):
    await ran(tmp_path, ScriptedClient())
    edited = SHORT.model_copy(update={"text": "The reply is very short."})
    for change, calls in (
        ({"principles": (edited, PLAIN)}, 2 * 7),
        ({"identity": "other weights"}, 2 * 2 * 7),
        ({"protocol": load_protocol("pointwise")}, None),
        ({"count": 8}, 2 * 2 * 2),  # the last shard, of c6 alone, is one of c6 and c7 now
    ):
        client = ScriptedClient()
        await ran(tmp_path, client, **change)
        assert client.calls == calls or (calls is None and client.calls > 0)


class Broken(ScriptedClient):
    """Fails as a server."""

    async def chat(self, messages, *, request):
        self.calls += 1
        raise JudgeServerError("model 'scripted' failed with status 500; look at its log")


async def test_a_broken_judge_leaves_no_shard(tmp_path):
    with pytest.raises(RunFailed, match="mend the judge"):
        await ran(tmp_path, Broken())
    client = ScriptedClient(Behaviour())
    await ran(tmp_path, client)
    assert client.calls == 2 * 2 * 7
