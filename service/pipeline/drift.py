"""Is the judge still the one that was qualified? Each later run asks it some of the examples again, and compares.

An endpoint may serve another model, template or precision under the same name: then what was proven of it no longer
holds. Up to 40 examples, the anchors, are drawn by the run's id; their fresh answers are kept in a shard of the run, so
that a resumed run compares the same. A share that differs by more than chance would (two proportions, 1 %) is a warning
and stands in the report; weights stay, since 40 answers are no qualification. Left out: judging again what an earlier
judge judged.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue, TypeAdapter

from judges.client import ChatClient
from judges.gathering import all_of
from judges.measures import JudgedPair, Statistic, measure
from judges.records import Preference, PrincipleVerdict
from service.pipeline.context import RunContext
from service.pipeline.faults import refuse_faulty
from service.pipeline.sample import identity_of
from service.shards import ensure_shard, shard_key

STAGE_VERSION = 1
ANCHORS = 40
FEWEST = 10
Z_99 = 2.5758293035489004


@dataclass(frozen=True, slots=True)
class ShareThenNow:
    """A share of `trials`, at qualification and now, 0 to 1. `z` is (now - then) / its standard error, pooled."""

    trials: int
    then: float
    now: float
    z: float

    @property
    def differs(self) -> bool:
        """By more than chance, at 1 % on two sides."""
        return abs(self.z) > Z_99


@dataclass(frozen=True, slots=True)
class Drift:
    """The anchors that were answered both times. A share is None where they are too few; `reason` says so."""

    anchors: int
    answered: int
    accuracy: ShareThenNow | None
    first_pick_rate: ShareThenNow | None
    drifted: bool
    reason: str


_ADAPTER = TypeAdapter(Drift)


async def ensure_drift(context: RunContext, client: ChatClient, then: Sequence[JudgedPair]) -> Drift:
    """Ensure the anchors' fresh answers, compare them with those of the qualification, and warn where they differ."""
    if not then:
        return Drift(0, 0, None, None, drifted=False, reason="no example was asked before this run")
    principles = {principle.id: principle for principle in context.constitution.judged}

    async def ask() -> tuple[PrincipleVerdict, ...]:
        verdicts = await all_of(
            context.protocol.judge(client, one.pair.comparison, principles[str(one.pair.principle_id)]) for one in then
        )
        refuse_faulty(client.model, [verdict.verdict for verdict in verdicts])
        return verdicts

    fresh = await ensure_shard(context.artifacts, anchor_key(context, then), PrincipleVerdict, ask)
    now = [JudgedPair(one.pair, found.verdict) for one, found in zip(then, fresh, strict=True)]
    drift = compare_answers(then, now)
    if drift.drifted:
        await context.warn("judge", f"the judge {client.model!r} has changed since it was qualified: {drift.reason}")
    return drift


def anchors(run_id: str, answers: Sequence[JudgedPair]) -> tuple[JudgedPair, ...]:
    """At most ANCHORS of the examples, those whose hash with the run's id comes first."""

    def place(one: JudgedPair) -> bytes:
        return hashlib.sha256(f"{run_id} {one.pair.principle_id} {one.pair.comparison.id}".encode()).digest()

    return tuple(sorted(answers, key=place)[:ANCHORS])


def compare_answers(then: Sequence[JudgedPair], now: Sequence[JudgedPair]) -> Drift:
    """The same anchors twice, in step. The test takes both times as independent: that errs on the side of silence."""
    both = [
        (old, new)
        for old, new in zip(then, now, strict=True)
        if isinstance(old.verdict, Preference) and isinstance(new.verdict, Preference)
    ]
    if len(both) < FEWEST:
        reason = f"{len(both)} anchors were answered both times; a drift shows from {FEWEST} on"
        return Drift(len(then), len(both), None, None, drifted=False, reason=reason)
    before, after = measure([old for old, _ in both]), measure([new for _, new in both])
    accuracy = _share(before.accuracy, after.accuracy, len(both))
    first = _share(before.first_pick_rate, after.first_pick_rate, 2 * len(both))
    told = [
        f"{name} was {share.then:.0%} and is {share.now:.0%} on {len(both)} examples"
        for name, share in (("its accuracy", accuracy), ("its rate of picking the first reply", first))
        if share.differs
    ]
    advice = "serve and register it under another name, so that it is qualified anew"
    reason = f"{'; '.join(told)}; {advice}" if told else "no more than chance"
    return Drift(len(then), len(both), accuracy, first, drifted=bool(told), reason=reason)


def anchor_key(context: RunContext, then: Sequence[JudgedPair]) -> str:
    """The shard of this run's anchors."""
    drawn: list[JsonValue] = [f"{one.pair.principle_id} {one.pair.comparison.id}" for one in then]
    asked: list[JsonValue] = [identity_of(context.judge), context.protocol.template_sha256]
    return shard_key("anchors", [STAGE_VERSION, context.run.id, context.constitution_sha256, asked, drawn])


def drift_json(drift: Drift) -> JsonValue:
    """As it stands in the report."""
    value: JsonValue = _ADAPTER.dump_python(drift, mode="json")
    return value


def _share(then: Statistic, now: Statistic, trials: int) -> ShareThenNow:
    """Both are defined, since at least FEWEST examples were answered, and each example has a better reply."""
    before, after = then.value or 0.0, now.value or 0.0
    pooled = (before + after) / 2
    error = math.sqrt(2 * pooled * (1 - pooled) / trials)
    return ShareThenNow(trials, before, after, (after - before) / error if error else 0.0)
