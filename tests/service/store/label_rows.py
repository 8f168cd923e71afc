"""Label projects and their tasks for tests, and a clock that is set by hand."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from judges.records import Message
from service.store.label_projects import LabelProjects
from service.store.label_records import LabelProjectRecord, NewLabelProject, NewTask, Progress
from service.store.store import Store


@dataclass
class HandClock:
    """It goes only when it is told to."""

    time: datetime = field(default_factory=lambda: datetime(2026, 5, 1, 12, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.time

    def pass_s(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@dataclass
class Labelling:
    """A label project's store under a clock, and shorthands."""

    projects: LabelProjects
    clock: HandClock
    project: str

    async def make(self, tasks: list[NewTask], **settings) -> LabelProjectRecord:
        return await self.projects.create(NewLabelProject(self.project, "helpful", **settings), tasks)

    async def annotator(self, made: LabelProjectRecord, name: str = "Ada") -> str:
        return (await self.projects.invite(self.project, made.id, name))[0].id

    async def progress(self, annotator: str) -> Progress:
        return (await self.projects.desk(annotator, 0)).progress

    async def labels(self, made: LabelProjectRecord):
        return await self.projects.labels_of(self.project, made.id, limit=1000)


def labelling(store: Store, project: str) -> Labelling:
    clock = HandClock()
    return Labelling(LabelProjects(store.database, clock), clock, project)


def pair(number: int, **more) -> NewTask:
    settings = {"kind": "compare", "replies": (f"a{number}", f"b{number}"), "principle_id": None, "routed_by": "all"}
    return NewTask(pair_id=f"p{number}", prompt=(Message("user", f"question {number}"),), **(settings | more))


def repeat(number: int) -> NewTask:
    return pair(number, routed_by="repeat")


def gold(number: int, **more) -> NewTask:
    return pair(number, routed_by="gold", gold="a", **more)
