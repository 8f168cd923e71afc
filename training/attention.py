"""Attention over packed groups, registered with transformers under the name `charter_groups`.

One call a group with its own small mask: the cost grows with the sum of squares of the groups, not with the square of
the batch. The batch's opening is a group that the others see too. Of a sampler's tokens it is attention to what stands
before each (kept_keys.py). Without either it is plain causal attention.
Left out: sliding windows, soft caps and sinks, which are refused by name.
"""

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedConfig
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward

from training.blocked_attention import BlockedAttention
from training.errors import TrainingError
from training.kept_keys import KeptKeys
from training.packing import PackedGroups

NAME = "charter_groups"


def grouped_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packed: PackedGroups | None = None,
    kept: KeptKeys | None = None,
    scaling: float | None = None,
    **options: object,
) -> tuple[Tensor, None]:
    """transformers' attention signature: (1, heads, T, d) in, (1, T, heads, d) out."""
    if packed is None:
        if kept is None:
            return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling)
        refuse_limits(module, options, kept.columns)
        return kept.attend(module, query, key, value, scaling), None
    refuse_limits(module, options, widest(packed.masks))
    if kept is not None:
        kept.keep(module, packed, key, value)
    if query.device.type == "cpu":
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        return BlockedAttention.apply(query, key, value, packed.masks, scale)[None], None
    return attention_of_torch(query, key, value, packed.masks, scaling), None


def refuse_limits(module: nn.Module, options: Mapping[str, object], tokens: int) -> None:
    """Raise TrainingError where the layer would change the attention over so many tokens."""
    for name in ("sliding_window", "softcap", "s_aux"):
        window = options.get(name)
        if window is not None and not (name == "sliding_window" and tokens <= int(str(window))):
            raise TrainingError(
                f"{type(module).__name__} needs {name}, which the packed layout lacks; take another model"
            )


def window_of(model: PreTrainedConfig) -> float:
    """How many tokens go in before `refuse_limits` refuses the model's window, where its config says it."""
    window = getattr(model, "sliding_window", None) if getattr(model, "use_sliding_window", True) else None
    return math.inf if window is None else int(window)


def attention_of_torch(
    query: Tensor, key: Tensor, value: Tensor, masks: Sequence[Tensor], scaling: float | None
) -> Tensor:
    """PyTorch's own kernel for each group; the masks are those of `PackedGroups`."""
    heads_per_key = query.shape[1] // key.shape[1]
    key, value = repeat_kv(key, heads_per_key), repeat_kv(value, heads_per_key)
    # split, not slices: the gradient of a split is one concatenation, that of a slice a full tensor of zeros.
    lengths = [len(mask) for mask in masks]
    queries, keys, values = (tensor.split(lengths, 2) for tensor in (query, key, value))
    if masks[-1].shape[1] > lengths[-1]:  # it sees an opening
        keys, values = ([first, *(torch.cat((first, own), 2) for own in rest)] for first, *rest in (keys, values))
    parts = zip(queries, keys, values, masks, strict=True)
    out = [F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scaling) for q, k, v, mask in parts]
    return torch.cat([part.transpose(1, 2) for part in out], dim=1)


def widest(masks: Sequence[Tensor]) -> int:
    """How many tokens the largest group has, the opening's with it."""
    return max(mask.shape[1] for mask in masks)


AttentionInterface.register(NAME, grouped_attention)
