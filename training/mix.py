"""People's pairs and the machine's become one set: conflicts, caps, ratio, weights, and a report. Standard library.

Order: cap per annotator -> conflicts -> ratio -> weights. Nothing leaves silently: every dropped row is in the report.
"""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from training.errors import TrainingError
from training.rows import PreferenceRow

Conflict = Literal["human_wins", "average", "drop", "review"]


@dataclass(frozen=True, slots=True)
class MixConfig:
    """How the two kinds of rows join.

    - `ratio`: largest share of human rows in the mixed set, 0 to 1. With no machine rows any ratio above 0 takes all.
    - `human_weight`, `machine_weight`: factors on the rows' own weights.
    - `conflict`: what to do where people and the machine name different winners for the same two replies.
    - `cap_per_annotator`: most rows of one annotator, None for all.
    - `seed`: decides which rows a cap or the ratio keeps.
    """

    ratio: float = 0.5
    human_weight: float = 1.0
    machine_weight: float = 1.0
    conflict: Conflict = "human_wins"
    cap_per_annotator: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class MixReport:
    """What came in, what went out. `effective_sample_size` is (sum w)^2 / sum w^2 over the mixed rows (Kish)."""

    human_available: int
    machine_available: int
    human: int
    ai: int
    check: int
    conflicts: int
    review: int
    dropped_by_conflict: int
    dropped_by_cap: int
    dropped_by_ratio: int
    ties: int
    prompts: int
    weight_sum: float
    effective_sample_size: float


@dataclass(frozen=True, slots=True)
class MixResult:
    """The mixed rows in a fixed order, those that a person should look at, and the report."""

    rows: tuple[PreferenceRow, ...]
    review: tuple[PreferenceRow, ...]
    report: MixReport


@dataclass(frozen=True, slots=True)
class _Settled:
    human: tuple[PreferenceRow, ...]
    machine: tuple[PreferenceRow, ...]
    review: tuple[PreferenceRow, ...]
    conflicts: int
    dropped: int


def mix_rows(human: Sequence[PreferenceRow], machine: Sequence[PreferenceRow], config: MixConfig) -> MixResult:
    """Join human and machine rows. The same input gives the same rows in the same order."""
    _refuse_wrong_sources(human, machine)
    capped = cap_annotators(human, config)
    settled = _settle_conflicts(capped, machine, config.conflict)
    drawn = draw_share(settled.human, len(settled.machine), config)
    rows = tuple(
        [replace(row, weight=row.weight * config.human_weight) for row in drawn]
        + [replace(row, weight=row.weight * config.machine_weight) for row in settled.machine]
    )
    _refuse_shared_ids(rows)
    sources = Counter(row.source for row in rows)
    report = MixReport(
        human_available=len(human),
        machine_available=len(machine),
        human=sources["human"],
        ai=sources["ai"],
        check=sources["check"],
        conflicts=settled.conflicts,
        review=len(settled.review),
        dropped_by_conflict=settled.dropped,
        dropped_by_cap=len(human) - len(capped),
        dropped_by_ratio=len(settled.human) - len(drawn),
        ties=sum(row.p_chosen == 0.5 for row in rows),
        prompts=len({row.prompt_id for row in rows}),
        weight_sum=math.fsum(row.weight for row in rows),
        effective_sample_size=effective_sample_size(rows),
    )
    return MixResult(rows, settled.review, report)


def effective_sample_size(rows: Iterable[PreferenceRow]) -> float:
    """Kish: how many rows of equal weight carry as much as these; 0 for none."""
    weights = [row.weight for row in rows]
    squares = math.fsum(weight * weight for weight in weights)
    return math.fsum(weights) ** 2 / squares if squares else 0.0


def cap_annotators(human: Sequence[PreferenceRow], config: MixConfig) -> tuple[PreferenceRow, ...]:
    """At most `cap_per_annotator` rows of each annotator, picked by hash; a row without annotators is not capped."""
    if config.cap_per_annotator is None:
        return tuple(human)
    used: Counter[str] = Counter()
    kept: set[str] = set()
    for row in sorted(human, key=lambda row: _draw(row, config.seed)):
        if all(used[name] < config.cap_per_annotator for name in row.annotators):
            used.update(row.annotators)
            kept.add(row.id)
    return tuple(row for row in human if row.id in kept)


