"""The last layer's MLP at the tokens alone whose output is read: of the others nothing sees what it would make.

Of a packed batch those are read that a reply's token follows, and where replies are scored their last ones. Attention
stays whole: the keys and values of all tokens are needed. Left out: layers that have no `mlp`, which compute all.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from training.packing import PackedGroups


class LastLayer:
    """Changes what the layer and its MLP do when a packed batch comes; without one they are as they were."""

    def __init__(self, layer: nn.Module) -> None:
        self._reads_U: Tensor | None = None
        mlp = getattr(layer, "mlp", None)
        if isinstance(mlp, nn.Module):
            layer.forward = self._told(layer.forward)
            mlp.forward = self._at_what_is_read(mlp.forward)

    def _told(self, forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def told(*arguments: object, **options: object) -> Tensor:
            packed = options.get("packed")
            self._reads_U = packed.reads_U if isinstance(packed, PackedGroups) else None
            try:
                return forward(*arguments, **options)
            finally:
                self._reads_U = None

        return told

    def _at_what_is_read(self, forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def at_what_is_read(hidden_1TH: Tensor) -> Tensor:
            if self._reads_U is None:
                return forward(hidden_1TH)
            out_1UH = forward(hidden_1TH.index_select(1, self._reads_U))
            return torch.zeros_like(hidden_1TH).index_copy(1, self._reads_U, out_1UH)

        return at_what_is_read
