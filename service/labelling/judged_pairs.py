"""What a label project keeps of its source: the judge's verdict on each pair, and how likely that one is right.

A source may have a million pairs with their texts, and does not change. A report on the judge needs three columns of
them: the first one reads the source and keeps these, and the others read them alone.
"""

import asyncio
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from judges.calibration.labels import Floats
from service.artifacts import Artifacts
from service.labelling.candidates import candidate_of
from service.labelling.gains import UNFITTED, RoutingCandidate, expected_gains
from service.labelling.projects import pairs_of_project
from service.labelling.sources import SourcePair
from service.store.label_records import LabelProjectRecord
from service.store.references import folder_of
from service.store.store import Store

_SCHEMA = pa.schema(
    [("principle_id", pa.string()), ("pair_id", pa.string()), ("p_a", pa.float64()), ("p_right", pa.float64())]
)


@dataclass(frozen=True, slots=True)
class JudgedPairs:
    """Of each pair the belief that A is better, one half where there is none, and that this verdict is people's."""

    pair_ids: pa.Array
    p_a_N: Floats
    p_right_N: Floats

    def places(self, pair_ids: Iterable[str]) -> npt.NDArray[np.int32]:
        """Where these pairs stand, -1 for one that is not there."""
        asked = pa.array(list(pair_ids), pa.string())
        place_K: npt.NDArray[np.int32] = pc.index_in(asked, value_set=self.pair_ids).fill_null(-1).to_numpy()
        return place_K

    def without(self, pair_ids: Iterable[str]) -> "JudgedPairs":
        """All but these pairs, whether they are there or not."""
        stays_N = np.ones(len(self.pair_ids), np.bool_)
        place_K = self.places(pair_ids)
        stays_N[place_K[place_K >= 0]] = False
        return JudgedPairs(self.pair_ids.filter(pa.array(stays_N)), self.p_a_N[stays_N], self.p_right_N[stays_N])


def judged_pairs(candidates: Sequence[RoutingCandidate]) -> JudgedPairs:
    return JudgedPairs(
        pa.array([candidate.pair_id for candidate in candidates], pa.string()),
        np.array([candidate.p_a for candidate in candidates], np.float64),
        1 - expected_gains(candidates, UNFITTED),
    )


async def ensure_judged_pairs(
    store: Store, artifacts: Artifacts, project: LabelProjectRecord
) -> dict[str | None, JudgedPairs]:
    """Under each principle that the project asks about, or overall (None)."""
    key = f"{folder_of(project.id)}/judged.parquet"
    asked: tuple[str | None, ...] = project.principle_ids or (None,)
    if not await artifacts.exists(key):
        pairs = await pairs_of_project(store, artifacts, project, replies=False)
        await artifacts.put_new(key, await asyncio.to_thread(_written, asked, pairs))
    data = await artifacts.get(key)
    return await asyncio.to_thread(lambda: {id: _read(data, id) for id in asked})


def _written(principle_ids: Sequence[str | None], pairs: Sequence[SourcePair]) -> bytes:
    out = io.BytesIO()
    with pq.ParquetWriter(out, _SCHEMA, compression="zstd") as writer:
        for id in principle_ids:
            found = judged_pairs([candidate_of(pair, id) for pair in pairs])
            ids = pa.array([id] * len(pairs), pa.string())
            columns = [ids, found.pair_ids, pa.array(found.p_a_N), pa.array(found.p_right_N)]
            writer.write_table(pa.Table.from_arrays(columns, schema=_SCHEMA))
    return out.getvalue()


def _read(data: bytes, principle_id: str | None) -> JudgedPairs:
    table = pq.read_table(pa.BufferReader(data))
    ids = table.column("principle_id")
    own = table.filter(pc.is_null(ids) if principle_id is None else pc.equal(ids, principle_id))
    return JudgedPairs(
        own.column("pair_id").combine_chunks(), own.column("p_a").to_numpy(), own.column("p_right").to_numpy()
    )
