"""People's pairs and the machine's become one set: conflicts, caps, ratio, weights, and a report. Needs numpy.

Order: owners -> cap per annotator -> beliefs and weights (mix_sources.py) -> gold -> conflicts -> ratio. Nothing leaves
silently: every dropped row is in the report.
"""

import hashlib
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from training.cast_votes import without_people
from training.conflicts import Conflict, Settled, settled_rows
from training.errors import TrainingError
from training.mix_sources import SourceKnobs, SourceStanding, Weights, counted_rows
from training.ownership import Owner, owned_rows
from training.people_votes import Agreement, p_first, pair_key
from training.ranked import effective_sample_size, labels_in, labels_in_rows
from training.rows import PreferenceRow


@dataclass(frozen=True, slots=True)
class MixConfig:
    """How the two kinds of rows join.

    - `ratio`: largest share of people's labels in the mixed set, 0 to 1, after conflicts: rows that are parts of one
      answer count as the labels that they are worth (ranked.py), whatever the sources weigh. With no machine rows any
      ratio above 0 takes all.
    - `human_weight`, `machine_weight`: factors on the rows' own weights. With `weights: measured` and `calibrate`, from
      twenty shared votes on, the machine's counts no more.
    - `weights`: `measured` replaces `machine_weight` by what the machine's verdicts tell beside labels, on pairs that
      people labelled too; while those are few it stays near `machine_weight`.
    - `calibrate`: people's votes on one pair become one belief by their annotators' reliability, and the machine's
      beliefs are fitted to people's votes, the pull of length taken out.
    - `owners`: principle id -> whose verdicts count under it; under one that is not named, both sources'.
    - `conflict`: what to do where people and the machine name different winners for the same two replies.
    - `cap_per_annotator`: most labels of one annotator, None for all.
    - `seed`: decides which rows a cap or the ratio keeps.
    - `weightless`: principles whose verdicts are shown and count in no belief: people's labels under them are compared
      with none.
    """

    ratio: float = 0.5
    human_weight: float = 1.0
    machine_weight: float = 1.0
    conflict: Conflict = "human_wins"
    cap_per_annotator: int | None = None
    seed: int = 0
    weights: Weights = "given"
    calibrate: bool = False
    owners: Mapping[str, Owner] = field(default_factory=dict)
    weightless: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PeopleChanged:
    """What people's labels did to the mixed set.

    `decided` pairs have a person's row; `conflicts_won` ended with the person's winner; in `flips` pairs what is
    trained on names another winner than the machine's own verdict did, in `ties_decided` a winner where it saw none;
    `weight_share` is people's part of all weight.
    """

    decided: int = 0
    conflicts_won: int = 0
    flips: int = 0
    ties_decided: int = 0
    weight_share: float = 0.0


@dataclass(frozen=True, slots=True)
class MixReport:
    """What came in, what went out. `effective_sample_size` is over the mixed rows (ranked.py).

    `review` are pairs that people should look at. Of the rows that lost somebody's vote to the cap and stay,
    `votes_dropped_by_cap` counts the votes. `pooled_votes` are human rows that went into another row on the same pair;
    `people_agreement` is None where too few pairs have votes of several people; `standings` says what each machine
    source was found to be worth. `gold` are the right answers in the mix, neither in `human` nor in the ratio.
    """

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
    gold: int = 0
    dropped_by_gold: int = 0
    dropped_by_owner: int = 0
    dropped_by_reliability: int = 0
    pooled_votes: int = 0
    votes_dropped_by_cap: int = 0
    people_agreement: Agreement | None = None
    standings: tuple[SourceStanding, ...] = ()
    people: PeopleChanged = PeopleChanged()


@dataclass(frozen=True, slots=True)
class MixResult:
    """The mixed rows in a fixed order, and the report. `review` are all rows, as they came, on the pairs to look at."""

    rows: tuple[PreferenceRow, ...]
    review: tuple[PreferenceRow, ...]
    report: MixReport


@dataclass(frozen=True, slots=True)
class _Capped:
    """`votes_out` were taken out of rows that stay."""

    rows: tuple[PreferenceRow, ...]
    votes_out: int


def mix_rows(
    human: Sequence[PreferenceRow],
    machine: Sequence[PreferenceRow],
    config: MixConfig,
    measured: Sequence[PreferenceRow] = (),
    gold: Sequence[PreferenceRow] = (),
) -> MixResult:
    """Join human and machine rows. The same input gives the same rows in the same order.

    `measured` are the machine's rows on people's pairs: they show what it is worth, and do not enter the mix. `gold`,
    right answers on pairs of either's rows, does, in place of the machine's rows on its pairs, and shows whose errors
    the machine makes (gold.py). People's votes there stay: they tell how far apart the replies are.
    """
    _refuse_wrong_sources((*human, *gold), (*machine, *measured))
    people, machines = owned_rows(human, config.owners), owned_rows(machine, config.owners)
    capped = cap_annotators(people.rows, config)
    counted = counted_rows(capped.rows, machines.rows, owned_rows(measured, config.owners).rows, _knobs(config), gold)
    known = {pair_key(row) for row in gold}
    unknown = [row for row in counted.machine if pair_key(row) not in known]
    settled = settled_rows(counted.human, unknown, config.conflict, config.weightless)
    drawn = draw_share(settled, config)
    rows = (*drawn, *settled.machine, *counted.gold)
    _refuse_shared_ids(rows)
    sources = Counter(row.source for row in (*drawn, *settled.machine))
    report = MixReport(
        human_available=len(human),
        machine_available=len(machine),
        human=sources["human"],
        ai=sources["ai"],
        check=sources["check"],
        conflicts=settled.conflicts,
        review=len(settled.review),
        dropped_by_conflict=settled.dropped,
        dropped_by_cap=len(people.rows) - len(capped.rows),
        dropped_by_ratio=len(settled.human) - len(drawn),
        ties=sum(row.p_chosen == 0.5 for row in rows),
        prompts=len({row.prompt_id for row in rows}),
        weight_sum=math.fsum(row.weight for row in rows),
        effective_sample_size=effective_sample_size(rows),
        gold=len(counted.gold),
        dropped_by_gold=len(counted.machine) - len(unknown),
        dropped_by_owner=people.dropped + machines.dropped,
        dropped_by_reliability=counted.dropped,
        pooled_votes=len(capped.rows) - len(counted.human),
        votes_dropped_by_cap=capped.votes_out,
        people_agreement=counted.people,
        standings=counted.standings,
        people=_changed(rows, settled.contested, machines.rows),
    )
    review = tuple(row for row in (*machines.rows, *people.rows) if pair_key(row) in settled.review)
    return MixResult(rows, review, report)


