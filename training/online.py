"""What PPO and RLOO share: sample, score, see the replies with base and policy, learn from them in minibatches.

A reply's reward is its score less `kl_weight` times its KL from the base, log policy - log base of the sampled tokens,
as in arXiv:1909.08593. What an action is (a token, a whole reply) and its loss, the method says: `ppo.py`, `rloo.py`.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from training.advantages import next_kl_weight
from training.configs import OnlineConfig, RlooConfig
from training.errors import TrainingError
from training.first_batch import FirstBatch
from training.logps import sum_by_reply
from training.loop import Step, StepReport
from training.model import Policy, reply_token_logps
from training.monitors import refusal_rate, refusals_can_be_found, reply_monitors
from training.packing import PackedGroups, TokenGroup, pack_groups, split_by_tokens
from training.rollouts import OnlinePrompt, Rollout, Sampler, sample_rollouts, weights_name
from training.scorers import ScoredRollout, WeightedScorer, scored_rollouts


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
# What a method learns from a prompt's replies.
Lesson = TypeVar("Lesson")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Online:
    """What every step works with. `kl_weight_1` is a number that moves beside the weights, `first_length_1` the mean
    length of the first step's replies (NaN before it); checkpoints keep both, `kept`. `held_out` are the prompts that
    are measured and never trained on."""

    config: OnlineConfig
    policy: Policy
    tokenizer: PreTrainedTokenizerBase
    prompts: Sequence[OnlinePrompt]
    held_out: Sequence[OnlinePrompt]
    sampler: Sampler
    scorers: Sequence[WeightedScorer]
    kl_weight_1: Tensor
    policy_weights: Mapping[str, nn.Parameter]
    first_batch: FirstBatch = field(default_factory=FirstBatch)
    first_length_1: Tensor = field(default_factory=lambda: torch.full((1,), float("nan"), dtype=torch.float64))

    @property
    def kept(self) -> dict[str, Tensor]:
        """What checkpoints keep beside the weights."""
        return {"kl_weight": self.kl_weight_1, "first_length": self.first_length_1}


def online_step(
    online: Online,
    step: Step,
    prepare: Callable[[Sequence[Asked], float], Sequence[Lesson]],
    add_gradients: Callable[[Sequence[Lesson]], Mapping[str, float]],
) -> StepReport:
    """One step of a method: `prepare` turns the prompts' replies into lessons, `add_gradients` adds a minibatch's mean
    gradient and returns metrics. The first pass takes the prompts in the order of the step, which is drawn already."""
    config = online.config
    asked, metrics = ask(online, step)
    kl_weight = online.kl_weight_1.item()
    lessons = prepare(asked, kl_weight)
    learnt: list[Mapping[str, float]] = []
    for number in range(config.passes):
        order = list(lessons)
        if number:
            random.Random(f"{config.seed}/{step.number}/{number}").shuffle(order)
        for minibatch in evenly(order, config.minibatches):
            found = add_gradients(minibatch)
            learnt.append({**found, "gradient_norm": step.update()})
    online.kl_weight_1.fill_(next_kl_weight(kl_weight, metrics["kl"], config.kl_target))
    means = {name: sum(one[name] for one in learnt) / len(learnt) for name in learnt[0]}
    tokens = sum(one.group.tokens for one in asked)
    reward = metrics["score"] - kl_weight * metrics["kl"]
    return StepReport({**metrics, "reward": reward, "kl_weight": kl_weight, **means}, tokens)


def ask(online: Online, step: Step) -> tuple[list[Asked], dict[str, float]]:
    """The prompts of a step with their replies, and what the replies are like."""
    config = online.config
    prompts = [online.prompts[number] for number in step.rows for _ in range(config.replies_per_prompt)]
    seed = random.Random(f"{config.seed}/{step.number}").getrandbits(31)
    rollouts = sample_rollouts(
        online.sampler, online.tokenizer, prompts, weights_name(online.policy_weights), seed=seed
    )
    scored = scored_rollouts(online.scorers, rollouts)
    groups = by_prompt(online, scored.kept)
    kept = [one for own in groups for one in own]
    if not kept:
        raise TrainingError(
            f"step {step.number + 1}: of {len(rollouts)} replies none can be learnt from: abstentions "
            f"{dict(scored.abstained) or 'none'}, {len(scored.kept)} alone in their prompt; look at what scores"
        )
    asked, apart = seen(online, groups)
    replies = [one.rollout.reply for one in kept]
    kl_R = torch.cat([one.kl_K for one in asked])
    metrics = {
        "score": torch.cat([one.score_K for one in asked]).mean().item(),
        **mean_parts(kept),
        "kl": kl_R.mean().item(),
        "sqrt_kl": kl_R.mean().clamp(min=0).sqrt().item(),
        "entropy": -torch.cat([one.logps_N for one in asked]).mean().item(),
        "reply_tokens": sum(len(reply.tokens) for reply in replies) / len(replies),
        "finished": sum(reply.finished for reply in replies) / len(replies),
        "abstained": float(sum(scored.abstained.values())),
        **{f"abstained_{cause}": float(count) for cause, count in scored.abstained.items()},
        **{f"unweighed_abstained_{cause}": float(count) for cause, count in scored.unweighed.items()},
        "alone": float(len(scored.kept) - len(kept)),
        **apart,
    }
    return asked, {**metrics, **looks(online, [one.rollout for one in kept])}


def mean_parts(kept: Sequence[ScoredRollout]) -> Mapping[str, float]:
    """The mean of each scorer's scores over the replies that it scored; nothing of one that scored none."""
    parts: dict[str, list[float]] = {}
    for one in kept:
        for name, score in one.parts:
            parts.setdefault(f"score_{name}", []).append(score)
    return {name: sum(scores) / len(scores) for name, scores in parts.items()}


