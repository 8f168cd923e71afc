"""The pairs that a label project is made of: the rows of a preference set, or a run's comparisons with its verdicts."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from constitutions.loader import load_constitution
from judges.combine import combine_verdicts
from judges.qualify import weights_after_qualification
from judges.records import Abstention, Comparison, Conversation, Preference, PrincipleVerdict
from service.artifacts import Artifacts
from service.errors import Conflict
from service.pipeline.calibration import fitted_weights
from service.pipeline.qualification import qualification_from
from service.shards import from_parquet, keys_in, read_shards
from service.store.records import REVIEW_KIND, PreferenceSetRecord, RunRecord
from service.store.store import Store
from training.rows import PreferenceRow

_Texts = tuple[Conversation, frozenset[str]]


@dataclass(frozen=True, slots=True)
class SourcePair:
    """Two replies to a prompt. `p_a` is the belief of judge and checks that `a` is better, None where none has one.

    `per_principle` holds it for each principle that answered, `weighed` names those that `p_a` is made of; `order_flip`
    where the judge's two orders disagreed on one of these; `panel_p_a` are the beliefs of other judges.
    """

    pair_id: str
    prompt_id: str
    prompt: Conversation
    a: str
    b: str
    p_a: float | None = None
    order_flip: bool = False
    per_principle: tuple[tuple[str, float], ...] = ()
    weighed: frozenset[str] = frozenset()
    panel_p_a: tuple[float, ...] = ()

    def belief(self, principle_id: str | None) -> float | None:
        """Under one principle, or overall."""
        return self.p_a if principle_id is None else dict(self.per_principle).get(principle_id)


async def pairs_of_set(artifacts: Artifacts, source: PreferenceSetRecord) -> tuple[SourcePair, ...]:
    """Each pair of texts once; `a` is the chosen reply. What a person said of a pair is no belief of a machine.

    Of a mixed set, the pairs that people have not answered yet; of pairs under review, all: their answers are in doubt.
    """
    return await asyncio.to_thread(_pairs_in, await artifacts.get(source.artifact), source.kind != REVIEW_KIND)


def _pairs_in(data: bytes, open_alone: bool) -> tuple[SourcePair, ...]:
    found: dict[_Texts, list[PreferenceRow]] = {}
    for row in from_parquet(data, PreferenceRow):
        if row.chosen != row.rejected:
            found.setdefault((row.prompt, frozenset((row.chosen, row.rejected))), []).append(row)
    people = {texts for texts, rows in found.items() if any(row.source == "human" for row in rows)}
    mixed = open_alone and any(row.source != "human" for rows in found.values() for row in rows)
    return tuple(_pair_of_rows(rows) for texts, rows in found.items() if not (mixed and texts in people))


def _pair_of_rows(rows: Sequence[PreferenceRow]) -> SourcePair:
    """All are on the same two texts. The first one's belief is the judge's, those of other judges are the panel's."""
    first = rows[0]
    pair = SourcePair(first.id, first.prompt_id, first.prompt, first.chosen, first.rejected)
    if first.source == "human":
        return pair
    others = {row.judge: row for row in rows if row.judge not in ("", first.judge)}
    return replace(
        pair,
        p_a=first.p_chosen,
        per_principle=first.per_principle,
        weighed=frozenset(id for id, _ in first.per_principle),
        panel_p_a=tuple(row.p_chosen if row.chosen == first.chosen else 1 - row.p_chosen for row in others.values()),
    )


async def pairs_of_run(store: Store, artifacts: Artifacts, run: RunRecord) -> tuple[SourcePair, ...]:
    """The run's comparisons, with the beliefs that its mix takes. Raises Conflict where it has not judged yet."""
    stages = await store.runs.stages(run.id)
    if "judge" not in stages:
        raise Conflict(f"run {run.id} has no verdicts yet; wait until its stage `judge` is done, or take another run")
    judged = stages["judge"].result
    law = await store.constitutions.get(run.project_id, run.references.constitution_id)
    weights = fitted_weights(judged.get("calibration")) or weights_after_qualification(
        load_constitution(law.source, name=law.name),
        qualification_from(judged["qualification"]),
        run.request.judge.allow_unqualified,
    )
    comparisons = await read_shards(artifacts, keys_in(judged, "comparisons"), Comparison)
    verdicts = await read_shards(artifacts, keys_in(judged), PrincipleVerdict)
    by_pair: dict[str, list[PrincipleVerdict]] = defaultdict(list)
    for verdict in verdicts:
        by_pair[verdict.comparison_id].append(verdict)
    return tuple(_judged_pair(pair, by_pair[pair.id], weights) for pair in comparisons if pair.a != pair.b)


def _judged_pair(pair: Comparison, verdicts: Sequence[PrincipleVerdict], weights: Mapping[str, float]) -> SourcePair:
    combined = combine_verdicts(verdicts, weights)
    answers = [(v.principle_id, v.verdict) for v in verdicts if isinstance(v.verdict, Preference)]
    weighed = frozenset(id for id, _ in answers if weights.get(id, 0.0) > 0)
    return SourcePair(
        pair_id=pair.id,
        prompt_id=pair.prompt_id,
        prompt=pair.messages,
        a=pair.a,
        b=pair.b,
        p_a=None if isinstance(combined, Abstention) else combined.p_a,
        order_flip=any(answer.flipped for id, answer in answers if id in weighed),
        per_principle=tuple((id, answer.p_a) for id, answer in answers),
        weighed=weighed,
    )
