"""Rows come back from Parquet as they went in, and a shard is made once, whoever is first."""

import asyncio
import io
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judges.records import (
    Abstention,
    Comparison,
    Message,
    Preference,
    PrincipleVerdict,
    Prompt,
    Revision,
    Sample,
    Verdict,
)
from service.artifacts import Artifacts
from service.errors import NotFound, ServiceError
from service.shards import ensure_shard, from_parquet, keys_in, read_shard, read_shards, shard_key, to_parquet
from training.rows import PreferenceRow

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
COUNT = st.integers(0, 2**63 - 1)
MESSAGES = st.lists(
    st.builds(Message, st.sampled_from(["system", "user", "assistant"]), TEXT), min_size=1, max_size=4
).map(tuple)
TAGS = st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple)
VERDICT = st.one_of(
    st.builds(Preference, NUMBER, NUMBER, NUMBER, NUMBER, TEXT),
    st.builds(Abstention, st.sampled_from(["unreadable", "timed_out", "no_label_mass"]), TEXT),
)
RECORDS = {
    Prompt: st.builds(Prompt, TEXT, MESSAGES, st.sampled_from(["train", "held_out"]), TAGS),
    Sample: st.builds(Sample, TEXT, TEXT, COUNT, TEXT, TEXT, TEXT, TEXT, COUNT, COUNT),
    Revision: st.builds(Revision, TEXT, TEXT, TEXT, COUNT, TEXT, TEXT, TEXT, TEXT, TEXT, COUNT, COUNT),
    Comparison: st.builds(Comparison, TEXT, TEXT, MESSAGES, TEXT, TEXT),
    PrincipleVerdict: st.builds(
        PrincipleVerdict, TEXT, TEXT, TEXT, st.sampled_from(["judged", "checked"]), TEXT, TEXT, VERDICT, COUNT, COUNT
    ),
    PreferenceRow: st.builds(
        PreferenceRow,
        *(TEXT, TEXT, MESSAGES, TEXT, TEXT, NUMBER, NUMBER, st.sampled_from(["human", "ai", "check"])),
        *(TEXT, st.lists(TEXT, max_size=3).map(tuple), TEXT, st.lists(st.tuples(TEXT, NUMBER), max_size=3).map(tuple)),
        *(TEXT, TAGS),
    ),
}


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_rows_come_back_as_they_went_in(kind: type, data: st.DataObject) -> None:
    rows = tuple(data.draw(st.lists(RECORDS[kind], max_size=4)))
    stored = to_parquet(rows, kind)
    assert from_parquet(stored, kind) == rows
    assert to_parquet(rows, kind) == stored


def test_other_tools_can_read_the_columns() -> None:
    verdict: Verdict = Preference(0.75, 0.5, 0.9, 1.0)
    row = PrincipleVerdict("c1", "p1", "brief", "judged", "judge", "t", verdict, 7, 1)
    table = pq.read_table(io.BytesIO(to_parquet([row])))
    assert table.column("principle_id").to_pylist() == ["brief"]
    assert table.column("prompt_tokens").to_pylist() == [7]


@dataclass(frozen=True)
class Other:
    id: str


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"not Parquet at all"])
def test_a_broken_shard_is_named(data: bytes) -> None:
    with pytest.raises(ServiceError, match="a shard of Sample cannot be read"):
        from_parquet(data, Sample)


def test_a_shard_cut_off_anywhere_is_refused() -> None:
    whole = to_parquet([Other("x")])
    for length in range(0, len(whole), 7):
        with pytest.raises(ServiceError):
            from_parquet(whole[:length], Other)


def test_a_shard_of_another_version_is_refused() -> None:
    with pytest.raises(ServiceError, match="other columns"):
        from_parquet(to_parquet([Other("x")]), Sample)


def test_only_dataclasses_are_rows() -> None:
    with pytest.raises(ServiceError, match="int is no record"):
        to_parquet([1], int)


def test_a_key_changes_with_each_thing_that_shapes_the_rows() -> None:
    key = shard_key("verdicts", {"b": [2, "x"], "a": 1})
    # printf '{"a":1,"b":[2,"x"]}' | sha256sum
    assert key == "verdicts/454597f51f0e5988dd7d0864f82e826d91fd43ed815a21bb06cd7181e8547a2f.parquet"
    assert len({key, shard_key("verdicts", {"a": 1}), shard_key("samples", {"a": 1, "b": [2, "x"]})}) == 3
    with pytest.raises(ValueError):
        shard_key("verdicts", {"p": float("nan")})


async def test_a_shard_is_made_once(tmp_path: Path) -> None:
    artifacts = Artifacts(str(tmp_path))
    made: list[int] = []

    async def make() -> list[Other]:
        made.append(1)
        return [Other("first"), Other("second")]

    first = await ensure_shard(artifacts, "shards/a.parquet", Other, make)
    again = await ensure_shard(artifacts, "shards/a.parquet", Other, make)
    assert (first, again, made) == ((Other("first"), Other("second")), first, [1])
    assert await read_shards(artifacts, ["shards/a.parquet"] * 2, Other) == first * 2


async def test_an_empty_shard_is_a_shard(tmp_path: Path) -> None:
    async def nothing() -> list[Other]:
        return []

    artifacts = Artifacts(str(tmp_path))
    assert await ensure_shard(artifacts, "empty.parquet", Other, nothing) == ()
    assert await read_shard(artifacts, "empty.parquet", Other) == ()


async def test_where_two_are_making_the_first_to_finish_counts(tmp_path: Path) -> None:
    artifacts = Artifacts(str(tmp_path))
    all_making = asyncio.Barrier(5)

    async def work(name: str) -> tuple[Other, ...]:
        async def make() -> list[Other]:
            await all_making.wait()
            return [Other(name)]

        return await ensure_shard(artifacts, "race.parquet", Other, make)

    results = await asyncio.gather(*(work(str(number)) for number in range(5)))
    assert len(set(results)) == 1
    assert await read_shard(artifacts, "race.parquet", Other) == results[0]


async def test_a_maker_that_fails_leaves_no_shard(tmp_path: Path) -> None:
    async def fail() -> list[Other]:
        raise ServiceError("the judge is down")

    artifacts = Artifacts(str(tmp_path))
    with pytest.raises(ServiceError, match="the judge is down"):
        await ensure_shard(artifacts, "a.parquet", Other, fail)
    with pytest.raises(NotFound):
        await read_shard(artifacts, "a.parquet", Other)


def test_keys_of_a_stage() -> None:
    assert keys_in({"shards": ["a", "b"]}) == ("a", "b")
    assert keys_in({"rows": ["c"]}, "rows") == ("c",)
