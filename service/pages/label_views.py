"""What the labelling page shows of a task: its texts made fit for a page, its principle, and the person's progress."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from constitutions.schema import Turn
from judges.records import Message
from service.pages.written import Written, stripped, written
from service.store.label_records import Answer, Choice, LeasedTask, Progress, TaskKind, TaskLabel

LETTERS = "ABCDEFGHI"
_ROLES = {"system": "Instructions to the model", "user": "Person", "assistant": "Model"}
_SAID = {
    "first": "Reply A is better",
    "second": "Reply B is better",
    "tie": "Equally good",
    "both_bad": "Both bad",
    "skip": "Skipped",
    "ranked": "An order of your own",
    "rewritten": "A reply of your own",
}
_QUESTIONS: dict[TaskKind, str] = {
    "compare": "Which reply is better",
    "rank": "Which order is right, from best to worst",
    "rewrite": "How should the reply read",
}


class Draft(BaseModel):
    """What was typed before a reload; `ranking` are the places on the page from best to worst.

    `said` is the choice of an answer that was taken back.
    """

    comment: str = ""
    rewrite: str = ""
    ranking: tuple[int, ...] = ()
    said: str = ""


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
class AnsweredView:
    """A task that was answered; `better` is the letter of the reply that is known to be, if one is."""

    turns: tuple[TurnView, ...]
    replies: tuple[ReplyView, ...]
    better: str


@dataclass(frozen=True, slots=True)
class CommentView:
    """What somebody wrote beside the answer that `said` tells; `task` is how its page stood."""

    who: str
    said: str
    at: str
    principle_id: str
    comment: str
    task: AnsweredView


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task as templates take it. `principle` is empty where it asks overall; a rewrite starts from `editable`.

    `said` tells of an answer that was taken back, in words.
    """

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
    said: str


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
        turns=turn_views(task.prompt),
        replies=tuple(replies),
        comment=draft.comment,
        editable=(draft.rewrite or stripped(task.replies[0])) if task.kind == "rewrite" else "",
        said=_SAID.get(draft.said, ""),
    )


def answered_view(label: TaskLabel) -> AnsweredView:
    """The task of an answer, as its page stood."""
    replies = [label.replies[place] for place in label.order]
    right = "ab".index(label.gold) if label.gold in ("a", "b") else None
    return AnsweredView(
        turns=turn_views(label.prompt),
        replies=tuple(ReplyView(LETTERS[at], at, at + 1, written(text)) for at, text in enumerate(replies)),
        better="" if right is None else LETTERS[label.order.index(right)],
    )


def comment_view(label: TaskLabel, names: Mapping[str, str]) -> CommentView:
    """`names` are people's, by annotator id."""
    return CommentView(
        who=names.get(label.annotator_id, label.annotator_id),
        said=said_on_page(label.choice, label.order, label.ranking),
        at=label.created_at,
        principle_id=label.principle_id or "",
        comment=label.comment,
        task=answered_view(label),
    )


def turn_views(turns: Sequence[Message | Turn]) -> tuple[TurnView, ...]:
    """A prompt's turns, under whose words they are."""
    return tuple(TurnView(_ROLES[turn.role], written(turn.content)) for turn in turns)


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


def said_on_page(choice: str, order: tuple[int, ...], ranking: tuple[int, ...] = ()) -> str:
    """A label's choice in the words of the page on which the sides stood in this order."""
    if ranking:
        return f"{' before '.join(LETTERS[order.index(reply)] for reply in ranking)}"
    return _SAID[("first", "second")[order.index("ab".index(choice))] if choice in ("a", "b") else choice]


def said_in(answer: Answer) -> str:
    """The same of an answer on its way."""
    return " before ".join(LETTERS[place] for place in answer.ranking) or _SAID[answer.choice]


def is_right(label: TaskLabel) -> bool:
    """True where the answer is the known one."""
    gold: Choice | None = label.gold
    return gold is not None and label.choice == gold


def says_the_same(label: TaskLabel, answer: Answer) -> bool:
    """True where the label is this answer: sent again, and not said anew."""
    side = {"first": 0, "second": 1}.get(answer.choice)
    choice = answer.choice if side is None else "ab"[label.order[side]]
    ranking = tuple(label.order[place] for place in answer.ranking)
    given = (choice, ranking, answer.comment, answer.rewrite)
    return given == (label.choice, label.ranking, label.comment, label.rewrite)
