"""What may go to people as one task, and what routing knows of it: a pair, or for a ranking all pairs of a prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from service.labelling.gains import GainModel, RoutingCandidate, expected_gains
from service.labelling.novelty import novelties
from service.labelling.schemas import LabelProjectRequest
from service.labelling.sources import SourcePair


@dataclass(frozen=True, slots=True)
class Askable:
    """`id` is the pair's, or for a ranking the prompt's; `pairs` are one or more of one prompt."""

    id: str
    pairs: tuple[SourcePair, ...]


def askables(request: LabelProjectRequest, pairs: Sequence[SourcePair]) -> tuple[Askable, ...]:
    """In the order of the source. A reply that is the weaker one of several pairs is rewritten once."""
    if request.kind == "rewrite":
        to_rewrite: dict[tuple[str, str], SourcePair] = {}
        for pair in pairs:
            to_rewrite.setdefault((pair.prompt_id, weaker_reply(pair)), pair)
        return tuple(Askable(pair.pair_id, (pair,)) for pair in to_rewrite.values())
    if request.kind != "rank":
        return tuple(Askable(pair.pair_id, (pair,)) for pair in pairs)
    of_prompt: dict[str, list[SourcePair]] = {}
    for pair in pairs:
        of_prompt.setdefault(pair.prompt_id, []).append(pair)
    return tuple(Askable(prompt_id, tuple(own)) for prompt_id, own in of_prompt.items())


def weaker_reply(pair: SourcePair) -> str:
    """What is worth a better text: the reply that the judge, or the set, puts second."""
    return pair.a if pair.p_a is not None and pair.p_a < 0.5 else pair.b


def candidates_of(
    request: LabelProjectRequest, asked: Sequence[Askable], model: GainModel
) -> tuple[RoutingCandidate, ...]:
    """One for each. A ranking is wanted as much as its pair of most expected gain."""
    texts = {one.pairs[0].prompt_id: "\n".join(turn.content for turn in one.pairs[0].prompt) for one in asked}
    novelty = novelties(texts)
    return tuple(_candidate(request, one, novelty, model) for one in asked)


def candidate_of(pair: SourcePair, principle_id: str | None, novelty: float | None = None) -> RoutingCandidate:
    """Overall, the principles' disagreement and the panel's count too; under one principle, its own belief does."""
    belief = pair.belief(principle_id)
    overall = principle_id is None
    return RoutingCandidate(
        pair_id=pair.pair_id,
        prompt_id=pair.prompt_id,
        p_a=0.5 if belief is None else belief,
        order_flip=pair.order_flip,
        principle_p_a=tuple(p_a for id, p_a in pair.per_principle if id in pair.weighed) if overall else (),
        panel_p_a=pair.panel_p_a if overall else (),
        novelty=novelty,
    )


def principle_of(request: LabelProjectRequest) -> str | None:
    """What a pair is routed by: the one principle asked about, or the whole."""
    return request.principles[0] if len(request.principles) == 1 else None


def _candidate(
    request: LabelProjectRequest, asked: Askable, novelty: Mapping[str, float], model: GainModel
) -> RoutingCandidate:
    found = [candidate_of(pair, principle_of(request), novelty.get(pair.prompt_id)) for pair in asked.pairs]
    best = int(expected_gains(found, model).argmax()) if len(found) > 1 else 0
    return replace(found[best], pair_id=asked.id)
