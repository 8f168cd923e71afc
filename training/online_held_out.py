"""What PPO and RLOO measure on held-out prompts: how the present policy's replies to them score, and how far it went.

Each prompt is answered by the policy itself and scored by what watches: the scorers of weight 0, which train nothing.
Where there are none, what scores in training watches too.
"""

import random
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from math import sqrt
from statistics import fmean, variance

import torch

from training.errors import TrainingError
from training.online import answers, mean_parts
from training.online_run import Online
from training.probing import sycophancy_of
from training.ranks import this_rank
from training.rollouts import OnlinePrompt
from training.scorers import Scored, ScoredRollout, joined_scores
from training.seen import seen


@dataclass(frozen=True, slots=True)
class Measured:
    """What one rank found on its held-out prompts: the replies that were scored, those of each prompt by what watches,
    and the KL of each reply."""

    scored: Scored
    scores: Sequence[Sequence[float]]
    kls: Sequence[float]


def held_out_metrics(online: Online) -> Mapping[str, float]:
    """Metrics of the present policy on the prompts that are held out, as `training.limits` reads them.

    - `held_out_score`: the mean over the prompts of their replies' mean score by what watches. What trains is less the
      penalty of replies that were cut.
    - `held_out_score_NAME`: what each scorer says of the replies, on its own scale.
    - `held_out_error`: the standard error that other replies to the same prompts would show.
    - `held_out_kl`: log policy - log base of a reply, nats, their mean.
    - `held_out_abstained`: replies that something could not score; they are in no other number.

    Where a prompt has no scored reply the mean would be of other prompts than before: score and error are then left
    out, and patience does not look. They are, too, where no prompt has two, from which the error follows.

    The draw is the same each time, so that two checkpoints differ by their weights alone where the sampler takes a
    seed. Raises TrainingError where no reply could be scored.
    """
    config, ranks = online.config, this_rank()
    own = online.held_out[ranks.rank :: ranks.world]
    seed = random.Random(f"{config.seed}/held_out").getrandbits(31)
    found = ranks.from_all(lambda: measured(online, own, seed))
    scored, scores = joined_scores([one.scored for one in found]), [own for one in found for own in one.scores]
    if not scored.kept:
        raise TrainingError(
            f"held-out prompts: none of {len(online.held_out) * config.held_out_replies} replies could be scored: "
            f"abstentions {dict(scored.abstained)}; look at what scores"
        )
    comparable = len(scores) == len(online.held_out) and all(scores) and any(len(own) > 1 for own in scores)
    mean = {"held_out_score": fmean(map(fmean, scores)), "held_out_error": error_of_means(scores)} if comparable else {}
    return {
        **mean,
        **{f"held_out_{name}": score for name, score in mean_parts(scored.kept).items()},
        "held_out_kl": fmean(kl for one in found for kl in one.kls),
        "held_out_abstained": float(sum(scored.abstained.values())),
    }


def measured(online: Online, prompts: Sequence[OnlinePrompt], seed: int) -> Measured:
    """What the present policy's replies to these are like."""
    scored = answers(online, prompts, online.config.held_out_replies, seed)
    groups = [list(own) for _, own in groupby(scored.kept, key=lambda one: one.rollout.asked)]
    with torch.no_grad():  # nothing is learnt from these
        asked, _ = seen(online, groups, len(groups))
    watching = frozenset(one.scorer.name for one in online.scorers if one.weight == 0)
    scores = watched_scores(groups, watching) if watching else [one.score_K.tolist() for one in asked]
    return Measured(scored, scores, [kl for one in asked for kl in one.kl_K.tolist()])


def watched_scores(groups: Sequence[Sequence[ScoredRollout]], watching: Set[str]) -> list[list[float]]:
    """Of each prompt's replies: the mean of what these scorers say; of one where any of them abstained, nothing."""
    found: list[list[float]] = []
    for own in groups:
        said = [[score for name, score in one.parts if name in watching] for one in own]
        found.append([fmean(one) for one in said if len(one) == len(watching)])
    return found


def error_of_means(scores: Sequence[Sequence[float]]) -> float:
    """Of the mean of the prompts' means: replies vary within a prompt, as they do over all prompts with two or more,
    of which there must be one."""
    within = [(variance(own), len(own) - 1) for own in scores if len(own) > 1]
    freedom = sum(count for _, count in within)
    spread = sum(value * count for value, count in within) / freedom
    return sqrt(sum(spread / len(own) for own in scores)) / len(scores)


def evidence(online: Online) -> Mapping[str, object]:
    """What the result says of the policy besides its training."""
    held_out = {"prompts": len(online.held_out), **held_out_metrics(online)} if online.held_out else None
    return {"held_out": held_out, "sycophancy": sycophancy_of(online.policy, online.config)}
