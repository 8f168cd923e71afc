"""The pairs of a preference set, read in parts: all of them, or a few that are drawn by lot before any text is kept.

The set is read twice: once for which pairs there are, by a number and an id of each, and once for what is wanted.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import compress

import pyarrow as pa

from service.artifacts import Artifacts
from service.labelling.routing import Routed, draw_pairs
from service.labelling.sources import SourcePair
from service.preference_rows import PAIR_COLUMNS, PreferenceRows, pair_hashes
from service.shards import records_of
from service.store.records import REVIEW_KIND, PreferenceSetRecord
from training.rows import PreferenceRow


@dataclass(frozen=True, slots=True)
class Draw:
    """How many pairs at most, by which seed. Those that are `named` are given too, and not drawn."""

    budget: int
    seed: int
    named: frozenset[str]


@dataclass(frozen=True, slots=True)
class DrawnPairs:
    """`routed` are those that were drawn, with their chance of it; None where nothing was."""

    pairs: tuple[SourcePair, ...]
    routed: tuple[Routed, ...] | None = None


async def pairs_of_set(artifacts: Artifacts, source: PreferenceSetRecord) -> tuple[SourcePair, ...]:
    """Each pair of texts once; `a` is the chosen reply. What a person said of a pair is no belief of a machine.

    Of a mixed set, the pairs that people have not answered yet; of pairs under review, all: their answers are in doubt.
    """
    return (await _read(artifacts, source, None)).pairs


async def draw_pairs_of_set(artifacts: Artifacts, source: PreferenceSetRecord, draw: Draw) -> DrawnPairs:
    """A sample of the pairs that `pairs_of_set` gives. Only the texts of these are kept."""
    return await _read(artifacts, source, draw)


async def _read(artifacts: Artifacts, source: PreferenceSetRecord, draw: Draw | None) -> DrawnPairs:
    file = await artifacts.open(source.artifact)
    return await asyncio.to_thread(lambda: _drawn(PreferenceRows(file), source.kind != REVIEW_KIND, draw))


def _drawn(stored: PreferenceRows, open_alone: bool, draw: Draw | None) -> DrawnPairs:
    id_of = _open_pairs(stored, open_alone)
    if draw is None:
        return DrawnPairs(_pairs_of(stored, id_of))
    routed = draw_pairs([id for id in id_of.values() if id not in draw.named], draw.budget, draw.seed)
    wanted = {one.pair_id for one in routed} | draw.named
    return DrawnPairs(_pairs_of(stored, {pair for pair, id in id_of.items() if id in wanted}), routed)


def _open_pairs(stored: PreferenceRows, open_alone: bool) -> Mapping[int, str]:
    """By the hash of its texts the id of each pair, which is its first row's."""
    id_of: dict[int, str] = {}
    people: set[int] = set()
    mixed = False
    for batch in stored.columns([*PAIR_COLUMNS, "id", "source"]):
        columns = (batch.column(name).to_pylist() for name in ("id", "source", "chosen", "rejected"))
        for pair, id, source, chosen, rejected in zip(pair_hashes(batch), *columns, strict=True):
            if chosen == rejected:
                continue
            id_of.setdefault(pair, id)
            if source == "human":
                people.add(pair)
            else:
                mixed = True
    return {pair: id for pair, id in id_of.items() if pair not in people} if open_alone and mixed else id_of


def _pairs_of(stored: PreferenceRows, wanted: Collection[int]) -> tuple[SourcePair, ...]:
    """In the order of their first rows, whose belief is the judge's; those of other judges are the panel's."""
    found: dict[int, SourcePair] = {}
    judge_of: dict[int, str] = {}
    panel_of: dict[int, dict[str, float]] = {}
    for batch in stored.stored():
        hashes = pair_hashes(batch)
        here = [pair in wanted for pair in hashes]
        for pair, row in zip(
            compress(hashes, here), records_of(batch.filter(pa.array(here)), PreferenceRow), strict=True
        ):
            if pair not in found:
                found[pair] = _pair_of(row)
                judge_of[pair] = row.judge
            elif row.judge not in ("", judge_of[pair]):
                p_a = row.p_chosen if row.chosen == found[pair].a else 1 - row.p_chosen
                panel_of.setdefault(pair, {})[row.judge] = p_a
    for pair, panel in panel_of.items():
        if found[pair].p_a is not None:
            found[pair] = replace(found[pair], panel_p_a=tuple(panel.values()))
    return tuple(found.values())


def _pair_of(row: PreferenceRow) -> SourcePair:
    pair = SourcePair(row.id, row.prompt_id, row.prompt, row.chosen, row.rejected)
    if row.source == "human":
        return pair
    weighed = frozenset(id for id, _ in row.per_principle)
    return replace(pair, p_a=row.p_chosen, per_principle=row.per_principle, weighed=weighed)
