"""Labels: a person's answer about two replies, or to a task of a label project; and a preference set made of them."""

from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from judges.records import Message
from service.api.guard import RepeatableRoute
from service.api.state import AskingHere, Backend, BackendHere, KeyHere
from service.api.wire import NO_NUL, After, Deleted, LabelBody, Limit, Page, PreferenceSetBody, page_of
from service.errors import InvalidInput, NotAllowed
from service.exchange.formats.pair import Pair
from service.exchange.preferences import human_row
from service.labelling.human_sets import HumanSet, add_human_set
from service.labelling.rows import COMMENT
from service.names import AnnotatorName, Name
from service.store.label_records import AnnotatorRecord, Answer
from service.store.label_rows import as_one_text
from service.store.records import KeyRecord, LabelRecord
from training.rows import PreferenceRow

router = APIRouter(prefix="/v1/labels", tags=["labels"], route_class=RepeatableRoute)
Text = Annotated[str, Field(min_length=1, max_length=200_000, pattern=NO_NUL)]


class NewLabel(BaseModel):
    """A tie stays as p = 0.5; `both_bad` makes no pair, a `skip` makes nothing."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"annotator": "ann_1", "prompt": "Why is the sky blue?", "a": "Air.", "b": "Magic.", "choice": "a"}
            ]
        },
    )
    annotator: AnnotatorName
    prompt: Text
    a: Text
    b: Text
    choice: Literal["a", "b", "tie", "both_bad", "skip"]
    principle_id: Annotated[str, Field(max_length=64, pattern=NO_NUL)] | None = None
    comment: Annotated[str, Field(max_length=4000, pattern=NO_NUL)] = ""


class TaskAnswer(BaseModel):
    """An answer to a leased task, in the order in which its replies were given: see `tasks/next`.

    `ranking` are places in that order from best to worst, for `ranked`; `rewrite` is the better text, for `rewritten`.
    A key names the annotator; an annotator's own session need not.
    """

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"task_id": "ltk_1", "annotator": "ann_1", "choice": "first"}]}
    )
    task_id: Annotated[str, Field(max_length=64, pattern=NO_NUL)]
    annotator: Annotated[str, Field(max_length=64, pattern=NO_NUL)] | None = None
    choice: Literal["first", "second", "tie", "both_bad", "skip", "ranked", "rewritten"]
    ranking: Annotated[list[int], Field(max_length=9)] = []
    rewrite: Annotated[str, Field(max_length=200_000, pattern=NO_NUL)] = ""
    comment: Annotated[str, Field(max_length=10_000, pattern=NO_NUL)] = ""
    seconds: Annotated[float, Field(ge=0, le=86_400)] = 0.0


def _kind(body: object) -> str:
    """What is sent: with a task's id it answers that."""
    named = isinstance(body, TaskAnswer) or (isinstance(body, dict) and "task_id" in body)
    return "(answer)" if named else "(label)"


LabelOrAnswer = Annotated[
    Annotated[NewLabel, Tag("(label)")] | Annotated[TaskAnswer, Tag("(answer)")],
    Discriminator(_kind),
    Body(
        examples=[{"annotator": "ann_1", "prompt": "Why is the sky blue?", "a": "Air.", "b": "Magic.", "choice": "a"}]
    ),
]


class FromLabels(BaseModel):
    """Which labels become a preference set: all, or one annotator's."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "may", "annotator": "ann_1"}]})
    name: Name = "labels"
    annotator: str | None = None


@router.post("", status_code=201, operation_id="create_label")
async def create(new: LabelOrAnswer, backend: BackendHere, asking: AskingHere) -> LabelBody:
    """A label, or with `task_id` the answer to a leased task, which counts once however often it is sent.

    Send an Idempotency-Key with any other, so that a label sent twice counts once.
    """
    if isinstance(new, TaskAnswer):
        return await _answer(new, backend, asking)
    if isinstance(asking, AnnotatorRecord):
        raise NotAllowed("an annotator's session answers tasks: send their task_id; other labels need an API key")
    record = LabelRecord(id="", project_id=asking.project_id, created_at="", **new.model_dump())
    return LabelBody.model_validate(await backend.store.labels.add(record))


async def _answer(new: TaskAnswer, backend: Backend, asking: KeyRecord | AnnotatorRecord) -> LabelBody:
    if isinstance(asking, AnnotatorRecord):
        if new.annotator not in (None, asking.id):
            raise NotAllowed(f"this is the session of {asking.id}; leave `annotator` out")
        annotator_id = asking.id
    elif new.annotator is None:
        raise InvalidInput("annotator: a key answers for somebody; name the ann_... that holds the task")
    else:
        annotator_id = (await backend.store.label_projects.by_id(asking.project_id, new.annotator)).id
    answer = Answer(new.choice, new.comment, tuple(new.ranking), new.rewrite, new.seconds)
    label = await backend.store.label_projects.submit(annotator_id, new.task_id, answer)
    return LabelBody(
        id=label.label_id,
        annotator=annotator_id,
        prompt=as_one_text(label.prompt),
        a=label.replies[0],
        b=label.replies[1] if len(label.replies) > 1 else "",
        choice=label.choice,
        principle_id=label.principle_id,
        comment=label.comment,
        created_at=label.created_at,
        task_id=label.task_id,
    )


@router.get("", operation_id="list_labels")
async def list_(backend: BackendHere, key: KeyHere, after: After = None, limit: Limit = 20) -> Page[LabelBody]:
    """Oldest first."""
    records = await backend.store.labels.list(key.project_id, after, limit)
    return page_of([LabelBody.model_validate(record) for record in records], limit)


@router.delete("/{id}", operation_id="delete_label")
async def delete(id: str, backend: BackendHere, key: KeyHere) -> Deleted:
    """Preference sets made of it before keep their rows."""
    await backend.store.labels.delete(key.project_id, id)
    return Deleted(id=id)


@router.post("/preference-set", status_code=201, operation_id="create_preference_set_from_labels")
async def gather(chosen: FromLabels, backend: BackendHere, key: KeyHere) -> PreferenceSetBody:
    """A human preference set of all labels posted so far, ready for `mix.human`. Label projects make their own."""
    rows: dict[str, PreferenceRow] = {}
    after: str | None = None
    while labels := (await backend.store.labels.list(key.project_id, after, 500))[:500]:
        after = labels[-1].id
        for label in labels:
            if _counts(label) and chosen.annotator in (None, label.annotator):
                row = _row(label)
                rows[row.id] = row
    if not rows:
        raise InvalidInput("no label names a winner or a tie yet; post some to /v1/labels")
    new = HumanSet(chosen.name, tuple(rows.values()), {"rows": len(rows), "human": len(rows)})
    return PreferenceSetBody.model_validate(await add_human_set(backend.store, backend.artifacts, key.project_id, new))


def _counts(label: LabelRecord) -> bool:
    return label.task_id is None and label.choice in ("a", "b", "tie") and label.a != label.b


def _row(label: LabelRecord) -> PreferenceRow:
    winner, loser = (label.b, label.a) if label.choice == "b" else (label.a, label.b)
    p_chosen = 0.5 if label.choice == "tie" else 1.0
    pair = Pair((Message("user", label.prompt),), winner, loser, p_chosen, 1.0, (label.annotator,))
    row = human_row(pair, f"label {label.id}")
    row = replace(row, tags=((COMMENT, label.comment),)) if label.comment else row
    if label.principle_id is None:
        return row
    # What one says under one principle is another answer than what they say overall, or under another one.
    return replace(row, id=f"{row.id}-{label.principle_id}", per_principle=((label.principle_id, p_chosen),))
