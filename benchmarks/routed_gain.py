"""The part of `benchmarks.routing` that all sets share: what a tenth of the pairs brings, routed and at random.

People label in two goes, as the product has it: the random part, and after a fit on its labels the pairs of most
expected gain. A draw's random part is drawn anew. Its gain beyond random routing is measured on the rest of the
budget, against the mean gain of the pairs not yet sent, which leaves out the luck of the draw.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from judges.calibration.labels import Floats
from service.labelling.gains import LabelledCandidate, RoutingCandidate, fit_gain_model
from service.labelling.routing import route_pairs

SHARE, RANDOM_SHARE = 0.1, 0.25
PEOPLE_RIGHT = 0.9


@dataclass(frozen=True, slots=True)
class Gain:
    """Of one judge on one set, means over draws. `ratio` is the gain in accuracy over that of random routing at the
    same budget, people being right, `se` its standard error; points are of 100.

    `points_90` and `random_points_90` are gains where people are right in nine of ten.
    """

    judge: str
    accuracy: float
    flips: float
    bound: float
    points: float
    random_points: float
    ratio: float
    se: float
    points_90: float
    random_points_90: float


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """N pairs as one judge left them, and the right answers: 1 where A is better, 0 where B is."""

    judge: str
    candidates: tuple[RoutingCandidate, ...]
    label_N: Floats


def right_N(judged: Judged) -> Floats:
    """1 where the verdict is right, 0 where it is wrong, 0.5 for a tie."""
    belief_N = np.array([candidate.p_a for candidate in judged.candidates])
    return np.asarray((1 + np.sign(belief_N - 0.5) * np.sign(judged.label_N - 0.5)) / 2, dtype=np.float64)


def routed_gain(judged: Judged, draws: int) -> Gain:
    """With `SHARE` of the pairs sent to people."""
    verdict_N, total = right_N(judged), len(judged.candidates)
    budget, error = round(SHARE * total), 1 - float(verdict_N.mean())
    beyond = [_beyond_random(judged, 1 - verdict_N, budget, seed) for seed in range(draws)]
    ratio = 1 + float(np.mean(beyond)) / (budget * error)
    points, random_points = (100 * budget * error * r / total for r in (ratio, 1.0))
    lost = 100 * (1 - PEOPLE_RIGHT) * budget / total
    return Gain(
        judge=judged.judge,
        accuracy=1 - error,
        flips=float(np.mean([candidate.order_flip for candidate in judged.candidates])),
        bound=min(2.0, 0.5 / error),
        points=points,
        random_points=random_points,
        ratio=ratio,
        se=float(np.std(beyond, ddof=1)) / math.sqrt(draws) / (budget * error),
        points_90=points - lost,
        random_points_90=random_points - lost,
    )


def _beyond_random(judged: Judged, gain_N: Floats, budget: int, seed: int) -> float:
    """What the targeted part gained, less what as many of the pairs not in the random part gain on average."""
    place = {candidate.pair_id: n for n, candidate in enumerate(judged.candidates)}
    # The random part hangs on no belief, so the panel may be left out here, which is quicker.
    alone = [candidate.alone() for candidate in judged.candidates]
    first = [one for one in route_pairs(alone, budget, RANDOM_SHARE, seed) if one.routed_by == "random"]
    random_part = [place[one.pair_id] for one in first]
    model = fit_gain_model([LabelledCandidate(judged.candidates[n], float(judged.label_N[n])) for n in random_part])
    routed = route_pairs(judged.candidates, budget, RANDOM_SHARE, seed, model)
    targeted = [place[one.pair_id] for one in routed if one.routed_by != "random"]
    rest_N = np.delete(gain_N, random_part)
    return float(gain_N[targeted].sum() - len(targeted) * rest_N.mean())


def gains_in(gains: Sequence[Gain], lowest: float, highest: float) -> tuple[Gain, ...]:
    """Judges of an accuracy from `lowest` to below `highest`."""
    return tuple(gain for gain in gains if lowest <= gain.accuracy < highest)
