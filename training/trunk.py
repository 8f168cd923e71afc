"""The layers below the first adapted one, computed once: they are the same for policy and reference.

With LoRA on the last layers only, the layers below give both the same hidden states, and no gradient goes into them.
The reference's forward pass keeps what leaves them; the policy's begins there. Left out: how long it is kept.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from training.errors import TrainingError
from training.known_trunks import KnownTrunks

Mode = Literal["plain", "keep", "replay"]
_MORE = "lora_layers_share: these layers hand on more than hidden states; leave it 1"


@dataclass(slots=True)
class Trunk:
    """Layers whose passes can be kept and replayed. Without layers it does nothing.

    `known` are passes of the step's replies that a reward model made.
    """

    layers: Sequence[nn.Module] = ()
    known: KnownTrunks = field(default_factory=KnownTrunks)
    _mode: Mode = "plain"
    _kept: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        for layer in self.layers:
            # The model's own loop stays; only what the layer does when it is called changes.
            layer.forward = self._forward_of(layer.forward, last=layer is self.layers[-1])

    def is_adapted_by(self, adapter: str) -> bool:
        """True where the adapter stands on one of the trunk's layers too: what leaves it is then not the base's."""
        return any(f".{adapter}." in name for layer in self.layers for name, _ in layer.named_parameters())

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """Keep what leaves the trunk in the one pass below."""
        self._kept.clear()
        with contextlib.ExitStack() as undo, self._as("keep"):
            undo.callback(self._kept.clear)
            yield
            undo.pop_all()  # the pass is whole: what it kept stays

    def take(self) -> Tensor | None:
        """Away with what the pass under `keeping` kept (1 x T x H, tokens to cut and join); None without layers."""
        return self._kept.pop() if self._kept else None

    @contextlib.contextmanager
    def replaying(self, kept: Tensor | None = None) -> Iterator[None]:
        """Give what was kept, for the same batch, or `kept`; where nothing was, compute it."""
        if kept is not None:
            self._kept[:] = [kept]
        try:
            with self._as("replay" if self._kept else "plain"):
                yield
        finally:
            self._kept.clear()

    @contextlib.contextmanager
    def _as(self, mode: Mode) -> Iterator[None]:
        self._mode = mode
        try:
            yield
        finally:
            self._mode = "plain"

    def _forward_of(self, forward: Callable[..., Tensor], *, last: bool) -> Callable[..., Tensor]:
        def shared(hidden_states: Tensor, *arguments: object, **options: object) -> Tensor:
            if self._mode == "replay":
                return self._kept[0] if last else hidden_states
            # No gradient goes below the adapter, whatever asks for one (peft does, where layers are recomputed).
            with torch.no_grad():
                out = forward(hidden_states, *arguments, **options)
            if self._mode == "keep" and last:
                if not isinstance(out, Tensor):
                    raise TrainingError(_MORE)
                self._kept.append(out)
            return out

        return shared


def decoder_layers(base: PreTrainedModel) -> tuple[str, nn.ModuleList]:
    """The list of the model's layers and its own name (mostly `layers`). Raises TrainingError where there is no one."""
    found = layer_lists(base)
    if len(found) != 1:
        raise TrainingError("lora_layers_share: this model's layers are not one list; leave it 1, for all layers")
    name, module = found[0]
    return re.sub(r".*\.", "", name), module


def layer_lists(base: PreTrainedModel) -> list[tuple[str, nn.ModuleList]]:
    """The lists as long as the model is deep, by name."""
    depth = getattr(base.config, "num_hidden_layers", None)
    lists = [(name, module) for name, module in base.named_modules() if isinstance(module, nn.ModuleList)]
    return [(name, module) for name, module in lists if len(module) == depth]


def check_replay(trunk: Trunk, compute: Callable[[], Tensor], tolerance: float) -> None:
    """Raise TrainingError unless `compute` gives the same with the trunk replayed, up to the order of a GPU's sums."""
    if not trunk.layers:
        return
    with torch.no_grad():
        with trunk.keeping():
            plain = compute()
        with trunk.replaying():
            apart = (plain - compute()).abs()
    if not bool((apart <= tolerance * plain.abs().clamp(min=1)).all()):
        raise TrainingError(_MORE)
