"""What a machine's verdict is worth in labels of a person, and which of the two to buy next. Standard library.

A label and a verdict are noisy signs of what people prefer on the whole. A sign's Fisher information is its squared
correlation with that: for a label people's agreement beyond chance, a; for a verdict c^2 / a, where c is its
correlation with a vote. So a verdict is worth (c / a)^2 labels. Few labels leave much open in both, so worth is a
posterior over both. Its priors are not those of `fit_belief`, which takes a judge at its word at first: here one that
is at chance is as likely as any other.

What is bought is spent on a fit whose variance is, at best, one over its information I (Cramér and Rao; information
adds up). How often a model so fitted names the wrong reply goes by its deviation: `next_worth`, `verdicts_to_buy` and
`verdict_weight` make E[I^(-1/2)] small. A label is known to be worth 1, and such a mean is ruled by its bad cases: so
verdicts must be shown to be worth their price, the more so the more hangs on them already. Rows of a ranking count as
the part of a label that they are, in votes and in what is there already (training/ranked.py): so a posterior is as wide
as the votes leave it.
Left out: that labels also tell what to buy next. Buy them first, in rounds.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from training.people_votes import LOWEST_AGREEMENT, PRIOR_VOTES, USUAL_AGREEMENT, Agreement, logit, sigmoid
from training.reliability import SLOPE_SD, SharedPair

_STEPS, _HALVINGS = 60, 50
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
    """Of a calibrated verdict with a vote, sqrt(mean of (2p - 1)^2): all from 0 to 1 as likely, but for the votes.

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
            logs.append(_log_likelihood(slope, points) + math.log(tells - before))
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


def verdict_worth(correlation: Chances, beyond_chance: Chances) -> Chances:
    """How many labels one verdict is worth, 0 to 1 / people's agreement beyond chance."""
    found = sorted(
        (min(tells**2 / agree, 1.0) / agree, chance * of_people)
        for tells, chance in zip(correlation.values, correlation.chances, strict=True)
        for agree, of_people in zip(beyond_chance.values, beyond_chance.chances, strict=True)
    )
    return Chances(tuple(value for value, _ in found), tuple(chance for _, chance in found))


def next_worth(worth: Chances, had: Had) -> float:
    """How many labels the next verdict is worth beside what is there: buy verdicts while one costs less than that.

    E[w / I^(3/2)] / E[1 / I^(3/2)], I = labels + w * verdicts: by how much one of each lowers E[I^(-1/2)].
    """
    weights = [
        chance / (had.labels + value * had.verdicts) ** 1.5
        for value, chance in zip(worth.values, worth.chances, strict=True)
    ]
    return math.fsum(w * value for w, value in zip(weights, worth.values, strict=True)) / math.fsum(weights)


def verdict_weight(worth: Chances, had: Had) -> float:
    """What a verdict should weigh in a loss where a label weighs 1.

    A verdict of worth w tells s = sqrt(w) as much as a label does. With the weight t, the information is
    (labels + verdicts * t * s)^2 / (labels + verdicts * t^2), most at t = s. Where s is uncertain, E[I^(-1/2)] has its
    lowest point where t is the mean of s, weighted by 1 / (labels + verdicts * t * s)^2.
    """
    strengths = [math.sqrt(value) for value in worth.values]
    low, high = 0.0, strengths[-1]
    for _ in range(_HALVINGS):
        weight = (low + high) / 2
        parts = zip(strengths, worth.chances, strict=True)
        pull = (chance * (s - weight) / (had.labels + had.verdicts * weight * s) ** 2 for s, chance in parts)
        low, high = (weight, high) if math.fsum(pull) > 0 else (low, weight)
    return (low + high) / 2


def verdicts_to_buy(worth: Chances, had: Had, money_labels: float, price_labels: float) -> int:
    """How many verdicts at `price_labels` each are the best part of what `money_labels` buys; the rest are labels.

    E[I^(-1/2)] is convex along what the money buys, so halving finds where the next verdict is no longer
    worth its price.
    """
    fewest, most = 0, int(money_labels / price_labels + 1e-9)
    while fewest < most:
        more = (fewest + most + 1) // 2
        if next_worth(worth, _after(had, more - 1, money_labels, price_labels)) > price_labels:
            fewest = more
        else:
            most = more - 1
    return fewest


def _after(had: Had, verdicts: int, money_labels: float, price_labels: float) -> Had:
    return Had(had.labels + money_labels - verdicts * price_labels, had.verdicts + verdicts)


def _log_likelihood(slope: float, points: Sequence[tuple[float, float, float]]) -> float:
    """Of the votes; points are the verdict's log-odds, the vote, and what it counts."""
    logits = ((slope * x, vote, labels) for x, vote, labels in points)
    return math.fsum(labels * (vote * z - max(z, 0.0) - math.log1p(math.exp(-abs(z)))) for z, vote, labels in logits)


def _normalised(values: Sequence[float], logs: Sequence[float]) -> Chances:
    heights = [math.exp(log - max(logs)) for log in logs]
    total = math.fsum(heights)
    return Chances(tuple(values), tuple(height / total for height in heights))
