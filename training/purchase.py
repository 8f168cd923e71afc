"""How the rest of the money is best spent on labels and verdicts, counting what labels will tell. Needs numpy.

`training/worth.py` says what a verdict may be worth. A label on a judged pair also narrows that, so before the rest is
spent it may pay to buy some more of them: as many as would lower the expected loss most, each outcome of their votes
answered by the plan that is then best (preposterior analysis; Raiffa and Schlaifer, Applied Statistical Decision
Theory, 1961). Each look is one step: what further labels would tell after those is not counted, so ask again after
each round. Left out: second votes on a pair, which tell of people's agreement.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.gold import Worths
from training.worth import BEND, Had

Floats = NDArray[np.float64]
_PLANS = 21


@dataclass(frozen=True, slots=True)
class Purse:
    """What is left, in labels; what a verdict costs, in labels; how many pairs could still be judged."""

    labels: float
    verdict_price: float
    pairs: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Buy `to_measure` labels on judged pairs and ask again, or where that is 0 `verdicts`, and labels for the rest."""

    to_measure: int
    verdicts: int


def next_purchase(worth: Worths, had: Had, purse: Purse, at_once: int) -> Plan:
    """Labels to measure by are bought in doubling numbers of `at_once`, each with a verdict on its pair."""
    losses_CP, verdicts_P = _losses(worth, had, purse)
    now_P = losses_CP.sum(axis=0)
    least, to_measure = float(now_P.min()), 0
    for labels in _doubling(at_once, min(purse.pairs, int(purse.labels / (1 + purse.verdict_price) + 1e-9))):
        after, left = _measured(had, purse, labels)
        later_CP, _ = _losses(worth, after, left)
        expected = float((_outcomes(worth.tells_C, labels).T @ later_CP).min(axis=1).sum())
        if expected < least - 1e-12:
            least, to_measure = expected, labels
    return Plan(to_measure, int(verdicts_P[now_P.argmin()]))


def _losses(worth: Worths, had: Had, purse: Purse) -> tuple[Floats, Floats]:
    """E[I^(-1/4)] times the chance of each correlation, under P plans: from no verdicts to all that can be had."""
    verdicts_P = np.linspace(0, min(purse.labels / purse.verdict_price, purse.pairs), _PLANS)
    labels_P = had.labels + purse.labels - verdicts_P * purse.verdict_price
    information_CKP = labels_P + worth.worth_CK[:, :, None] * (had.verdicts + verdicts_P)
    return np.einsum("ckp,ck->cp", information_CKP**-BEND, worth.chance_CK), verdicts_P


def _measured(had: Had, purse: Purse, labels: int) -> tuple[Had, Purse]:
    spent = labels * (1 + purse.verdict_price)
    left = Purse(purse.labels - spent, purse.verdict_price, purse.pairs - labels)
    return Had(had.labels + labels, had.verdicts + labels), left


def _outcomes(tells_C: Floats, labels: int) -> Floats:
    """The chance that 0 to `labels` of the votes side with a verdict that correlates with them so; C x (labels + 1)."""
    sides_C = np.clip((1 + tells_C) / 2, 1e-9, 1 - 1e-9)[:, None]
    votes = np.arange(labels + 1)
    ways = np.array([math.lgamma(labels + 1) - math.lgamma(n + 1) - math.lgamma(labels - n + 1) for n in votes])
    return np.asarray(np.exp(ways + votes * np.log(sides_C) + (labels - votes) * np.log(1 - sides_C)))


def _doubling(first: int, most: int) -> list[int]:
    found = []
    while first <= most:
        found.append(first)
        first *= 2
    return found
