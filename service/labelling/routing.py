"""Which pairs go to people: a random part that stays random, and the pairs where a label should correct the most.

What a label brings is the chance that the verdict in the mix is wrong, and one half where the verdict is a tie (a toss
of a coin gives way to an answer). The chance is read from the judge's belief, the panel's and the principles' by a
model of four weights (`gains.py`), which serves unfitted and gets better when it is fitted to the labels of the random
part: a judge that is mostly wrong where it is sure is found out that way only. So route once, have the random part
labelled first, fit, and route again with the same seed and budget: the random part is the same, the rest is better.

Estimates come from the random part alone, with `judges.calibration.prediction_powered`. `probability` is each pair's
chance of being sent, exact where the ranking was fixed before any label (no fit on labels of the same pairs); one over
it weighs a label in a Horvitz-Thompson sum over all that was sent (Horvitz and Thompson 1952).
Left out: who labels which pair (tasks and leases), and the asking.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nsmallest

import numpy as np
import numpy.typing as npt

from judges.calibration.labels import Floats
from service.errors import InvalidInput
from service.labelling.gains import UNFITTED, GainModel, RoutingCandidate, expected_gains
from service.store.label_records import RoutedBy

# A pair unlike all others counts up to a quarter more: what people say of it also teaches where nobody has looked.
NOVELTY_BONUS = 0.25
# A gain that the panel or the principles raise by this much is theirs.
_RAISED = 0.05
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Routed:
    """A pair to be sent to people, why, and the chance that it had of being sent, above 0 to 1."""

    pair_id: str
    routed_by: RoutedBy
    probability: float


def labels_in_minutes(minutes: float, median_seconds: float) -> int:
    """The labels that `minutes` of people's time pay for, at the median time of one label."""
    if not (minutes >= 0 and median_seconds > 0 and math.isfinite(minutes / median_seconds)):
        raise InvalidInput(
            f"a budget of {minutes} minutes at {median_seconds} seconds a label has no meaning; give minutes of 0 or "
            "more and seconds above 0"
        )
    return int(minutes * 60 / median_seconds)


def draw_pairs(pair_ids: Sequence[str], budget: int, seed: int) -> tuple[Routed, ...]:
    """A uniform sample of `budget` pairs, whatever a label on them gains; all where there are no more."""
    if budget >= len(pair_ids):
        return tuple(Routed(id, "all", 1.0) for id in pair_ids)
    drawn = nsmallest(budget, pair_ids, key=lambda id: _digest("random", seed, id))
    return tuple(Routed(id, "random", budget / len(pair_ids)) for id in drawn)


def route_pairs(
    candidates: Sequence[RoutingCandidate],
    budget: int,
    random_share: float,
    seed: int,
    model: GainModel = UNFITTED,
) -> tuple[Routed, ...]:
    """At most `budget` pairs: the random part first, then the others by falling expected gain.

    `random_share` of the budget is a uniform sample of all candidates, whatever their gain; take at least ten pairs
    for an interval. With an overlap of k people a pair, give budget / k. Equal gains: each prompt's first pair before
    any second, then by a hash of the seed; all are equal, new prompts too, where the model's labels do not show which
    way the evidence points. The order of the candidates changes nothing.
    """
    _check(candidates, budget, random_share)
    gains_N = expected_gains(candidates, model)
    bonus_N = _novelty_N(candidates) if model.shown else np.ones(len(candidates))
    ranking = _ranking(candidates, gains_N * bonus_N, seed)
    if budget >= len(candidates):
        return tuple(Routed(candidates[n].pair_id, "all", 1.0) for n in ranking)
    by_chance = sorted(range(len(candidates)), key=lambda n: _digest("random", seed, candidates[n].pair_id))
    random_part = by_chance[: math.ceil(random_share * budget)]
    targeted = budget - len(random_part)
    chosen = set(random_part)
    rest = [n for n in ranking if n not in chosen][:targeted]
    probability = dict(zip(ranking, _inclusion(len(candidates), len(random_part), targeted), strict=True))
    without_bonus = _ranking(candidates, gains_N, seed) if (bonus_N > 1).any() else ranking
    plain = set(without_bonus[:budget])
    raised = gains_N[rest] - expected_gains([candidates[n].alone() for n in rest], model)
    return (
        *(Routed(candidates[n].pair_id, "random", probability[n]) for n in random_part),
        *(
            Routed(
                candidates[n].pair_id,
                _cause(candidates[n], by_others, n in plain) if model.shown else "drawn",
                probability[n],
            )
            for n, by_others in zip(rest, raised, strict=True)
        ),
    )


