"""What a label project that ranks keeps of its source: the judge's belief on each two replies to a prompt.

Made when the first report asks for it, as judged_pairs.py; a reply is known by a hash of its text.
"""

import asyncio
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from service.artifacts import Artifacts
from service.labelling.agreement import Question
from service.labelling.projects import pairs_of_project
from service.labelling.sources import SourcePair
from service.shards import publish_shard, records_of
from service.store.label_records import LabelProjectRecord
from service.store.references import folder_of
from service.store.store import Store

_OVERALL = ""


@dataclass(frozen=True, slots=True)
class JudgedOrder:
    """`p_a` is the belief that the reply `a` is better than `b`; both are hashes. `principle_id` is empty overall."""

    prompt_id: str
    principle_id: str
    a: str
    b: str
    p_a: float


# Under each question that a ranking answers, the belief that the first of two replies is better, by their hashes.
Orders = Mapping[Question, Mapping[tuple[str, str], float]]


def reply_hash(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=16).hexdigest()


async def judged_orders(
    store: Store, artifacts: Artifacts, project: LabelProjectRecord, prompt_ids: Collection[str]
) -> Orders:
    """Of these prompts, each two replies in both orders."""
    key = f"{folder_of(project.id)}/orders.parquet"
    if not await artifacts.exists(key):
        pairs = await pairs_of_project(store, artifacts, project)
        orders = await asyncio.to_thread(_orders, project.principle_ids or (None,), pairs)
        await publish_shard(artifacts, key, orders, JudgedOrder)
    data = await artifacts.get(key)
    return await asyncio.to_thread(_read, data, prompt_ids)


def _orders(principle_ids: Sequence[str | None], pairs: Sequence[SourcePair]) -> list[JudgedOrder]:
    return [
        JudgedOrder(pair.prompt_id, id or _OVERALL, reply_hash(pair.a), reply_hash(pair.b), p_a)
        for pair in pairs
        for id in principle_ids
        if (p_a := pair.belief(id)) is not None
    ]


def _read(data: bytes, prompt_ids: Collection[str]) -> Orders:
    found: dict[Question, dict[tuple[str, str], float]] = {}
    table = pq.read_table(pa.BufferReader(data), filters=[("prompt_id", "in", list(prompt_ids))])
    for one in records_of(table, JudgedOrder):
        beliefs = found.setdefault((one.prompt_id, one.principle_id or None), {})
        beliefs[one.a, one.b] = one.p_a
        beliefs[one.b, one.a] = 1 - one.p_a
    return found
