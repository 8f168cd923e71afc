"""A step's replies as policy and base see them before anything is learnt: the log-probabilities of their tokens.

Where a sampler computes as the trainer does, what it tells of its own tokens is taken; that is checked at each step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from training.logps import sum_by_reply
from training.model import Policy, reply_token_logps
from training.online_run import Online, batches_after, joined_trunks, packed_batches
from training.packing import PackedGroups, TokenGroup, pack_groups, split_by_tokens
from training.rollouts import Rollout
from training.scorers import ScoredRollout


@dataclass(frozen=True, slots=True)
class Asked:
    """One prompt with its K replies as policy and base see them, before anything is learnt from them.

    `score_K` are the replies' scores, less the penalty of those that were cut; `logps_N` and `ref_logps_N` are of all
    their tokens. `trunk_1TH` left the layers below the adapters, the same for all of them; None where there are none.
    """

    group: TokenGroup
    score_K: Tensor
    logps_N: Tensor
    ref_logps_N: Tensor
    trunk_1TH: Tensor | None

    @property
    def lengths_K(self) -> Tensor:
        """Tokens of each reply."""
        return torch.tensor([len(reply) for reply in self.group.replies])

    @property
    def kl_N(self) -> Tensor:
        """Log policy - log base of each sampled token, nats."""
        return self.logps_N - self.ref_logps_N

    @property
    def kl_K(self) -> Tensor:
        """The same, summed over each reply."""
        replies = len(self.group.replies)
        return sum_by_reply(self.kl_N, torch.arange(replies).repeat_interleave(self.lengths_K), replies)


# A sampler computes as the trainer does where no token of a batch is further off: fp32 rounds to a twentieth of that.
SAME_NATS = 1e-3


def seen(
    online: Online, scored: Sequence[Sequence[ScoredRollout]], minibatch: int
) -> tuple[list[Asked], Mapping[Literal["sampler_apart"], float]]:
    """The log-probabilities of each prompt's replies under policy and base; the first batch of the first `minibatch`
    groups is learnt from first, and what was computed of it is kept.

    Of that batch the policy's are computed. Where the sampler's are the same there and of the longest other prompt and
    its replies, they are taken for the rest. Also by how much the two differ in the first batch, on the mean: |p of the
    one over p of the other - 1|; nothing where it tells none.
    """
    groups: list[TokenGroup] = []
    scores: list[Tensor] = []
    for own in scored:
        prompt, penalty = own[0].rollout.asked, online.config.missing_eos_penalty
        groups.append(TokenGroup(prompt.prompt.id, prompt.tokens, tuple(one.rollout.reply.tokens for one in own)))
        scores.append(torch.tensor([one.score - cut(one.rollout, penalty) for one in own]))
    told = told_by_sampler(scored)
    apart: dict[Literal["sampler_apart"], float] = {}
    is_same = False
    bases = seen_by_base(online, groups)
    trunks = [trunk for _, trunk in bases]
    first = len(next(iter(split_by_tokens(groups[:minibatch], online.config.tokens_per_batch)), ()))
    found: list[Asked] = []
    for packed, place, is_first in batches_after(online, groups, first):
        if is_same and not is_first:
            logps: Sequence[Tensor] = told[place]
        else:
            with torch.set_grad_enabled(is_first and torch.is_grad_enabled()):
                logps_N = seen_by_policy(online, packed, trunks[place])
            if logps_N.requires_grad:
                online.first_batch.keep("policy", groups[place], logps_N)
            logps = logps_N.detach().cpu().split(tokens_to_score(groups[place]))
        if is_first and told:
            nats_N = torch.cat(told[place]) - torch.cat(list(logps))
            is_same = within_rounding(nats_N) and is_told_rightly(online, groups[first:], told[first:], trunks[first:])
            apart = {"sampler_apart": nats_N.expm1().abs().mean().item()}
        for one in zip(groups[place], scores[place], logps, bases[place], strict=True):
            group, score_K, own_N, (ref_logps_N, trunk) = one
            found.append(Asked(group, score_K, own_N, ref_logps_N, trunk))
    return found, apart


def seen_by_policy(online: Online, packed: PackedGroups, trunks: Sequence[Tensor | None]) -> Tensor:
    """The log-probabilities of a batch's reply tokens, N, from what left the trunk of each of its groups."""
    with online.policy.trunk.replaying(joined_trunks(packed, trunks)):
        return reply_token_logps(online.policy, packed)