def _cause(candidate: RoutingCandidate, raised: float, without_bonus: bool) -> RoutedBy:
    """What a person reads beside the pair. `close` is also the least sure of the verdicts that are left."""
    if not without_bonus:
        return "novel"
    if candidate.order_flip:
        return "flip"
    return "disagreement" if raised > _RAISED else "close"


def _ranking(candidates: Sequence[RoutingCandidate], score_N: Floats, seed: int) -> list[int]:
    """Places of all candidates, the highest score first. Scores are rounded, so that equal ones are equal."""
    by_score = sorted(
        range(len(candidates)),
        key=lambda n: (-round(float(score_N[n]), 9), _digest("tie", seed, candidates[n].pair_id)),
    )
    seen: Counter[str] = Counter()
    turn = [0] * len(candidates)
    for n in by_score:
        turn[n] = seen[candidates[n].prompt_id]
        seen[candidates[n].prompt_id] += 1
    return sorted(by_score, key=lambda n: (-round(float(score_N[n]), 9), turn[n]))


def _inclusion(total: int, random: int, targeted: int) -> list[float]:
    """The chance of being sent, by rank: random with `random` of `total`, or else among the first `targeted` of those
    that are not.

    Rank k from 0: without luck it is sent if under `targeted` of the k before it are outside the random part. The last
    of those is at place j in C(j, targeted - 1) C(total - 2 - j, outside - targeted) of the C(total - 1, random) draws
    that leave the pair itself out.
    """
    luck, others, outside = random / total, total - 1, total - 1 - random
    if targeted == 0:
        return [luck] * total
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, total)))])

    def log_ways(of_J: Integers, chosen: int) -> Floats:
        return np.asarray(log_factorial[of_J] - log_factorial[chosen] - log_factorial[of_J - chosen], dtype=np.float64)

    place_J = np.arange(targeted - 1, others - (outside - targeted))
    log_ways_J = log_ways(place_J, targeted - 1) + log_ways(others - 1 - place_J, outside - targeted)
    full_N = np.zeros(total)
    full_N[place_J + 1] = np.exp(log_ways_J - log_ways(np.array([others]), random))
    return [float(p) for p in luck + (1 - luck) * np.clip(1 - np.cumsum(full_N), 0.0, 1.0)]


def _novelty_N(candidates: Sequence[RoutingCandidate]) -> Floats:
    return np.array([1 + NOVELTY_BONUS * (candidate.novelty or 0.0) for candidate in candidates], dtype=np.float64)


def _check(candidates: Sequence[RoutingCandidate], budget: int, random_share: float) -> None:
    if budget < 0 or not 0 <= random_share <= 1:
        raise InvalidInput(
            f"routing got a budget of {budget} labels and a random share of {random_share}; give 0 or more, and 0 to 1"
        )
    twice = [pair_id for pair_id, count in Counter(c.pair_id for c in candidates).items() if count > 1]
    if twice:
        raise InvalidInput(f"pair {twice[0]!r} stands twice among the candidates; route each pair once")


def _digest(purpose: str, seed: int, pair_id: str) -> bytes:
    return hashlib.sha256(f"{purpose}\0{seed}\0{pair_id}".encode(errors="replace")).digest()
