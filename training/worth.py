"""What a machine's verdict is worth in labels of a person, and what it should weigh beside them. Needs numpy.

A label and a verdict are noisy signs of what people prefer on the whole. A sign's Fisher information is its squared
correlation with that. For a label it is people's agreement beyond chance, a. For a verdict it follows from its
correlation c with a vote, and from whose errors it makes: with errors of its own it is c^2 / a, so that it is worth
(c / a)^2 labels; with people's very errors, as a noisy copy of a vote, it is c^2 a, worth c^2 labels. In between
nobody can tell without gold (training/gold.py). Few labels leave much open in c and a too, so worth is a posterior over
all three.

What is bought is spent on a fit whose variance is, at best, one over its information I (Cramér and Rao; information
adds up). How much a fit loses by that is `BEND`: `next_worth`, `verdict_weight` and training/purchase.py make
E[I^(-1/4)] small. A label is known to be worth 1, and such a mean is ruled by its bad cases: so verdicts must be shown
to be worth their price, the more so the more hangs on them already. Rows of a ranking count as the part of a label that
they are, in votes and in what is there already (training/ranked.py): so a posterior is as wide as the votes leave it.
Left out: that labels also tell what to buy next (training/purchase.py).
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.people_votes import LOWEST_AGREEMENT, PRIOR_VOTES, USUAL_AGREEMENT, Agreement, logit, sigmoid
from training.reliability import SLOPE_SD, SharedPair

# A linear model of normal features with the information I names the wrong reply in arctan(sqrt(D / I)) / pi of pairs.
# That falls as I^(-1/2) where it is nearly always right, and as -log I where it is right in three of four; at five of
# six, where I is 3 D, it bends as I^(-1/4) does.
BEND = 0.25
_STEPS, _HALVINGS = 60, 50
_LEAST = 1e-9
# Four standard deviations over what a judge's slope is taken for: nothing is made of what hardly leans to a side.
_HIGHEST_SLOPE = 1 + 4 * SLOPE_SD


@dataclass(frozen=True, slots=True)
class Chances:
    """What a number may be: values from the least up, and the chance of each."""

    values: tuple[float, ...]
    chances: tuple[float, ...]

    @property
    def mean(self) -> float:
        return math.fsum(value * chance for value, chance in zip(self.values, self.chances, strict=True))

    @property
    def sd(self) -> float:
        mean = self.mean
        squares = ((value - mean) ** 2 * chance for value, chance in zip(self.values, self.chances, strict=True))
        return math.sqrt(math.fsum(squares))

    def quantile(self, p: float) -> float:
        """The least value that is not passed with chance `p`."""
        below = 0.0
        for value, chance in zip(self.values, self.chances, strict=True):
            below += chance
            if below >= p:
                return value
        return self.values[-1]


@dataclass(frozen=True, slots=True)
class Had:
    """Labels and verdicts that are there already, the rows of a ranking as what they are worth."""

    labels: float
    verdicts: float


def verdict_correlation(shared: Sequence[SharedPair], pays_length: float, verdicts: Sequence[float]) -> Chances:
    """Of a calibrated verdict with a vote, sqrt(mean of (2p - 1)^2), 0 to 1.

    Before any votes it has the distribution beta(2, 3): half of it lies between 0.24 and 0.54, since model judges side
    with a person's vote in 62.7 to 78.0 % of pairs (RLAIF, arXiv:2309.00267, tables 2 and 3: 0.25 to 0.56).

    The mean is over `verdicts`, as `log_odds` gives them: which pairs people were asked about (mostly doubtful ones)
    changes what is known of the slope, not how much the rest tell. A judge that would best be turned round is none of
    these: votes against it leave it near 0.
    """
    points = sorted((logit(pair.belief) - pays_length * pair.length_gap, pair.vote, pair.labels) for pair in shared)
    # To a hundredth: there may be a million verdicts.
    told = sorted(Counter(round(abs(x), 2) for x in verdicts).items())
    values, logs = [], []
    before = 0.0
    for place in range(_STEPS):
        # The steps are small where the slope is: there an error would tell most.
        slope = _HIGHEST_SLOPE * ((place + 0.5) / _STEPS) ** 2
        squares = math.fsum(count * (2 * sigmoid(slope * x) - 1) ** 2 for x, count in told)
        tells = math.sqrt(squares / len(verdicts)) if verdicts else 0.0
        if tells > before:
            values.append(tells)
            logs.append(_log_likelihood(slope, points) + math.log(tells - before) + _log_prior(tells))
            before = tells
    return _normalised(values, logs) if values else Chances((0.0,), (1.0,))


def agreement_beyond_chance(people: Agreement | None) -> Chances:
    """Of two people: a beta distribution, whose prior is the usual agreement in ten votes."""
    shared, agreed = (people.shared, people.shared * people.agreement) if people else (0, 0.0)
    same = PRIOR_VOTES * USUAL_AGREEMENT + agreed
    other = PRIOR_VOTES * (1 - USUAL_AGREEMENT) + shared - agreed
    step = (1 - LOWEST_AGREEMENT) / _STEPS
    values = [LOWEST_AGREEMENT + step * (place + 0.5) for place in range(_STEPS)]
    logs = [(same - 1) * math.log((1 + a) / 2) + (other - 1) * math.log((1 - a) / 2) for a in values]
    return _normalised(values, logs)


def next_worth(worth: Chances, had: Had) -> float:
    """How many labels the next verdict is worth beside what is there: buy verdicts while one costs less than that.

    E[w / I^(5/4)] / E[1 / I^(5/4)], I = labels + w * verdicts: by how much one of each lowers E[I^(-1/4)].
    """
    weights = [
        chance / (had.labels + value * had.verdicts) ** (1 + BEND)
        for value, chance in zip(worth.values, worth.chances, strict=True)
    ]
    return math.fsum(w * value for w, value in zip(weights, worth.values, strict=True)) / math.fsum(weights)


def verdict_weight(worth: Chances, had: Had) -> float:
    """What a verdict should weigh in a loss where a label weighs 1.

    A verdict of worth w tells s = sqrt(w) as much as a label does. With the weight t, the information is
    (labels + verdicts * t * s)^2 / (labels + verdicts * t^2), most at t = s. Where s is uncertain, E[I^(-1/4)] has its
    lowest point where t is the mean of s, weighted by 1 / (labels + verdicts * t * s)^(3/2).
    """
    strengths, chances = np.sqrt(worth.values), np.array(worth.chances)
    low, high = 0.0, float(strengths[-1])
    for _ in range(_HALVINGS):
        weight = (low + high) / 2
        pull = chances * (strengths - weight) / (had.labels + had.verdicts * weight * strengths) ** (1 + 2 * BEND)
        low, high = (weight, high) if pull.sum() > 0 else (low, weight)
    return (low + high) / 2


def _log_prior(correlation: float) -> float:
    """Of beta(2, 3), but for a constant; the least number keeps 1 from being impossible."""
    return math.log(correlation) + 2 * math.log(max(1 - correlation, _LEAST))


def _log_likelihood(slope: float, points: Sequence[tuple[float, float, float]]) -> float:
    """Of the votes; points are the verdict's log-odds, the vote, and what it counts."""
    logits = ((slope * x, vote, labels) for x, vote, labels in points)
    return math.fsum(labels * (vote * z - max(z, 0.0) - math.log1p(math.exp(-abs(z)))) for z, vote, labels in logits)


def _normalised(values: Sequence[float], logs: Sequence[float]) -> Chances:
    heights = [math.exp(log - max(logs)) for log in logs]
    total = math.fsum(heights)
    return Chances(tuple(values), tuple(height / total for height in heights))
