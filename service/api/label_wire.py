"""What the API answers of label projects."""

from pydantic import Field

from judges.records import Message
from service.api.wire import Wire
from service.labelling.schemas import Routing
from service.store.label_records import ProjectStatus, TaskKind


class LabelProjectBody(Wire):
    """`open_tasks` lack answers; `labels` are those given so far, without training and skips.

    `routing` is as it was asked for. `left_out_replies` of the source are in no ranking: a prompt's first nine are.
    """

    id: str
    name: str
    status: ProjectStatus
    kind: TaskKind
    routing: Routing
    guideline: str
    principle_ids: list[str]
    constitution_id: str | None
    preference_set_id: str | None
    run_id: str | None
    overlap: int
    budget_labels: int
    gold_share: float
    tasks: int
    open_tasks: int
    labels: int
    left_out_replies: int
    created_at: str


class ReroutedBody(Wire):
    """`labelled` pairs of the random part told what to route by; `shown`: they bear out which way the judge's beliefs
    point, else the rest was drawn at random. `dropped` tasks that nobody had been given made way for `added` ones.

    `seconds_per_label` is what a budget in minutes was counted by, null for one in labels.
    """

    project: LabelProjectBody
    labelled: int
    shown: bool
    dropped: int
    added: int
    seconds_per_label: float | None


class AnnotatorBody(Wire):
    """`revoked_at` is null while the invitation opens."""

    id: str
    label_project_id: str
    name: str
    created_at: str
    revoked_at: str | None


class InvitationBody(Wire):
    """`url` is a path of this service, shown once: it lets in whoever has it, as that annotator."""

    annotator: AnnotatorBody
    url: str | None


class LeasedTaskBody(Wire):
    """`replies` stand in this annotator's own order; an answer's `first` is the first of them."""

    id: str
    kind: TaskKind
    prompt: list[Message]
    replies: list[str]
    principle_id: str | None
    training: bool
    leased_until: str
    draft: str


class TaskLabelBody(Wire):
    """An answer with its task. `replies`, `choice` and `ranking` are in the task's own order, `order` is the page's.

    `p_sent` is the chance that the pair had of being sent: one over it weighs the label in a sum over all pairs.
    """

    id: str = Field(validation_alias="label_id")
    task_id: str
    annotator_id: str
    kind: TaskKind
    pair_id: str
    prompt: list[Message]
    replies: list[str]
    principle_id: str | None
    routed_by: str
    p_sent: float | None
    gold: str | None
    training: bool
    judge_p_a: float | None
    choice: str
    order: list[int]
    ranking: list[int]
    rewrite: str
    comment: str
    seconds: float
    created_at: str
