"""Weights from people: some of their own pairs are judged, and the principles' weights follow their labels.

Only principles that the judge is fit for take part. The pairs are drawn by the run's seed; their verdicts are shards as
any others. A label under principles says nothing of the others, so it has no part in the fit; its pair is judged where
labels on the whole leave room, since the mix measures the machine by it. So are the pairs of the run's right answers,
all of them, and the fit knows nothing of those. Left out: the fit itself (judges/calibration/principle_weights.py).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from pydantic import JsonValue, TypeAdapter

from judges.client import ChatClient
from judges.errors import CalibrationError
from judges.qualify import ENOUGH_EXAMPLES, Qualification, weights_after_qualification
from judges.records import Comparison, PrincipleVerdict, Prompt
from service.errors import RunFailed
from service.pipeline.context import RunContext
from service.pipeline.gold import gold_of
from service.pipeline.pairs import comparison_of
from service.pipeline.people import people_of
from service.pipeline.replies import groups_of
from service.pipeline.verdicts import ensure_verdicts
from service.shards import read_shards
from service.store.records import JsonObject
from training.mix import first_drawn
from training.people_votes import pair_key
from training.rows import PreferenceRow

_WEIGHTS = TypeAdapter(dict[str, float])


async def ensure_calibration(context: RunContext, client: ChatClient, qualification: Qualification) -> JsonObject:
    """The fitted weights with their skill, and the verdicts' shards; no weights where every label names principles.

    `under_principles` counts the drawn rows that do, `gold` the right answers' pairs that are judged beside the drawn
    ones. Raises RunFailed where the labels allow no fit.
    """
    # scipy is a tenth of a worker's start, and few runs ask for this.
    from judges.calibration.principle_weights import PairLabel, fit_weights

    people = await people_of(context)
    drawn = _drawn(people.rows, context.request.judge.calibrate, context.request.seed)
    pairs = comparisons_of((*drawn.whole, *drawn.under_principles))
    right = comparisons_of(_not_drawn((await gold_of(context)).rows, drawn))
    said = _said(drawn.whole)
    labels = [PairLabel(pair.id, pair.prompt_id, said[pair.id]) for pair in pairs if pair.id in said]
    prompts = len({label.prompt_id for label in labels})
    if labels and prompts < ENOUGH_EXAMPLES:  # before the judge is asked anything
        raise RunFailed(
            f"judge.calibrate: the {len(labels)} labelled pairs are on {prompts} prompts; weights need pairs on "
            f"{ENOUGH_EXAMPLES} prompts or more: label more, raise it if the set has more, or leave it out"
        )
    principles = context.constitution.principles
    progress = context.progress("judge", (len(pairs) + len(right)) * len(principles))
    # Apart, so that a run without right answers and one with them share the verdicts on people's pairs.
    groups = [*groups_of(_by_prompt(pairs)), *groups_of(_by_prompt(right))]
    shards = await ensure_verdicts(context, client, groups, principles, progress)
    verdicts = await read_shards(context.artifacts, shards, PrincipleVerdict)
    left: JsonObject = {
        "under_principles": len(drawn.under_principles),
        "gold": len(right),
        "shards": list[JsonValue](shards),
    }
    if drawn.under_principles:
        await context.warn("judge", _left_out(drawn))
        if not drawn.whole:
            return left
    try:
        fitted = fit_weights(verdicts, labels, weights_of(context, qualification))
    except CalibrationError as error:
        raise RunFailed(f"judge.calibrate: {error}") from error
    return {**asdict(fitted), **left}


def weights_of(context: RunContext, qualification: Qualification) -> Mapping[str, float]:
    """The constitution's own weights, 0 where the judge is unfit."""
    return weights_after_qualification(context.constitution, qualification, context.request.judge.allow_unqualified)


def fitted_weights(calibration: JsonValue) -> Mapping[str, float]:
    """What `ensure_calibration` left; empty where the run asked for none, or no label was on the whole."""
    return _WEIGHTS.validate_python(calibration.get("weights", {})) if isinstance(calibration, dict) else {}


def comparisons_of(rows: Sequence[PreferenceRow]) -> tuple[Comparison, ...]:
    """People's pairs as the judge saw them, each once. Equal replies say nothing, and are left out."""
    pairs = (_pair(row) for row in rows if row.chosen != row.rejected)
    return tuple({pair.id: pair for pair in pairs}.values())


@dataclass(frozen=True, slots=True)
class _Drawn:
    """People's rows to be judged: those about the replies on the whole, and those under principles."""

    whole: tuple[PreferenceRow, ...]
    under_principles: tuple[PreferenceRow, ...]


def _drawn(rows: Sequence[PreferenceRow], most: int, seed: int) -> _Drawn:
    """At most so many, those on the whole first."""
    whole = first_drawn([row for row in rows if not row.per_principle], most, seed)
    others = first_drawn([row for row in rows if row.per_principle], most - len(whole), seed)
    return _Drawn(tuple(whole), tuple(others))


def _not_drawn(gold: Sequence[PreferenceRow], drawn: _Drawn) -> list[PreferenceRow]:
    """The right answers whose pairs are not judged for people's labels anyway."""
    known = {pair_key(row) for row in (*drawn.whole, *drawn.under_principles)}
    return [row for row in gold if pair_key(row) not in known]


def _left_out(drawn: _Drawn) -> str:
    told = (
        f"judge.calibrate: {len(drawn.under_principles)} of the labels name principles and say nothing of the others, "
        "so they have no part in the fit of the weights"
    )
    return told if drawn.whole else f"{told}; no other label is there, and the weights stay as they are written"


def _said(rows: Sequence[PreferenceRow]) -> dict[str, float]:
    """What people said of each pair's reply A, averaged, by the pair's id."""
    said: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row.chosen != row.rejected:
            pair = _pair(row)
            said[pair.id].append(row.p_chosen if pair.a == row.chosen else 1 - row.p_chosen)
    return {id: sum(labels) / len(labels) for id, labels in said.items()}


def _pair(row: PreferenceRow) -> Comparison:
    return comparison_of(Prompt(row.prompt_id, row.prompt), row.chosen, row.rejected)


def _by_prompt(pairs: Sequence[Comparison]) -> list[tuple[Comparison, ...]]:
    found: dict[str, list[Comparison]] = defaultdict(list)
    for pair in pairs:
        found[pair.prompt_id].append(pair)
    return [tuple(own) for own in found.values()]
