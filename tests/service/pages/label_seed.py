"""Label projects to try the pages on: a few tasks of each kind, put straight into the store."""

from judges.records import Message
from service.api.state import Backend
from service.store.label_records import LabelProjectRecord, NewLabelProject, NewTask
from service.store.records import ConstitutionRecord

GUIDELINE = "# How to choose\n\n- Prefer what is **true**.\n- Then what is short.\n"
LAW = """name: manners
version: "1"
description: "**Say what is true**, and say it kindly."
principles:
  - id: honest
    kind: judged
    text: The reply says nothing that is false, and admits what it does not know.
    examples:
      - prompt: How many stars are there?
        better: Nobody has counted <all> of them.
        worse: A million.
        note: A guess is worse than none.
  - id: short
    kind: checked
    text: The reply has at most fifty words.
    check: {max_words: 50}
"""


def compare(number: int, **fields: object) -> NewTask:
    """A pair whose replies say which is which in the task's own order."""
    given = {
        "kind": "compare",
        "pair_id": f"pair-{number}",
        "prompt": (Message("user", f"Question {number}: why is the sky blue?"),),
        "replies": (
            f"First reply {number}: air scatters blue light.",
            f"Second reply {number}: it is the sea's mirror.",
        ),
        "principle_id": None,
        "routed_by": "all",
    }
    return NewTask(**{**given, **fields})


def rank(number: int, replies: tuple[str, ...] = ("Alpha.", "Beta.", "Gamma.")) -> NewTask:
    return compare(number, kind="rank", replies=replies)


def rewrite(number: int) -> NewTask:
    return compare(number, kind="rewrite", replies=(f"A poor reply {number}.",))


async def seed(
    backend: Backend, project_id: str, tasks: list[NewTask], **fields: object
) -> tuple[LabelProjectRecord, str]:
    """The label project, and the path of an invitation to it."""
    new = NewLabelProject(project_id=project_id, **{"name": "Sky", "guideline": GUIDELINE, **fields})
    project = await backend.store.label_projects.create(new, tasks)
    return project, await invitation(backend, project, "Ada")


async def invitation(backend: Backend, project: LabelProjectRecord, name: str) -> str:
    _, secret = await backend.store.label_projects.invite(project.project_id, project.id, name)
    return f"/label/enter/{secret}"


async def law(backend: Backend, project_id: str, source: str = LAW) -> ConstitutionRecord:
    """A constitution with the principles `honest`, which has an example, and `short`."""
    return await backend.store.constitutions.add(
        ConstitutionRecord("", project_id, "manners", "1", "0" * 64, canonical="{}", source=source, created_at="")
    )
