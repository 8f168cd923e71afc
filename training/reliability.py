"""What a machine's verdicts are worth beside people's votes, measured on pairs that both judged. Standard library.

Two measurements, which need not know how sure the machine claims to be:
- `fit_belief`: how often people prefer a reply, by the machine's log-odds and the replies' gap in length. It makes
  an overconfident judge modest. What the judge pays for length is taken out of its log-odds first, by all of its
  verdicts (as in arXiv:2404.04475); what people pay for length is put back as far as their votes show it with 95 %
  confidence: they are trained on too, and an error put into every verdict at once would outweigh what weak ones tell.
- `measured_weight`: the slope of people's votes on the beliefs, over what people's own agreement allows. Where verdicts
  and votes are noisy signs of one preference, a loss with these weights uses both as well as can be (each row counts by
  its share of signal, so that its Fisher information is used up). Calibrated beliefs are weighed by their worth instead
  (training/worth.py).
Both have priors that hold while the shared pairs are few. The votes of one ranking are no independent ones: each counts
as the part of a label that it is (training/ranked.py), in likelihood, sums and number, so that neither the priors nor
what is shown with 95 % confidence give way to one person's order of nine replies as they would to 36 votes.
Left out: weights of principles (judges/calibration).
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence, Set
from dataclasses import dataclass
from statistics import NormalDist

from training.errors import TrainingError
from training.people_votes import (
    HIGHEST_P,
    LOWEST_P,
    compared,
    first_reply,
    leaning_to,
    logit,
    p_first,
    pair_key,
    sigmoid,
)
from training.ranked import labels_in
from training.rows import PreferenceRow

FEWEST_VOTES = 20
# Slope 1 (as temperature scaling has it in judges/calibration/scaling.py). In HH-RLHF the longer reply wins 53 %: 0.4
# in log-odds for a gap of 1.
SLOPE_SD, LENGTH_SD = 0.5, 0.4
# Weighs as many votes on sure verdicts as speak for the given weight.
PRIOR_VOTES = 10.0
HIGHEST_WEIGHT = 4.0
ONE_SIDED_Z_95 = 1.6448536269514722
_STEPS, _SMALL = 100, 1e-12
_Point = tuple[float, float, float, float]  # log-odds of the belief, gap in length, vote, what it counts


@dataclass(frozen=True, slots=True)
class SharedPair:
    """A person's vote beside the machine's belief, both of one reply being better, 0 to 1.

    `length_gap` is that reply's length less the other's, over their sum: -1 to 1. The vote counts as `labels` of one.
    """

    belief: float
    vote: float
    length_gap: float
    labels: float = 1.0


@dataclass(frozen=True, slots=True)
class BeliefFit:
    """People's preference = sigmoid(slope * (log-odds of the belief - pays_length * gap) + per_length * gap).

    A slope is above 0, and 0 where votes show with 95 % confidence that it is not; `slope_sd` is how far it may be off.
    `pays_length` is what a gap in length of 1 is to the judge, `per_length` to people.
    """

    slope: float
    pays_length: float
    per_length: float
    slope_sd: float

    def apply(self, belief: float, length_gap: float) -> float:
        """Of the pair turned round, the opposite: there is no intercept."""
        return sigmoid(self.slope * (logit(belief) - self.pays_length * length_gap) + self.per_length * length_gap)


def shared_pairs(
    machine: Sequence[PreferenceRow], human: Sequence[PreferenceRow], weightless: Set[str] = frozenset()
) -> tuple[SharedPair, ...]:
    """Every vote on a pair beside the machine's belief on the same question (`compared`).

    A pair of two equal replies says nothing.
    """
    found: dict[Hashable, list[PreferenceRow]] = defaultdict(list)
    for row in human:
        found[pair_key(row)].append(row)
    return tuple(
        SharedPair(said.belief, said.vote, length_gap(row), labels_in(vote.tags))
        for row in machine
        if row.chosen != row.rejected
        for vote in found.get(pair_key(row), ())
        for said in compared(row, vote, weightless)
    )


def labels_of(shared: Iterable[SharedPair]) -> float:
    """How many labels the votes are worth."""
    return math.fsum(pair.labels for pair in shared)


def length_gap(row: PreferenceRow) -> float:
    """In characters, of the reply that `first_reply` names; 0 for two empty ones."""
    first, total = len(first_reply(row)), len(row.chosen) + len(row.rejected)
    return (2 * first - total) / total if total else 0.0


def pays_length(machine: Sequence[PreferenceRow]) -> float:
    """What a length gap of 1 adds to the machine's log-odds: least squares through the origin, near 0 for few rows."""
    points = sorted((length_gap(row), logit(p_first(row))) for row in machine)
    return math.fsum(gap * x for gap, x in points) / (math.fsum(gap * gap for gap, _ in points) + 1)


def log_odds(machine: Sequence[PreferenceRow], pays_length: float) -> list[float]:
    """Of the machine's beliefs, what it pays for length taken out."""
    return [logit(p_first(row)) - pays_length * length_gap(row) for row in machine]


def fit_belief(shared: Sequence[SharedPair], pays_length: float) -> BeliefFit | None:
    """The most probable slope under normal priors, and of people's pull of length what is shown; None under 20 votes.

    Newton's method on a convex loss, so there is one answer whatever the order of the pairs. A vote's log-likelihood is
    multiplied by what it counts, which makes the curvature that `slope_sd` comes from the variance of the gradient.
    """
    if labels_of(shared) < FEWEST_VOTES:
        return None
    # Sums in floating point follow the order; a fixed one keeps the mix the same for the same rows.
    points = sorted(
        (logit(pair.belief) - pays_length * pair.length_gap, pair.length_gap, pair.vote, pair.labels) for pair in shared
    )
    slope, likeliest = _newton(points)
    slope_sd, length_sd = _sds(points, (slope, likeliest))
    if slope + ONE_SIDED_Z_95 * slope_sd < 0:
        return BeliefFit(0.0, pays_length, 0.0, slope_sd)
    per_length = math.copysign(max(abs(likeliest) - ONE_SIDED_Z_95 * length_sd, 0.0), likeliest)
    return BeliefFit(_positive_part(slope, slope_sd), pays_length, per_length, slope_sd)


