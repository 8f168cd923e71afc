"""What wins beside the matter: length, style, refusals and the place on the page, for each source of labels.

An effect is not yet a fault: better replies may well be longer. It is one where people and a judge differ in it.
"""

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from judges.measures import Statistic
from judges.records import PrincipleVerdict
from judges.revisions import is_refusal
from service.exchange.formats.extras import CHOSEN_SHOWN
from service.set_report.findings import FeatureEffect, LengthEffect, SourceBias
from service.set_report.orders import first_readings, judged
from service.set_report.shares import share_of
from training.rows import PreferenceRow

_FEWEST_PAIRS = 20
# A weak prior on the slope (standard deviation 10), so that it exists where the longer one always wins.
_RIDGE = 0.01
_STEPS, _STEP_END = 50, 1e-9
_LIST = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+\S", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6}\s+\S", re.MULTILINE)
_MARKDOWN = re.compile(r"\*\*[^*\n]+\*\*|```|`[^`\n]+`|\[[^\]\n]+\]\([^)\n]+\)|^\|.+\|\s*$", re.MULTILINE)
FEATURES: Mapping[str, Callable[[str], bool]] = {
    "list": lambda text: _LIST.search(text) is not None,
    "heading": lambda text: _HEADING.search(text) is not None,
    "markdown": lambda text: _MARKDOWN.search(text) is not None,
    "exclamation": lambda text: "!" in text,
    "refusal": is_refusal,
}


def source_biases(rows: Sequence[PreferenceRow], verdicts: Sequence[PrincipleVerdict] = ()) -> tuple[SourceBias, ...]:
    """For each source that has rows; `verdicts` are the judge's, whose rows do not know an order."""
    sources = sorted({row.source for row in rows})
    readings = {"ai": list(first_readings(judged(verdicts)))}
    return tuple(
        _bias(source, [row for row in rows if row.source == source], readings.get(source, ())) for source in sources
    )


def length_effect(rows: Sequence[PreferenceRow]) -> LengthEffect:
    """Lengths are characters."""
    longer = [
        (row.prompt_id, len(row.chosen) > len(row.rejected)) for row in rows if len(row.chosen) != len(row.rejected)
    ]
    return LengthEffect(share_of(longer), _slope(rows))


def feature_effect(name: str, rows: Sequence[PreferenceRow]) -> FeatureEffect:
    has = FEATURES[name]
    found = [(row.prompt_id, has(row.chosen), has(row.rejected)) for row in rows]
    alone = [(prompt_id, chosen) for prompt_id, chosen, rejected in found if chosen != rejected]
    count = max(1, len(found))
    return FeatureEffect(
        name,
        sum(chosen for _, chosen, _ in found) / count,
        sum(rejected for *_, rejected in found) / count,
        share_of(alone),
    )


def _bias(source: str, rows: Sequence[PreferenceRow], readings: Sequence[tuple[str, bool]]) -> SourceBias:
    decided = [row for row in rows if row.p_chosen != 0.5]
    shown = [
        (row.prompt_id, dict(row.tags)[CHOSEN_SHOWN] == "first") for row in decided if CHOSEN_SHOWN in dict(row.tags)
    ]
    return SourceBias(
        source=source,
        rows=len(rows),
        decided=len(decided),
        length=length_effect(decided),
        features=tuple(feature_effect(name, decided) for name in FEATURES),
        first_wins=share_of([*shown, *readings]),
    )


def _slope(rows: Sequence[PreferenceRow]) -> Statistic:
    """Logistic regression of the belief on the doublings, without a constant, since which reply is A says nothing."""
    if len(rows) < _FEWEST_PAIRS:
        return Statistic(None, f"{len(rows)} pairs are too few; {_FEWEST_PAIRS} will do")
    doublings_N = np.log2([(len(row.chosen) + 1) / (len(row.rejected) + 1) for row in rows])
    belief_N = np.array([row.p_chosen for row in rows])
    return Statistic(_fitted(doublings_N, belief_N))


def _fitted(x_N: npt.NDArray[np.float64], belief_N: npt.NDArray[np.float64]) -> float:
    """Newton's method on a concave function of one number."""
    slope = 0.0
    for _ in range(_STEPS):
        p_N = expit(slope * x_N)
        gradient = float(x_N @ (belief_N - p_N)) - _RIDGE * slope
        curvature = float((x_N * x_N) @ (p_N * (1 - p_N))) + _RIDGE
        step = float(np.clip(gradient / curvature, -1.0, 1.0))
        slope += step
        if abs(step) < _STEP_END:
            break
    return slope
