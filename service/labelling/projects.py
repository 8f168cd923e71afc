"""A label project made from what its owner asks: every name is looked up, the pairs become tasks, and all is stored."""

import asyncio

from constitutions.loader import load_constitution
from service.artifacts import Artifacts
from service.errors import InvalidInput
from service.labelling.schemas import LabelProjectRequest
from service.labelling.sources import SourcePair, pairs_of_run, pairs_of_set
from service.labelling.tasks import left_out_replies, tasks_of
from service.store.label_records import LabelProjectRecord, NewLabelProject
from service.store.store import Store

# What tells how the tasks were chosen.
_PLAN = {"kind", "routing", "repeat_share", "seed"}


async def create_project(
    store: Store, artifacts: Artifacts, project_id: str, request: LabelProjectRequest
) -> LabelProjectRecord:
    """Raises NotFound for a name of nothing, InvalidInput for principles of no constitution or too few pairs."""
    preference_set_id = run_id = None
    constitution = request.constitution
    if request.preference_set is not None:
        found = await store.preference_sets.get(project_id, request.preference_set)
        preference_set_id, pairs = found.id, await pairs_of_set(artifacts, found)
    else:
        run = await store.runs.get(project_id, request.run or "")
        run_id, constitution = run.id, constitution or run.references.constitution_id
        if request.pairs == "review":
            found = await store.preference_sets.under_review(run)
            preference_set_id, pairs = found.id, await pairs_of_set(artifacts, found)
        else:
            pairs = await pairs_of_run(store, artifacts, run)
    constitution_id = await _constitution_id(store, project_id, constitution, request)
    # A hundred thousand pairs take seconds: other requests are answered meanwhile.
    tasks = await asyncio.to_thread(tasks_of, request, pairs)
    left_out = await asyncio.to_thread(left_out_replies, request, pairs)
    new = NewLabelProject(
        project_id=project_id,
        name=request.name,
        guideline=request.guideline,
        principle_ids=tuple(request.principles),
        constitution_id=constitution_id,
        preference_set_id=preference_set_id,
        run_id=run_id,
        overlap=request.overlap,
        gold_share=request.gold_share if len(request.gold) > request.training_tasks else 0.0,
        budget_labels=request.budget_labels,
        plan=request.model_dump(mode="json", include=_PLAN) | {"left_out_replies": left_out},
    )
    return await store.label_projects.create(new, tasks)


async def pairs_of_project(store: Store, artifacts: Artifacts, project: LabelProjectRecord) -> tuple[SourcePair, ...]:
    """What its tasks were chosen from: sets and verdicts do not change."""
    if project.preference_set_id is not None:
        found = await store.preference_sets.get(project.project_id, project.preference_set_id)
        return await pairs_of_set(artifacts, found)
    run = await store.runs.get(project.project_id, project.run_id or "")
    return await pairs_of_run(store, artifacts, run)


def request_of(project: LabelProjectRecord) -> LabelProjectRequest:
    """What was asked for, without guideline and gold; by the defaults where a project keeps no plan."""
    return LabelProjectRequest.model_validate(
        {
            "name": project.name,
            "preference_set": project.preference_set_id,
            "run": None if project.preference_set_id else project.run_id,
            "principles": list(project.principle_ids),
            "overlap": project.overlap,
            **{name: value for name, value in project.plan.items() if name in _PLAN},
        }
    )


async def _constitution_id(store: Store, project_id: str, name: str | None, request: LabelProjectRequest) -> str | None:
    if name is None:
        if request.principles:
            raise InvalidInput("principles: whose? name the constitution that they stand in, or leave them out")
        return None
    law = await store.constitutions.get(project_id, name)
    known = [principle.id for principle in load_constitution(law.source, name=law.name).principles]
    if unknown := [id for id in request.principles if id not in known]:
        raise InvalidInput(f"principles: {unknown[0]!r} is none of {law.name!r}; it has {', '.join(known)}")
    return law.id
