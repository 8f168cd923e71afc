"""What the random part tells of all pairs: how often the judge agrees with people, with an interval that holds.

Labels of the targeted part stay out: they are of the pairs where the judge was least sure. The interval is put on the
scale of log-odds (delta method): near 0 and 1, where a good judge is, a symmetrical one covers too seldom. Left out:
rates by slice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from judges.calibration.prediction_powered import PoweredMean, powered_mean
from judges.choices import logit, sigmoid
from judges.intervals import Interval
from service.errors import InvalidInput
from service.labelling.gains import UNFITTED, RoutingCandidate, expected_gains


def judge_accuracy(candidates: Sequence[RoutingCandidate], random_labels: Mapping[str, float]) -> PoweredMean:
    """The share of all candidates on which the verdict is people's, a tie of either counting half (PPI++).

    `random_labels` are those of the random part by pair id: 1 where A is better, 0 where B is, 0.5 for a tie. Wants ten
    of them or more, and two pairs without a label. It is about these pairs, of however many prompts they are.
    """
    unknown = random_labels.keys() - {candidate.pair_id for candidate in candidates}
    if unknown:
        raise InvalidInput(f"pair {min(unknown)!r} has a label but is no candidate; give all pairs that were routed")
    labelled = [candidate for candidate in candidates if candidate.pair_id in random_labels]
    others = [candidate for candidate in candidates if candidate.pair_id not in random_labels]
    sides = np.sign([candidate.p_a - 0.5 for candidate in labelled])
    truths = np.sign([random_labels[candidate.pair_id] - 0.5 for candidate in labelled])
    found = powered_mean(
        np.asarray((1 + sides * truths) / 2, dtype=np.float64),
        1 - expected_gains(labelled, UNFITTED),
        1 - expected_gains(others, UNFITTED),
    )
    return replace(found, interval=on_log_odds(found.interval), labels_only=on_log_odds(found.labels_only))


def on_log_odds(interval: Interval) -> Interval:
    """The same estimate with bounds that are symmetrical in log-odds; at 0 and 1 as it was."""
    p = interval.estimate
    if not 0 < p < 1:
        return interval
    half = max(p - interval.low, interval.high - p) / (p * (1 - p))
    return Interval(p, sigmoid(logit(p) - half), sigmoid(logit(p) + half))
