"""What the rows of each source count in a mix: votes pooled, the machine's beliefs calibrated, weights measured.

Needs numpy (gold.py). Left out: which rows stay (mix.py).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from training.gold import (
    CHECKS_SHARES,
    JUDGES_SHARES,
    GoldPair,
    answer_strength,
    gold_pairs,
    kinds,
    verdict_worth,
)
from training.people_votes import HIGHEST_P, Agreement, Votes, pair_key, pooled_votes, read_votes
from training.ranked import labels_in_rows
from training.reliability import (
    HIGHEST_WEIGHT,
    BeliefFit,
    SharedPair,
    agreement,
    calibrated,
    fit_belief,
    labels_of,
    log_odds,
    measured_weight,
    pays_length,
    shared_pairs,
)
from training.rows import PreferenceRow, Source
from training.worth import Chances, Had, agreement_beyond_chance, next_worth, verdict_correlation, verdict_weight

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
    def label_strength(self) -> float:
        """What a vote pulls for its weight: pooled votes are softened to 2p - 1 = sqrt(people's agreement)."""
        return math.sqrt(self.beyond_chance) if self.knobs.calibrate and self.votes.people is not None else 1.0


@dataclass(frozen=True, slots=True)
class _Stood:
    """One source beside people's votes: what is fitted to them, None where they are few, and what there is of both."""

    shared: tuple[SharedPair, ...]
    fit: BeliefFit | None
    worth: Chances | None
    had: Had


@dataclass(frozen=True, slots=True)
class Counted:
    """Rows with their beliefs and weights as they count. `people` is None where too few pairs have several votes.

    `gold` are the right answers, under ids of their own: a person may have labelled the same pair.
    """

    human: tuple[PreferenceRow, ...]
    machine: tuple[PreferenceRow, ...]
    gold: tuple[PreferenceRow, ...]
    people: Agreement | None
    standings: tuple[SourceStanding, ...]
    dropped: int


def counted_rows(
    human: Sequence[PreferenceRow],
    machine: Sequence[PreferenceRow],
    measured: Sequence[PreferenceRow],
    knobs: SourceKnobs,
    gold: Sequence[PreferenceRow] = (),
) -> Counted:
    """Beliefs and weights by what people's votes show, and by the right answers `gold`, which count too. `measured` are
    verdicts on people's pairs, to measure by only.

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
        worth = _worth(shared, fit, votes, own, gold_pairs(gold, human, judged, fit.pays_length)) if fit else None
        stood = _Stood(shared, fit, worth, Had(measure.labels, labels_in_rows(own)))
        rows = _weighed(own, stood, measure)
        # What the user gave no weight stays at none; what the labels give none is left out.
        counted += [
            new for row, new in zip(own, rows, strict=True) if new.weight or not row.weight * knobs.machine_weight
        ]
        standings.append(_standing(stood, own, rows))
    order = {row.id: place for place, row in enumerate(machine)}
    return Counted(
        human=tuple(replace(row, weight=row.weight * knobs.human_weight) for row in people),
        machine=tuple(sorted(counted, key=lambda row: order[row.id])),
        gold=_right_answers(gold, human, measure),
        people=votes.people,
        standings=tuple(standings),
        dropped=len(machine) - len(counted),
    )


def _right_answers(
    gold: Sequence[PreferenceRow], human: Sequence[PreferenceRow], by: Measure
) -> tuple[PreferenceRow, ...]:
    """Measured, each weighs what it tells beside a label."""
    weight = by.knobs.human_weight
    if by.knobs.weights == "measured":
        weight *= answer_strength(agreement_beyond_chance(by.votes.people), gold_pairs(gold, human, (), 0.0))
    return tuple(replace(row, id=f"gold-{row.id}", weight=row.weight * weight) for row in gold)


def _standing(stood: _Stood, before: Sequence[PreferenceRow], after: Sequence[PreferenceRow]) -> SourceStanding:
    shared, fit, worth = stood.shared, stood.fit, stood.worth
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
        next_worth=next_worth(worth, stood.had) if worth else None,
        weight=_mean_factor(before, after),
    )


def _worth(
    shared: Sequence[SharedPair], fit: BeliefFit, votes: Votes, own: Sequence[PreferenceRow], gold: Sequence[GoldPair]
) -> Chances:
    correlation = verdict_correlation(shared, fit.pays_length, log_odds(own, fit.pays_length))
    shares = CHECKS_SHARES if own[0].source == "check" else JUDGES_SHARES
    return verdict_worth(correlation, kinds(agreement_beyond_chance(votes.people), shares), gold)


def _weighed(own: Sequence[PreferenceRow], stood: _Stood, by: Measure) -> list[PreferenceRow]:
    """The rows with their beliefs and weights as they count."""
    if stood.fit is None or stood.worth is None:
        weight = by.knobs.machine_weight
        if by.knobs.weights == "measured":
            weight = measured_weight(stood.shared, weight, by.beyond_chance / by.label_strength)
        return [replace(row, weight=row.weight * weight) for row in own]
    fit = stood.fit
    rows = [calibrated(row, fit, by.beyond_chance) for row in own]
    if by.knobs.weights == "given" or fit.slope == 0:
        weight = by.knobs.machine_weight if fit.slope else 0.0
        return [replace(row, weight=row.weight * weight) for row in rows]
    return _by_belief(rows, verdict_weight(stood.worth, stood.had) * by.label_strength)


def _by_belief(rows: Sequence[PreferenceRow], strength: float) -> list[PreferenceRow]:
    """Sure rows whose weights are as their beliefs, 2p - 1, and as the usual verdict's `strength`, at most 4 times a
    label's. A tie stays one.

    At the start a soft label pulls like a sure one of less weight. Later it pulls back a model that has rightly become
    sure; a weight does not.
    """
    usual = math.sqrt(math.fsum((2 * row.p_chosen - 1) ** 2 for row in rows) / len(rows))
    return [
        replace(
            row,
            p_chosen=HIGHEST_P,
            weight=row.weight * min(strength * (2 * row.p_chosen - 1) / usual, HIGHEST_WEIGHT),
        )
        if row.p_chosen > 0.5
        else replace(row, weight=row.weight * strength)
        for row in rows
    ]


def _mean_factor(before: Sequence[PreferenceRow], after: Sequence[PreferenceRow]) -> float:
    given = math.fsum(row.weight for row in before)
    return math.fsum(row.weight for row in after) / given if given else 0.0
