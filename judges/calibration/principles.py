"""A judge's calibration, principle by principle: fitted, applied to a verdict, written to JSON and read back.

A judge may be sound on harm and blind to length, so each principle has its own curve. One whose labels allow no fit
is named with the reason and leaves the verdicts as they are: one bad principle spoils no other.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from judges.calibration.isotonic import Isotonic, fit_isotonic
from judges.calibration.labels import Labelled, LabelledBelief, check_probabilities, labelled
from judges.calibration.scaling import Scaling, fit_scaling
from judges.errors import CalibrationError, NotAProbability, UnreadableCalibration
from judges.records import Preference

Calibration = Scaling | Isotonic
Method = Literal["scaling", "isotonic"]


@dataclass(frozen=True, slots=True)
class Uncalibrated:
    """The labels allowed no fit; `reason` is the error's own text."""

    reason: str


def fit_principles(
    beliefs: Mapping[str, Sequence[LabelledBelief]], method: Method = "scaling"
) -> Mapping[str, Calibration | Uncalibrated]:
    """One calibration for each principle id, or why there is none. Take `isotonic` from a few hundred labels on."""
    return {principle: _fit(rows, method) for principle, rows in beliefs.items()}


def calibrated(verdict: Preference, calibration: Calibration | Uncalibrated) -> Preference:
    """The verdict with `p_a` calibrated. The readings of the two orders stay as the judge gave them."""
    if isinstance(calibration, Uncalibrated):
        return verdict
    return dataclasses.replace(verdict, p_a=calibration.apply(verdict.p_a))


def calibration_json(calibration: Calibration) -> str:
    """One line of JSON that `read_calibration` takes back to the same value."""
    method: Method = "scaling" if isinstance(calibration, Scaling) else "isotonic"
    return json.dumps({"method": method} | dataclasses.asdict(calibration), allow_nan=False)


def read_calibration(text: str) -> Calibration:
    """What `calibration_json` wrote. Raises UnreadableCalibration where a field is missing, unknown or wrong."""
    try:
        stored = json.loads(text)
        method = stored.pop("method")
        return _scaling(**stored) if method == "scaling" else _isotonic(method, **stored)
    except (ValueError, TypeError, KeyError, AttributeError, NotAProbability) as error:
        raise UnreadableCalibration(f"this is no stored calibration: {error}; fit it again") from error


def _fit(rows: Sequence[LabelledBelief], method: Method) -> Calibration | Uncalibrated:
    try:
        pairs: Labelled = labelled(rows)
        return fit_scaling(pairs) if method == "scaling" else fit_isotonic(pairs)
    except CalibrationError as error:
        return Uncalibrated(str(error))


def _scaling(*, slope: float, bias: float, labels: int) -> Scaling:
    if not (0 <= float(slope) < float("inf") and abs(float(bias)) < float("inf")):
        raise ValueError(f"slope {slope} and bias {bias} must be finite, the slope not below 0")
    return Scaling(float(slope), float(bias), int(labels))


def _isotonic(method: str, *, p: list[float], belief: list[float], pairwise: bool, labels: int) -> Isotonic:
    if method != "isotonic":
        raise ValueError(f"method {method!r} is neither 'scaling' nor 'isotonic'")
    if not p or len(p) != len(belief) or sorted(p) != p or sorted(belief) != belief:
        raise ValueError("p and belief must be two rising lists of one length")
    for name, values in (("p", p), ("belief", belief)):
        check_probabilities(name, np.array(values, dtype=np.float64))
    return Isotonic(tuple(map(float, p)), tuple(map(float, belief)), bool(pairwise), int(labels))
