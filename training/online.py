"""What PPO and RLOO share: sample, score, see the replies with base and policy, learn from them in minibatches.

A reply's reward is its score less `kl_weight` times its KL from the base, log policy - log base of the sampled tokens,
as in arXiv:1909.08593. What an action is (a token, a whole reply) and its loss, the method says: `ppo.py`, `rloo.py`.
Of several ranks each samples, scores and learns from its own prompts of a step; what is meant over the step, all know.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Generic, Literal, TypeVar

import torch
from torch import Tensor

from training.advantages import next_kl_weight
from training.configs import RlooConfig
from training.errors import TrainingError
from training.loop import Step, StepReport
from training.monitors import refusal_rate, refusals_can_be_found, reply_monitors
from training.online_run import Online
from training.ranks import this_rank
from training.rollouts import OnlinePrompt, sample_rollouts, weights_name
from training.scorers import Scored, ScoredRollout, joined_scores, scored_rollouts
from training.seen import Asked, seen
from training.shares import evenly

# What a method learns from a prompt's replies.
Lesson = TypeVar("Lesson")


@dataclass(frozen=True, slots=True)
class Size:
    """What a loss is the mean over: those of a minibatch, on all ranks."""

    replies: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Minibatch(Generic[Lesson]):
    """What is learnt from at once: this rank's lessons, and the size of all ranks'."""

    lessons: Sequence[Lesson]
    size: Size


@dataclass(frozen=True, slots=True)
class Answered:
    """A step's prompts, and this rank's `own` of them by their place among all. `sizes` are of their replies, and
    `metrics` say what all of them are like."""

    sizes: Sequence[Size]
    own: Mapping[int, Asked]
    metrics: Mapping[str, float]
    tokens: int


@dataclass(frozen=True, slots=True)
class Looked:
    """What a rank tells the others of its prompts' replies: the score and the KL of each, the log-probabilities of all
    their tokens, how many went through the model, and how far the sampler's own were from them."""

    score_R: Tensor
    kl_R: Tensor
    logps_N: Tensor
    tokens: int
    apart: Mapping[Literal["sampler_apart"], float]


def online_step(
    online: Online,
    step: Step,
    prepare: Callable[[Sequence[Asked], float], Sequence[Lesson]],
    add_gradients: Callable[[Minibatch[Lesson]], Mapping[str, float]],
) -> StepReport:
    """One step of a method: `prepare` turns the prompts' replies into lessons, `add_gradients` adds the gradient of a
    minibatch's sum over its size and returns metrics, sums over it too. The first pass takes the prompts in the order
    of the step, which is drawn already."""
    config, ranks = online.config, this_rank()
    answered = ask(online, step)
    kl_weight = online.kl_weight_1.item()
    lessons = dict(zip(answered.own, prepare(list(answered.own.values()), kl_weight), strict=True))
    learnt: list[Mapping[str, float]] = []
    for number in range(config.passes):
        order = list(range(len(answered.sizes)))
        if number:
            random.Random(f"{config.seed}/{step.number}/{number}").shuffle(order)
        for places in evenly(order, config.minibatches):
            own = [lessons[place] for place in places if place in lessons]
            minibatch = Minibatch(own, whole_size([answered.sizes[place] for place in places]))
            found = added_up(ranks.from_all(partial(add_gradients, minibatch)))
            learnt.append({**found, "gradient_norm": step.update()})
    metrics = answered.metrics
    online.kl_weight_1.fill_(next_kl_weight(kl_weight, metrics["kl"], config.kl_target))
    means = {name: sum(one[name] for one in learnt) / len(learnt) for name in learnt[0]}
    reward = metrics["score"] - kl_weight * metrics["kl"]
    return StepReport({**metrics, "reward": reward, "kl_weight": kl_weight, **means}, answered.tokens)


def whole_size(sizes: Sequence[Size]) -> Size:
    """Of several prompts together."""
    return Size(sum(one.replies for one in sizes), sum(one.tokens for one in sizes))


