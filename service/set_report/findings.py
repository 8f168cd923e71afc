"""What an examination of a preference set finds. Plain records: the heavy libraries are where they are made."""

from collections.abc import Mapping
from dataclasses import dataclass

from judges.measures import Statistic


@dataclass(frozen=True, slots=True)
class Share:
    """A share of `pairs` with its 95 % interval, clustered by prompt; None, and the `reason`, where there is none."""

    pairs: int
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LengthEffect:
    """`longer_wins` of the pairs of two lengths; `slope` is the log-odds of winning for each doubling in characters."""

    longer_wins: Share
    slope: Statistic


@dataclass(frozen=True, slots=True)
class FeatureEffect:
    """How many chosen and rejected replies have it (0 to 1), and how often it wins where one reply alone has it."""

    feature: str
    of_chosen: float
    of_rejected: float
    wins: Share


@dataclass(frozen=True, slots=True)
class SourceBias:
    """Of the `decided` pairs of one source, ties left aside. `first_wins`: where the order on the page is known.

    A run's judge was asked in both orders: its `first_wins` is of all these readings, as in `OrderEffect`.
    """

    source: str
    rows: int
    decided: int
    length: LengthEffect
    features: tuple[FeatureEffect, ...]
    first_wins: Share


@dataclass(frozen=True, slots=True)
class OrderEffect:
    """A judge under one principle: how often the reply shown first won, of the readings of each verdict in both orders.

    `flipped`: of its verdicts, those whose two orders name different winners.
    """

    judge: str
    principle_id: str
    first_wins: Share
    flipped: Share


@dataclass(frozen=True, slots=True)
class PrincipleUse:
    """Rows that it `answered`, was `decisive` in, or pulled against the belief in (`overruled`)."""

    principle_id: str
    answered: int
    decisive: int
    overruled: int


@dataclass(frozen=True, slots=True)
class ClusterUse:
    """A kind of prompts, its rows, and in how many of them each principle was decisive."""

    cluster: str
    prompts: int
    rows: int
    decisive: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Hole:
    """A principle that decides nothing on a kind of prompts, and prompts of this kind to sample more replies for."""

    principle_id: str
    cluster: str
    suggested: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Coverage:
    """`principles` are known or answered; where none answered a row, there are no `holes`."""

    rows_without_answers: int
    principles: tuple[PrincipleUse, ...]
    clusters: tuple[ClusterUse, ...]
    holes: tuple[Hole, ...]

    @property
    def answered(self) -> bool:
        """Whether any principle answered any row."""
        return any(one.answered for one in self.principles)


@dataclass(frozen=True, slots=True)
class Duplicates:
    """`exact` rows repeat another one's prompt and replies in the same voice: such a text weighs twice in training.

    `second_opinions` repeat them too, each the first of another person or judge: a pair that two people labelled is no
    copy. `contradicting` rows name another winner than most do on the same texts, whoever said so. `near` rows belong
    to groups of near-duplicates (prompt and both replies) that are no exact ones; `groups` are the ids of the largest.
    """

    exact: int
    second_opinions: int
    contradicting: int
    near: int
    near_groups: int
    groups: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Leak:
    """A held-out prompt, and the set's prompt that is the same or near it."""

    held_out_id: str
    held_out: str
    trained_id: str
    trained: str


@dataclass(frozen=True, slots=True)
class Leakage:
    """Of `held_out` prompts, how many stand in the set word for word (`exact`), or nearly; `leaks` are the first.

    `near_own` prompts of the set are near another of its own: a training that holds some of them out
    (`held_out_share`) is measured on what it nearly read. `own_groups` are the ids of the largest groups of these.
    """

    held_out: int
    exact: int
    near: int
    leaks: tuple[Leak, ...]
    near_own: int = 0
    own_groups: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class SetReport:
    """Of the set's `rows`, `examined` were looked at: all, unless there are more than `most_rows`.

    `orders` are of the verdicts of the run that made the set; none where it was imported.
    """

    rows: int
    examined: int
    coverage: Coverage
    bias: tuple[SourceBias, ...]
    duplicates: Duplicates
    leakage: Leakage
    orders: tuple[OrderEffect, ...] = ()
