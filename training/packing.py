"""A batch of prompts with their replies as one row of tokens: no padding, and each prompt computed once.

Layout of one group: prompt | reply 1 | reply 2 ... A reply's positions restart after the prompt, and its tokens see
the prompt and themselves, never another reply. A reply's last token is never an input (nothing follows it), so it is
left out. Groups are independent of each other. DPO has two replies in a group, SFT one, a K-way reward model K.

What all prompts of a batch begin with (a chat template's system turn, mostly) stands once, before the first group: the
batch's opening, which every group sees.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, takewhile

import torch
from torch import Tensor

from training.errors import RowError

# A shorter opening would cost more calls than it saves tokens.
_LEAST_OPENING_TOKENS = 8


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
    - `reads_U`: the same input tokens, each once, in order.
    - `reply_N`: which reply the token belongs to.
    - `opening_tokens`, `group_lengths`: how many tokens stand before the first group, and in each one.
    - `masks`: one matrix a group, 0 where its token (a row) sees another and -inf where it does not. The columns are
      those of the opening and of the group. Where there is an opening, its own mask is the first.
    """

    tokens_T: Tensor
    positions_T: Tensor
    targets_N: Tensor
    source_N: Tensor
    reads_U: Tensor
    reply_N: Tensor
    lengths_R: Tensor
    opening_tokens: int
    group_lengths: tuple[int, ...]
    masks: tuple[Tensor, ...]

    def of_groups(self, hidden_1TH: Tensor) -> list[Tensor]:
        """The input tokens' hidden states group by group, the opening's with each."""
        opening_1PH, *own = hidden_1TH.split((self.opening_tokens, *self.group_lengths), dim=1)
        return [torch.cat((opening_1PH, one), dim=1) for one in own] if self.opening_tokens else own

    def joined(self, groups: Sequence[Tensor]) -> Tensor:
        """The way back: the opening's as the first group has them. A group may stand in another batch's layout."""
        own = [one[:, self.opening_tokens :] for one in groups]
        return torch.cat([groups[0][:, : self.opening_tokens], *own], dim=1)


def pack_groups(groups: Sequence[TokenGroup], dtype: torch.dtype, device: torch.device) -> PackedGroups:
    """Lay the groups behind one another. `dtype` is that of the attention's queries."""
    opening = opening_tokens(groups)
    tokens = list(groups[0].prompt[:opening])
    positions = list(range(opening))
    targets: list[int] = []
    source: list[int] = []
    reply_index: list[int] = []
    lengths: list[int] = []
    for group in groups:
        prompt_length = len(group.prompt)
        tokens += group.prompt[opening:]
        positions += range(opening, prompt_length)
        last = len(tokens) - 1
        for reply in group.replies:
            source.append(last)
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
        reads_U=on_device(sorted(set(source))),
        reply_N=on_device(reply_index),
        lengths_R=on_device(lengths),
        opening_tokens=opening,
        group_lengths=tuple(group.tokens - opening for group in groups),
        masks=batch_masks(groups, opening, dtype, device),
    )


def opening_tokens(groups: Sequence[TokenGroup]) -> int:
    """How many tokens the groups share: what all their prompts begin with, each prompt's last token left to it."""
    first, last = (choose(group.prompt for group in groups) for choose in (min, max))
    # What the first and the last in order of their tokens begin with, those between them begin with too.
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
    shared = min(same, *(len(group.prompt) - 1 for group in groups))
    return shared if len(groups) > 1 and shared >= _LEAST_OPENING_TOKENS else 0


def batch_masks(
    groups: Sequence[TokenGroup], opening: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, ...]:
    """As `PackedGroups` has them, in the format of the attention's scores: on a CPU fp32 or better."""
    dtype = torch.promote_types(dtype, torch.float32) if device.type == "cpu" else dtype
    before = [group_mask(TokenGroup("opening", groups[0].prompt[:opening], ()), dtype, device)] if opening else []
    return (*before, *(group_mask(group, dtype, device, opening) for group in groups))


def group_mask(group: TokenGroup, dtype: torch.dtype, device: torch.device, opening: int = 0) -> Tensor:
    """0 where the row's token sees the column's, -inf elsewhere; no rows for the tokens of the opening."""
    sees_SS = torch.ones(group.tokens, group.tokens, dtype=torch.bool, device=device).tril()
    start = len(group.prompt)
    for reply in group.replies:
        end = start + len(reply) - 1
        sees_SS[end:, start:end] = False
        start = end
    own_SS = sees_SS[opening:]
    return torch.zeros_like(own_SS, dtype=dtype).masked_fill_(~own_SS, float("-inf"))


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
