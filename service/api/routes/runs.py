"""Runs: start one (or ask what it would cost), follow, cancel, resume, and read what its stages made."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import JsonValue

from constitutions.loader import load_constitution
from judges.qualify import ENOUGH_EXAMPLES
from judges.records import PrincipleVerdict, Revision, Sample
from service.api.guard import RepeatableRoute
from service.api.state import Backend, BackendHere, KeyHere
from service.api.wire import After, Deleted, Limit, Page, RunBody, page_of
from service.demonstrations import refuse_demonstrations
from service.errors import InvalidInput, NotFound
from service.exchange.run_rows import Kind, run_rows
from service.model_folder import refuse_unknown_targets
from service.pipeline.development import FEWEST, development_count
from service.pipeline.gold import gold_problems
from service.pipeline.plan import Plan, plan_run
from service.pipeline.report import run_report
from service.pipeline.scoring import refuse_impossible_scores, refuse_unfit_reward_adapter
from service.pipeline.start import refuse_unfit_start
from service.pipeline.trainer_knobs import unread_settings
from service.protocols import protocol_named
from service.schemas import STAGES, UNCHANGED, ResumeRequest, RunRequest
from service.store.records import KeyRecord, RunReferences
from service.store.resources import Adapters, Constitutions, Models, PreferenceSets, PromptSets

router = APIRouter(prefix="/v1/runs", tags=["runs"], route_class=RepeatableRoute)
DryRun = Annotated[bool, Query(description="Only say what the run would cost: calls, tokens, seconds.")]
Skip = Annotated[int, Query(ge=0, lt=2**31, description="How many rows to pass over.")]


@dataclass(frozen=True, slots=True)
class Window:
    """Which of many rows: `limit` of them, after the first `skip`."""

    skip: int
    limit: int


@router.post("", status_code=201, operation_id="create_run", response_model=RunBody | Plan)
async def create(request: RunRequest, backend: BackendHere, key: KeyHere, dry_run: DryRun = False) -> RunBody | Plan:
    """Start the pipeline, or the stages of it that are named. It survives a restart of everything."""
    references = await _resolve(request, backend, key.project_id)
    request = await _with_start(request, backend, key.project_id)
    request = await _with_ensemble(request, backend, key.project_id)
    if dry_run:
        protocol = protocol_named(request.judge.protocol, backend.settings.protocols)
        return await plan_run(request, references, key.project_id, backend.store, protocol.requests)
    run = await backend.store.runs.create(key.project_id, request, references, backend.enqueue)
    return RunBody.model_validate(run)


@router.get("", operation_id="list_runs")
async def list_(backend: BackendHere, key: KeyHere, after: After = None, limit: Limit = 20) -> Page[RunBody]:
    """Oldest first."""
    records = await backend.store.runs.list(key.project_id, after, limit)
    return page_of([RunBody.model_validate(record) for record in records], limit)


@router.get("/{id}", operation_id="get_run")
async def get(id: str, backend: BackendHere, key: KeyHere) -> RunBody:
    """Its status, its request, and its error where it failed."""
    return RunBody.model_validate(await backend.store.runs.get(key.project_id, id))


@router.post("/{id}/cancel", operation_id="cancel_run")
async def cancel(id: str, backend: BackendHere, key: KeyHere) -> RunBody:
    """Its processes get SIGTERM, and SIGKILL after 3 s. What it finished stays, and it can be resumed."""
    return RunBody.model_validate(await backend.store.runs.cancel(key.project_id, id))


@router.post("/{id}/resume", operation_id="resume_run")
async def resume(id: str, backend: BackendHere, key: KeyHere, changes: ResumeRequest = UNCHANGED) -> RunBody:
    """Queue a failed or cancelled run again, with less memory if asked; nothing that it finished is done twice."""
    return RunBody.model_validate(await backend.store.runs.resume(key.project_id, id, backend.enqueue, changes))


@router.get("/{id}/report", operation_id="report_run")
async def report(id: str, backend: BackendHere, key: KeyHere) -> dict[str, JsonValue]:
    """Counts, times, mix, qualification, drift, each principle before and after, or how scores do: so far."""
    run = await backend.store.runs.get(key.project_id, id)
    return run_report(
        await backend.store.runs.stages(run.id), await backend.store.adapters.of_run(key.project_id, run.id)
    )


@router.get("/{id}/samples", operation_id="list_samples")
async def samples(id: str, backend: BackendHere, key: KeyHere, after: Skip = 0, limit: Limit = 20) -> JSONResponse:
    """The policy's replies, in their order; none before the stage has finished."""
    return await _page(Sample, id, backend, key, Window(after, limit))


@router.get("/{id}/revisions", operation_id="list_revisions")
async def revisions(id: str, backend: BackendHere, key: KeyHere, after: Skip = 0, limit: Limit = 20) -> JSONResponse:
    """Every step of critique and revision, with its principle."""
    return await _page(Revision, id, backend, key, Window(after, limit))


