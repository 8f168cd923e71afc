"""The keys and values of what a sampler's replies have before them: a prompt's, and those of the reply so far.

One layout for all layers, B replies wide. A prompt's columns come first, then none up to the longest prompt's end, then
one for each token of the replies. Left out: a prompt that is longer than the rest makes room for all.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.packing import PackedGroups


class KeptKeys:
    """Filled by one pass over the different prompts, then read and lengthened by one pass a token.

    `of_prompt` is the place of each reply's prompt in the packed batch, whose groups are prompts alone.
    """

    def __init__(self, packed: PackedGroups, of_prompt: Sequence[int], reply_tokens: int) -> None:
        self._of_prompt = tuple(of_prompt)
        self._prompt_lengths = [packed.opening_tokens + length for length in packed.group_lengths]
        longest = max(self._prompt_lengths)
        self._first, self._used = longest, longest
        self._room = longest + reply_tokens
        device = packed.tokens_T.device
        self._lengths_B = torch.tensor([self._prompt_lengths[place] for place in of_prompt], device=device)
        column_S = torch.arange(self._room, device=device)
        self._counts_B11S = ((column_S < self._lengths_B[:, None]) | (column_S >= longest))[:, None, None]
        self._layers: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def keep(self, layer: nn.Module, packed: PackedGroups, *keys_and_values: Tensor) -> None:
        """Of the pass over the prompts: keys and values, each 1 x K x T x D."""
        key, value = (self._spread(packed, one_1KTD[0]) for one_1KTD in keys_and_values)
        self._layers[layer] = key, value

    def lengthen(self) -> Tensor:
        """Make a column for one more token of each reply, which the next pass fills; their positions, B."""
        positions_B = self._lengths_B + (self._used - self._first)
        self._used += 1
        return positions_B

    @property
    def columns(self) -> int:
        """How many tokens the longest reply and its prompt have."""
        return self._used

    def attend(
        self, layer: nn.Module, query_1QBD: Tensor, key_1KBD: Tensor, value_1KBD: Tensor, scaling: float | None
    ) -> Tensor:
        """Of one new token a reply: 1 x B x Q x D, as transformers wants it. The token sees itself too."""
        used, rooms = self._used, self._layers[layer]
        for room_BKSD, new_1KBD in zip(rooms, (key_1KBD, value_1KBD), strict=True):
            room_BKSD[:, :, used - 1] = new_1KBD[0].transpose(0, 1)
        key_BKSD, value_BKSD = (room_BKSD[:, :, :used] for room_BKSD in rooms)
        # The query heads that share a key go as if they were tokens: no key is copied for each of them.
        query_BKGD = query_1QBD[0].transpose(0, 1).unflatten(1, (key_BKSD.shape[1], -1))
        out_BKGD = F.scaled_dot_product_attention(
            query_BKGD, key_BKSD, value_BKSD, attn_mask=self._counts_B11S[..., :used], scale=scaling
        )
        return out_BKGD.flatten(1, 2)[None]

    def _spread(self, packed: PackedGroups, of_prompts_KTD: Tensor) -> Tensor:
        heads, _, size = of_prompts_KTD.shape
        room_BKSD = of_prompts_KTD.new_zeros(len(self._of_prompt), heads, self._room, size)
        opening_KPD, *own = of_prompts_KTD.split((packed.opening_tokens, *packed.group_lengths), dim=1)
        for reply, place in enumerate(self._of_prompt):
            room_BKSD[reply, :, : packed.opening_tokens] = opening_KPD
            room_BKSD[reply, :, packed.opening_tokens : self._prompt_lengths[place]] = own[place]
        return room_BKSD
