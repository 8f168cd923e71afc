"""The pairs of a preference set, read in parts: all of them, or a few that are chosen before any reply is kept.

The set is read twice: once for which pairs there are, by a number and an id of each, and once for what is wanted; where
the judge's beliefs decide which these are, once more between.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import compress
from sys import intern

import pyarrow as pa

from judges.records import Conversation
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


@dataclass(frozen=True, slots=True)
class _First:
    """Of a pair's first row: who judged it, and a number for its chosen reply."""

    judge: str
    a_hash: int


# Which pairs to send, of all that there are.
Choose = Callable[[Sequence[SourcePair]], Sequence[Routed]]


async def pairs_of_set(
    artifacts: Artifacts,
    source: PreferenceSetRecord,
    *,
    replies: bool = True,
    only: Collection[str] | None = None,
) -> tuple[SourcePair, ...]:
    """Each pair of texts once; `a` is the chosen reply. What a person said of a pair is no belief of a machine.

    Of a mixed set, the pairs that people have not answered yet; of pairs under review, all: their answers are in doubt.
    `only` are the ids of those that are wanted, where that is not all.
    """

    def read(stored: PreferenceRows) -> tuple[SourcePair, ...]:
        id_of = _open_pairs(stored, source)
        wanted = id_of if only is None else _named(id_of, only)
        return _pairs_of(stored, wanted, replies=replies)

    return await asyncio.to_thread(read, await _opened(artifacts, source))


async def draw_pairs_of_set(artifacts: Artifacts, source: PreferenceSetRecord, draw: Draw) -> DrawnPairs:
    """A sample of the pairs that `pairs_of_set` gives. Only the texts of these are kept."""

    def drawn(stored: PreferenceRows) -> DrawnPairs:
        id_of = _open_pairs(stored, source)
        routed = draw_pairs([id for id in id_of.values() if id not in draw.named], draw.budget, draw.seed)
        return _with_replies(stored, id_of, draw.named, routed)

    return await asyncio.to_thread(drawn, await _opened(artifacts, source))


async def choose_pairs_of_set(
    artifacts: Artifacts, source: PreferenceSetRecord, choose: Choose, named: frozenset[str]
) -> DrawnPairs:
    """Those that `choose` takes of the pairs that `pairs_of_set` gives without replies, and those that are `named`."""

    def chosen(stored: PreferenceRows) -> DrawnPairs:
        id_of = _open_pairs(stored, source)
        routed = choose([pair for pair in _pairs_of(stored, id_of, replies=False) if pair.pair_id not in named])
        return _with_replies(stored, id_of, named, routed)

    return await asyncio.to_thread(chosen, await _opened(artifacts, source))


async def _opened(artifacts: Artifacts, source: PreferenceSetRecord) -> PreferenceRows:
    return await asyncio.to_thread(PreferenceRows, await artifacts.open(source.artifact))


def _with_replies(
    stored: PreferenceRows, id_of: Mapping[int, str], named: frozenset[str], routed: Sequence[Routed]
) -> DrawnPairs:
    wanted = {one.pair_id for one in routed} | named
    return DrawnPairs(_pairs_of(stored, _named(id_of, wanted)), tuple(routed))


def _named(id_of: Mapping[int, str], ids: Collection[str]) -> Mapping[int, str]:
    return {pair: id for pair, id in id_of.items() if id in ids}


def _open_pairs(stored: PreferenceRows, of: PreferenceSetRecord) -> Mapping[int, str]:
    """By the hash of its texts the id of each pair, which is its first row's."""
    open_alone = of.kind != REVIEW_KIND
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


def _pairs_of(stored: PreferenceRows, id_of: Mapping[int, str], *, replies: bool = True) -> tuple[SourcePair, ...]:
    """Those of `id_of`, in the order of their first rows, whose belief is the judge's; other judges are the panel.

    What is the same in many pairs is kept once: a prompt's text, principles.
    """
    found: dict[int, SourcePair] = {}
    first_of: dict[int, _First] = {}
    panel_of: dict[int, dict[str, float]] = {}
    prompts: dict[str, Conversation] = {}
    for batch in stored.stored():
        hashes = pair_hashes(batch)
        here = [pair in id_of for pair in hashes]
        for pair, row in zip(
            compress(hashes, here), records_of(batch.filter(pa.array(here)), PreferenceRow), strict=True
        ):
            if pair not in found:
                prompt = prompts.setdefault(row.prompt_id, row.prompt)
                found[pair] = _pair_of(row, id_of[pair], prompt if prompt == row.prompt else row.prompt, replies)
                first_of[pair] = _First(row.judge, hash(row.chosen))
            elif row.judge not in ("", first_of[pair].judge):
                p_a = row.p_chosen if hash(row.chosen) == first_of[pair].a_hash else 1 - row.p_chosen
                panel_of.setdefault(pair, {})[row.judge] = p_a
    for pair, panel in panel_of.items():
        if found[pair].p_a is not None:
            found[pair] = replace(found[pair], panel_p_a=tuple(panel.values()))
    return tuple(found.values())


def _pair_of(row: PreferenceRow, id: str, prompt: Conversation, replies: bool) -> SourcePair:
    a, b = (row.chosen, row.rejected) if replies else ("", "")
    pair = SourcePair(id, row.prompt_id, prompt, a, b)
    if row.source == "human":
        return pair
    per_principle = tuple((intern(id), p_chosen) for id, p_chosen in row.per_principle)
    weighed = _principles(tuple(id for id, _ in per_principle))
    return replace(pair, p_a=row.p_chosen, per_principle=per_principle, weighed=weighed)


# Most pairs were judged under the same principles: one set of these stands for all.
@lru_cache(maxsize=256)
def _principles(ids: tuple[str, ...]) -> frozenset[str]:
    return frozenset(ids)
