"""Attention in blocks beside PyTorch's own, one group after another."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from training.blocked_attention import BlockedAttention
from training.packing import TokenGroup, group_mask

CPU = torch.device("cpu")
# Shorter and longer than a block, with one reply and with three, and a group of a single token.
GROUPS = [
    TokenGroup("short", (1, 2), ((3, 4),)),
    TokenGroup("one", (1,), ((3,),)),
    TokenGroup("long", (1,) * 70, ((3,) * 60, (4,) * 90, (5,))),
    TokenGroup("plain", (1,) * 96, ((3,) * 97,)),
]


def of_torch(query: Tensor, key: Tensor, value: Tensor, masks: list[Tensor]) -> Tensor:
    sizes, heads = [len(mask) for mask in masks], query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(heads, 1), value.repeat_interleave(heads, 1)
    parts = zip(query.split(sizes, 2), key.split(sizes, 2), value.split(sizes, 2), masks, strict=True)
    out = [F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=0.3) for q, k, v, mask in parts]
    return torch.cat(out, 2)[0].transpose(0, 1)


def drawn(dtype: torch.dtype, key_heads: int) -> tuple[list[Tensor], list[Tensor]]:
    """Query, key, value as a model hands them over (its heads lie behind the tokens), and the masks."""
    generator = torch.Generator().manual_seed(1)
    tokens = sum(group.tokens for group in GROUPS)
    parts = [
        torch.randn(1, tokens, heads, 8, generator=generator, dtype=torch.float64).to(dtype).transpose(1, 2)
        for heads in (6, key_heads, key_heads)
    ]
    return [part.requires_grad_() for part in parts], [group_mask(group, dtype, CPU) for group in GROUPS]


@pytest.mark.parametrize("key_heads", [1, 2, 6])
@pytest.mark.parametrize(("dtype", "apart"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_results_and_gradients_are_those_of_torch(key_heads: int, dtype: torch.dtype, apart: float):
    parts, masks = drawn(dtype, key_heads)
    found, expected = BlockedAttention.apply(*parts, masks, 0.3), of_torch(*parts, masks)
    torch.testing.assert_close(found, expected, atol=apart, rtol=apart)
    weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(dtype)
    gradients = [torch.autograd.grad((out * weight).sum(), parts) for out in (found, expected)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=apart, rtol=apart)


def test_a_token_alone_sees_itself():
    parts, masks = drawn(torch.float64, 2)
    out = BlockedAttention.apply(*parts, masks, 0.3)
    start = GROUPS[0].tokens
    assert GROUPS[1].tokens == 1
    assert torch.equal(out[start, :3], parts[2][0, 0, start].expand(3, 8))