def draw_share(human: Sequence[PreferenceRow], machine_rows: int, config: MixConfig) -> tuple[PreferenceRow, ...]:
    """As many human rows as `ratio` allows beside `machine_rows`, picked by hash: h / (h + m) <= ratio."""
    if config.ratio >= 1 or (machine_rows == 0 and config.ratio > 0):
        return tuple(human)
    # The small term keeps 0.2 / 0.8 * 4 from coming out as 0.9999.
    room = math.floor(config.ratio * machine_rows / (1 - config.ratio) + 1e-9)
    kept = {row.id for row in first_drawn(human, room, config.seed)}
    return tuple(row for row in human if row.id in kept)


def first_drawn(rows: Sequence[PreferenceRow], most: int, seed: int) -> list[PreferenceRow]:
    """At most `most` of the rows, picked by hash: more of them for a higher `most`, the same for the same seed."""
    return sorted(rows, key=lambda row: _draw(row, seed))[:most]


def _settle_conflicts(human: Sequence[PreferenceRow], machine: Sequence[PreferenceRow], policy: Conflict) -> _Settled:
    """Find the pairs of replies on which people and the machine name different winners, and apply the policy."""
    people: dict[Hashable, list[PreferenceRow]] = defaultdict(list)
    for row in human:
        people[_pair(row)].append(row)
    out: set[str] = set()
    review: list[PreferenceRow] = []
    changed: dict[str, PreferenceRow] = {}
    conflicts = 0
    for row in machine:
        against = [other for other in people.get(_pair(row), ()) if _disagree(row, other)]
        if not against:
            continue
        conflicts += 1
        out.add(row.id)
        if policy == "average":
            changed.update((other.id, averaged(changed.get(other.id, other), row)) for other in against)
        elif policy != "human_wins":
            out.update(other.id for other in against)
            review += [row, *against] if policy == "review" else []
    left = tuple(changed.get(row.id, row) for row in human if row.id not in out)
    kept = tuple(row for row in machine if row.id not in out)
    once = {row.id: row for row in review}
    return _Settled(left, kept, tuple(once.values()), conflicts, len(out))


def averaged(person: PreferenceRow, machine: PreferenceRow) -> PreferenceRow:
    """One human row for two beliefs, their mean by weight; turned around where the machine outweighs."""
    total = person.weight + machine.weight
    p_person = (
        0.5 if total == 0 else (person.p_chosen * person.weight + (1 - machine.p_chosen) * machine.weight) / total
    )
    if p_person >= 0.5:
        return replace(person, p_chosen=p_person)
    turned = tuple((id, 1 - p_chosen) for id, p_chosen in person.per_principle)
    return replace(person, chosen=person.rejected, rejected=person.chosen, p_chosen=1 - p_person, per_principle=turned)


def _pair(row: PreferenceRow) -> Hashable:
    """The same prompt and the same two texts, whichever won."""
    return (row.prompt, frozenset((row.chosen, row.rejected)))


def _disagree(one: PreferenceRow, other: PreferenceRow) -> bool:
    """Different winners, and neither a tie: a tie says nothing against anyone."""
    return one.chosen != other.chosen and one.p_chosen > 0.5 and other.p_chosen > 0.5


def _draw(row: PreferenceRow, seed: int) -> str:
    """A fixed random place for each row: adding rows does not reshuffle the others."""
    return hashlib.sha256(f"{seed}/{row.id}".encode()).hexdigest()


def _refuse_wrong_sources(human: Sequence[PreferenceRow], machine: Sequence[PreferenceRow]) -> None:
    for rows, wanted in ((human, ("human",)), (machine, ("ai", "check"))):
        for row in rows:
            if row.source not in wanted:
                raise TrainingError(f"row {row.id!r}: source is {row.source!r} among rows of {' or '.join(wanted)}")


def _refuse_shared_ids(rows: Sequence[PreferenceRow]) -> None:
    for id, times in Counter(row.id for row in rows).items():
        if times > 1:
            raise TrainingError(f"row {id!r} comes {times} times into the mix; give each row its own id")
