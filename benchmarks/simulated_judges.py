"""Simulated judges and replies, for the study of rankings (ranking.py).

A draw is eight replies of known quality, and a judge that gives each pair a logit once and for all: `gain` times (the
difference in quality + its own taste for each reply + noise of the pair + noise of the order), plus a bonus for the
reply shown first. Asked again it answers the same, as a model at temperature 0 does. Taste errs without a ring; noise
of the pair makes rings. A hard judge without taste is Thurstone's.
"""

from dataclasses import dataclass

import numpy as np

from judges.bradley_terry import Floats
from judges.pairing import all_pairs

K = 8
PAIRS = all_pairs(K)
A_P, B_P = PAIRS.a_P, PAIRS.b_P
A_IS_FIRST_P = (A_P + B_P) % 2 == 1


@dataclass(frozen=True, slots=True)
class Judge:
    """A simulated judge; the noises are standard deviations beside a quality of 1, `bias` is in logits.

    A `hard` judge says 1 or 0 in each order, so that a flip is a tie; logits within `tie_band` of 0 are declared ties;
    a `clustered` draw has good and bad replies, 2 apart, and 0.3 within. `promised` are the schedules that
    docs/judging.md says are as good as the full one here: the study fails where they are not.
    """

    name: str
    pair: float
    taste: float = 0.0
    order: float = 0.0
    gain: float = 2.0
    bias: float = 1.0
    hard: bool = False
    tie_band: float = 0.0
    clustered: bool = False
    promised: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Draws:
    """N draws: the true quality, the belief of both orders in A, and that of the one order in which it is shown once.
    `flips` is the share of pairs whose winner changes with the order."""

    quality_NK: Floats
    p_a_NP: Floats
    p_a_once_NP: Floats
    flips: float


ONE_ORDER = frozenset({"one_order"})
JUDGES = (
    Judge("soft, no taste, pair noise 0.2", 0.2, order=0.1, promised=ONE_ORDER),
    Judge("soft, no taste, pair noise 0.6", 0.6, order=0.3, promised=ONE_ORDER),
    Judge("soft, no taste, pair noise 1.0", 1.0, order=0.3, promised=ONE_ORDER),
    Judge("soft, no taste, pair noise 1.6", 1.6, order=0.3, promised=ONE_ORDER),
    Judge("soft, taste 0.7, pair noise 0.6", 0.6, taste=0.7, order=0.3, promised=ONE_ORDER),
    Judge("soft, taste 1.0, pair noise 0.3", 0.3, taste=1.0, order=0.15, promised=frozenset({"adaptive", "one_order"})),
    Judge("soft, taste 1.0, pair noise 0.6", 0.6, taste=1.0, order=0.3, promised=ONE_ORDER),
    Judge("soft, taste 1.0, pair noise 1.0", 1.0, taste=1.0, order=0.3, promised=ONE_ORDER),
    Judge("soft, pair noise 0.6, order noise 0.6", 0.6, order=0.6),
    Judge("soft, ties, taste 0.7, pair noise 0.6", 0.6, taste=0.7, order=0.3, tie_band=0.5, promised=ONE_ORDER),
    Judge("soft, two clusters of quality, pair noise 0.6", 0.6, order=0.3, clustered=True, promised=ONE_ORDER),
    Judge("hard, no taste, pair noise 0.4", 0.4, order=0.2, hard=True, bias=0.5),
    Judge("hard, no taste, pair noise 1.0", 1.0, order=0.3, hard=True, bias=0.5),
    Judge("hard, no taste, pair noise 1.6", 1.6, order=0.3, hard=True, bias=0.5),
    Judge("hard, taste 1.0, pair noise 0.6", 0.6, taste=1.0, order=0.3, hard=True, bias=0.5),
)


def draw(judge: Judge, draws: int, rng: np.random.Generator) -> Draws:
    """Replies and what the judge thinks of each pair, in both orders."""
    quality_NK = rng.normal(size=(draws, K))
    if judge.clustered:
        quality_NK = np.where(rng.random((draws, K)) < 0.5, -1.0, 1.0) + 0.3 * quality_NK
    seen_NK = quality_NK + judge.taste * rng.normal(size=(draws, K))
    gap_NP = seen_NK[:, A_P] - seen_NK[:, B_P] + judge.pair * rng.normal(size=(draws, len(A_P)))
    shown = [judge.gain * (gap_NP + judge.order * rng.normal(size=gap_NP.shape)) + s * judge.bias for s in (1, -1)]
    if judge.hard:
        shown = [np.where(logit > 0, 30.0, -30.0) for logit in shown]
    logit_NP = (shown[0] + shown[1]) / 2
    once_NP = np.where(A_IS_FIRST_P, shown[0], shown[1])
    flips = float(((shown[0] > 0) != (shown[1] > 0)).mean())
    return Draws(quality_NK, _belief(logit_NP, judge.tie_band), _belief(once_NP, judge.tie_band), flips)


def _belief(logit_NP: Floats, tie_band: float) -> Floats:
    return np.where(np.abs(logit_NP) <= tie_band, 0.5, 1 / (1 + np.exp(-logit_NP)))
