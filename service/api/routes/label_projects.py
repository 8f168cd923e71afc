"""Label projects: pairs as tasks for people, who enter by invitation; their answers, and a preference set of those."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict

from service.api.guard import RepeatableRoute
from service.api.label_wire import (
    AnnotatorBody,
    InvitationBody,
    LabelProjectBody,
    LeasedTaskBody,
    ReroutedBody,
    TaskLabelBody,
)
from service.api.state import AskingHere, Backend, BackendHere, KeyHere
from service.api.wire import After, Deleted, Limit, Page, PreferenceSetBody, PromptSetBody, page_of
from service.errors import InvalidInput, NotFound
from service.labelling.figures import QualityReport
from service.labelling.gathered import labels_of
from service.labelling.human_sets import HumanSet, add_human_set, of_project, with_earlier
from service.labelling.project_quality import project_quality
from service.labelling.projects import create_project
from service.labelling.rerouting import route_again
from service.labelling.revision_prompts import prompts_to_revise
from service.labelling.rows import PeopleWeights, rows_from_labels
from service.labelling.schemas import Id, LabelProjectRequest
from service.names import Name, PersonName
from service.prompt_sets import add_prompt_set
from service.store.label_records import AnnotatorRecord
from service.store.records import JsonObject


class InvitationRoute(RepeatableRoute):
    """A repeated POST is answered without the invitation's secret, which is stored nowhere."""

    @staticmethod
    def kept(answer: Response) -> str:
        return InvitationBody.model_validate_json(bytes(answer.body)).model_copy(update={"url": None}).model_dump_json()


router = APIRouter(prefix="/v1/label-projects", tags=["label projects"], route_class=RepeatableRoute)
invitations = APIRouter(route_class=InvitationRoute)


class Invitation(BaseModel):
    """Whom to invite. People see no name but their own."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "Ada"}]})
    name: PersonName


class FromAnswers(BaseModel):
    """One row a pair and annotator, or with `aggregate` one a pair, believed by the share of the votes.

    Each person's votes weigh the same, or `measured`: by how often that person is right. `add_to` names a human set
    whose rows come first, so that one set holds both for `mix.human`.
    """

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "may", "aggregate": True}]})
    name: Name = "labels"
    aggregate: bool = False
    weights: PeopleWeights = "equal"
    add_to: Id | None = None


class PromptsToRevise(BaseModel):
    """What the prompt set is to be called."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "to revise"}]})
    name: Name = "to revise"


@router.post("", status_code=201, operation_id="create_label_project")
async def create(new: LabelProjectRequest, backend: BackendHere, key: KeyHere) -> LabelProjectBody:
    """Pairs of a preference set or of a run become tasks; nobody is invited yet."""
    record = await create_project(backend.store, backend.artifacts, key.project_id, new)
    return LabelProjectBody.model_validate(record)


@router.get("", operation_id="list_label_projects")
async def list_(backend: BackendHere, key: KeyHere, after: After = None, limit: Limit = 20) -> Page[LabelProjectBody]:
    """Oldest first."""
    records = await backend.store.label_projects.list(key.project_id, after, limit)
    return page_of([LabelProjectBody.model_validate(record) for record in records], limit)


@router.get("/{id}", operation_id="get_label_project")
async def get(id: str, backend: BackendHere, key: KeyHere) -> LabelProjectBody:
    """By id, or the newest of a name."""
    return LabelProjectBody.model_validate(await backend.store.label_projects.get(key.project_id, id))


@router.post("/{id}/route", operation_id="route_label_project_again")
async def route(id: str, backend: BackendHere, key: KeyHere) -> ReroutedBody:
    """Choose the rest of the tasks anew, by what labels of the random part have shown.

    For a project of `routing.policy` uncertain. Random tasks stay, and what somebody was given. 409 while nobody has
    answered a random one.
    """
    return ReroutedBody.model_validate(await route_again(backend.store, backend.artifacts, key.project_id, id))


@router.post("/{id}/close", operation_id="close_label_project")
async def close(id: str, backend: BackendHere, key: KeyHere) -> LabelProjectBody:
    """Nothing more is given out or answered, for good. What was answered stays."""
    return LabelProjectBody.model_validate(await backend.store.label_projects.close(key.project_id, id))


@router.delete("/{id}", operation_id="delete_label_project")
async def delete(
    id: str,
    backend: BackendHere,
    key: KeyHere,
    with_labels: Annotated[bool, Query(description="Delete the labels too, for good.")] = False,
) -> Deleted:
    """With its annotators and tasks. Refused while it has labels, unless `with_labels` deletes these too.

    Preference sets that were made of the labels keep their rows.
    """
    await backend.store.label_projects.delete(key.project_id, id, with_labels=with_labels)
    return Deleted(id=id)


@invitations.post("/{id}/invitations", status_code=201, operation_id="invite_annotator")
async def invite(id: str, new: Invitation, backend: BackendHere, key: KeyHere) -> InvitationBody:
    """The link to send to that person; it is in this answer and nowhere else. It opens on each of their devices."""
    record, secret = await backend.store.label_projects.invite(key.project_id, id, new.name)
    return InvitationBody(annotator=AnnotatorBody.model_validate(record), url=f"/label/enter/{secret}")