@router.get("/{id}/verdicts", operation_id="list_verdicts")
async def verdicts(id: str, backend: BackendHere, key: KeyHere, after: Skip = 0, limit: Limit = 20) -> JSONResponse:
    """One verdict a compared pair and principle, abstentions too."""
    return await _page(PrincipleVerdict, id, backend, key, Window(after, limit))


@router.delete("/{id}", operation_id="delete_run")
async def delete(id: str, backend: BackendHere, key: KeyHere) -> Deleted:
    """With its events. Refused while it runs, or while its adapter is there."""
    await backend.store.runs.delete(key.project_id, id)
    return Deleted(id=id)


async def _page(kind: Kind, id: str, backend: Backend, key: KeyRecord, window: Window) -> JSONResponse:
    run = await backend.store.runs.get(key.project_id, id)
    stages = await backend.store.runs.stages(run.id)
    data, total = await run_rows(stages, backend.artifacts, kind, window.skip, window.limit)
    return JSONResponse({"object": "list", "data": data, "has_more": window.skip + window.limit < total})


async def _with_start(request: RunRequest, backend: Backend, project_id: str) -> RunRequest:
    """With the id of the adapter from which the run goes on, where a name was given. Raises InvalidInput."""
    if request.start_from is None:
        return request
    try:
        start = await backend.store.adapters.get(project_id, request.start_from)
    except NotFound as error:
        raise InvalidInput(f"start_from: {error}") from error
    refuse_unfit_start(request, start, await backend.store.models.get(project_id, request.model))
    return request.model_copy(update={"start_from": start.id})


async def _with_ensemble(request: RunRequest, backend: Backend, project_id: str) -> RunRequest:
    """With the ids of the reward model's further members for their names. Raises InvalidInput."""
    wanted = request.training
    if not wanted.reward_ensemble or wanted.reward_adapter is None:
        return request
    model = await backend.store.models.get(project_id, request.model)
    members = [(await backend.store.adapters.get(project_id, wanted.reward_adapter)).id]
    for name in wanted.reward_ensemble:
        try:
            member = await backend.store.adapters.get(project_id, name)
        except NotFound as error:
            raise InvalidInput(f"training.reward_ensemble: {error}") from error
        refuse_unfit_reward_adapter(member, model, "training.reward_ensemble")
        if member.id in members:
            raise InvalidInput(f"training.reward_ensemble: {name!r} is a member twice; name each once")
        members.append(member.id)
    training = wanted.model_copy(update={"reward_ensemble": tuple(members[1:])})
    return request.model_copy(update={"training": training})


async def _resolve(request: RunRequest, backend: Backend, project_id: str) -> RunReferences:
    """Every name in the request must exist, and every stage have what it reads. Raises InvalidInput with all faults."""
    store = backend.store
    lookups: dict[str, tuple[Constitutions | PromptSets | PreferenceSets | Models | Adapters, str | None]] = {
        "constitution": (store.constitutions, request.constitution),
        "prompts": (store.prompt_sets, request.prompts),
        "held_out": (store.prompt_sets, request.held_out),
        "mix.human": (store.preference_sets, request.mix.human),
        "mix.gold": (store.preference_sets, request.mix.gold),
        "model": (store.models, request.model),
        "judge.model": (store.models, request.judge.model),
        "training.reward_adapter": (store.adapters, request.training.reward_adapter),
    }
    ids: dict[str, str | None] = {}
    problems = [*_stages_cut_off(request), *unread_settings(request), *gold_problems(request)]
    for field, (resources, name) in lookups.items():
        ids[field] = None
        if name is None:
            continue
        try:
            ids[field] = (await resources.get(project_id, name)).id
        except NotFound:
            known = [record.name for record in await resources.list(project_id, None, 10)]
            there = f"there are {', '.join(sorted(set(known)))}" if known else "there are none yet: post one"
            problems.append(f"{field}: {name!r} does not exist; {there}")
    if ids["mix.gold"] is not None and ids["mix.gold"] == ids["mix.human"]:
        problems.append(
            "mix.gold: it is the set of mix.human, which people would be right by; name an expert's own set"
        )
    if problems:
        raise InvalidInput("; ".join(problems), tuple(problems))
    protocol_named(request.judge.protocol, backend.settings.protocols)
    await _refuse_unknown_principles(request, backend, project_id)
    await _refuse_no_pairs(request, backend, project_id)
    await _refuse_too_few_labels(request, backend, project_id)
    await _refuse_impossible(request, backend, project_id)
    return RunReferences(
        constitution_id=ids["constitution"] or "",
        prompts_id=ids["prompts"] or "",
        held_out_id=ids["held_out"],
        human_id=ids["mix.human"],
        model_id=ids["model"] or "",
        judge_id=ids["judge.model"] or "",
        reward_adapter_id=ids["training.reward_adapter"],
        gold_id=ids["mix.gold"],
    )


