"""The proof as values: base against adapter on held-out prompts, each principle and all checks together. No torch.

In: what the checks said of every reply before and after, and how the judge saw the replies meet. Out: rates, lifts and
intervals clustered by prompt, and how the replies' length and variety moved.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from training.errors import TrainingError
from training.monitors import distinct_n, words_of
from training.statistics import Interval, NoInterval, clustered_difference, clustered_mean

JOINT = "joint"


@dataclass(frozen=True, slots=True)
class CheckedReply:
    """One reply to a held-out prompt; `passed` holds (principle id, did it pass) of every checked principle."""

    prompt_id: str
    reply: str
    passed: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class JudgedMeeting:
    """A reply of the adapter met one of the base under a judged principle. Abstentions are left out before."""

    prompt_id: str
    principle_id: str
    p_after_wins: float


@dataclass(frozen=True, slots=True)
class PrincipleResult:
    """`before` and `after` are rates; for a judged principle 0.5 and the win rate over the base.

    `low` and `high` bound the lift (after - before) with 95 % confidence; NaN is never used: a principle without
    enough prompts for an interval has `low` = -1 and `high` = 1, the whole range, and says so by its `prompts`.
    `replies` counts the replies (or meetings) after training.
    """

    id: str
    kind: Literal["judged", "checked", "joint"]
    before: float
    after: float
    lift: float
    low: float
    high: float
    prompts: int
    replies: int


@dataclass(frozen=True, slots=True)
class ReplyStatistics:
    """Length and variety of a set of replies: signs of drift and of collapse.

    `distinct_1` and `distinct_2` are the shares of different words and word pairs among all (arXiv:1510.03055);
    `unique_replies` is the share of different texts, `empty_replies` that of blank ones.
    """

    replies: int
    mean_words: float
    median_words: float
    mean_characters: float
    distinct_1: float
    distinct_2: float
    unique_replies: float
    empty_replies: float


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """Everything the report shows about the effect."""

    principles: tuple[PrincipleResult, ...]
    before: ReplyStatistics
    after: ReplyStatistics


def evaluate(
    before: Sequence[CheckedReply], after: Sequence[CheckedReply], meetings: Sequence[JudgedMeeting]
) -> EvaluationReport:
    """Results of every checked principle, the joint one (a reply passes all checks), then every judged principle."""
    checked = [id for id, _ in before[0].passed] if before else []
    results = [checked_result(id, before, after) for id in checked]
    if checked:
        results.append(joint_result(before, after))
    judged = sorted({meeting.principle_id for meeting in meetings})
    results += [judged_result(id, meetings) for id in judged]
    return EvaluationReport(
        tuple(results),
        reply_statistics([reply.reply for reply in before]),
        reply_statistics([reply.reply for reply in after]),
    )


def checked_result(id: str, before: Sequence[CheckedReply], after: Sequence[CheckedReply]) -> PrincipleResult:
    """How often replies pass one check, before and after."""
    return _rates(id, "checked", before, after, lambda reply: _passed(reply, id))


def joint_result(before: Sequence[CheckedReply], after: Sequence[CheckedReply]) -> PrincipleResult:
    """How often replies pass all checks at once."""
    return _rates(JOINT, "joint", before, after, lambda reply: all(passed for _, passed in reply.passed))


def judged_result(id: str, meetings: Sequence[JudgedMeeting]) -> PrincipleResult:
    """The adapter's win rate over the base under one principle; a lift of 0 is a draw."""
    wins: dict[str, list[float]] = {}
    for meeting in meetings:
        if meeting.principle_id == id:
            wins.setdefault(meeting.prompt_id, []).append(meeting.p_after_wins)
    interval = clustered_mean(wins)
    rate = _mean_of_means(wins)
    low, high = (interval.low - 0.5, interval.high - 0.5) if isinstance(interval, Interval) else (-1.0, 1.0)
    count = sum(map(len, wins.values()))
    return PrincipleResult(id, "judged", 0.5, rate, rate - 0.5, low, high, len(wins), count)


def reply_statistics(replies: Sequence[str]) -> ReplyStatistics:
    """Length and variety; raises on an empty set, which has neither."""
    if not replies:
        raise TrainingError("no replies to describe; evaluate at least one held-out prompt")
    words = [words_of(reply) for reply in replies]
    lengths = sorted(map(len, words))
    middle = len(lengths) // 2
    median = lengths[middle] if len(lengths) % 2 else (lengths[middle - 1] + lengths[middle]) / 2
    return ReplyStatistics(
        replies=len(replies),
        mean_words=sum(lengths) / len(replies),
        median_words=float(median),
        mean_characters=sum(map(len, replies)) / len(replies),
        distinct_1=distinct_n(words, 1),
        distinct_2=distinct_n(words, 2),
        unique_replies=len(set(replies)) / len(replies),
        empty_replies=sum(not reply.strip() for reply in replies) / len(replies),
    )


def _rates(
    id: str,
    kind: Literal["checked", "joint"],
    before: Sequence[CheckedReply],
    after: Sequence[CheckedReply],
    passes: Callable[[CheckedReply], bool],
) -> PrincipleResult:
    old, new = _by_prompt(before, passes), _by_prompt(after, passes)
    difference = clustered_difference(old, new)
    rate_before, rate_after = _mean_of_means(old), _mean_of_means(new)
    low, high = (-1.0, 1.0) if isinstance(difference, NoInterval) else (difference.low, difference.high)
    lift = rate_after - rate_before
    return PrincipleResult(id, kind, rate_before, rate_after, lift, low, high, len(new), len(after))


def _by_prompt(replies: Sequence[CheckedReply], passes: Callable[[CheckedReply], bool]) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {}
    for reply in replies:
        values.setdefault(reply.prompt_id, []).append(float(passes(reply)))
    return values


def _passed(reply: CheckedReply, id: str) -> bool:
    for principle_id, passed in reply.passed:
        if principle_id == id:
            return passed
    raise TrainingError(
        f"prompt {reply.prompt_id!r}: a reply was not checked under principle {id!r}; check all replies"
    )


def _mean_of_means(values: Mapping[str, Sequence[float]]) -> float:
    return math.fsum(math.fsum(replies) / len(replies) for replies in values.values()) / len(values)
