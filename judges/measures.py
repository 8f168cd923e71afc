"""What a judge's verdicts on labelled pairs say of it: right, consistent, unmoved by length and place, calibrated.

Every statistic is the same for a pair turned round, so which reply is called A shapes none: agreement, calibration and
length bias are measured on both orientations of each pair. A statistic that has no value says why. Left out: what
follows from the numbers (qualify.py).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from judges.calibration.agreement import cohen_kappa, krippendorff_alpha
from judges.calibration.labels import Labelled
from judges.calibration.reliability import brier, expected_calibration_error, partial_correlation
from judges.errors import CalibrationError, Undefined
from judges.intervals import clustered_wilson
from judges.labelled_sets import LabelledPair
from judges.records import Abstention, Preference, Verdict

FEWEST_FOR_LENGTH_BIAS = 10
_GRID = 2**40
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """A labelled pair and what the judge said of it."""

    pair: LabelledPair
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Statistic:
    """A number, or None and the reason why there is none."""

    value: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Measures:
    """What the judge did on `examples` pairs.

    It `answered` some; `decided` of those have a better reply, and come of `prompts` prompts. Over the decided:
    `accuracy` (a tied verdict is half right) with its 95 % bounds, clustered by prompt, and `consistent_and_correct`,
    the share that both orders got right. Over the answered: `consistency`, the share where both orders name the same
    winner; `first_pick_rate`, how often the reply shown first won, 0.5 is unbiased; `label_mass`, the mean probability
    on any choice token; `kappa` (Cohen) and `alpha` (Krippendorff), agreement with the labels beyond chance; `ece` and
    `brier`, 0 is best; `length_bias`, the correlation of the belief with the gap in characters that is left once the
    label is known: above 0 the judge pays for length. Over all pairs that have a better reply: `longest_wins`, how
    often it is the longer one. `abstentions` counts what was not answered, by cause.
    """

    examples: int
    answered: int
    decided: int
    prompts: int
    accuracy: Statistic
    low: float
    high: float
    consistency: Statistic
    consistent_and_correct: Statistic
    first_pick_rate: Statistic
    label_mass: Statistic
    length_bias: Statistic
    kappa: Statistic
    alpha: Statistic
    ece: Statistic
    brier: Statistic
    longest_wins: Statistic
    abstentions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Answer:
    pair: LabelledPair
    said: Preference

    @property
    def right(self) -> float:
        """1, 0, or 0.5 where the verdict is a tie; the label names a winner."""
        return abs(win(self.said.p_a) - (1 - self.pair.label_p_a))

    @property
    def right_twice(self) -> float:
        """1 where either order alone names the right winner."""
        return float(all(win(p) == self.pair.label_p_a for p in (self.said.p_a_ab, self.said.p_a_ba)))

    @property
    def length_gap(self) -> int:
        """Characters of A minus those of B."""
        return len(self.pair.comparison.a) - len(self.pair.comparison.b)


def measure(judged: Sequence[JudgedPair], beliefs: Sequence[JudgedPair] = ()) -> Measures:
    """All of it. The verdicts may be of any number of principles.

    `beliefs` are the same with labels that say how sure people are, any from 0 to 1, where these are known: the
    calibration is beside them.
    """
    answers = _answers(judged)
    believed = _answers(beliefs) if beliefs else answers
    decided = [one for one in answers if one.pair.label_p_a != 0.5]
    prompts = [one.pair.comparison.prompt_id for one in decided]
    interval = clustered_wilson([one.right for one in decided], prompts)
    causes = Counter(str(one.verdict.cause) for one in judged if isinstance(one.verdict, Abstention))
    said, unanswered = [one.said for one in answers], "the judge answered none of these pairs"
    undecided = "the judge answered no pair that has a better reply"
    return Measures(
        examples=len(judged),
        answered=len(answers),
        decided=len(decided),
        prompts=len(set(prompts)),
        accuracy=_mean([one.right for one in decided], undecided),
        low=interval.low,
        high=interval.high,
        consistency=_mean([float(win(s.p_a_ab) == win(s.p_a_ba)) for s in said], unanswered),
        consistent_and_correct=_mean([one.right_twice for one in decided], undecided),
        first_pick_rate=_mean([p for s in said for p in (win(s.p_a_ab), 1 - win(s.p_a_ba))], unanswered),
        label_mass=_mean([s.label_mass for s in said], unanswered),
        length_bias=_defined(lambda: _length_bias(answers)),
        kappa=_defined(lambda: _kappa(answers)),
        alpha=_defined(lambda: krippendorff_alpha(_categories(answers))),
        ece=_defined(lambda: expected_calibration_error(_columns(believed))),
        brier=_defined(lambda: brier(_columns(believed))),
        longest_wins=longest_wins([one.pair for one in judged]),
        abstentions=dict(causes),
    )


def longest_wins(pairs: Sequence[LabelledPair]) -> Statistic:
    """The baseline of a judge that only counts characters; replies of one length are half right."""
    gaps = [(len(p.comparison.a) - len(p.comparison.b), p.label_p_a) for p in pairs if p.label_p_a != 0.5]
    return _mean([0.5 if not gap else float((gap > 0) == (label == 1)) for gap, label in gaps], "no pair has a winner")


def win(p: float) -> float:
    """1 for a win, 0 for a loss, 0.5 for a tie; the rounding error that orders leave which cancel out is no winner."""
    return 0.5 if abs(p - 0.5) < _ROUNDING else float(p > 0.5)


def _answers(judged: Sequence[JudgedPair]) -> list[_Answer]:
    return [_Answer(one.pair, one.verdict) for one in judged if isinstance(one.verdict, Preference)]


def _length_bias(answers: Sequence[_Answer]) -> float:
    if len(answers) < FEWEST_FOR_LENGTH_BIAS:
        raise Undefined(
            f"{len(answers)} answers are too few to tell length from chance; {FEWEST_FOR_LENGTH_BIAS} will do"
        )
    margin_N, gap_N, label_N = (
        np.array(column, dtype=np.float64)
        for column in (
            [one.said.p_a - 0.5 for one in answers],
            [one.length_gap for one in answers],
            [one.pair.label_p_a - 0.5 for one in answers],
        )
    )
    return partial_correlation(*(np.concatenate([column_N, -column_N]) for column_N in (margin_N, gap_N, label_N)))


def _columns(answers: Sequence[_Answer]) -> Labelled:
    # On a grid where 1 - p is exact: a belief and its mirror image share a bin of the calibration error.
    beliefs = [round(one.said.p_a * _GRID) / _GRID for one in answers]
    labels = [one.pair.label_p_a for one in answers]
    return Labelled(np.array(beliefs, dtype=np.float64), np.array(labels, dtype=np.float64)).mirrored()


def _kappa(answers: Sequence[_Answer]) -> float:
    both = _categories(answers)
    return cohen_kappa([verdict for verdict, _ in both], [label for _, label in both])


def _categories(answers: Sequence[_Answer]) -> list[tuple[str, str]]:
    """What the judge and the label name, of each pair in both orientations."""
    return [
        (_category(p_a), _category(label))
        for one in answers
        for p_a, label in ((one.said.p_a, one.pair.label_p_a), (1 - one.said.p_a, 1 - one.pair.label_p_a))
    ]


def _category(p_a: float) -> str:
    return {1.0: "a", 0.0: "b", 0.5: "tie"}[win(p_a)]


def _mean(values: Sequence[float], why_none: str) -> Statistic:
    return Statistic(sum(values) / len(values)) if values else Statistic(None, why_none)


def _defined(compute: Callable[[], float]) -> Statistic:
    try:
        return Statistic(compute())
    except CalibrationError as error:
        return Statistic(None, str(error))