def _positive_part(mean: float, sd: float) -> float:
    """The mean of max(slope, 0), the slope being normal: `mean` itself where that is far above 0."""
    normal = NormalDist()
    return mean * normal.cdf(mean / sd) + sd * normal.pdf(mean / sd)


def measured_weight(shared: Sequence[SharedPair], given: float, people_scale: float) -> float:
    """(sum of (belief - 1/2)(vote - 1/2) / people_scale + prior * given) / (sum of (belief - 1/2)^2 + prior), 0 to 4.

    In the sums a vote counts as the part of a label that it is. `people_scale` is what a vote of another person has for
    slope on a person's belief: 1 where people always agree.
    """
    prior = PRIOR_VOTES / 4
    products = sum(sorted(pair.labels * (pair.belief - 0.5) * (pair.vote - 0.5) for pair in shared))
    squares = sum(sorted(pair.labels * (pair.belief - 0.5) ** 2 for pair in shared))
    weight = (products / people_scale + prior * given) / (squares + prior)
    return min(max(weight, 0.0), HIGHEST_WEIGHT)


def agreement(shared: Sequence[SharedPair]) -> float:
    """The share of votes that name the machine's winner; a tie of either is half."""
    if not shared:
        raise TrainingError("no pair was judged by people and the machine; have both judge some pairs")
    sides = ((pair.labels, (pair.belief - 0.5) * (pair.vote - 0.5)) for pair in shared)
    won = math.fsum(labels if side > 0 else labels / 2 if side == 0 else 0.0 for labels, side in sides)
    return won / labels_of(shared)


def whole_belief(p_vote: float, beyond_chance: float) -> float:
    """From one person's vote to people on the whole: (p - 1/2) / sqrt(people's agreement beyond chance) + 1/2.

    One vote errs, so a machine that is always right is not always voted for. Held to 0.01 and 0.99.
    """
    return min(max(0.5 + (p_vote - 0.5) / math.sqrt(beyond_chance), LOWEST_P), HIGHEST_P)


def calibrated(row: PreferenceRow, fit: BeliefFit, beyond_chance: float) -> PreferenceRow:
    """The row with the fitted belief, turned around where the length outweighs the verdict."""
    return leaning_to(row, whole_belief(fit.apply(p_first(row), length_gap(row)), beyond_chance))


def _newton(points: Sequence[_Point]) -> tuple[float, float]:
    """The lowest point of `_loss`. A step that would go up is halved: far from it, Newton's may be too long."""
    at = (1.0, 0.0)
    loss = _loss(points, at)
    for _ in range(_STEPS):
        step = _step(points, at)
        size = 1.0
        while size > _SMALL:
            reached = (at[0] - size * step[0], at[1] - size * step[1])
            found = _loss(points, reached)
            if found <= loss:
                break
            size /= 2
        else:
            return at
        if abs(reached[0] - at[0]) + abs(reached[1] - at[1]) < _SMALL:
            return reached
        at, loss = reached, found
    return at


def _step(points: Sequence[_Point], at: tuple[float, float]) -> tuple[float, float]:
    """The gradient over the curvature, both with the priors'."""
    to_slope, to_length = (at[0] - 1) / SLOPE_SD**2, at[1] / LENGTH_SD**2
    for x, gap, vote, labels in points:
        error = labels * (sigmoid(at[0] * x + at[1] * gap) - vote)
        to_slope, to_length = to_slope + error * x, to_length + error * gap
    of_slope, both, of_length = _curvature(points, at)
    determinant = of_slope * of_length - both * both
    slope_step = (of_length * to_slope - both * to_length) / determinant
    return slope_step, (of_slope * to_length - both * to_slope) / determinant


def _sds(points: Sequence[_Point], at: tuple[float, float]) -> tuple[float, float]:
    """How far the slope may be off, and people's pull of length."""
    of_slope, both, of_length = _curvature(points, at)
    determinant = of_slope * of_length - both * both
    return math.sqrt(of_length / determinant), math.sqrt(of_slope / determinant)


def _curvature(points: Sequence[_Point], at: tuple[float, float]) -> tuple[float, float, float]:
    """Of the loss by slope twice, by both, by length twice."""
    of_slope, both, of_length = 1 / SLOPE_SD**2, 0.0, 1 / LENGTH_SD**2
    for x, gap, _, labels in points:
        p = sigmoid(at[0] * x + at[1] * gap)
        spread = labels * p * (1 - p)
        of_slope, both, of_length = of_slope + spread * x * x, both + spread * x * gap, of_length + spread * gap**2
    return of_slope, both, of_length


def _loss(points: Sequence[_Point], at: tuple[float, float]) -> float:
    """Log loss of the votes, and the priors'."""
    prior = ((at[0] - 1) / SLOPE_SD) ** 2 / 2 + (at[1] / LENGTH_SD) ** 2 / 2
    logits = ((at[0] * x + at[1] * gap, vote, labels) for x, gap, vote, labels in points)
    return prior + sum(labels * (max(z, 0.0) + math.log1p(math.exp(-abs(z))) - vote * z) for z, vote, labels in logits)
