"""Several people's votes in one row: kept in a tag, so that a person's can be taken out again. Standard library.

Left out: votes of people's rows that stand one beside another (people_votes.py).
"""

import json
import math
from collections.abc import Sequence, Set
from dataclasses import astuple, dataclass, replace

from training.people_votes import leaning_to
from training.rows import PreferenceRow

# The tag of a row of several people: who said what. A text, so that every table of rows can hold it.
VOTES = "votes"


@dataclass(frozen=True, slots=True)
class CastVote:
    """What one person said: `p_first` that the reply which `first_reply` names is better, 0 to 1, 0.5 for a tie.

    `principle_id` is empty for the whole. The vote counts `weight` times.
    """

    annotator: str
    principle_id: str
    p_first: float
    weight: float


def row_of_votes(row: PreferenceRow, votes: Sequence[CastVote]) -> PreferenceRow:
    """The row with the share of the votes as its belief, and their mean weight. Of several people it keeps the votes.

    `per_principle` has the share of those under each principle.
    """
    row = leaning_to(replace(row, per_principle=()), _share(votes))
    chosen_first = row.chosen <= row.rejected
    of_principle: dict[str, list[CastVote]] = {}
    for vote in votes:
        if vote.principle_id:
            of_principle.setdefault(vote.principle_id, []).append(vote)
    shares = {id: _share(own) for id, own in of_principle.items()}
    people = tuple(dict.fromkeys(vote.annotator for vote in votes))
    told = ((VOTES, json.dumps([astuple(vote) for vote in votes], ensure_ascii=False)),) if len(people) > 1 else ()
    return replace(
        row,
        weight=math.fsum(vote.weight for vote in votes) / len(votes),
        annotators=people,
        per_principle=tuple((id, share if chosen_first else 1 - share) for id, share in shares.items()),
        tags=(*(tag for tag in row.tags if tag[0] != VOTES), *told),
    )


def without_people(row: PreferenceRow, people: Set[str]) -> PreferenceRow | None:
    """The row without these people's votes; None where no vote is left, or nobody can tell whose votes are whose.

    Of a row that keeps no votes these can be told only where all named the same reply.
    """
    left = tuple(name for name in row.annotators if name not in people)
    votes = [vote for vote in _votes_of(row) if vote.annotator in left]
    if votes:
        return row_of_votes(row, votes)
    return replace(row, annotators=left) if left and row.p_chosen == 1 else None


def _votes_of(row: PreferenceRow) -> tuple[CastVote, ...]:
    """The votes that the row keeps, under principles only those that it still names; none where they are not ours."""
    try:
        told = [CastVote(*values) for values in json.loads(dict(row.tags).get(VOTES, "[]"))]
        ours = {vote.annotator for vote in told} == set(row.annotators) and all(map(_makes_sense, told))
    except (ValueError, TypeError):
        return ()
    if not ours:
        return ()
    named = {id for id, _ in row.per_principle}
    return tuple(vote for vote in told if not vote.principle_id or vote.principle_id in named)


def _makes_sense(vote: CastVote) -> bool:
    numbers = isinstance(vote.p_first, int | float) and isinstance(vote.weight, int | float)
    return numbers and isinstance(vote.principle_id, str) and 0 <= vote.p_first <= 1 and 0 < vote.weight < math.inf


def _share(votes: Sequence[CastVote]) -> float:
    """For the first reply, by weight."""
    return math.fsum(vote.weight * vote.p_first for vote in votes) / math.fsum(vote.weight for vote in votes)
