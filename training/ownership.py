"""Who decides which principle. Constitutional AI had people decide helpfulness and the model harmlessness
(arXiv:2212.08073, section 4.1). Where one source owns a principle, the other's verdict under it does not count.

A row that names no principle is about the replies on the whole, and stays. Standard library.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from training.people_votes import leaning_to, logit, sigmoid
from training.rows import PreferenceRow

Owner = Literal["human", "ai"]


@dataclass(frozen=True, slots=True)
class Owned:
    """The rows that count, and how many had nothing to say but under principles that the other source owns."""

    rows: tuple[PreferenceRow, ...]
    dropped: int


def owned_rows(rows: Sequence[PreferenceRow], owners: Mapping[str, Owner]) -> Owned:
    """Each row under the principles that its source may decide; checks are on the judge's side.

    A row that loses some of its principles gets the belief of those that are left: the product of their odds.
    """
    kept = [own for row in rows if (own := _own_part(row, owners)) is not None]
    return Owned(tuple(kept), len(rows) - len(kept))


def _own_part(row: PreferenceRow, owners: Mapping[str, Owner]) -> PreferenceRow | None:
    source: Owner = "human" if row.source == "human" else "ai"
    left = tuple((id, p) for id, p in row.per_principle if owners.get(id, source) == source)
    if left == row.per_principle:
        return row
    if not left:
        return None
    p_chosen = sigmoid(sum(logit(p) for _, p in left))
    p_first = p_chosen if row.chosen <= row.rejected else 1 - p_chosen
    return leaning_to(replace(row, per_principle=left), p_first)
