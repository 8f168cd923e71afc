"""Attention in blocks beside PyTorch's own, one group after another."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from training.attention import attention_of_torch
from training.blocked_attention import BlockedAttention
from training.packing import TokenGroup, batch_masks, opening_tokens

CPU = torch.device("cpu")
# Shorter and longer than a block, with one reply and with three, and a group of a single token.
GROUPS = [
    TokenGroup("short", (1, 2), ((3, 4),)),
    TokenGroup("one", (1,), ((3,),)),
    TokenGroup("long", (1,) * 70, ((3,) * 60, (4,) * 90, (5,))),
    TokenGroup("plain", (1,) * 96, ((3,) * 97,)),
]


# One with an opening of 11 tokens, the last group's own longer than a block.
ALIKE = [
    TokenGroup("short", (7,) * 11 + (2,), ((3, 4),)),
    TokenGroup("two", (7,) * 11 + (3,), ((3,) * 30, (4,) * 40)),
    TokenGroup("long", (7,) * 11 + (4,) * 60, ((3,) * 97,)),
]


def of_each(query: Tensor, key: Tensor, value: Tensor, masks: Sequence[Tensor]) -> Tensor:
    """Each group by itself, written out; its keys are the opening's and its own."""
    sizes, heads = [len(mask) for mask in masks], query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(heads, 1), value.repeat_interleave(heads, 1)
    out = []
    for q, k, v, mask in zip(query.split(sizes, 2), key.split(sizes, 2), value.split(sizes, 2), masks, strict=True):
        opening = mask.shape[1] - mask.shape[0]
        keys, values = (torch.cat((whole[:, :, :opening], own), 2) for whole, own in ((key, k), (value, v)))
        scores = (0.3 * q @ keys.transpose(2, 3)).to(mask.dtype) + mask
        out.append(scores.softmax(-1).to(q.dtype) @ values)
    return torch.cat(out, 2)[0].transpose(0, 1)


def drawn(groups: list[TokenGroup], dtype: torch.dtype, key_heads: int) -> tuple[list[Tensor], tuple[Tensor, ...]]:
    """Query, key, value as a model hands them over (its heads lie behind the tokens), and the masks."""
    generator = torch.Generator().manual_seed(1)
    masks = batch_masks(groups, opening_tokens(groups), dtype, CPU)
    parts = [
        torch.randn(1, sum(map(len, masks)), heads, 8, generator=generator, dtype=torch.float64)
        for heads in (6, key_heads, key_heads)
    ]
    return [part.to(dtype).transpose(1, 2).requires_grad_() for part in parts], masks


@pytest.mark.parametrize("groups", [GROUPS, ALIKE], ids=["apart", "with an opening"])
@pytest.mark.parametrize("key_heads", [1, 2, 6])
@pytest.mark.parametrize(("dtype", "apart"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_results_and_gradients_are_those_of_torch(
    groups: list[TokenGroup], key_heads: int, dtype: torch.dtype, apart: float
):
    parts, masks = drawn(groups, dtype, key_heads)
    found, expected = BlockedAttention.apply(*parts, masks, 0.3), of_each(*parts, masks)
    torch.testing.assert_close(found, expected, atol=apart, rtol=apart)
    weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(dtype)
    gradients = [torch.autograd.grad((out * weight).sum(), parts) for out in (found, expected)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=apart, rtol=apart)


@pytest.mark.parametrize("groups", [GROUPS, ALIKE], ids=["apart", "with an opening"])
def test_what_a_gpu_takes_gives_the_same(groups: list[TokenGroup]):
    parts, masks = drawn(groups, torch.float64, 2)
    found, expected = attention_of_torch(*parts, masks, 0.3), of_each(*parts, masks)
    torch.testing.assert_close(found[0], expected)
    gradients = [torch.autograd.grad(out.square().sum(), parts) for out in (found, expected)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_a_token_alone_sees_itself():
    parts, masks = drawn(GROUPS, torch.float64, 2)
    out = BlockedAttention.apply(*parts, masks, 0.3)
    start = GROUPS[0].tokens
    assert GROUPS[1].tokens == 1
    assert torch.equal(out[start, :3], parts[2][0, 0, start].expand(3, 8))
