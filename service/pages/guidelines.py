"""What people go by: a project's own guideline, and its constitution's principles with worked cases."""

import functools
from dataclasses import dataclass

from markupsafe import Markup

from constitutions.loader import load_constitution
from constitutions.schema import Constitution, Principle
from service.api.state import Backend
from service.pages.label_views import TurnView, turn_views
from service.pages.markdown import markdown
from service.pages.written import Written, written
from service.store.label_records import LabelProjectRecord


@dataclass(frozen=True, slots=True)
class WorkedCase:
    """An example of the constitution, decided."""

    turns: tuple[TurnView, ...]
    better: Written
    worse: Written
    note: str


@dataclass(frozen=True, slots=True)
class PrincipleGuide:
    """A principle as a person reads it."""

    id: str
    text: str
    cases: tuple[WorkedCase, ...]


@dataclass(frozen=True, slots=True)
class Guideline:
    """`own` is the project's. `aim` is the constitution's description, where the project has written nothing itself.

    `principles` are those that people are asked about: all of them where they are asked overall.
    """

    own: Markup
    aim: Markup
    principles: tuple[PrincipleGuide, ...]

    @property
    def is_empty(self) -> bool:
        return not (self.own or self.aim or self.principles)


async def law_of(backend: Backend, project: LabelProjectRecord) -> Constitution | None:
    """The constitution that people label by; None where they are asked without one."""
    if project.constitution_id is None:
        return None
    return read_law((await backend.store.constitutions.get(project.project_id, project.constitution_id)).source)


def guideline_of(project: LabelProjectRecord, law: Constitution | None) -> Guideline:
    """What is written for the project comes first."""
    own = markdown(project.guideline)
    if law is None:
        return Guideline(own, Markup(""), ())
    asked = [one for one in law.principles if not project.principle_ids or one.id in project.principle_ids]
    return Guideline(own, Markup("") if own else markdown(law.description), tuple(_guide(one) for one in asked))


def _guide(principle: Principle) -> PrincipleGuide:
    cases = (
        WorkedCase(turn_views(one.turns), written(one.better), written(one.worse), one.note)
        for one in principle.examples
    )
    return PrincipleGuide(principle.id, principle.text, tuple(cases))


def read_law(source: str | None) -> Constitution | None:
    """A constitution by its source; None where there is none."""
    return None if source is None else _read(source)


@functools.lru_cache(maxsize=32)
def _read(source: str) -> Constitution:
    return load_constitution(source)