def told_by_sampler(scored: Sequence[Sequence[ScoredRollout]]) -> list[Tensor]:
    """The sampler's own log-probabilities of each prompt's replies; none at all where it leaves out a token's."""
    replies = [[one.rollout.reply for one in own] for own in scored]
    if any(len(reply.logps) != len(reply.tokens) for own in replies for reply in own):
        return []
    return [torch.tensor([logp for reply in own for logp in reply.logps]) for own in replies]


def is_told_rightly(
    online: Online, groups: Sequence[TokenGroup], told: Sequence[Tensor], trunks: Sequence[Tensor | None]
) -> bool:
    """Whether the sampler's log-probabilities are the policy's of the longest group, and can be any of the others.

    What goes wrong for some prompts alone, as positions or a cache that hold too little, goes wrong for long ones.
    """
    if not groups:
        return True
    if not all(bool((own_N <= SAME_NATS).all()) for own_N in told):
        return False  # one is above certain, or no number
    place = max(range(len(groups)), key=lambda place: groups[place].tokens)
    packed = pack_groups([groups[place]], online.policy.numbers.dtype, online.policy.numbers.device)
    with torch.no_grad():
        return within_rounding(told[place] - seen_by_policy(online, packed, [trunks[place]]).cpu())


def within_rounding(nats_N: Tensor) -> bool:
    """Whether log-probabilities so far apart can be one policy's, computed twice; one that is no number cannot."""
    return bool(nats_N.abs().max() <= SAME_NATS)


def seen_by_base(online: Online, groups: Sequence[TokenGroup]) -> list[tuple[Tensor, Tensor | None]]:
    """Of each group: its tokens' log-probabilities under the base, and what left the trunk."""
    known = [online.policy.trunk.known.of(group) for group in groups]
    found: dict[int, tuple[Tensor, Tensor | None]] = {}
    # In batches apart: a batch begins as a whole at the first layer, or as a whole above the trunk.
    for begins_above in (True, False):
        numbers = [number for number, trunk in enumerate(known) if (trunk is not None) is begins_above]
        for packed, place in packed_batches(online, [groups[number] for number in numbers]):
            here = numbers[place]
            known_1TH = joined_trunks(packed, [known[number] for number in here])
            parts = base_batch(online.policy, [groups[number] for number in here], packed, known_1TH)
            found |= zip(here, parts, strict=True)
    return [found[number] for number in range(len(groups))]


def base_batch(
    policy: Policy, groups: Sequence[TokenGroup], packed: PackedGroups, known_1TH: Tensor | None
) -> list[tuple[Tensor, Tensor | None]]:
    """The same for one batch; `known_1TH` is what leaves the trunk, where that is known."""
    trunk, trunk_1TH = policy.trunk, known_1TH
    with policy.as_reference(), trunk.keeping() if known_1TH is None else trunk.replaying(known_1TH):
        logps_N = reply_token_logps(policy, packed).cpu()
    if known_1TH is None:
        trunk_1TH = trunk.take()
    trunks = [None] * len(groups) if trunk_1TH is None else packed.of_groups(trunk_1TH)
    return list(zip(logps_N.split(tokens_to_score(groups)), trunks, strict=True))


def tokens_to_score(groups: Sequence[TokenGroup]) -> list[int]:
    """How many each group has to score."""
    return [sum(map(len, group.replies)) for group in groups]


def cut(rollout: Rollout, penalty: float) -> float:
    """What a reply that did not end its turn loses."""
    return 0.0 if rollout.reply.finished else penalty
