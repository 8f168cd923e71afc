"""How many pairs a ranking may ask for, and when it knows enough.

Left out: which pairs (pairing.py).
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Schedule:
    """`full` judges every pair. `adaptive` judges those that tell most, up to half of them.

    Raise `most_pairs` (0 means half of all, and at least a chain through all replies) to buy a better order; lower
    `stop_at_p_best`, 0 to 1, where only the best reply is wanted. Both concern `adaptive` alone. P(best) is the judge's
    own view: a judge with a taste of its own is sure of the wrong reply.
    """

    kind: Literal["adaptive", "full"] = "adaptive"
    most_pairs: int = 0
    stop_at_p_best: float = 0.99

    def budget(self, replies: int) -> int:
        """The most pairs that may be asked for `replies` replies."""
        pairs = replies * (replies - 1) // 2
        if self.kind == "full":
            return pairs
        return min(pairs, self.most_pairs or max(replies - 1, pairs // 2))
