"""A reply's score by a head on the base: read at the last token of the finished conversation."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from training.errors import TrainingError
from training.model import LAYOUT_TOLERANCE, Policy, hidden_states, refuse_no_numbers
from training.packing import PackedGroups, TokenGroup, pack_groups


def reply_scores(policy: Policy, head: nn.Module, packed: PackedGroups) -> Tensor:
    """The score of each reply (R), in fp32; the groups come from `pack_finished`."""
    return _score_of(head, hidden_states(policy, packed))


def pack_finished(policy: Policy, groups: Sequence[TokenGroup]) -> PackedGroups:
    """The packed layout leaves out each reply's last token, which predicts nothing; here it is there, and the score is
    read at it alone (N is R)."""
    whole = [replace(group, replies=tuple((*reply, reply[-1]) for reply in group.replies)) for group in groups]
    packed = pack_groups(whole, policy.numbers.dtype, policy.numbers.device)
    ends_R = packed.lengths_R.cumsum(0) - 1
    source_N, targets_N, reply_N = (every[ends_R] for every in (packed.source_N, packed.targets_N, packed.reply_N))
    return replace(packed, source_N=source_N, reads_U=source_N, targets_N=targets_N, reply_N=reply_N)


def check_scores(policy: Policy, head: nn.Module, group: TokenGroup) -> None:
    """Refuse a model that the packed layout does not fit, by scoring one group both ways."""
    with torch.no_grad():
        packed = reply_scores(policy, head, pack_finished(policy, [group]))
        plain = []
        for reply in group.replies:
            ids_T = torch.tensor(group.prompt + reply, device=policy.numbers.device)
            out = policy.causal.base_model(input_ids=ids_T[None], use_cache=False)
            plain.append(_score_of(head, out.last_hidden_state[0, -1:]))
        refuse_no_numbers(torch.cat(plain), group, "scores")
        apart = (packed - torch.cat(plain)).abs().max().item()
    if not apart <= LAYOUT_TOLERANCE[policy.numbers.dtype]:
        raise TrainingError(
            f"row {group.row_id!r}: packed and plain scores differ by {apart:.3g}; this model's attention is not "
            "supported: take another model"
        )


def _score_of(head: nn.Module, hidden_RH: Tensor) -> Tensor:
    scores_R1: Tensor = head(hidden_RH.float())
    return scores_R1[:, 0]
