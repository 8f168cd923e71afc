"""What kind of judge a verdict comes from, as far as gold tells: whose errors it makes, and its worth in labels.

A verdict that correlates with a vote by c is worth (c / a)^2 labels where its errors are its own, and c^2 where they
are people's own; a is people's agreement beyond chance (training/worth.py). With votes and verdicts alone both cases
look alike. On gold, pairs whose right answer the asker knows, they do not: there it shows how often people are right,
how often the judge is, and whether both err on the same pairs.

With sides of +1 and -1, g is right, v voted, j the judge's. People err where replies are close: two with normal errors
around a normal preference (Thurstone, A law of comparative judgment, 1927) agree beyond chance by
a = asin(r^2) / (pi / 2), and each is right by s = asin(r) / (pi / 2). A verdict that a vote follows by t (2p - 1) is
right by k t with k = (1 - h) / s + h s, h being the share of its errors that are people's own. So
P(g | j) = (1 + k t g) / 2, and, with no moment of all three, P(v | g, j) = (1 + k t g + v (t + g s)) / (2 + 2 k t g).
To train on, a right answer is worth 1 / a labels, as a verdict that is always right would be.
Needs numpy. Left out: gold that is easier than the other pairs, which makes both look better than they are; gold under
a principle.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.people_votes import first_reply, logit, p_first, pair_key, sigmoid
from training.reliability import length_gap
from training.rows import PreferenceRow
from training.worth import Chances

Floats = NDArray[np.float64]
# How much of a verdict's errors may be people's own, all as likely: of a judge's any part, of a check's none.
JUDGES_SHARES, CHECKS_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9), (0.0,)
# Into so many parts goes what people's agreement may be; each is tried with each share.
_AGREEMENTS = 12
# Nothing on gold is taken for surer than this: a task may be wrong.
_SUREST = 0.98


@dataclass(frozen=True, slots=True)
class GoldPair:
    """Of a pair whose right answer is known: the verdict's strength, above 0 where it is right, and people's votes.

    The strength is in units of the verdicts' root mean square; 0 where the judge was not asked.
    """

    strength: float
    right: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Kind:
    """People who agree beyond chance by `agree` and a judge with `share` of people's errors, with that chance."""

    agree: float
    share: float
    chance: float

    @property
    def person_right(self) -> float:
        """A vote's correlation with the right answer."""
        return person_right(self.agree)

    @property
    def rightness(self) -> float:
        """What a verdict's correlation with the right answer is over that with a vote."""
        return (1 - self.share) / self.person_right + self.share * self.person_right

    def worth(self, correlation: float) -> float:
        """In labels, of a verdict that correlates so with a vote; with what is right by 1 at most."""
        return min((((1 - self.share) / self.agree + self.share) * correlation) ** 2, 1 / self.agree)


@dataclass(frozen=True, slots=True, eq=False)
class Worths:
    """C correlations of a verdict with a vote by K kinds: its worth in labels, and the chance of each."""

    tells_C: Floats
    worth_CK: Floats
    chance_CK: Floats

    def chances(self) -> Chances:
        """Of the worth alone."""
        worth, chance = self.worth_CK.ravel(), self.chance_CK.ravel()
        order = worth.argsort(kind="stable")
        return Chances(tuple(worth[order].tolist()), tuple(chance[order].tolist()))


def gold_pairs(
    right: Sequence[PreferenceRow], human: Sequence[PreferenceRow], machine: Sequence[PreferenceRow], pays_length: float
) -> tuple[GoldPair, ...]:
    """Every right answer beside what people and the machine said of its pair on the whole; a tie says nothing."""
    if not right:
        return ()
    leans = {pair_key(row): 2 * sigmoid(logit(p_first(row)) - pays_length * length_gap(row)) - 1 for row in machine}
    usual = math.sqrt(math.fsum(lean * lean for lean in leans.values()) / max(len(leans), 1)) or 1.0
    votes: dict[Hashable, list[PreferenceRow]] = {}
    for row in human:
        if row.p_chosen > 0.5 and not row.per_principle:
            votes.setdefault(pair_key(row), []).append(row)
    return tuple(_gold_pair(row, leans, usual, votes) for row in right)