def added_up(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The sum over the ranks of each metric."""
    return {name: sum(part[name] for part in parts) for name in parts[0]}


def ask(online: Online, step: Step) -> Answered:
    """The prompts of a step with their replies, and what the replies are like."""
    config, ranks = online.config, this_rank()
    seed = random.Random(f"{config.seed}/{step.number}").getrandbits(31)
    mine = [online.prompts[number] for number in step.rows]
    asked_here = frozenset(mine)
    scored = joined_scores(ranks.from_all(lambda: answers(online, mine, config.replies_per_prompt, seed)))
    place_of = {online.prompts[number]: place for place, number in enumerate(step.share.whole)}
    groups = by_prompt(online, sorted(scored.kept, key=lambda one: place_of[one.rollout.asked]))
    if not groups:
        raise TrainingError(
            f"step {step.number + 1}: of {len(scored.kept) + sum(scored.abstained.values())} replies none can be "
            f"learnt from: abstentions {dict(scored.abstained) or 'none'}, {len(scored.kept)} alone in their prompt; "
            "look at what scores"
        )
    sizes = [Size(len(own), sum(len(one.rollout.reply.tokens) for one in own)) for own in groups]
    refuse_different_weights(step, scored)
    places = [place for place, own in enumerate(groups) if own[0].rollout.asked in asked_here]
    first = len(frozenset(places).intersection(evenly(range(len(groups)), config.minibatches)[0]))
    own = [groups[place] for place in places]
    (asked, _), looked = ranks.each(lambda: seen(online, own, first), told_of)
    metrics = {**kl_metrics(looked), **score_metrics(scored, groups), **looks(online, groups)}
    return Answered(sizes, dict(zip(places, asked, strict=True)), metrics, sum(one.tokens for one in looked))


def refuse_different_weights(step: Step, scored: Scored) -> None:
    """Ranks that have drifted apart learn from replies that are not of one policy. Raises TrainingError."""
    names = {one.rollout.reply.weights for one in scored.kept}
    if len(names) > 1:
        raise TrainingError(
            f"step {step.number + 1}: the processes hold {len(names)} different adapters; give all of them the same "
            "files and start again: the run goes on from its last checkpoint"
        )


def answers(online: Online, prompts: Sequence[OnlinePrompt], replies: int, seed: int) -> Scored:
    """So many replies to each of these, written by the present policy and scored."""
    if not prompts:  # of a rank that has none of these
        return Scored((), {}, {})
    asked = [prompt for prompt in prompts for _ in range(replies)]
    weights = weights_name(online.policy_weights)
    return scored_rollouts(online.scorers, sample_rollouts(online.sampler, online.tokenizer, asked, weights, seed=seed))


def told_of(found: tuple[Sequence[Asked], Mapping[Literal["sampler_apart"], float]]) -> Looked:
    """What the other ranks need to know of what is `seen`."""
    asked, apart = found
    none = torch.empty(0)
    score_R, kl_R, logps_N = (
        torch.cat([none, *parts])
        for parts in ([one.score_K for one in asked], [one.kl_K for one in asked], [one.logps_N for one in asked])
    )
    return Looked(score_R, kl_R, logps_N, sum(one.group.tokens for one in asked), apart)


def score_metrics(scored: Scored, groups: Sequence[Sequence[ScoredRollout]]) -> Mapping[str, float]:
    """What scored says of the replies, what could not, and how they ended."""
    kept = [one for own in groups for one in own]
    replies = [one.rollout.reply for one in kept]
    return {
        **mean_parts(kept),
        "reply_tokens": sum(len(reply.tokens) for reply in replies) / len(replies),
        "finished": sum(reply.finished for reply in replies) / len(replies),
        "abstained": float(sum(scored.abstained.values())),
        **{f"abstained_{cause}": float(count) for cause, count in scored.abstained.items()},
        **{f"unweighed_abstained_{cause}": float(count) for cause, count in scored.unweighed.items()},
        "alone": float(len(scored.kept) - len(kept)),
    }


def kl_metrics(looked: Sequence[Looked]) -> Mapping[str, float]:
    """Means over the replies of all ranks; of `sampler_apart` the rank's where it is highest."""
    kl = torch.cat([one.kl_R for one in looked]).mean()
    return {
        "score": torch.cat([one.score_R for one in looked]).mean().item(),
        "kl": kl.item(),
        "sqrt_kl": kl.clamp(min=0).sqrt().item(),
        "entropy": -torch.cat([one.logps_N for one in looked]).mean().item(),
        **{name: max(one.apart[name] for one in looked if one.apart) for one in looked for name in one.apart},
    }


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


def looks(online: Online, groups: Sequence[Sequence[ScoredRollout]]) -> Mapping[str, float]:
    """The monitors of a step's replies; their length is beside that of the first step's."""
    rollouts = [one.rollout for own in groups for one in own]
    lengths = [len(one.reply.tokens) for one in rollouts]
    length = sum(lengths) / len(lengths)
    if online.first_length_1.isnan():
        online.first_length_1.fill_(length)
    monitors = reply_monitors([one.reply.tokens for one in rollouts], [one.asked.prompt.id for one in rollouts])
    found = {**monitors, "length_ratio": length / online.first_length_1.item()}
    if online.config.max_refusal_rate or refusals_can_be_found():
        found["refusal_rate"] = refusal_rate([one.text for one in rollouts])
    return found
