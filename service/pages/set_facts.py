"""What a preference set holds, counted once: sources, how sure the beliefs are, and how far each principle agrees."""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

from service.preference_rows import PreferenceRows, unsure_rows

# Such a pair is shown as unsure: three of five judges, so to speak.
UNSURE_WITHIN = 0.1
BINS = 10
# The principles' detail is JSON in a column: of a large set the first rows tell enough, and the page says so.
MOST_DETAILED = 20_000
_EVEN = 0.5


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """The rows of one source, and the share of them that are unsure: a belief at most `UNSURE_WITHIN` from one half."""

    source: str
    rows: int
    mean_p_chosen: float
    unsure: float


@dataclass(frozen=True, slots=True)
class PrincipleFacts:
    """Of the rows on which a principle answered: the shares in which it is for the chosen reply, or for neither."""

    id: str
    answered: int
    agrees: float
    even: float
    mean_p_chosen: float


@dataclass(frozen=True, slots=True)
class SetFacts:
    """`histogram` counts beliefs from 0.5 to 1 in `BINS` equal bins; `detailed` rows were read for the principles."""

    rows: int
    detailed: int
    sources: tuple[SourceFacts, ...]
    histogram: tuple[int, ...]
    principles: tuple[PrincipleFacts, ...]


def facts_of(stored: PreferenceRows) -> SetFacts:
    """In one pass over three columns."""
    beliefs: dict[str, list[np.ndarray]] = defaultdict(list)
    unsure: Counter[str] = Counter()
    answers: dict[str, list[float]] = defaultdict(list)
    histogram = np.zeros(BINS, dtype=int)
    rows = detailed = 0
    for batch in stored.columns(["p_chosen", "source", "per_principle"]):
        p_chosen, sources = batch["p_chosen"].to_numpy(), np.array(batch["source"].to_pylist(), dtype=object)
        histogram += np.histogram(p_chosen, bins=BINS, range=(_EVEN, 1.0))[0]
        for source in Counter(sources.tolist()):
            beliefs[source].append(p_chosen[sources == source])
        unsure.update(sources[unsure_rows(batch, UNSURE_WITHIN)].tolist())
        rows += batch.num_rows
        if detailed < MOST_DETAILED:
            detailed += batch.num_rows
            for cell in batch["per_principle"].to_pylist():
                for id_, p in json.loads(cell):
                    answers[id_].append(p)
    return SetFacts(
        rows=rows,
        detailed=detailed,
        sources=tuple(_source(name, np.concatenate(parts), unsure[name]) for name, parts in sorted(beliefs.items())),
        histogram=tuple(histogram.tolist()),
        principles=tuple(_principle(id_, np.array(values)) for id_, values in sorted(answers.items())),
    )


def _source(name: str, p_chosen: np.ndarray, unsure: int) -> SourceFacts:
    return SourceFacts(name, len(p_chosen), float(p_chosen.mean()), unsure / len(p_chosen))


def _principle(id_: str, p_chosen: np.ndarray) -> PrincipleFacts:
    agrees, even = float((p_chosen > _EVEN).mean()), float((p_chosen == _EVEN).mean())
    return PrincipleFacts(id_, len(p_chosen), agrees, even, float(p_chosen.mean()))
