"""Where people and the machine name different winners for the same two replies, and what becomes of both sides' rows.

Standard library. Left out: what their rows count (mix_sources.py).
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence, Set
from dataclasses import dataclass, replace
from typing import Literal

from training.people_votes import REVIEWED, compared, leaning_to, logit, p_first, pair_key, sigmoid
from training.rows import PreferenceRow

Conflict = Literal["human_wins", "average", "drop", "review"]


@dataclass(frozen=True, slots=True)
class Settled:
    """The rows that stay, the pairs that people should look at (by `pair_key`), and how many rows went.

    `contested` are people's rows that the machine spoke against.
    """

    human: tuple[PreferenceRow, ...]
    machine: tuple[PreferenceRow, ...]
    review: frozenset[Hashable]
    contested: tuple[PreferenceRow, ...]
    conflicts: int
    dropped: int


def settled_rows(
    human: Sequence[PreferenceRow], machine: Sequence[PreferenceRow], policy: Conflict, weightless: Set[str]
) -> Settled:
    """Find the conflicts, and apply the policy to them.

    One of several people is no conflict where the others outvote them for the machine's winner. Where a pair has been
    reviewed, the labels of the review speak for people, and it is not sent again: people win. A machine's tie is no
    conflict either, but goes where people name a winner: trained on beside their row it would pull back to one half.
    """
    people: dict[Hashable, list[PreferenceRow]] = defaultdict(list)
    for row in human:
        people[pair_key(row)].append(row)
    out: set[str] = set()
    review: set[Hashable] = set()
    changed: dict[str, PreferenceRow] = {}
    contested: list[PreferenceRow] = []
    conflicts = 0
    for row in machine:
        labels = people.get(pair_key(row), [])
        of_review = [other for other in labels if REVIEWED in dict(other.tags)]
        if row.p_chosen == 0.5 and _named(of_review or labels):
            out.add(row.id)
            continue
        answers = [(other, _sides_with(row, other, weightless)) for other in of_review or labels]
        against = [other for other, side in answers if side < 0]
        if not against or math.fsum(other.weight * side for other, side in answers) > 0:
            continue
        conflicts += 1
        contested += against
        out.add(row.id)
        if policy == "average":
            # Each of several people gets a part of the one verdict, or it would count once for each.
            part = replace(row, weight=row.weight / len(against))
            changed.update((other.id, averaged(changed.get(other.id, other), part, weightless)) for other in against)
        elif policy == "drop" or (policy == "review" and not of_review):
            # The whole pair goes: what is left would be a minority's word, a tie, or an answer to another question.
            out.update(other.id for other in labels)
            review |= {pair_key(row)} if policy == "review" else set()
    left = tuple(changed.get(row.id, row) for row in human if row.id not in out)
    kept = tuple(row for row in machine if row.id not in out)
    return Settled(left, kept, frozenset(review), tuple(contested), conflicts, len(out))


def averaged(person: PreferenceRow, machine: PreferenceRow, weightless: Set[str] = frozenset()) -> PreferenceRow:
    """One human row for two beliefs: the product of their odds, the lighter row's in proportion to the weights.

    The machine's is the one on the person's question. The row is turned around where the machine outweighs. It weighs
    what the heavier one did: a person who counts little takes little from the machine, not the whole pair from the set.
    """
    heavier = max(person.weight, machine.weight)
    if heavier == 0:
        return leaning_to(person, 0.5)
    said = compared(machine, person, weightless)
    belief = math.fsum(logit(one.belief) for one in said) / max(len(said), 1)
    pull = person.weight * logit(p_first(person)) + machine.weight * belief
    return replace(leaning_to(person, sigmoid(pull / heavier)), weight=heavier)


def _named(labels: Sequence[PreferenceRow]) -> bool:
    """Whether people, asked about the replies as a whole, together name a winner."""
    return math.fsum(row.weight * (p_first(row) - 0.5) for row in labels if not row.per_principle) != 0


def _sides_with(machine: PreferenceRow, person: PreferenceRow, weightless: Set[str]) -> float:
    """How far the person names the machine's winner, -0.5 to 0.5: the mean over what both were asked.

    0 where either sees a tie, which says nothing against anyone, or where they were asked about different things.
    """
    said = compared(machine, person, weightless)
    sides = (math.copysign(one.vote - 0.5, (one.vote - 0.5) * (one.belief - 0.5)) for one in said if one.belief != 0.5)
    return math.fsum(sides) / max(len(said), 1)
