"""What a quality report says: records without a way to compute them, so that clients read them without numpy."""

from dataclasses import dataclass
from typing import Literal

from judges.intervals import Interval


@dataclass(frozen=True, slots=True)
class Unknown:
    """There is no number to be had; `reason` says why, and what would help."""

    reason: str


Rate = Interval | Unknown
Number = float | Unknown


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two annotators on the `shared` questions that both answered.

    Of rankings, `agreement` is the share of pairs in the same order, and `kappa` the mean of Kendall's tau.
    """

    first: str
    second: str
    shared: int
    agreement: Rate
    kappa: Number


@dataclass(frozen=True, slots=True)
class Drift:
    """From the first to the last half of the work: both rates, and their difference with its 95 % bounds, -1 to 1.

    Newcombe's interval from two of Wilson's (1998, method 10). A change whose bounds hold 0 may be chance.
    """

    measure: Literal["gold", "agreement"]
    first: Interval
    last: Interval
    change: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Window:
    """`answers` in a row, of the annotator's labels from number `first` to `last`, and their `value`, 95 % bounds."""

    first: int
    last: int
    answers: int
    value: Interval


@dataclass(frozen=True, slots=True)
class OverTime:
    """By windows of twenty: the shares right on `gold` and in `agreement` with the others, and the median `seconds`.

    Empty where there are fewer answers than one window holds.
    """

    gold: tuple[Window, ...]
    agreement: tuple[Window, ...]
    seconds: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class AnnotatorQuality:
    """`first_share` is how often the reply shown first was taken, of the choices of one reply: sides are shuffled, so
    0.5 is no bias. `quick_share` are answers faster than their text can be read. `repeats` is how often the same
    question got the same answer again. `weight` is what a label counts in the mix, 1 for an annotator like most.
    `training` are the answers of the training round, skips too, and `training_right` those that were right.

    Of rankings, `with_majority` and `repeats` are of the pairs in the same order, a ranking counting as one answer.
    """

    annotator_id: str
    training: int
    training_right: int
    labels: int
    skips: int
    gold_accuracy: Rate
    with_majority: Rate
    median_seconds: Number
    quick_share: Rate
    first_share: Rate
    drift: Drift | Unknown
    over_time: OverTime
    repeats: Rate
    weight: float


@dataclass(frozen=True, slots=True)
class JudgeEstimate:
    """How often the judge says what people do over all pairs of the source, labelled or not, a tie counting half.

    From the `labels` pairs of the random part alone, made sharper by the judge's beliefs on all others (PPI++). Pairs
    that were sent for what a label corrects would make the judge look worse. `principle_id` None is overall.
    """

    principle_id: str | None
    accuracy: Rate
    labels: int


@dataclass(frozen=True, slots=True)
class JudgeQuality:
    """The judge's choice is the side that it believes in, a tie at one half; "both bad" it cannot say.

    So `gold_accuracy` and `with_majority` are of questions where gold or people's majority name a reply or a tie, and a
    tie of either is half right. `kappa` is of those where both name a reply. `alpha` has the judge as one more
    annotator, who has no answer where most people say a tie or both bad. All but `estimated` is of the pairs that were
    labelled, however those were chosen. `ties` of its questions it leaves open.

    Of rankings, `with_majority` is the share of pairs in the order of most people, `kappa` Kendall's tau from that, and
    `questions` are the rankings asked for in which the judge has a verdict on two replies or more.
    """

    questions: int
    gold_accuracy: Rate
    with_majority: Rate
    kappa: Number
    alpha: Number
    ties: int = 0
    estimated: tuple[JudgeEstimate, ...] = ()


@dataclass(frozen=True, slots=True)
class QualityReport:
    """`questions` are pairs under a principle or overall, `overlapping` those that two people or more answered, both
    without gold: of that, `gold_accuracy` and people's weights alone are made.

    `alpha` is Krippendorff's over choices, `ranking_alpha` his ordinal one over places in rankings.
    """

    labels: int
    skips: int
    training: int
    questions: int
    overlapping: int
    alpha: Number
    ranking_alpha: Number
    gold_accuracy: Rate
    annotators: tuple[AnnotatorQuality, ...]
    pairs: tuple[PairAgreement, ...]
    judge: JudgeQuality
