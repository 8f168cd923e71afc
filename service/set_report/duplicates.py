"""Rows that say the same thing twice, or nearly, and rows that contradict each other."""

from collections import defaultdict
from collections.abc import Sequence

from service.set_report.clusters import asked_text
from service.set_report.findings import Duplicates
from service.set_report.near import NearTexts
from training.rows import PreferenceRow

_SHOWN = 10


def duplicates_in(rows: Sequence[PreferenceRow], near: float) -> Duplicates:
    same: defaultdict[tuple[str, ...], list[PreferenceRow]] = defaultdict(list)
    for row in rows:
        said = tuple(f"{turn.role}: {turn.content}" for turn in row.prompt)
        same[(*said, *sorted((row.chosen, row.rejected)))].append(row)
    groups = NearTexts({found[0].id: _matter(found[0]) for found in same.values()}, near).groups()
    voices = [len(set(map(_voice, found))) for found in same.values()]
    return Duplicates(
        exact=len(rows) - sum(voices),
        second_opinions=sum(voices) - len(same),
        contradicting=sum(_against(found) for found in same.values()),
        near=sum(map(len, groups)),
        near_groups=len(groups),
        groups=groups[:_SHOWN],
    )


def _voice(row: PreferenceRow) -> tuple[str, str, frozenset[str], frozenset[str]]:
    """Who says so, and of a person under which principles: that is another answer than overall.

    Of rows without a name nobody can tell, and they count as one's.
    """
    under = (id for id, _ in row.per_principle) if row.source == "human" else ()
    return row.source, row.judge, frozenset(row.annotators), frozenset(under)


def _matter(row: PreferenceRow) -> str:
    return "\n".join((asked_text(row.prompt), *sorted((row.chosen, row.rejected))))


def _against(found: Sequence[PreferenceRow]) -> int:
    """How many rows name another winner than most do; ties name none."""
    winners = [row.chosen for row in found if row.p_chosen != 0.5]
    return len(winners) - max((winners.count(winner) for winner in set(winners)), default=0)
