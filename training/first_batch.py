"""What is seen of the batch that a step learns from first, with the graphs that its gradients need.

Before a step's first update nothing has moved: the pass that gives a batch's log-probabilities (or values) to the
rewards is the very pass that is trained on. It is kept for one batch, as memory allows. Left out: all later ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from training.packing import TokenGroup

Role = Literal["policy", "value"]


@dataclass(frozen=True, slots=True)
class FirstBatch:
    """What each role's pass gave for some prompts' replies (N), graph and all."""

    _kept: dict[tuple[Role, tuple[str, ...]], Tensor] = field(default_factory=dict)

    def keep(self, role: Role, groups: Sequence[TokenGroup], found_N: Tensor) -> None:
        """Until it is taken. What was kept of an earlier step goes."""
        for key in [key for key in self._kept if key[0] == role]:
            del self._kept[key]
        self._kept[role, _ids(groups)] = found_N

    def groups(self, role: Role) -> int:
        """How many prompts the kept batch has; 0 where none is kept."""
        return sum(len(ids) for kept, ids in self._kept if kept == role)

    def take(self, role: Role, groups: Sequence[TokenGroup]) -> Tensor | None:
        """Once, for the gradient; None where these are not the prompts that it was kept for."""
        return self._kept.pop((role, _ids(groups)), None)


def _ids(groups: Sequence[TokenGroup]) -> tuple[str, ...]:
    return tuple(group.row_id for group in groups)
