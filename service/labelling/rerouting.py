"""The second routing of a label project: what labels of the random part have shown decides on the rest of the budget.

The random part stays as it is, and so do the tasks that somebody has seen. In place of the others come the pairs where
a label should correct the most by a model that is fitted to those labels. A budget in minutes is counted anew, by how
long people have taken.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from service.artifacts import Artifacts
from service.errors import Conflict
from service.labelling.annotators import seconds_per_label
from service.labelling.candidates import askables, candidate_of, principle_of
from service.labelling.gains import GainModel, LabelledCandidate, fit_gain_model
from service.labelling.gathered import labels_of
from service.labelling.projects import pairs_of_project, request_of
from service.labelling.routing import Routed
from service.labelling.schemas import LabelProjectRequest
from service.labelling.sources import SourcePair
from service.labelling.tasks import budget_of, routed_again, tasks_again
from service.labelling.votes import votes_on
from service.store.label_records import AskedPairs, LabelProjectRecord, TaskLabel
from service.store.store import Store


@dataclass(frozen=True, slots=True)
class Rerouted:
    """`labelled` pairs of the random part told what to route by; `shown`: they bear out which way the judge's beliefs
    point, else the rest was drawn at random. `dropped` tasks that nobody had seen gave way to `added` ones.

    `seconds_per_label` is what a budget in minutes was counted by; None where the budget is in labels.
    """

    project: LabelProjectRecord
    labelled: int
    shown: bool
    dropped: int
    added: int
    seconds_per_label: float | None


@dataclass(frozen=True, slots=True)
class _Choice:
    routed: Sequence[Routed]
    model: GainModel


def is_routed(project: LabelProjectRecord) -> bool:
    """Its tasks were chosen by what a label should correct, and their answers tell of that: rewriting tells nothing."""
    if not project.plan:
        return False
    request = request_of(project)
    return request.routing.policy == "uncertain" and request.kind != "rewrite"


async def route_again(store: Store, artifacts: Artifacts, project_id: str, id: str) -> Rerouted:
    """Raises Conflict where nothing was routed, or nothing is known yet that was not known before."""
    project = await store.label_projects.get(project_id, id)
    if not is_routed(project):
        raise Conflict(
            f"label project {project.name!r} was not routed by what labels correct; make one to compare or rank with "
            "routing.policy: uncertain"
        )
    request = request_of(project)
    labels = await labels_of(store, project)
    seconds = seconds_per_label(labels, request.routing.seconds_per_label)
    pairs = await pairs_of_project(store, artifacts, project, replies=request.kind == "rank")
    asked = await store.label_projects.asked_pairs(project_id, project.id)
    budget = budget_of(request, seconds)
    chosen = await asyncio.to_thread(_choose, request, pairs, labels, asked, budget)
    if chosen is None:
        open_pairs = [pair for pair in pairs if pair.pair_id not in asked.gold]
        raise Conflict(_unmeasured(project, request, all_pairs=len(askables(request, open_pairs))))
    if request.kind != "rank":
        pairs = await pairs_of_project(store, artifacts, project, only={one.pair_id for one in chosen.routed})
    tasks = await asyncio.to_thread(tasks_again, request, pairs, chosen.routed)
    most_tasks = budget * max(1, len(request.principles))
    replaced = await store.label_projects.replace_unseen(project_id, project.id, tasks, most_tasks)
    return Rerouted(
        project=replaced.project,
        labelled=chosen.model.labels,
        shown=chosen.model.shown,
        dropped=replaced.dropped,
        added=replaced.added,
        seconds_per_label=None if request.routing.budget_minutes is None else seconds,
    )


def _unmeasured(project: LabelProjectRecord, request: LabelProjectRequest, *, all_pairs: int) -> str:
    """Why no label tells of the judge."""
    name = f"label project {project.name!r}"
    if budget_of(request, request.routing.seconds_per_label) >= all_pairs:
        return f"the budget of {name} was enough for every pair: all were sent, and there is no other one to choose"
    if request.routing.random_share == 0:
        return (
            f"{name} has no random part (random_share: 0), by which alone the judge could be measured; make one with a "
            "random_share above 0"
        )
    return f"nobody has answered a pair of the random part of {name} yet; route again when it is labelled"


def _choose(
    request: LabelProjectRequest,
    pairs: Sequence[SourcePair],
    labels: Sequence[TaskLabel],
    asked: AskedPairs,
    budget: int,
) -> _Choice | None:
    """None where no label of the random part says which reply is better."""
    open_pairs = [pair for pair in pairs if pair.pair_id not in asked.gold]
    votes = votes_on([label for label in labels if label.routed_by == "random"], open_pairs)
    if not votes:
        return None
    principle = principle_of(request)
    model = fit_gain_model(
        [
            LabelledCandidate(candidate_of(pair, principle), votes[pair.pair_id])
            for pair in open_pairs
            if pair.pair_id in votes
        ]
    )
    rest = [one for one in askables(request, open_pairs) if one.id not in asked.kept]
    return _Choice(routed_again(request, rest, max(0, budget - len(asked.kept)), model), model)
