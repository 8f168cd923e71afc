"""What the labelling page shows of a task: its texts made fit for a page, its principle, and the person's progress."""

from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from service.pages.written import Written, stripped, written
from service.store.label_records import Choice, LeasedTask, Progress, TaskKind, TaskLabel

LETTERS = "ABCDEFGHI"
_ROLES = {"system": "Instructions to the model", "user": "Person", "assistant": "Model"}
_QUESTIONS: dict[TaskKind, str] = {
    "compare": "Which reply is better",
    "rank": "Which order is right, from best to worst",
    "rewrite": "How should the reply read",
}


class Draft(BaseModel):
    """What was typed before a reload; `ranking` are the places on the page from best to worst."""

    comment: str = ""
    rewrite: str = ""
    ranking: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TurnView:
    """One turn of the prompt."""

    role: str
    text: Written


@dataclass(frozen=True, slots=True)
class ReplyView:
    """A reply under its letter. `place` is where the service put it, from 0; `rank` its place by the draft, from 1."""

    letter: str
    place: int
    rank: int
    text: Written


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task as templates take it. `principle` is empty where it asks overall; a rewrite starts from `editable`."""

    id: str
    kind: TaskKind
    training: bool
    question: str
    principle_id: str
    principle: str
    turns: tuple[TurnView, ...]
    replies: tuple[ReplyView, ...]
    comment: str
    editable: str


@dataclass(frozen=True, slots=True)
class ProgressView:
    """`number` is that of the task on the page, from 1."""

    done: int
    skipped: int
    total: int

    @property
    def left(self) -> int:
        return self.total - self.done - self.skipped

    @property
    def number(self) -> int:
        return min(self.done + self.skipped + 1, self.total)


def task_view(task: LeasedTask, principles: dict[str, str]) -> TaskView:
    """`principles` are the constitution's texts by id."""
    draft = read_draft(task.draft)
    ranking = draft.ranking if sorted(draft.ranking) == list(range(len(task.replies))) else range(len(task.replies))
    replies = (
        ReplyView(LETTERS[place], place, rank, written(task.replies[place])) for rank, place in enumerate(ranking, 1)
    )
    return TaskView(
        id=task.id,
        kind=task.kind,
        training=task.training,
        question=f"{_QUESTIONS[task.kind]}{'' if task.principle_id else ', all in all'}?",
        principle_id=task.principle_id or "",
        principle=principles.get(task.principle_id or "", ""),
        turns=tuple(TurnView(_ROLES[turn.role], written(turn.content)) for turn in task.prompt),
        replies=tuple(replies),
        comment=draft.comment,
        editable=(draft.rewrite or stripped(task.replies[0])) if task.kind == "rewrite" else "",
    )


def progress_view(progress: Progress) -> ProgressView:
    """The total ends at the budget where there is one."""
    left = progress.open_tasks if progress.budget_left is None else min(progress.open_tasks, progress.budget_left)
    return ProgressView(progress.done, progress.skipped, progress.done + progress.skipped + left)


def read_draft(text: str) -> Draft:
    """An empty draft where there is none, or where it is another program's."""
    try:
        return Draft.model_validate_json(text or "{}")
    except ValidationError:
        return Draft()


def said_on_page(choice: str, order: tuple[int, ...]) -> str:
    """A choice in the words of the page on which the sides stood in this order."""
    if choice in ("a", "b"):
        return f"Reply {LETTERS[order.index('ab'.index(choice))]} is better"
    return {"tie": "Equally good", "both_bad": "Both bad", "skip": "Skipped"}.get(choice, choice)


def is_right(label: TaskLabel) -> bool:
    """True where the answer is the known one."""
    gold: Choice | None = label.gold
    return gold is not None and label.choice == gold
