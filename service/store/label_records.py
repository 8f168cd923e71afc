"""What the store hands out of label projects: projects, annotators, tasks as an annotator sees them, answers.

A task is a question about two or more replies to one prompt. It is leased to an annotator, who answers or skips it;
as many answers are wanted as its `overlap`. The sides are shuffled once for each annotator and kept with the answer.
"""

from dataclasses import dataclass, field
from typing import Literal, get_args

from judges.records import Conversation
from service.store.records import JsonObject

TaskKind = Literal["compare", "rank", "rewrite"]
Choice = Literal["a", "b", "tie", "both_bad", "skip"]
ProjectStatus = Literal["open", "closed"]
# Why a pair was sent to people. `random` pairs stay a random sample, so that estimates from them stay unbiased; `drawn`
# ones are of what another routing found left, and no sample of all pairs.
RoutedBy = Literal["random", "flip", "close", "disagreement", "novel", "drawn", "gold", "training", "repeat", "all"]
# For what a label on them should correct, or for want of any sign of that: another routing may choose others.
TARGETED: tuple[RoutedBy, ...] = ("flip", "close", "disagreement", "novel", "drawn")


@dataclass(frozen=True, slots=True)
class LabelProjectRecord:
    """`guideline` is Markdown; `principle_ids` empty asks overall. `budget_labels` 0 sets no end but the tasks'.

    `gold_share` is the share of gold among an annotator's tasks. `open_tasks` lack answers, `labels` are those given so
    far; neither counts training, and a skip is no answer. See `Progress` for one annotator.
    """

    id: str
    project_id: str
    name: str
    status: ProjectStatus
    guideline: str
    principle_ids: tuple[str, ...]
    constitution_id: str | None
    preference_set_id: str | None
    run_id: str | None
    overlap: int
    budget_labels: int
    gold_share: float
    tasks: int
    open_tasks: int
    labels: int
    created_at: str
    plan: JsonObject

    @property
    def kind(self) -> TaskKind:
        """What people do; a project that keeps no plan compares."""
        return next((kind for kind in get_args(TaskKind) if kind == self.plan.get("kind")), "compare")

    @property
    def routing(self) -> JsonObject:
        """What was said of which pairs go to people; by the defaults where nothing is kept."""
        found = self.plan.get("routing")
        return found if isinstance(found, dict) else {}

    @property
    def left_out_replies(self) -> int:
        """Replies of the source that are in no ranking, as their prompts have more than one may hold."""
        found = self.plan.get("left_out_replies", 0)
        return found if isinstance(found, int) else 0


@dataclass(frozen=True, slots=True)
class NewLabelProject:
    """What is said of a label project when it is made; see `LabelProjectRecord`."""

    project_id: str
    name: str
    guideline: str = ""
    principle_ids: tuple[str, ...] = ()
    constitution_id: str | None = None
    preference_set_id: str | None = None
    run_id: str | None = None
    overlap: int = 1
    gold_share: float = 0.0
    budget_labels: int = 0
    plan: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AnnotatorRecord:
    """`ann_...`: somebody who entered by an invitation. Neither the invitation nor the session is stored in clear."""

    id: str
    project_id: str
    label_project_id: str
    name: str
    created_at: str
    revoked_at: str | None = None


@dataclass(frozen=True, slots=True)
class NewTask:
    """A question to people. `replies` has 2 texts for compare, 2 to 9 for rank, 1 for rewrite.

    `gold` is the right choice of a compare task where it is known, `reason` says why; `training` tasks come first and
    tell both. Training and gold go to everybody, a `repeat` to those who answered the earlier task of its pair and
    principle.
    `judge_p_a` is the judge's belief that the first reply is better, None where no judge saw the pair. `p_sent` is the
    chance that the pair had of being sent when it was, 1 where no lot was drawn; None for training and gold.
    """

    kind: TaskKind
    pair_id: str
    prompt: Conversation
    replies: tuple[str, ...]
    principle_id: str | None
    routed_by: RoutedBy
    gold: Choice | None = None
    training: bool = False
    judge_p_a: float | None = None
    reason: str = ""
    p_sent: float | None = None


@dataclass(frozen=True, slots=True)
class LeasedTask:
    """A task as one annotator sees it: `replies` stand in the order of the page, `order` says which each is.

    `order[0]` is the place in the task's own `replies` of what stands first on the page. `draft` is what the annotator
    had typed before a reload, or before an answer that was taken back, as the page sent it.
    """

    id: str
    kind: TaskKind
    prompt: Conversation
    replies: tuple[str, ...]
    order: tuple[int, ...]
    principle_id: str | None
    training: bool
    leased_until: str
    draft: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the annotator said, in the order of the page: `first` is the left or upper reply.

    `ranking` are the places on the page from best to worst, for rank; `rewrite` the better text, for rewrite.
    `seconds` from showing the task to the answer. `draft` is what the page shows again where the answer is taken back.
    """

    choice: Literal["first", "second", "tie", "both_bad", "skip", "ranked", "rewritten"]
    comment: str = ""
    ranking: tuple[int, ...] = ()
    rewrite: str = ""
    seconds: float = 0.0
    draft: str = ""


@dataclass(frozen=True, slots=True)
class TaskLabel:
    """A submitted answer with its task, in the task's own order: what quality, rows and exports are made of."""

    label_id: str
    task_id: str
    label_project_id: str
    annotator_id: str
    kind: TaskKind
    pair_id: str
    prompt: Conversation
    replies: tuple[str, ...]
    principle_id: str | None
    routed_by: RoutedBy
    gold: Choice | None
    training: bool
    judge_p_a: float | None
    choice: Choice | Literal["ranked", "rewritten"]
    order: tuple[int, ...]
    ranking: tuple[int, ...]
    rewrite: str
    comment: str
    seconds: float
    created_at: str
    reason: str = ""
    p_sent: float | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Of one annotator in one project. `open_tasks` are left for them, gold and repeats apart.

    `budget_left` is None where the project sets none.
    """

    done: int
    skipped: int
    open_tasks: int
    budget_left: int | None


@dataclass(frozen=True, slots=True)
class Desk:
    """What stands before one annotator: `tasks` are theirs from now on, the rest is as it was at that moment.

    `law` is the source of the constitution whose principles are asked about, None where people are asked overall.
    """

    project: LabelProjectRecord
    tasks: tuple[LeasedTask, ...]
    progress: Progress
    law: str | None


@dataclass(frozen=True, slots=True)
class AskedPairs:
    """Pairs (or a ranking's prompts) by id that have tasks: gold and training, and those whose tasks stay as they are:
    random ones, and others that somebody answered, skipped or holds."""

    gold: frozenset[str]
    kept: frozenset[str]


@dataclass(frozen=True, slots=True)
class ReplacedTasks:
    """The project after that; `dropped` tasks that nobody was given made way for `added` ones, repeats not counted."""

    project: LabelProjectRecord
    dropped: int
    added: int
