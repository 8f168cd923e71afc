"""What scores the replies of PPO and RLOO in a run: the constitution's checks, the judge's grades, a reward model; and
the checks alone those that SFT and DPO look at.

The judge grades by a protocol of its own (`training.judge_protocol`), is examined under that one, and grades under the
principles alone that it is fit for. Left out: the scorers themselves, which run in the trainer (`training/scorers.py`).
"""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import JsonValue, TypeAdapter

from constitutions.schema import Constitution, Principle
from judges.protocols.grades import Graded
from judges.protocols.registry import PROTOCOLS
from judges.qualify import Qualification, qualification_of
from judges.replicas import Endpoint
from service.errors import InvalidInput, RunFailed
from service.pipeline.calibration import weights_of
from service.pipeline.context import RunContext
from service.pipeline.qualification import examined
from service.pipeline.trained import fetch_trained, folder_of_adapter
from service.protocols import protocol_named
from service.schemas import RunRequest, TrainingSettings
from service.store.records import AdapterRecord, JsonObject, ModelRecord, StageRecord
from training.configs import OnlineConfig

_WEIGHTS = TypeAdapter(dict[str, float])
_NAME = "training.judge_protocol"


@dataclass(frozen=True, slots=True)
class Scoring:
    """`knobs` tell the trainer what scores; `left` is what the stage's result says of it."""

    knobs: Mapping[str, JsonValue]
    left: JsonObject


@contextlib.asynccontextmanager
async def open_scoring(context: RunContext, law: Path, folder: Path) -> AsyncIterator[Scoring]:
    """The run's scores; the judge's server, where one is needed, is up until the block ends.

    `law` is the constitution's file, `folder` takes the reward model. Raises RunFailed where nothing is left that
    scores.
    """
    wanted = context.request.training
    async with contextlib.AsyncExitStack() as opened:
        knobs: dict[str, JsonValue] = {}
        left: JsonObject = {}
        qualification = qualification_of(context.judge.name, context.constitution, ())
        graded: tuple[str, ...] = ()
        if wanted.judge_weight is not None:
            endpoint = await opened.enter_async_context(context.tools.engines.beside_training(context.judge))
            qualification, left = await _examined(context)
            graded = _fit(context, qualification, [one.id for one in context.constitution.judged])
            if graded:
                knobs |= _judge_knobs(context, endpoint)
            else:
                said = f"the judge is not fit to grade by {_standing(qualification, context.constitution.judged)}"
                await context.warn("train", f"{said}; its grades are left out")
                knobs |= {"judge_weight": OnlineConfig.judge_weight, "judge_protocol": OnlineConfig.judge_protocol}
        checked = _fit(context, qualification, [one.id for one in context.constitution.checked])
        if not checked:
            knobs["check_weight"] = OnlineConfig.check_weight
        if failed := [one for one in context.constitution.checked if one.id not in checked]:
            said = f"checks that fail their own examples weigh nothing: {_standing(qualification, failed)}"
            await context.warn("train", said)
        if reward := await reward_adapter_of(context):
            others = [await _member(context, id) for id in wanted.reward_ensemble]
            knobs["reward_model"] = str(await _fetch(context, reward, folder / "reward_model"))
            knobs["reward_ensemble"] = [
                str(await _fetch(context, one, folder / f"reward_model_{number}"))
                for number, one in enumerate(others, start=1)
            ]
            left["reward_adapter"], *further = (_identity(one) for one in (reward, *others))
            left["reward_ensemble"] = further
        weights = scores_of(wanted, checks=bool(checked), judge=bool(graded), reward=reward is not None)
        if not any(weights.values()):
            raise RunFailed(_nothing_scores(context, qualification))
        yield Scoring(knobs | _law_knobs(context, law, checked, graded), left | {"scored_by": dict(weights)})


def watching_knobs(context: RunContext, law: Path) -> Mapping[str, JsonValue]:
    """What tells sft and dpo to score the replies that they look at by the constitution's checks, where any is fit.

    `law` is the constitution's file. Nothing where no prompt shall be held out, for then no reply is looked at. Raises
    RunFailed where no check is fit and patience reads them.
    """
    wanted = context.request.training
    if wanted.online or not wanted.writes_replies or wanted.held_out_share == 0:
        return {}
    unasked = qualification_of(context.judge.name, context.constitution, ())
    checked = _fit(context, unasked, [one.id for one in context.constitution.checked])
    if wanted.patience_reads == "checks" and not checked:
        raise RunFailed(
            "training.patience_reads: no check passes its own examples "
            f"({_standing(unasked, context.constitution.checked)}); mend them, or leave it out, in a new run"
        )
    return _law_knobs(context, law, checked, ())


def scores_of(wanted: TrainingSettings, *, checks: bool, judge: bool, reward: bool) -> Mapping[str, JsonValue]:
    """The weight of each score that there is, by the trainer's names."""
    there = {
        "checks": wanted.check_weight if checks else None,
        "judge": wanted.judge_weight if judge else None,
        "reward_model": wanted.reward_weight if reward else None,
    }
    return {name: weight for name, weight in there.items() if weight is not None}


def scored_by(stages: Mapping[str, StageRecord]) -> Mapping[str, float] | None:
    """The weight of each score of a policy's own replies; None where none was scored, or long ago."""
    scores = stages["train"].result.get("scores") if "train" in stages else None
    weights = scores.get("scored_by") if isinstance(scores, dict) else None
    return _WEIGHTS.validate_python(weights) if weights is not None else None


