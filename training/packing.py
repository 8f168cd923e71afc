"""A batch of prompts with their replies as one row of tokens: no padding, and each prompt computed once.

Layout of one group: prompt | reply 1 | reply 2 ... A reply's positions restart after the prompt, and its tokens see
the prompt and themselves, never another reply. A reply's last token is never an input (nothing follows it), so it is
left out. Groups are independent of each other. DPO has two replies in a group, SFT one, a K-way reward model K.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from training.errors import RowError


@dataclass(frozen=True, slots=True)
class TokenGroup:
    """One prompt and its replies as token ids; each reply ends with the end-of-turn token."""

    row_id: str
    prompt: tuple[int, ...]
    replies: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        """Refuse a prompt of no token: a reply's first token would be predicted from another row."""
        if not self.prompt:
            raise RowError(
                f"row {self.row_id!r}: its prompt is empty, and the chat template writes nothing around it; give it a "
                "prompt, or take a model whose template opens the reply's turn"
            )

    @property
    def tokens(self) -> int:
        """How many tokens go through the model."""
        return len(self.prompt) + sum(len(reply) - 1 for reply in self.replies)


@dataclass(frozen=True, slots=True)
class PackedGroups:
    """T input tokens of G groups, N reply tokens to score, R replies in the order of the groups.

    - `source_N`: the input token whose hidden state predicts reply token n (for the first one the prompt's last).
    - `reply_N`: which reply the token belongs to.
    - `masks`: one S x S matrix a group, 0 where a token sees another and -inf where it does not.
    """

    tokens_T: Tensor
    positions_T: Tensor
    targets_N: Tensor
    source_N: Tensor
    reply_N: Tensor
    lengths_R: Tensor
    group_lengths: tuple[int, ...]
    masks: tuple[Tensor, ...]


def pack_groups(groups: Sequence[TokenGroup], dtype: torch.dtype, device: torch.device) -> PackedGroups:
    """Lay the groups behind one another. `dtype` is that of the attention's queries."""
    tokens: list[int] = []
    positions: list[int] = []
    targets: list[int] = []
    source: list[int] = []
    reply_index: list[int] = []
    lengths: list[int] = []
    for group in groups:
        start, prompt_length = len(tokens), len(group.prompt)
        tokens += group.prompt
        positions += range(prompt_length)
        for reply in group.replies:
            source.append(start + prompt_length - 1)
            source += range(len(tokens), len(tokens) + len(reply) - 1)
            targets += reply
            reply_index += [len(lengths)] * len(reply)
            lengths.append(len(reply))
            tokens += reply[:-1]
            positions += range(prompt_length, prompt_length + len(reply) - 1)

    def on_device(values: list[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.long, device=device)

    return PackedGroups(
        tokens_T=on_device(tokens),
        positions_T=on_device(positions),
        targets_N=on_device(targets),
        source_N=on_device(source),
        reply_N=on_device(reply_index),
        lengths_R=on_device(lengths),
        group_lengths=tuple(group.tokens for group in groups),
        masks=tuple(group_mask(group, dtype, device) for group in groups),
    )


def group_mask(group: TokenGroup, dtype: torch.dtype, device: torch.device) -> Tensor:
    """S x S: 0 where the row's token sees the column's, -inf elsewhere."""
    sees_SS = torch.ones(group.tokens, group.tokens, dtype=torch.bool, device=device).tril()
    start = len(group.prompt)
    for reply in group.replies:
        end = start + len(reply) - 1
        sees_SS[end:, start:end] = False
        start = end
    return torch.zeros_like(sees_SS, dtype=dtype).masked_fill_(~sees_SS, float("-inf"))


def split_by_tokens(groups: Sequence[TokenGroup], tokens_per_batch: int) -> tuple[tuple[TokenGroup, ...], ...]:
    """Cut into batches of at most `tokens_per_batch` tokens, in order; a larger group is a batch of its own."""
    left = iter(groups)
    sizes = batch_sizes([group.tokens for group in groups], tokens_per_batch)
    return tuple(tuple(islice(left, size)) for size in sizes)


def batch_sizes(tokens: Sequence[int], tokens_per_batch: int) -> list[int]:
    """How many groups of these lengths go into each batch."""
    sizes: list[int] = []
    used = 0
    for one in tokens:
        if sizes and used + one <= tokens_per_batch:
            sizes[-1] += 1
            used += one
        else:
            sizes.append(1)
            used = one
    return sizes