def by_prompt(online: Online, scored: Sequence[ScoredRollout]) -> list[list[ScoredRollout]]:
    """The replies of each prompt together. RLOO can learn nothing from one that was left alone."""
    fewest = 2 if isinstance(online.config, RlooConfig) else 1
    groups = [list(own) for _, own in groupby(scored, key=lambda one: one.rollout.asked)]
    return [own for own in groups if len(own) >= fewest]


def looks(online: Online, rollouts: Sequence[Rollout]) -> Mapping[str, float]:
    """The monitors of a step's replies; their length is beside that of the first step's."""
    lengths = [len(one.reply.tokens) for one in rollouts]
    length = sum(lengths) / len(lengths)
    if online.first_length_1.isnan():
        online.first_length_1.fill_(length)
    monitors = reply_monitors([one.reply.tokens for one in rollouts], [one.asked.prompt.id for one in rollouts])
    found = {**monitors, "length_ratio": length / online.first_length_1.item()}
    if online.config.max_refusal_rate or refusals_can_be_found():
        found["refusal_rate"] = refusal_rate([one.text for one in rollouts])
    return found


def seen(
    online: Online, scored: Sequence[Sequence[ScoredRollout]]
) -> tuple[list[Asked], Mapping[Literal["sampler_apart"], float]]:
    """The log-probabilities of each prompt's replies under policy and base; what is learnt from first is kept.

    Of the first batch the policy's are computed. Where the sampler's are the same there and of the longest other prompt
    and its replies, they are taken for the rest. Also by how much the two differ in the first batch, on the mean: |p of
    the one over p of the other - 1|; nothing where it tells none.
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
    found: list[Asked] = []
    for packed, place, is_first in batches_to_learn_from(online, groups):
        if is_same and not is_first:
            logps: Sequence[Tensor] = told[place]
        else:
            trunk_1TH = joined_trunks(packed, [trunk for _, trunk in bases[place]])
            with torch.set_grad_enabled(is_first and torch.is_grad_enabled()), online.policy.trunk.replaying(trunk_1TH):
                logps_N = reply_token_logps(online.policy, packed)
            if logps_N.requires_grad:
                online.first_batch.keep("policy", groups[place], logps_N)
            logps = logps_N.detach().cpu().split(tokens_to_score(groups[place]))
        if is_first and told:
            nats_N = torch.cat(told[place]) - torch.cat(list(logps))
            others = slice(place.stop, None)
            is_same = bool(nats_N.abs().max() <= SAME_NATS) and is_told_rightly(
                online, groups[others], told[others], [trunk for _, trunk in bases[others]]
            )
            apart = {"sampler_apart": nats_N.expm1().abs().mean().item()}
        for one in zip(groups[place], scores[place], logps, bases[place], strict=True):
            group, score_K, own_N, (ref_logps_N, trunk) = one
            found.append(Asked(group, score_K, own_N, ref_logps_N, trunk))
    return found, apart


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
    if not groups or not all(bool((own_N <= SAME_NATS).all()) for own_N in told):
        return not groups
    place = max(range(len(groups)), key=lambda place: groups[place].tokens)
    packed = pack_groups([groups[place]], online.policy.numbers.dtype, online.policy.numbers.device)
    with torch.no_grad(), online.policy.trunk.replaying(joined_trunks(packed, [trunks[place]])):
        nats_N = told[place] - reply_token_logps(online.policy, packed).cpu()
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


def batches_to_learn_from(online: Online, groups: Sequence[TokenGroup]) -> Iterator[tuple[PackedGroups, slice, bool]]:
    """All of a step's groups in batches; the first one (True) is that which the first update begins with."""
    first_minibatch = evenly(groups, online.config.minibatches)[0]
    first = len(split_by_tokens(first_minibatch, online.config.tokens_per_batch)[0])
    for low, high in ((0, first), (first, len(groups))):
        for packed, place in packed_batches(online, groups[low:high]):
            yield packed, slice(low + place.start, low + place.stop), low == 0


def packed_batches(online: Online, groups: Sequence[TokenGroup]) -> Iterator[tuple[PackedGroups, slice]]:
    """The groups in batches of `tokens_per_batch`, packed, and where each batch stands among them."""
    start = 0
    for batch in split_by_tokens(groups, online.config.tokens_per_batch):
        packed = pack_groups(batch, online.policy.numbers.dtype, online.policy.numbers.device)
        yield packed, slice(start, start + len(batch))
        start += len(batch)


def joined_trunks(packed: PackedGroups, trunks: Sequence[Tensor | None]) -> Tensor | None:
    """What the packed groups' tokens are above the trunk, of what each group's are; None where there is no trunk."""
    kept = [one for one in trunks if one is not None]
    return packed.joined(kept) if kept else None


def evenly(items: Sequence[Item], parts: int) -> list[Sequence[Item]]:
    """Cut into at most so many parts whose sizes differ by one at most."""
    parts = min(parts, len(items))
    bounds = [round(number * len(items) / parts) for number in range(parts + 1)]
    return [items[low:high] for low, high in pairwise(bounds)]
