"""A label project made from what its owner asks: every name is looked up, the pairs become tasks, and all is stored."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from constitutions.loader import load_constitution
from service.artifacts import Artifacts
from service.demonstrations import refuse_demonstrations
from service.errors import InvalidInput
from service.labelling.candidates import askables
from service.labelling.schemas import LabelProjectRequest
from service.labelling.set_pairs import Draw, DrawnPairs, choose_pairs_of_set, draw_pairs_of_set, pairs_of_set
from service.labelling.sources import SourcePair, pairs_of_run
from service.labelling.tasks import budget_of, left_out_replies, routed_of, tasks_of
from service.store.label_records import LabelProjectRecord, NewLabelProject
from service.store.records import PreferenceSetRecord, RunRecord
from service.store.store import Store

# What tells how the tasks were chosen.
_PLAN = {"kind", "routing", "repeat_share", "seed"}


@dataclass(frozen=True, slots=True)
class _Source:
    """What the request names, and what of it may be asked about: a run under review is both."""

    preference_set: PreferenceSetRecord | None
    run: RunRecord | None
    asked: DrawnPairs


async def create_project(
    store: Store, artifacts: Artifacts, project_id: str, request: LabelProjectRequest
) -> LabelProjectRecord:
    """Raises NotFound for a name of nothing, InvalidInput for principles of no constitution or too few pairs."""
    source = await _source_of(store, artifacts, project_id, request)
    constitution = request.constitution
    if constitution is None and source.run is not None:
        constitution = source.run.references.constitution_id
    constitution_id = await _constitution_id(store, project_id, constitution, request)
    # A hundred thousand pairs take seconds: other requests are answered meanwhile.
    tasks = await asyncio.to_thread(tasks_of, request, source.asked.pairs, source.asked.routed)
    left_out = await asyncio.to_thread(left_out_replies, request, source.asked.pairs)
    new = NewLabelProject(
        project_id=project_id,
        name=request.name,
        guideline=request.guideline,
        principle_ids=tuple(request.principles),
        constitution_id=constitution_id,
        preference_set_id=None if source.preference_set is None else source.preference_set.id,
        run_id=None if source.run is None else source.run.id,
        overlap=request.overlap,
        gold_share=request.gold_share if len(request.gold) > request.training_tasks else 0.0,
        budget_labels=request.budget_labels,
        plan=request.model_dump(mode="json", include=_PLAN) | {"left_out_replies": left_out},
    )
    return await store.label_projects.create(new, tasks)


async def pairs_of_project(
    store: Store,
    artifacts: Artifacts,
    project: LabelProjectRecord,
    *,
    replies: bool = True,
    only: Collection[str] | None = None,
) -> tuple[SourcePair, ...]:
    """What its tasks were chosen from: sets and verdicts do not change. A set's pairs may be read without replies.

    `only` are the ids of those that are wanted, where that is not all.
    """
    if project.preference_set_id is not None:
        found = await store.preference_sets.get(project.project_id, project.preference_set_id)
        return await pairs_of_set(artifacts, found, replies=replies, only=only)
    run = await store.runs.get(project.project_id, project.run_id or "")
    pairs = await pairs_of_run(store, artifacts, run)
    return pairs if only is None else tuple(pair for pair in pairs if pair.pair_id in only)


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


async def _source_of(store: Store, artifacts: Artifacts, project_id: str, request: LabelProjectRequest) -> _Source:
    if request.run is None:
        found = await store.preference_sets.get(project_id, request.preference_set or "")
        refuse_demonstrations(found, "preference_set")
        return _Source(found, None, await _pairs_in(artifacts, found, request))
    run = await store.runs.get(project_id, request.run)
    if request.pairs == "review":
        found = await store.preference_sets.under_review(run)
        return _Source(found, run, await _pairs_in(artifacts, found, request))
    return _Source(None, run, DrawnPairs(await pairs_of_run(store, artifacts, run)))


async def _pairs_in(artifacts: Artifacts, source: PreferenceSetRecord, request: LabelProjectRequest) -> DrawnPairs:
    """All pairs of a set, or of a budget these alone that it pays for: a set may be far larger than what is asked.

    What is no pair's task, a ranking or the rewriting of a reply that several pairs have, needs all of them.
    """
    if request.routing.policy == "all" or request.kind != "compare":
        return DrawnPairs(await pairs_of_set(artifacts, source))
    named = frozenset(gold.pair_id for gold in request.gold if gold.pair_id is not None)
    if request.routing.policy == "uncertain":
        return await choose_pairs_of_set(
            artifacts, source, lambda pairs: routed_of(request, askables(request, pairs)), named
        )
    draw = Draw(budget_of(request, request.routing.seconds_per_label), request.seed, named)
    return await draw_pairs_of_set(artifacts, source, draw)


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
