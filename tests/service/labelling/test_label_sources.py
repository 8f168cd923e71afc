"""Where a label project's pairs come from: a set's rows, or a run's comparisons with what was said of them."""

from dataclasses import replace

import pytest

from judges.records import Abstention, Comparison, Message, Preference, PrincipleVerdict
from service.artifacts import Artifacts
from service.errors import Conflict
from service.labelling.candidates import askables
from service.labelling.routing import draw_pairs
from service.labelling.schemas import LabelProjectRequest
from service.labelling.set_pairs import Draw, choose_pairs_of_set, draw_pairs_of_set, pairs_of_set
from service.labelling.sources import SourcePair, pairs_of_run
from service.labelling.tasks import routed_of, tasks_of
from service.shards import publish_shard
from service.store.records import PreferenceSetRecord
from service.store.store import Store
from tests.service.store.rows import Rows
from training.rows import PreferenceRow

PROMPT = (Message("user", "Why?"),)


@pytest.fixture
def artifacts(tmp_path):
    return Artifacts(str(tmp_path / "artifacts"))


def row(id, chosen, rejected, source="ai", p_chosen=0.8) -> PreferenceRow:
    per_principle = (("honest", 0.7),)
    return PreferenceRow(id, "q", PROMPT, chosen, rejected, p_chosen, 1.0, source, per_principle=per_principle)


def the_set(name: str, kind: str) -> PreferenceSetRecord:
    artifact = f"preferences/{name}.parquet"
    return PreferenceSetRecord("prf_1", "prj_1", name, kind, "d" * 64, artifact, 4, {}, None, "")


async def test_a_set_gives_each_pair_of_texts_once(artifacts):
    rows = [row("r1", "x", "y"), row("r2", "y", "x"), row("r3", "x", "z"), row("r4", "x", "x")]
    await publish_shard(artifacts, "preferences/a.parquet", rows, PreferenceRow)
    one, other = await pairs_of_set(artifacts, the_set("a", "human"))
    assert (one.pair_id, one.a, one.b, one.p_a, one.belief("honest")) == ("r1", "x", "y", 0.8, 0.7)
    assert other.pair_id == "r3"


async def test_what_people_answered_is_no_belief_and_of_a_mixed_set_not_asked_again(artifacts):
    people = [row("h1", "x", "y", "human"), row("h2", "x", "z", "human")]
    await publish_shard(artifacts, "preferences/h.parquet", people, PreferenceRow)
    for pair in await pairs_of_set(artifacts, the_set("h", "human")):
        assert (pair.p_a, pair.belief("honest")) == (None, None)
    mixed = [*people, row("r1", "y", "x"), row("r2", "y", "z")]
    await publish_shard(artifacts, "preferences/m.parquet", mixed, PreferenceRow)
    assert [pair.pair_id for pair in await pairs_of_set(artifacts, the_set("m", "mixed"))] == ["r2"]


async def test_of_pairs_under_review_all_are_asked_with_the_machines_belief(artifacts):
    under_review = [row("r1", "y", "x"), row("h1", "x", "y", "human"), row("h2", "x", "y", "human")]
    await publish_shard(artifacts, "preferences/r.parquet", under_review, PreferenceRow)
    [pair] = await pairs_of_set(artifacts, the_set("r", "review"))
    assert (pair.pair_id, pair.a, pair.b, pair.p_a) == ("r1", "y", "x", 0.8)


async def test_other_judges_of_the_same_texts_are_a_panel(artifacts):
    rows = [
        replace(row("r1", "x", "y"), judge="one"),
        replace(row("r2", "y", "x", p_chosen=0.9), judge="two"),
        replace(row("r3", "x", "y", p_chosen=0.6), judge="three"),
        replace(row("r4", "x", "y", p_chosen=0.7), judge="one"),
    ]
    await publish_shard(artifacts, "preferences/p.parquet", rows, PreferenceRow)
    [pair] = await pairs_of_set(artifacts, the_set("p", "ai"))
    assert (pair.pair_id, pair.p_a, pair.weighed) == ("r1", 0.8, {"honest"})
    assert pair.panel_p_a == pytest.approx((0.1, 0.6))


async def test_a_draw_from_a_set_is_that_of_its_pairs_and_keeps_their_texts_alone(artifacts):
    rows = [replace(row(f"r{n}", f"x{n}", "y", p_chosen=0.6), judge="one") for n in range(40)]
    rows += [replace(row(f"again{n}", "y", f"x{n}", p_chosen=0.9), judge="two") for n in range(40)]
    rows += [row("h0", "x0", "y", "human"), row("same", "y", "y")]
    await publish_shard(artifacts, "preferences/d.parquet", rows, PreferenceRow)
    source = the_set("d", "mixed")
    everything = await pairs_of_set(artifacts, source)
    assert [pair.pair_id for pair in everything] == [f"r{n}" for n in range(1, 40)]
    found = await draw_pairs_of_set(artifacts, source, Draw(budget=6, seed=3, named=frozenset({"r5", "h0"})))
    names = [pair.pair_id for pair in everything if pair.pair_id != "r5"]
    assert found.routed == draw_pairs(names, 6, 3)
    assert {one.probability for one in found.routed} == {6 / 38} and len({one.pair_id for one in found.routed}) == 6
    wanted = {"r5", *(one.pair_id for one in found.routed)}
    assert found.pairs == tuple(pair for pair in everything if pair.pair_id in wanted)
    assert all(pair.panel_p_a == pytest.approx((0.1,)) for pair in found.pairs)
    all_of_them = await draw_pairs_of_set(artifacts, source, Draw(budget=100, seed=3, named=frozenset()))
    assert all_of_them.pairs == everything and {one.routed_by for one in all_of_them.routed} == {"all"}


