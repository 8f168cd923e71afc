"""What scores a policy's replies while it learns, each with its weight; deterministic checks are here.

A scorer that cannot answer abstains; the reply is then left out and counted, never given a number. One of weight 0
trains nothing and watches (`online_held_out.py`): where it abstains, the reply stays, and that is counted apart. Left
out: reward models and judges (`reward_scorer.py`, `judge_scorer.py`); KL and the penalty of a cut reply (`online.py`).
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from judges.records import Abstention, Cause
from training.errors import ConfigError, LostNumber
from training.rollouts import Rollout


class Scorer(Protocol):
    """A name for the metrics, and one score a rollout, higher where the reply is better."""

    @property
    def name(self) -> str: ...

    def scores(self, rollouts: Sequence[Rollout]) -> Sequence[float | Abstention]: ...


@dataclass(frozen=True, slots=True)
class WeightedScorer:
    """A scorer, and how much its score counts."""

    scorer: Scorer
    weight: float


@dataclass(frozen=True, slots=True)
class ScoredRollout:
    """A rollout that every scorer with a weight answered: the weighted sum, and the own score of each that answered, by
    its name."""

    rollout: Rollout
    score: float
    parts: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """`kept` are the rollouts that every scorer with a weight answered, in their order; `abstained` counts the others
    by cause, `unweighed` the abstentions of scorers of weight 0."""

    kept: tuple[ScoredRollout, ...]
    abstained: Mapping[Cause, int]
    unweighed: Mapping[Cause, int]


def scored_rollouts(scorers: Sequence[WeightedScorer], rollouts: Sequence[Rollout]) -> Scored:
    """Ask every scorer about every rollout; the first with a weight that abstains on one names the cause.

    Raises LostNumber where a score is no number.
    """
    answers = [one.scorer.scores(rollouts) for one in scorers]
    kept: list[ScoredRollout] = []
    causes: Counter[Cause] = Counter()
    unweighed: Counter[Cause] = Counter()
    for rollout, *own in zip(rollouts, *answers, strict=True):
        asked = list(zip(scorers, own, strict=True))
        silent = [(one.weight, answer.cause) for one, answer in asked if isinstance(answer, Abstention)]
        unweighed.update(cause for weight, cause in silent if weight == 0)
        lacking = [cause for weight, cause in silent if weight]
        if lacking:
            causes[lacking[0]] += 1
            continue
        scores = [(one, answer) for one, answer in asked if not isinstance(answer, Abstention)]
        for one, score in scores:
            if not math.isfinite(score):
                raise LostNumber(
                    f"prompt {rollout.asked.prompt.id!r}: {one.scorer.name} scores a reply {score}, which is no "
                    "number; look at what it scores by"
                )
        total = sum((one.weight * score for one, score in scores), 0.0)
        kept.append(ScoredRollout(rollout, total, tuple((one.scorer.name, score) for one, score in scores)))
    return Scored(tuple(kept), dict(causes), dict(unweighed))


def joined_scores(parts: Sequence[Scored]) -> Scored:
    """Those of several ranks as one, the rollouts behind one another."""
    kept = tuple(one for part in parts for one in part.kept)
    abstained = sum((Counter(part.abstained) for part in parts), Counter())
    return Scored(kept, dict(abstained), dict(sum((Counter(part.unweighed) for part in parts), Counter())))


@dataclass(frozen=True, slots=True)
class FunctionScorer:
    """A plain function of prompt and reply as a scorer: for own rewards, and for tests."""

    name: str
    score: Callable[[Rollout], float]

    def scores(self, rollouts: Sequence[Rollout]) -> Sequence[float]:
        return [self.score(rollout) for rollout in rollouts]


def check_scorer(path: Path | None, principles: Sequence[str] = ()) -> FunctionScorer | None:
    """The weighted share, 0 to 1, of a constitution's checked principles that a reply keeps; None where there is none.

    `principles` are the ids of those that count, all of them where it is empty. Raises ConfigError.
    """
    if path is None:
        return None
    # A bare GPU node has no pydantic: constitutions are read only where one is named.
    from constitutions.checks.registry import run_check
    from constitutions.loader import load_constitution_file

    law = load_constitution_file(path)
    named = scoring_principles([principle.id for principle in law.principles], principles)
    checked = [principle for principle in law.checked if principle.id in named]
    if not checked:
        return None
    total = sum(principle.weight for principle in checked)

    def share(rollout: Rollout) -> float:
        messages = rollout.asked.prompt.messages
        kept = (p.weight for p in checked if run_check(p, messages, rollout.text).passed)
        return sum(kept) / total

    return FunctionScorer("checks", share)


def scoring_principles(known: Sequence[str], named: Sequence[str]) -> frozenset[str]:
    """The ids that are named, or all that are known where none is. Raises ConfigError for one that is not known."""
    for id in named:
        if id not in known:
            raise ConfigError(f"principles: {id!r} is none of the constitution's; it has {', '.join(known)}")
    return frozenset(named or known)
