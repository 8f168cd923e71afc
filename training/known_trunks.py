"""What left the trunk for conversations that a reward model has just scored: the policy's own pass begins there.

The reward model reads a reply's text tokenized anew, and the end of its turn; the policy reads the tokens that it drew.
Mostly the one begins with the other. Where it does not, nothing is known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from training.packing import TokenGroup


@dataclass(frozen=True, slots=True)
class KnownReply:
    """A reply's tokens, and what left the trunk for prompt and reply (1 x T x H)."""

    tokens: tuple[int, ...]
    trunk_1TH: Tensor


@dataclass(frozen=True, slots=True)
class KnownTrunks:
    """The replies to each prompt. They hold as long as the base does: nothing below the adapters is trained."""

    replies: Mapping[tuple[int, ...], Sequence[KnownReply]] = field(default_factory=dict)

    def of(self, group: TokenGroup) -> Tensor | None:
        """What leaves the trunk for the group's input tokens; None where a reply is not known."""
        known = self.replies.get(group.prompt, ())
        prompt = len(group.prompt)
        found: list[Tensor] = []
        for reply in group.replies:
            inputs = reply[:-1]  # nothing follows the last one
            match = next((one for one in known if one.tokens[: len(inputs)] == inputs), None)
            if match is None:
                return None
            found.append(match.trunk_1TH[:, 0 if not found else prompt : prompt + len(inputs)])
        return torch.cat(found, dim=1)


def known_trunks(groups: Sequence[TokenGroup], trunks: Sequence[Tensor]) -> KnownTrunks:
    """Of groups of one reply each, all of whose tokens went through the model."""
    replies: dict[tuple[int, ...], list[KnownReply]] = {}
    for group, trunk_1TH in zip(groups, trunks, strict=True):
        (reply,) = group.replies
        replies.setdefault(group.prompt, []).append(KnownReply(reply, trunk_1TH))
    return KnownTrunks(replies)
