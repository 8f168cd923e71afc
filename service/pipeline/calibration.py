"""Weights from people: some of their own pairs are judged, and the principles' weights follow their labels.

Only principles that the judge is fit for take part. The pairs are drawn by the run's seed; their verdicts are shards as
any others. Left out: the fit itself (judges/calibration/principle_weights.py).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from pydantic import JsonValue, TypeAdapter

from judges.client import ChatClient
from judges.errors import CalibrationError
from judges.qualify import Qualification, weights_after_qualification
from judges.records import Comparison, PrincipleVerdict, Prompt
from service.errors import RunFailed
from service.pipeline.context import RunContext
from service.pipeline.pairs import comparison_of
from service.pipeline.people import people_of
from service.pipeline.replies import groups_of
from service.pipeline.verdicts import ensure_verdicts
from service.shards import read_shards
from service.store.records import JsonObject
from training.mix import first_drawn
from training.rows import PreferenceRow

_WEIGHTS = TypeAdapter(dict[str, float])


async def ensure_calibration(context: RunContext, client: ChatClient, qualification: Qualification) -> JsonObject:
    """The fitted weights with their skill, and the verdicts' shards. Raises RunFailed where the labels allow none."""
    # scipy is a tenth of a worker's start, and few runs ask for this.
    from judges.calibration.principle_weights import PairLabel, fit_weights

    people = await people_of(context)
    rows = first_drawn(people.rows, context.request.judge.calibrate, context.request.seed)
    pairs, said = _labelled(rows)
    labels = [PairLabel(pair.id, pair.prompt_id, said[pair.id]) for pair in pairs]
    principles = context.constitution.principles
    progress = context.progress("judge", len(pairs) * len(principles))
    shards = await ensure_verdicts(context, client, list(groups_of(_by_prompt(pairs))), principles, progress)
    verdicts = await read_shards(context.artifacts, shards, PrincipleVerdict)
    try:
        fitted = fit_weights(verdicts, labels, weights_of(context, qualification))
    except CalibrationError as error:
        raise RunFailed(f"judge.calibrate: {error}") from error
    return {**asdict(fitted), "shards": list[JsonValue](shards)}


def weights_of(context: RunContext, qualification: Qualification) -> Mapping[str, float]:
    """The constitution's own weights, 0 where the judge is unfit."""
    return weights_after_qualification(context.constitution, qualification, context.request.judge.allow_unqualified)


def fitted_weights(calibration: JsonValue) -> Mapping[str, float]:
    """What `ensure_calibration` left; empty where the run asked for none."""
    return _WEIGHTS.validate_python(calibration["weights"]) if isinstance(calibration, dict) else {}


def comparisons_of(rows: Sequence[PreferenceRow]) -> tuple[Comparison, ...]:
    """People's pairs as the judge saw them, each once."""
    return tuple(_labelled(rows)[0])


def _labelled(rows: Sequence[PreferenceRow]) -> tuple[list[Comparison], dict[str, float]]:
    """Each pair once, and what people said of its reply A, averaged. Equal replies say nothing, and are left out."""
    pairs: dict[str, Comparison] = {}
    said: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row.chosen != row.rejected:
            pair = comparison_of(Prompt(row.prompt_id, row.prompt), row.chosen, row.rejected)
            pairs[pair.id] = pair
            said[pair.id].append(row.p_chosen if pair.a == row.chosen else 1 - row.p_chosen)
    return list(pairs.values()), {id: sum(labels) / len(labels) for id, labels in said.items()}


def _by_prompt(pairs: Sequence[Comparison]) -> list[tuple[Comparison, ...]]:
    found: dict[str, list[Comparison]] = defaultdict(list)
    for pair in pairs:
        found[pair.prompt_id].append(pair)
    return [tuple(own) for own in found.values()]
