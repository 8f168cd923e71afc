"""What the rows of each source count in a mix: votes pooled, the machine's beliefs calibrated, weights measured.

Standard library. Left out: which rows stay (mix.py).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from training.people_votes import HIGHEST_P, Agreement, Votes, pair_key, pooled_votes, read_votes
from training.ranked import labels_in_rows
from training.reliability import (
    BeliefFit,
    SharedPair,
    agreement,
    calibrated,
    fit_belief,
    labels_of,
    measured_weight,
    pays_length,
    shared_pairs,
    whole_belief,
)
from training.rows import PreferenceRow, Source
from training.worth import Had, agreement_beyond_chance, next_worth, verdict_correlation, verdict_worth

Weights = Literal["given", "measured"]


@dataclass(frozen=True, slots=True)
class SourceStanding:
    """How a machine source did beside people's votes, and what follows. None is what could not be measured.

    `agreement` is the share of `shared_votes` that name its winner; rows of a ranking count there as the labels that
    they are worth (training/ranked.py). `slope`, `pays_length` and `per_length` are the calibration's; `worth` is how
    many labels one verdict is worth, with its 95 % interval, and `next_worth` what the next verdict is
    (training/worth.py); `weight` is the mean factor on its rows. 0 says that its verdicts bear out nothing: its rows
    are left out.
    """

    source: Source
    shared_votes: float
    agreement: float | None
    slope: float | None
    pays_length: float | None
    per_length: float | None
    worth: float | None
    weight: float
    worth_low: float | None = None
    worth_high: float | None = None
    next_worth: float | None = None


@dataclass(frozen=True, slots=True)
class SourceKnobs:
    """Of `MixConfig`, what this file reads."""

    weights: Weights
    calibrate: bool
    human_weight: float
    machine_weight: float
    weightless: frozenset[str]


@dataclass(frozen=True, slots=True)
class Measure:
    """The knobs, what people's votes say of people, and how many labels there are."""

    knobs: SourceKnobs
    votes: Votes
    labels: float

    @property
    def beyond_chance(self) -> float:
        return self.votes.beyond_chance

    @property
    def pooled(self) -> bool:
        """Whether people's votes are softened by their agreement already."""
        return self.knobs.calibrate and self.votes.people is not None

    @property
    def people_scale(self) -> float:
        """The slope of another person's vote on a person's belief: what a machine's slope is measured against."""
        return math.sqrt(self.beyond_chance) if self.pooled else self.beyond_chance


@dataclass(frozen=True, slots=True)
class Counted:
    """Rows with their beliefs and weights as they count. `people` is None where too few pairs have several votes."""

    human: tuple[PreferenceRow, ...]
    machine: tuple[PreferenceRow, ...]
    people: Agreement | None
    standings: tuple[SourceStanding, ...]
    dropped: int


def counted_rows(
    human: Sequence[PreferenceRow],
    machine: Sequence[PreferenceRow],
    measured: Sequence[PreferenceRow],
    knobs: SourceKnobs,
) -> Counted:
    """Beliefs and weights by what people's votes show. `measured` are verdicts on people's pairs, to measure by only.

    With weights as given and nothing calibrated, only the given weights are put on.
    """
    votes = read_votes(human)
    people = pooled_votes(human, votes) if knobs.calibrate else tuple(human)
    measure = Measure(knobs, votes, labels_in_rows(human))
    standings: list[SourceStanding] = []
    counted: list[PreferenceRow] = []
    for source in sorted({row.source for row in machine}):
        own = [row for row in machine if row.source == source]
        # A pair that was judged for the run and to measure by has two rows, and one verdict.
        judged = list({pair_key(row): row for row in (*own, *measured) if row.source == source}.values())
        shared = shared_pairs(judged, human, knobs.weightless)
        # A check of length is meant to go by length; a judge's taste for it is taken out.
        fit = fit_belief(shared, pays_length(judged) if source == "ai" else 0.0) if knobs.calibrate else None
        weight = _weight(shared, fit, measure)
        rows = [_counted_row(row, fit, weight, measure) for row in own]
        # What the user gave no weight stays at none; what the labels give none is left out.
        counted += [
            new for row, new in zip(own, rows, strict=True) if new.weight or not row.weight * knobs.machine_weight
        ]
        standings.append(_standing(shared, fit, own, rows, measure))
    order = {row.id: place for place, row in enumerate(machine)}
    return Counted(
        human=tuple(replace(row, weight=row.weight * knobs.human_weight) for row in people),
        machine=tuple(sorted(counted, key=lambda row: order[row.id])),
        people=votes.people,
        standings=tuple(standings),
        dropped=len(machine) - len(counted),
    )


def _standing(
    shared: Sequence[SharedPair],
    fit: BeliefFit | None,
    before: Sequence[PreferenceRow],
    after: Sequence[PreferenceRow],
    by: Measure,
) -> SourceStanding:
    people = agreement_beyond_chance(by.votes.people)
    worth = verdict_worth(verdict_correlation(shared, fit.pays_length), people) if fit else None
    return SourceStanding(
        source=before[0].source,
        shared_votes=labels_of(shared),
        agreement=agreement(shared) if shared else None,
        slope=fit.slope if fit else None,
        pays_length=fit.pays_length if fit else None,
        per_length=fit.per_length if fit else None,
        worth=worth.mean if worth else None,
        worth_low=worth.quantile(0.025) if worth else None,
        worth_high=worth.quantile(0.975) if worth else None,
        next_worth=next_worth(worth, Had(by.labels, labels_in_rows(before))) if worth else None,
        weight=_mean_factor(before, after),
    )


def _weight(shared: Sequence[SharedPair], fit: BeliefFit | None, by: Measure) -> float:
    if fit is not None and fit.slope == 0:
        return 0.0
    if by.knobs.weights == "given":
        return by.knobs.machine_weight
    if fit is None:
        return measured_weight(shared, by.knobs.machine_weight, by.people_scale)
    beliefs = [whole_belief(fit.apply(pair.belief, pair.length_gap), by.beyond_chance) for pair in shared]
    after = [replace(pair, belief=belief) for pair, belief in zip(shared, beliefs, strict=True)]
    # A calibrated belief has the slope sqrt(beyond_chance): without any votes that is what it is taken for.
    given = by.knobs.machine_weight * math.sqrt(by.beyond_chance) / by.people_scale
    return measured_weight(after, given, by.people_scale)


def _counted_row(row: PreferenceRow, fit: BeliefFit | None, weight: float, by: Measure) -> PreferenceRow:
    """With both knobs on, the belief goes into the weight: a verdict right in 80 % is a sure one of weight 0.6.

    At the start both pull alike. Later a soft label pulls back a model that has rightly become sure; a weight does not.
    """
    if fit is not None:
        row = calibrated(row, fit, by.beyond_chance)
        if by.knobs.weights == "measured" and row.p_chosen > 0.5:
            row, weight = replace(row, p_chosen=HIGHEST_P), weight * (2 * row.p_chosen - 1)
    return replace(row, weight=row.weight * weight)


def _mean_factor(before: Sequence[PreferenceRow], after: Sequence[PreferenceRow]) -> float:
    given = math.fsum(row.weight for row in before)
    return math.fsum(row.weight for row in after) / given if given else 0.0
