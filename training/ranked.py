"""What rows count that are parts of one answer: a ranking of K replies becomes K (K - 1) / 2 rows, the choice of the
best of K becomes K - 1, and neither is so many labels.

Take replies that hardly differ, so that a person may name any order as well as any other. For a contrast v of unit
length over the replies, the pairs' log-likelihood has the curvature K / 4. Its gradient is half the sum of
v_i (wins_i - losses_i); in a random order the variance of wins less losses is (K^2 - 1) / 3 and the covariance of two
replies -(K + 1) / 3, so the gradient's variance is K (K + 1) / 12: (K + 1) / 3 times the curvature, where independent
rows have the two equal. So a row from a ranking counts as 3 / (K + 1) of a label (the weight that makes them equal:
Pauli, Racugno and Ventura 2011), and a ranking of nine as 10.8 labels. InstructGPT gives all rows of a ranking
together the weight of one (arXiv:2203.02155, equation 1). K scores, one a reply, are a ranking.

Where only the best of K is named, each reply is so in one case of K. The gradient is then K v_i / 2, of variance K / 4,
and the curvature of its K - 1 rows (K v_i^2 + 1) / 4, in the mean 1 / 2: such a row counts as 2 / K of a label. Thus
weighted their information on the contrast is 1 / K, which is all that the choice holds (Luce's model).

Whatever is measured by people's votes counts such a row so too: the log-likelihood of a fit on beliefs that come of one
score a reply is such a contrast, and its curvature is then what the votes tell.

How far two people's orders agree is Kendall's tau, which varies less: of two random orders, pairs that agree less those
that differ have the variance K (K - 1) (2 K + 5) / 18, (2 K + 5) / 9 times that of as many independent pairs (Kendall
1938). So two rows by which people agree or differ count as 9 / (2 K + 5) of two labels. Of two choices of the best
either all K - 1 rows agree, by one chance in K, or one differs and the others meet none: K / 2 times the variance, so
2 / K again. Standard library.
"""

import math
from collections.abc import Iterable, Sequence

from training.rows import PreferenceRow

# The tags of a row that is a part of a ranking, or of the choice of the best: of how many replies.
RANKED, PICKED = "ranked", "picked_of"
_DIGITS = 4


def ranked_weight(replies: int) -> float:
    """What one row of a ranking of so many replies counts, beside one label on one pair."""
    return 3 / (replies + 1)


def picked_weight(replies: int) -> float:
    """The same of a row by which one of so many replies was named the best."""
    return 2 / replies


def labels_in(tags: Sequence[tuple[str, str]]) -> float:
    """What a row with these tags counts, 0 to 1: 1 where it is an answer of its own, or the tag is somebody else's."""
    return min(ranked_weight(_replies(tags, RANKED)), picked_weight(_replies(tags, PICKED)))


def labels_in_rows(rows: Iterable[PreferenceRow]) -> float:
    """How many labels, or verdicts, the rows are worth, whatever weight they were given."""
    return math.fsum(labels_in(row.tags) for row in rows)


def twos_in(one: Sequence[tuple[str, str]], other: Sequence[tuple[str, str]]) -> float:
    """What the agreement of rows with these tags counts, 0 to 1, beside that of two labels: the lesser of both."""
    return min(_twos_in(one), _twos_in(other))


def effective_sample_size(rows: Iterable[PreferenceRow]) -> float:
    """How many independent rows of equal weight carry as much as these; 0 for none.

    (sum w)^2 / sum w^2 (Kish), where the square of a row that counts as a part of a label is divided by that part.
    """
    weights = [(row.weight, labels_in(row.tags)) for row in rows]
    squares = math.fsum(weight * weight / labels for weight, labels in weights)
    return math.fsum(weight for weight, _ in weights) ** 2 / squares if squares else 0.0


def _twos_in(tags: Sequence[tuple[str, str]]) -> float:
    return min(9 / (2 * _replies(tags, RANKED) + 5), picked_weight(_replies(tags, PICKED)))


def _replies(tags: Sequence[tuple[str, str]], tag: str) -> int:
    """Of how many replies, 2 where there is no such tag."""
    replies = dict(tags).get(tag, "")
    ours = replies.isdecimal() and len(replies) <= _DIGITS
    return max(int(replies), 2) if ours else 2
