"""What the random part tells of all pairs: how often the judge agrees with people, with an interval that holds.

Labels of the targeted part stay out: they are of the pairs where the judge was least sure. The interval is put on the
scale of log-odds (delta method): near 0 and 1, where a good judge is, a symmetrical one covers too seldom. Left out:
rates by slice.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from judges.calibration.prediction_powered import PoweredMean, powered_mean
from judges.choices import logit, sigmoid
from judges.intervals import Interval
from service.errors import InvalidInput
from service.labelling.judged_pairs import JudgedPairs


def judge_accuracy(judged: JudgedPairs, random_labels: Mapping[str, float]) -> PoweredMean:
    """The share of all judged pairs on which the verdict is people's, a tie of either counting half (PPI++).

    `random_labels` are those of the random part by pair id: 1 where A is better, 0 where B is, 0.5 for a tie. Wants ten
    of them or more, and two pairs without a label. It is about these pairs, of however many prompts they are.
    """
    place_N = judged.places(random_labels)
    if unknown := [id for id, place in zip(random_labels, place_N, strict=True) if place < 0]:
        raise InvalidInput(f"pair {min(unknown)!r} has a label but is not judged; give all pairs that were routed")
    side_N = np.sign(judged.p_a_N[place_N] - 0.5)
    truth_N = np.sign(np.array(list(random_labels.values()), np.float64) - 0.5)
    found = powered_mean(
        np.asarray((1 + side_N * truth_N) / 2, dtype=np.float64),
        judged.p_right_N[place_N],
        np.delete(judged.p_right_N, place_N),
    )
    return replace(found, interval=on_log_odds(found.interval), labels_only=on_log_odds(found.labels_only))


def on_log_odds(interval: Interval) -> Interval:
    """The same estimate with bounds that are symmetrical in log-odds; at 0 and 1 as it was."""
    p = interval.estimate
    if not 0 < p < 1:
        return interval
    half = max(p - interval.low, interval.high - p) / (p * (1 - p))
    return Interval(p, sigmoid(logit(p) - half), sigmoid(logit(p) + half))