def _gold_pair(
    row: PreferenceRow, leans: Mapping[Hashable, float], usual: float, votes: Mapping[Hashable, list[PreferenceRow]]
) -> GoldPair:
    key = pair_key(row)
    side = 1 if first_reply(row) == row.chosen else -1
    said = [vote.chosen == row.chosen for vote in votes.get(key, ())]
    return GoldPair(side * leans.get(key, 0.0) / usual, sum(said), len(said) - sum(said))


def person_right(agree: float) -> float:
    """A vote's correlation with the right answer, 0 to 1, of people who agree beyond chance by `agree`."""
    return 2 / math.pi * math.asin(math.sqrt(math.sin(math.pi / 2 * agree)))


def answer_strength(beyond_chance: Chances, gold: Sequence[GoldPair]) -> float:
    """What a right answer should weigh where a label weighs 1: the root of its worth, 1 / people's agreement.

    The agreement is the mean of what people's votes on gold leave likely: as often as they are right there.
    """
    root_A = np.array([person_right(agree) for agree in beyond_chance.values])
    right, wrong = sum(pair.right for pair in gold), sum(pair.wrong for pair in gold)
    log_A = right * np.log1p(root_A) + wrong * np.log1p(-np.minimum(root_A, _SUREST))
    likely_A = np.array(beyond_chance.chances) * np.exp(log_A - log_A.max())
    return float((likely_A.sum() / (likely_A @ np.array(beyond_chance.values))) ** 0.5)


def kinds(beyond_chance: Chances, shares: Sequence[float] = JUDGES_SHARES) -> tuple[Kind, ...]:
    """Every share of errors with about twelve agreements, each of which stands for as many of `beyond_chance`."""
    step = max(1, len(beyond_chance.values) // _AGREEMENTS)
    found = []
    for start in range(0, len(beyond_chance.values), step):
        values, chances = beyond_chance.values[start : start + step], beyond_chance.chances[start : start + step]
        chance = math.fsum(chances)
        if chance > 0:
            mean = math.fsum(a * p for a, p in zip(values, chances, strict=True)) / chance
            found += [Kind(mean, share, chance / len(shares)) for share in shares]
    return tuple(found)


def worths(correlation: Chances, under: Sequence[Kind], gold: Sequence[GoldPair] = ()) -> Worths:
    """The worth under each correlation and kind, and how likely gold leaves them together."""
    tells_C = np.array(correlation.values)
    worth_CK = np.array([[kind.worth(tells) for kind in under] for tells in correlation.values])
    prior_CK = np.outer(correlation.chances, [kind.chance for kind in under])
    log_CK = _log_likelihood(tells_C, under, gold)
    likely_CK = prior_CK * np.exp(np.minimum(log_CK - log_CK[prior_CK > 0].max(), 0.0))
    return Worths(tells_C, worth_CK, likely_CK / likely_CK.sum())


def verdict_worth(correlation: Chances, under: Sequence[Kind], gold: Sequence[GoldPair] = ()) -> Chances:
    """How many labels one verdict is worth, 0 to 1 / people's agreement beyond chance."""
    return worths(correlation, under, gold).chances()


def _log_likelihood(tells_C: Floats, under: Sequence[Kind], gold: Sequence[GoldPair]) -> Floats:
    """Of the right answers and votes on gold, but for P(vote | verdict), which `verdict_correlation` has counted."""
    root_K = np.array([kind.person_right for kind in under])
    rightness_K = np.array([kind.rightness for kind in under])
    log_CK = np.zeros((len(tells_C), len(under)))
    for pair in gold:
        strength_CK = np.clip(tells_C * pair.strength, -_SUREST, _SUREST)[:, None]
        right_CK = 1 + np.clip(rightness_K * strength_CK, -_SUREST, _SUREST)
        log_CK += np.log(right_CK)
        for vote, times in ((1, pair.right), (-1, pair.wrong)):
            if times:
                voted_CK = np.maximum(right_CK + vote * (strength_CK + root_K), 1 - _SUREST) / right_CK
                log_CK += times * (np.log(voted_CK) - np.log(1 + vote * strength_CK))
    return log_CK
