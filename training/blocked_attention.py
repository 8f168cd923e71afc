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
    """Some queries of a group at `tokens` of the batch, and how far they see: keys of its S tokens up to the last of
    them. Each head that shares a key has R of them."""

    tokens: slice
    seen: slice
    mask_RS: Tensor


class BlockedAttention(torch.autograd.Function):
    """softmax(scaling q k' + mask) v in each group: query (1, heads, T, d), key and value of K heads, to (T, heads, d).

    A mask has a row for each of its group's tokens and a column for each that they may see: 0 where they do, -inf
    elsewhere, and above the diagonal. More columns than rows are those of the batch's first tokens, its opening.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx, query: Tensor, key: Tensor, value: Tensor, masks: Sequence[Tensor], scaling: float
    ) -> Tensor:
        ctx.save_for_backward(query, key, value)
        ctx.masks, ctx.scaling = masks, scaling
        out_THD = query.new_empty(query.shape[2], query.shape[1], query.shape[3])
        scaled_query, wide_key = _wide(query) * scaling, _wide(key)
        for first, mask_SS in _groups(masks):
            keys, values = (_seen_by(tensor, first, mask_SS) for tensor in (wide_key, value))
            for block in _blocks(first, mask_SS):
                p_KRS = _probabilities(scaled_query, keys, block)
                out_KRD = p_KRS.to(value.dtype) @ values[:, block.seen]
                out_THD[block.tokens] = _by_head(out_KRD, query).transpose(0, 1)
        return out_THD

    @staticmethod
    def backward(ctx: FunctionCtx, grad_THD: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        query, key, value = ctx.saved_tensors
        grad_query = torch.empty_like(query)
        scaled_query, wide_key, wide_value = _wide(query) * ctx.scaling, _wide(key), _wide(value)
        grad_key, grad_value = torch.zeros_like(wide_key), torch.zeros_like(wide_value)
        for first, mask_SS in _groups(ctx.masks):
            narrow, keys, values = (_seen_by(tensor, first, mask_SS) for tensor in (key, wide_key, wide_value))
            own_key, own_value = torch.zeros_like(keys), torch.zeros_like(values)
            for block in _blocks(first, mask_SS):
                p_KRS = _probabilities(scaled_query, keys, block)
                grad_KRD = grad_THD[block.tokens].transpose(0, 1).reshape(key.shape[1], -1, key.shape[3])
                own_value[:, block.seen] += p_KRS.to(query.dtype).transpose(1, 2) @ grad_KRD
                grad_p_KRS = _wide(grad_KRD) @ values[:, block.seen].transpose(1, 2)
                grad_p_KRS -= (grad_p_KRS * p_KRS).sum(-1, keepdim=True)
                grad_scores_KRS = grad_p_KRS.mul_(p_KRS).mul_(ctx.scaling).to(query.dtype)
                grad_query[0, :, block.tokens] = _by_head(grad_scores_KRS @ narrow[:, block.seen], query)
                own_key[:, block.seen] += grad_scores_KRS.transpose(1, 2) @ _of_keys(query[0, :, block.tokens], key)
            _add_seen(grad_key, own_key, first, mask_SS)
            _add_seen(grad_value, own_value, first, mask_SS)
        return grad_query, grad_key.to(key.dtype), grad_value.to(value.dtype), None, None


def _groups(masks: Sequence[Tensor]) -> Iterator[tuple[int, Tensor]]:
    """Where each group's tokens begin in the batch, and its mask."""
    first = 0
    for mask_SS in masks:
        yield first, mask_SS
        first += len(mask_SS)


def _blocks(first: int, mask_SS: Tensor) -> Iterator[Block]:
    size, columns = mask_SS.shape
    for low in range(0, size, _BLOCK_TOKENS):
        high = min(low + _BLOCK_TOKENS, size)
        seen = slice(0, columns - size + high)
        yield Block(slice(first + low, first + high), seen, mask_SS[low:high, seen])


def _seen_by(tensor: Tensor, first: int, mask_SS: Tensor) -> Tensor:
    """K x S x d: the opening's part, where the group sees one, and its own."""
    size, columns = mask_SS.shape
    own = tensor[0, :, first : first + size]
    return torch.cat((tensor[0, :, : columns - size], own), dim=1) if columns > size else own


def _add_seen(sum_KTD: Tensor, part_KSD: Tensor, first: int, mask_SS: Tensor) -> None:
    """The way back: each part to where it came from."""
    size, columns = mask_SS.shape
    sum_KTD[0, :, : columns - size] += part_KSD[:, : columns - size]
    sum_KTD[0, :, first : first + size] += part_KSD[:, columns - size :]


def _probabilities(scaled_query: Tensor, keys_KSD: Tensor, block: Block) -> Tensor:
    """K x R x S, in fp32 or better."""
    scores_KRS = _of_keys(scaled_query[0, :, block.tokens], keys_KSD) @ keys_KSD[:, block.seen].transpose(1, 2)
    scores_KRS.view(-1, *block.mask_RS.shape).add_(block.mask_RS)
    return scores_KRS.softmax(-1)


def _of_keys(query_HQD: Tensor, key: Tensor) -> Tensor:
    """The queries by the key that they share, K x R x d: the heads of one key stand behind one another."""
    return query_HQD.reshape(key.shape[-3], -1, key.shape[-1])


def _by_head(rows_KRD: Tensor, query: Tensor) -> Tensor:
    """The way back, heads x queries x d."""
    return rows_KRD.reshape(query.shape[1], -1, query.shape[3])


def _wide(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