def _stages_cut_off(request: RunRequest) -> list[str]:
    """The stages that would find nothing to work on, with those that are missing, and those that nobody would read."""
    if not request.stages:
        return [f"stages: none is named; leave the field out to go through all, or name some of {', '.join(STAGES)}"]
    missing = {stage: [need for need in request.needs(stage) if need not in request.stages] for stage in request.stages}
    problems = [
        f"stages: {stage!r} needs {', '.join(needs)} in the same run; add what is missing, or leave {stage!r} out"
        for stage, needs in missing.items()
        if needs
    ]
    if idle := [stage for stage in request.stages if stage in request.unread_stages]:
        what = request.training.method if request.training.online else f"training.sft_on {request.training.sft_on}"
        read = ", ".join(stage for stage in STAGES if stage not in request.unread_stages)
        problems.append(f"stages: {what} reads nothing of {', '.join(idle)}; name {read}")
    return problems


async def _refuse_unknown_principles(request: RunRequest, backend: Backend, project_id: str) -> None:
    """A misspelt id would leave its principle without a weight, or to whom it should not belong."""
    named = {"judge.allow_unqualified": request.judge.allow_unqualified, "mix.owners": tuple(request.mix.owners)}
    if not any(named.values()):
        return
    law = await backend.store.constitutions.get(project_id, request.constitution)
    known = [principle.id for principle in load_constitution(law.source, name=law.name).principles]
    problems = tuple(
        f"{setting}: {id!r} is no principle of {law.name!r}; it has {', '.join(known)}"
        for setting, ids in named.items()
        for id in ids
        if id not in known
    )
    if problems:
        raise InvalidInput("; ".join(problems), problems)


async def _refuse_no_pairs(request: RunRequest, backend: Backend, project_id: str) -> None:
    """Demonstrations join no pairs in a mix."""
    if request.training.on_demonstrations:
        return
    for setting, name in (("mix.human", request.mix.human), ("mix.gold", request.mix.gold)):
        if name is not None:
            refuse_demonstrations(await backend.store.preference_sets.get(project_id, name), setting)


async def _refuse_too_few_labels(request: RunRequest, backend: Backend, project_id: str) -> None:
    """Weights cannot follow people's labels where there are none, or too few."""
    if not request.judge.calibrate:
        return
    if request.mix.human is None:
        raise InvalidInput("judge.calibrate: it reads people's pairs; name their set in mix.human, or leave it out")
    people = await backend.store.preference_sets.get(project_id, request.mix.human)
    if min(people.rows, request.judge.calibrate) < ENOUGH_EXAMPLES:
        raise InvalidInput(
            f"judge.calibrate: {request.judge.calibrate} of the {people.rows} pairs of {people.name!r} are too few; "
            f"weights need {ENOUGH_EXAMPLES} or more, on as many prompts: label more, or leave it out"
        )


async def _refuse_impossible(request: RunRequest, backend: Backend, project_id: str) -> None:
    """What can be known before anything is computed."""
    model = await backend.store.models.get(project_id, request.model)
    if model.path is None:
        raise InvalidInput(f"model: {model.name!r} is an endpoint; training needs a folder with weights")
    if "train" in request.stages:
        await asyncio.to_thread(refuse_unknown_targets, request.training.lora_targets, Path(model.path))
    prompts = await backend.store.prompt_sets.get(project_id, request.prompts)
    if not prompts.train and not request.training.on_demonstrations:
        raise InvalidInput(f"prompts: {prompts.name!r} has no prompt of the split train")
    kept_back = development_count(prompts.train, request.training)
    if request.training.sweep and not FEWEST <= kept_back < prompts.train:
        raise InvalidInput(
            f"training.sweep: a development_share of {request.training.development_share} keeps {kept_back} of "
            f"{prompts.train} training prompts; {FEWEST} or more are compared on, and others trained on: change it, or "
            "give more prompts"
        )
    if request.training.online or request.training.patience_reads == "checks":
        law = await backend.store.constitutions.get(project_id, request.constitution)
        refuse_impossible_scores(request, load_constitution(law.source, name=law.name), backend.settings.protocols)
        if request.training.reward_adapter is not None:
            adapter = await backend.store.adapters.get(project_id, request.training.reward_adapter)
            refuse_unfit_reward_adapter(adapter, model)
    if "evaluate" in request.stages and not request.training.writes_replies:
        if request.training.held_out_share == 0:
            raise InvalidInput(
                "evaluate: training.held_out_share is 0, so nothing is measured; raise it, or leave the stage out"
            )
    elif "evaluate" in request.stages:
        held = await backend.store.prompt_sets.get(project_id, request.held_out or request.prompts)
        if not (held.train + held.held_out if request.held_out else held.held_out):
            raise InvalidInput(
                "evaluate: there is no held-out prompt; add some with split held_out, or name a held_out set"
            )