async def test_pairs_are_chosen_by_what_is_believed_of_them_before_a_reply_is_kept(artifacts):
    beliefs = {"one": 0.55, "two": 0.9}
    rows = [replace(row(f"{judge}{n}", f"x{n}", "y"), judge=judge) for judge in beliefs for n in range(40)]
    rows = [
        replace(one, p_chosen=beliefs[one.judge] - 0.01 * (k % 7), prompt_id=f"q{k % 9}") for k, one in enumerate(rows)
    ]
    await publish_shard(artifacts, "preferences/u.parquet", rows, PreferenceRow)
    source = the_set("u", "ai")
    everything = await pairs_of_set(artifacts, source)
    assert all(len(pair.panel_p_a) == 1 for pair in everything)
    gold = [{"pair_id": "one5", "choice": "a"}]
    routing = {"policy": "uncertain", "budget_labels": 8, "random_share": 0.25}
    request = LabelProjectRequest.model_validate({"name": "x", "preference_set": "u", "gold": gold, "routing": routing})
    seen: list[SourcePair] = []

    def choose(pairs):
        seen.extend(pairs)
        return routed_of(request, askables(request, pairs))

    found = await choose_pairs_of_set(artifacts, source, choose, frozenset({"one5"}))
    assert seen == [replace(pair, a="", b="") for pair in everything if pair.pair_id != "one5"]
    assert await pairs_of_set(artifacts, source, replies=False) == tuple(
        replace(pair, a="", b="") for pair in everything
    )
    wanted = {"one5", *(one.pair_id for one in found.routed)}
    assert len(wanted) == 9 and found.pairs == tuple(pair for pair in everything if pair.pair_id in wanted)
    assert tasks_of(request, found.pairs, found.routed) == tasks_of(request, everything)


async def test_pairs_of_one_prompt_share_its_text(artifacts):
    other = (Message("user", "Who?"),)
    rows = [row("r1", "x", "y"), row("r2", "x", "z"), replace(row("r3", "x", "w"), prompt=other)]
    await publish_shard(artifacts, "preferences/s.parquet", rows, PreferenceRow)
    one, two, three = await pairs_of_set(artifacts, the_set("s", "ai"))
    assert one.prompt is two.prompt and (two.prompt, three.prompt) == (PROMPT, other)


async def test_a_run_gives_its_comparisons_with_the_beliefs_that_its_mix_takes(database_url, artifacts):
    store = Store(database_url)
    try:
        run = await Rows(store, (await store.access.ensure_project("default")).id).run()
        with pytest.raises(Conflict, match="has no verdicts yet"):
            await pairs_of_run(store, artifacts, run)
        pairs = [Comparison(f"cmp_{n}", "q", PROMPT, f"a{n}", f"b{n}") for n in range(2)]
        said = [
            ("cmp_0", "honest", Preference(0.9, 0.95, 0.3, 1.0)),  # the two orders name different replies
            ("cmp_0", "kind", Preference(0.2, 0.2, 0.2, 1.0)),
            ("cmp_1", "honest", Abstention("refused", "no")),
        ]
        verdicts = [
            PrincipleVerdict(pair, "q", principle, "judged", "j", "t", verdict) for pair, principle, verdict in said
        ]
        await publish_shard(artifacts, "c.parquet", pairs, Comparison)
        await publish_shard(artifacts, "v.parquet", verdicts, PrincipleVerdict)
        judged = {"comparisons": ["c.parquet"], "shards": ["v.parquet"], "calibration": {"weights": {"honest": 1.0}}}
        await store.runs.record_stage(run.id, "judge", judged, 1.0)
        one, other = await pairs_of_run(store, artifacts, run)
    finally:
        await store.close()
    # Of weight 1 alone, `honest` is the belief; `kind` has no weight, and stands beside it.
    assert (one.pair_id, one.a, one.b, one.order_flip) == ("cmp_0", "a0", "b0", True)
    assert one.p_a == pytest.approx(0.9)
    assert one.per_principle == (("honest", 0.9), ("kind", 0.2))
    assert one.weighed == {"honest"}
    assert (other.p_a, other.order_flip, other.per_principle) == (None, False, ())
