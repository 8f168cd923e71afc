"""A pair that a label project may ask about, and a run's: its comparisons with its verdicts. A set's: set_pairs.py."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from constitutions.loader import load_constitution
from judges.combine import combine_verdicts
from judges.qualify import weights_after_qualification
from judges.records import Abstention, Comparison, Conversation, Preference, PrincipleVerdict
from service.artifacts import Artifacts
from service.errors import Conflict
from service.pipeline.calibration import fitted_weights
from service.pipeline.qualification import qualification_from
from service.shards import keys_in, read_shards
from service.store.records import RunRecord
from service.store.store import Store


@dataclass(frozen=True, slots=True)
class SourcePair:
    """Two replies to a prompt. `p_a` is the belief of judge and checks that `a` is better, None where none has one.

    `per_principle` holds it for each principle that answered, `weighed` names those that `p_a` is made of; `order_flip`
    where the judge's two orders disagreed on one of these; `panel_p_a` are the beliefs of other judges. Where the pair
    was read without its replies, for what is believed of it, both are empty.
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
