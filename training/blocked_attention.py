"""Attention of one group after another on a CPU, in blocks of queries: products of whole heads, no kernel of its own.

For groups of 100 to 500 tokens PyTorch's CPU kernel takes 1.5 to 2 times as long forwards and, in bf16, 3 to 4 times as
long backwards. Scores and softmax are in fp32 or better, as there. Nothing of the size of a group's square is kept: the
backward pass computes the probabilities again, block by block.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

# Queries at a time; they see no key beyond their own block's last, so smaller blocks skip more of the square's half.
_BLOCK_TOKENS = 96


@dataclass(frozen=True, slots=True)
class Block:
    """R queries (of all heads that share a key) of one group, at `tokens` of the batch; keys from `first` on."""

    first: int
    tokens: slice
    mask_RS: Tensor


class BlockedAttention(torch.autograd.Function):
    """softmax(scaling q k' + mask) v in each group: query (1, heads, T, d), key and value of K heads, to (T, heads, d).

    A mask is S x S and lower triangular: 0 where a token sees another and -inf where it does not.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx, query: Tensor, key: Tensor, value: Tensor, masks: Sequence[Tensor], scaling: float
    ) -> Tensor:
        ctx.save_for_backward(query, key, value)
        ctx.masks, ctx.scaling = masks, scaling
        out_THD = query.new_empty(query.shape[2], query.shape[1], query.shape[3])
        wide_key = _wide(key)
        for block in _blocks(query, key, masks):
            p_KRS = _probabilities(query, wide_key, block, scaling)
            out_KRD = p_KRS.to(value.dtype) @ value[0, :, block.first : block.tokens.stop]
            out_THD[block.tokens] = _by_head(out_KRD, query).transpose(0, 1)
        return out_THD

    @staticmethod
    def backward(ctx: FunctionCtx, grad_THD: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        query, key, value = ctx.saved_tensors
        grad_query = torch.empty_like(query)
        wide_key, wide_value = _wide(key), _wide(value)
        grad_key, grad_value = torch.zeros_like(wide_key), torch.zeros_like(wide_value)
        for block in _blocks(query, key, ctx.masks):
            seen = slice(block.first, block.tokens.stop)
            p_KRS = _probabilities(query, wide_key, block, ctx.scaling)
            grad_KRD = grad_THD[block.tokens].transpose(0, 1).reshape(key.shape[1], -1, key.shape[3])
            grad_value[0, :, seen] += p_KRS.to(query.dtype).transpose(1, 2) @ grad_KRD
            grad_p_KRS = _wide(grad_KRD) @ wide_value[0, :, seen].transpose(1, 2)
            grad_p_KRS -= (grad_p_KRS * p_KRS).sum(-1, keepdim=True)
            grad_scores_KRS = grad_p_KRS.mul_(p_KRS).mul_(ctx.scaling).to(query.dtype)
            grad_query[0, :, block.tokens] = _by_head(grad_scores_KRS @ key[0, :, seen], query)
            grad_key[0, :, seen] += grad_scores_KRS.transpose(1, 2) @ _of_keys(query[0, :, block.tokens], key)
        return grad_query, grad_key.to(key.dtype), grad_value.to(value.dtype), None, None


def _blocks(query: Tensor, key: Tensor, masks: Sequence[Tensor]) -> Iterator[Block]:
    queries_per_key = query.shape[1] // key.shape[1]
    first = 0
    for mask_SS in masks:
        size = len(mask_SS)
        for low in range(0, size, _BLOCK_TOKENS):
            high = min(low + _BLOCK_TOKENS, size)
            mask_RS = _wide(mask_SS[low:high, :high]).repeat(queries_per_key, 1)
            yield Block(first, slice(first + low, first + high), mask_RS)
        first += size


def _probabilities(query: Tensor, wide_key: Tensor, block: Block, scaling: float) -> Tensor:
    """K x R x S, in fp32 or better."""
    query_KRD = _of_keys(query[0, :, block.tokens], wide_key)
    key_KDS = wide_key[0, :, block.first : block.tokens.stop].transpose(1, 2)
    return torch.baddbmm(block.mask_RS, _wide(query_KRD), key_KDS, alpha=scaling).softmax(-1)


def _of_keys(query_HQD: Tensor, key: Tensor) -> Tensor:
    """The queries by the key that they share, K x R x d: the heads of one key stand behind one another."""
    return query_HQD.reshape(key.shape[1], -1, key.shape[3])


def _by_head(rows_KRD: Tensor, query: Tensor) -> Tensor:
    """The way back, heads x queries x d."""
    return rows_KRD.reshape(query.shape[1], -1, query.shape[3])


def _wide(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