def cap_annotators(human: Sequence[PreferenceRow], config: MixConfig) -> _Capped:
    """At most `cap_per_annotator` labels of each annotator, picked by hash; a row without annotators is not capped.

    The rows of a ranking count as the labels that they are worth. From a row of several annotators the votes of those
    over the cap are taken out; where they cannot be told apart, the row is.
    """
    if config.cap_per_annotator is None:
        return _Capped(tuple(human), 0)
    # The small term keeps three rows of 0.3 and one of 0.1 from being more than 1.
    most = config.cap_per_annotator + 1e-9
    used: dict[str, float] = defaultdict(float)
    kept: dict[str, PreferenceRow] = {}
    votes_out = 0
    for row in sorted(human, key=lambda row: _draw(row, config.seed)):
        labels = labels_in(row.tags)
        over = {name for name in row.annotators if used[name] + labels > most}
        left = without_people(row, over) if over else row
        if left is not None:
            kept[row.id] = left
            votes_out += len(over)
            for name in left.annotators:
                used[name] += labels
    return _Capped(tuple(kept[row.id] for row in human if row.id in kept), votes_out)


def draw_share(settled: Settled, config: MixConfig) -> tuple[PreferenceRow, ...]:
    """As many labels as `ratio` allows beside the verdicts that conflicts left: h / (h + m) <= ratio.

    Rows that took a verdict's place come first: without them their pairs, on which the machine was wrong, would be gone
    from the set. The others are picked by hash. A row counts as the labels that it is worth, and not by its weight: a
    machine that is found to be worth little would else drive out the labels that showed it.
    """
    human, verdicts = settled.human, labels_in_rows(settled.machine)
    if config.ratio >= 1 or (verdicts == 0 and config.ratio > 0):
        return human
    # The small term keeps 0.2 / 0.8 * 4 from coming out as 0.9999.
    room = config.ratio * verdicts / (1 - config.ratio) + 1e-9
    contested = {row.id for row in settled.contested}
    drawn = sorted(human, key=lambda row: (row.id not in contested, _draw(row, config.seed)))
    used = itertools.accumulate(labels_in(row.tags) for row in drawn)
    kept = {row.id for row, labels in zip(drawn, used, strict=True) if labels <= room}
    return tuple(row for row in human if row.id in kept)


def first_drawn(rows: Sequence[PreferenceRow], most: int, seed: int) -> list[PreferenceRow]:
    """At most `most` of the rows, picked by hash: more of them for a higher `most`, the same for the same seed."""
    return sorted(rows, key=lambda row: _draw(row, seed))[:most]


def _changed(
    rows: Sequence[PreferenceRow], contested: Sequence[PreferenceRow], machine: Sequence[PreferenceRow]
) -> PeopleChanged:
    """`contested` are people's rows that the machine spoke against, `machine` its rows as the verdicts were given."""
    net, said = _leaning(rows), _leaning(machine)
    wins = {pair_key(row): (p_first(row) - 0.5) * net.get(pair_key(row), 0.0) > 0 for row in contested}
    total = math.fsum(row.weight for row in rows)
    # An average has the weight of the heavier side: what is above the person's own is the machine's.
    own = {row.id: row.weight for row in contested}
    of_people = math.fsum(min(row.weight, own.get(row.id, row.weight)) for row in rows if row.source == "human")
    return PeopleChanged(
        decided=len({pair_key(row) for row in rows if row.source == "human"}),
        conflicts_won=sum(wins.values()),
        flips=sum(lean * net.get(key, 0.0) < 0 for key, lean in said.items()),
        ties_decided=sum(lean == 0 != net.get(key, 0.0) for key, lean in said.items()),
        weight_share=of_people / total if total else 0.0,
    )


def _leaning(rows: Iterable[PreferenceRow]) -> dict[Hashable, float]:
    """Of each pair, above 0 where its rows together favour its first reply."""
    found: dict[Hashable, list[float]] = defaultdict(list)
    for row in rows:
        found[pair_key(row)].append(row.weight * (p_first(row) - 0.5))
    return {key: math.fsum(pulls) for key, pulls in found.items()}


def _knobs(config: MixConfig) -> SourceKnobs:
    return SourceKnobs(config.weights, config.calibrate, config.human_weight, config.machine_weight, config.weightless)


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
