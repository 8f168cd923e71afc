"""A run as its page shows it: where each stage stands, what was told, and the effect in one number. Pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from pydantic import JsonValue

from service.schemas import STAGES, Stage
from service.store.records import EventRecord, JsonObject, RunRecord, StageRecord

_ENDED = {"succeeded": "has succeeded", "failed": "has failed", "cancelled": "was cancelled"}
StageState = Literal["finished", "in progress", "waiting", "stopped", "left out"]


@dataclass(frozen=True, slots=True)
class StageLine:
    """One stage. `done` of `total` pieces of work, 0 of 0 where it counted none; `seconds` once it has finished."""

    stage: Stage
    state: StageState
    done: int
    total: int
    eta_s: float | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Told:
    """An event in words."""

    seq: int
    at: str
    kind: str
    stage: str
    text: str


@dataclass(frozen=True, slots=True)
class Effect:
    """Of a finished evaluation: replies that pass all checks, before and after, and the mean win rate of the judged
    principles; None for what the constitution has no principle of."""

    joint: tuple[float, float] | None
    win_rate: float | None


def stage_lines(
    run: RunRecord, finished: Mapping[str, StageRecord], progress: Mapping[str, EventRecord]
) -> tuple[StageLine, ...]:
    """All stages in their order; of those that are not finished, the first is the one in progress."""
    waiting = [stage for stage in STAGES if stage in run.request.stages and stage not in finished]
    lines = []
    for stage in STAGES:
        count, ended = progress.get(stage), finished.get(stage)
        total = (count.total or 0) if count else 0
        lines.append(
            StageLine(
                stage=stage,
                state=_state(run, stage, ended is not None, waiting[:1] == [stage]),
                # The last pieces of a stage end faster than they are told of: one that has finished has done all.
                done=total if ended else (count.done or 0) if count else 0,
                total=total,
                eta_s=count.eta_s if count and not ended else None,
                seconds=ended.seconds if ended else None,
            )
        )
    return tuple(lines)


def told(event: EventRecord) -> Told:
    """What happened, as a sentence."""
    data = event.data
    if event.stage is None:
        status = str(data.get("status"))
        text = f"The run {_ENDED.get(status, f'is {status}')}. {data.get('message') or ''}".strip()
    elif event.type == "stage" and data.get("status") == "finished":
        text = f"finished in {float(str(data.get('seconds', 0))):.1f} s"
    else:
        text = str(data.get("message") or data.get("status") or "")
    return Told(event.seq, event.at, event.type, event.stage or "run", text)


def effect_of(evaluated: JsonObject) -> Effect | None:
    """None where no reply was evaluated, as of a reward model."""
    principles = _objects(evaluated.get("principles"))
    if not principles:
        return None
    joint = next((one for one in principles if one.get("kind") == "joint"), None)
    judged = [_share(one, "after") for one in principles if one.get("kind") == "judged"]
    return Effect(
        joint=(_share(joint, "before"), _share(joint, "after")) if joint else None,
        win_rate=fmean(judged) if judged else None,
    )


def _state(run: RunRecord, stage: Stage, is_finished: bool, is_next: bool) -> StageState:
    if is_finished:
        return "finished"
    if stage not in run.request.stages:
        return "left out"
    if is_next and run.status in ("running", "cancelling"):
        return "in progress"
    return "stopped" if is_next and run.status in ("failed", "cancelled") else "waiting"


def _share(principle: JsonObject, name: str) -> float:
    return float(str(principle[name]))


def _objects(value: JsonValue) -> Sequence[JsonObject]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else ()