def refuse_impossible_scores(request: RunRequest, constitution: Constitution, protocols: Path | None) -> None:
    """Raise InvalidInput where the constitution has nothing that scores, or the judge is asked in no way to grade.

    `protocols` is the folder of the owner's own.
    """
    wanted = request.training
    if wanted.patience_reads == "checks" and not constitution.checked:
        raise InvalidInput(
            f"training.patience_reads: {constitution.name!r} has no checked principle; add one, or leave it out"
        )
    if not wanted.online:
        return
    if wanted.judge_weight is not None:
        if not constitution.judged:
            raise InvalidInput(
                f"training.judge_weight: {constitution.name!r} has no judged principle to grade by; add one, or leave "
                "it out"
            )
        if not isinstance(protocol_named(wanted.judge_protocol, protocols, _NAME), Graded):
            raise InvalidInput(
                f"{_NAME}: {wanted.judge_protocol!r} compares replies, and {wanted.method} wants a grade of each; "
                "take pointwise or proposition"
            )
    there = scores_of(
        wanted,
        checks=bool(constitution.checked),
        judge=bool(constitution.judged),
        reward=wanted.reward_adapter is not None,
    )
    if not any(there.values()):
        raise InvalidInput(
            f"constitution: nothing scores the replies of {wanted.method}: {constitution.name!r} has no checked "
            "principle that weighs; add one, set training.judge_weight, or name a training.reward_adapter"
        )


def refuse_unfit_reward_adapter(
    adapter: AdapterRecord, model: ModelRecord, setting: str = "training.reward_adapter"
) -> None:
    """Raise InvalidInput for an adapter that gives no scores, or gives them on another base than the run's."""
    kind, base = adapter.manifest.get("kind"), adapter.manifest.get("base_model")
    if adapter.last_good_step is not None:
        raise InvalidInput(
            f"{setting}: the training of {adapter.name!r} failed after step {adapter.last_good_step}, before its "
            "scores were measured; name one whose training came to its end"
        )
    if kind != "reward_model":
        raise InvalidInput(
            f"{setting}: {adapter.name!r} was trained with {adapter.manifest.get('method')} and gives no "
            "scores; name one of a run with method reward"
        )
    name, sha256 = (base.get("name"), base.get("sha256")) if isinstance(base, dict) else ("", "")
    if model.sha256 is not None and sha256 != model.sha256:
        raise InvalidInput(
            f"{setting}: {adapter.name!r} was trained on the base {name!r} ({str(sha256)[:12]}), the "
            f"run's model is {model.name!r} ({model.sha256[:12]}); train one on this model"
        )


async def reward_adapter_of(context: RunContext) -> AdapterRecord | None:
    """The run's reward model; None where none scores."""
    id = context.run.references.reward_adapter_id
    return await context.tools.store.adapters.get(context.run.project_id, id) if id else None


async def _examined(context: RunContext) -> tuple[Qualification, JsonObject]:
    """The judge's standing in the way it is asked here, and what the stage leaves of it."""
    protocol = protocol_named(context.request.training.judge_protocol, context.tools.settings.protocols, _NAME)
    grading = replace(context, protocol=protocol)
    async with await grading.judge_client() as client:
        return await examined(grading, client)


def _fit(context: RunContext, qualification: Qualification, ids: Sequence[str]) -> tuple[str, ...]:
    weights = weights_of(context, qualification)
    return tuple(id for id in ids if weights[id])


def _judge_knobs(context: RunContext, endpoint: Endpoint) -> dict[str, JsonValue]:
    settings, name = context.judge_settings, context.request.training.judge_protocol
    folder = context.tools.settings.protocols
    own = folder is not None and name not in PROTOCOLS
    return {
        "judge_url": f"unix:{endpoint.uds}" if endpoint.uds else endpoint.base_url,
        "judge_model": endpoint.model,
        "judge_key_env": context.judge.api_key_env or "",
        "judge_protocol": str(folder.expanduser() / name) if folder is not None and own else name,
        "judge_concurrency": settings.concurrency,
        "judge_timeout_s": settings.timeout_s,
        "judge_tokens_total": settings.max_tokens_total or 0,
    }


def _law_knobs(context: RunContext, law: Path, checked: Sequence[str], graded: Sequence[str]) -> dict[str, JsonValue]:
    """The constitution, and which of its principles score where those are not all that the trainer would take."""
    fit = [*checked, *graded]
    taken = context.constitution.principles if graded else context.constitution.checked
    named: list[JsonValue] = [] if len(fit) == len(taken) else [*fit]
    return {"constitution": str(law), "principles": named} if fit else {}


async def _fetch(context: RunContext, adapter: AdapterRecord, folder: Path) -> Path:
    """The output of the trainer that made it, as a folder on this machine."""
    trained = await folder_of_adapter(context, adapter)
    await fetch_trained(context, trained, folder / "adapter")
    return await fetch_trained(context, trained, folder, ("config.json", "result.json"))


async def _member(context: RunContext, id: str) -> AdapterRecord:
    return await context.tools.store.adapters.get(context.run.project_id, id)


def _identity(adapter: AdapterRecord) -> JsonValue:
    return {"id": adapter.id, "name": adapter.name, "sha256": adapter.manifest["adapter_sha256"]}


def _standing(qualification: Qualification, principles: Sequence[Principle]) -> str:
    verdicts = {one.principle_id: one.verdict for one in qualification.per_principle}
    return ", ".join(f"{one.id} ({verdicts[one.id]})" for one in principles)


def _nothing_scores(context: RunContext, qualification: Qualification) -> str:
    """Why there is nothing to learn from, and what can be done."""
    law = context.constitution
    asked = law.checked if context.request.training.judge_weight is None else law.principles
    return (
        f"nothing scores the replies: none of {_standing(qualification, asked)} has a weight, by the judge "
        f"{qualification.judge!r}, and no reward model has one; give the principles 20 examples or more, take a "
        "stronger judge, add checked principles, name principles in judge.allow_unqualified, or name a "
        "training.reward_adapter, in a new run"
    )