@router.get("/{id}/annotators", operation_id="list_annotators")
async def annotators(id: str, backend: BackendHere, key: KeyHere) -> Page[AnnotatorBody]:
    """All of them; one who was revoked has a `revoked_at`."""
    records = await backend.store.label_projects.annotators(key.project_id, id)
    return Page(data=[AnnotatorBody.model_validate(record) for record in records], has_more=False)


@router.delete("/{id}/annotators/{annotator}", operation_id="revoke_annotator")
async def revoke(id: str, annotator: str, backend: BackendHere, key: KeyHere) -> Deleted:
    """The invitation and its sessions end at once; the labels stay."""
    await backend.store.label_projects.revoke(key.project_id, id, annotator)
    return Deleted(id=annotator)


@router.get("/{id}/tasks/next", operation_id="next_label_tasks")
async def next_tasks(
    id: str,
    backend: BackendHere,
    asking: AskingHere,
    annotator: Annotated[str | None, Query(max_length=64, description="Whose, where a key asks: ann_...")] = None,
    count: Annotated[int, Query(ge=1, le=20, description="How many at most.")] = 1,
) -> Page[LeasedTaskBody]:
    """Tasks leased for 20 minutes, those that the annotator holds already first; none where nothing is left for them.

    For an annotator's session, or a key that may write. Answer them by POST /v1/labels with `task_id`.
    """
    if isinstance(asking, AnnotatorRecord):
        own = id == asking.label_project_id or await _is_named(backend, asking, id)
        if not own or annotator not in (None, asking.id):
            raise NotFound(f"your invitation is not to label project {id!r}; open the link that you were sent")
        annotator_id = asking.id
    elif annotator is None:
        raise InvalidInput("annotator: a key asks for somebody; name an ann_... of this label project")
    else:
        annotator_id = (await backend.store.label_projects.annotator(asking.project_id, id, annotator)).id
    tasks = await backend.store.label_projects.next_tasks(annotator_id, count)
    return Page(data=[LeasedTaskBody.model_validate(task) for task in tasks], has_more=False)


async def _is_named(backend: Backend, annotator: AnnotatorRecord, name: str) -> bool:
    """Whether the annotator's label project is the newest of this name."""
    return (await backend.store.label_projects.get(annotator.project_id, name)).id == annotator.label_project_id


@router.get("/{id}/labels", operation_id="list_task_labels")
async def labels(
    id: str, backend: BackendHere, key: KeyHere, after: After = None, limit: Limit = 20
) -> Page[TaskLabelBody]:
    """Answers in the order in which they came, skips too; not what an annotator took back."""
    found = await backend.store.label_projects.labels_of(key.project_id, id, after, limit)
    return page_of([TaskLabelBody.model_validate(label) for label in found], limit)


@router.get("/{id}/quality", operation_id="label_project_quality")
async def quality(id: str, backend: BackendHere, key: KeyHere) -> QualityReport:
    """How far people agree, each annotator's figures, and the judge as one more annotator.

    `judge.estimated` is the judge's accuracy over all pairs of the source, from the random part alone. A rate has its
    95 % interval; what too few labels allow is a `reason` instead of a number.
    """
    project = await backend.store.label_projects.get(key.project_id, id)
    return await project_quality(backend.store, backend.artifacts, project)


@router.post("/{id}/preference-set", status_code=201, operation_id="create_preference_set_from_label_project")
async def gather(id: str, chosen: FromAnswers, backend: BackendHere, key: KeyHere) -> PreferenceSetBody:
    """A human preference set of the answers so far, ready for `mix.human`. Training, gold and repeats are not in it.

    A tie is half a vote; `both_bad` makes no row, but its pair stands under `asks_revision`; a better text that
    somebody wrote is chosen over the original.
    """
    project = await backend.store.label_projects.get(key.project_id, id)
    found = await labels_of(backend.store, project)
    made = await asyncio.to_thread(rows_from_labels, found, aggregate=chosen.aggregate, weights=chosen.weights)
    if not made.rows:
        raise InvalidInput(f"nobody has named a better reply or a tie in label project {project.name!r} yet")
    rows = await of_project(backend.store, project, made.rows)
    if chosen.add_to is not None:
        earlier = await backend.store.preference_sets.get(key.project_id, chosen.add_to)
        rows = await with_earlier(backend.artifacts, earlier, project, rows)
    report: JsonObject = {
        "rows": len(rows),
        "human": len(rows),
        "label_project": project.id,
        "asks_revision": [*made.asks_revision],
        "skips": made.skips,
        "measuring": made.measuring,
        "weights": dict(made.weights),
    }
    new = HumanSet(chosen.name, rows, report)
    return PreferenceSetBody.model_validate(await add_human_set(backend.store, backend.artifacts, key.project_id, new))


@router.post("/{id}/prompt-set", status_code=201, operation_id="create_prompt_set_from_label_project")
async def to_revise(id: str, chosen: PromptsToRevise, backend: BackendHere, key: KeyHere) -> PromptSetBody:
    """A prompt set of the prompts of which somebody said that all replies are bad, for a run that revises.

    Each prompt once, to train on. Training, gold and repeats ask for nothing.
    """
    project = await backend.store.label_projects.get(key.project_id, id)
    prompts = prompts_to_revise(await labels_of(backend.store, project))
    if not prompts:
        raise InvalidInput(f"nobody has said in label project {project.name!r} that both replies are bad")
    made = await add_prompt_set(backend.store, backend.artifacts, key.project_id, chosen.name, prompts)
    return PromptSetBody.model_validate(made)


router.include_router(invitations)
