"""Label projects for those who run them: the list, and one with its people, its labels' quality, and what to do next.

Left out: making one, which takes a file (docs/people.md); and the page that annotators see (labelling.py).
"""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field

from service.api.routes import label_projects as api_projects
from service.api.state import Backend, BackendHere, KeyHere
from service.labelling.agreement import FEWEST
from service.labelling.project_quality import project_quality
from service.labelling.rerouting import is_routed, route_again
from service.labelling.rows import PeopleWeights
from service.names import Name, PersonName
from service.pages.frame import PER_PAGE, Before, list_page, shown, ui_page, ui_router
from service.pages.guidelines import guideline_of, law_of
from service.pages.label_views import comment_view
from service.pages.once import OnceRoute, invitation_of
from service.pages.work_curves import work_of
from service.store.label_records import TARGETED, LabelProjectRecord
from service.store.records import KeyRecord

router = ui_router("/ui/label-projects")
making = APIRouter(route_class=OnceRoute)


class SetForm(BaseModel):
    """What a set of the answers is called, and how they count; the token is beside it."""

    name: Name
    aggregate: bool = False
    weights: PeopleWeights = "equal"


class InvitationForm(BaseModel):
    """Whom to invite; `once` tells a form that is sent twice."""

    name: PersonName
    once: Annotated[str, Field(max_length=64)] = ""


@router.get("")
async def label_projects(request: Request, backend: BackendHere, key: KeyHere, before: Before = None) -> Response:
    """Newest first."""
    found = await backend.store.overview.label_projects(key.project_id, before, PER_PAGE)
    page = list_page(found, request, shown(found)[-1].project.id if found else None)
    return ui_page(request, "ui_label_projects.html", "label-projects", {"page": page})


@router.get("/{id}")
async def label_project(
    id: str,
    request: Request,
    backend: BackendHere,
    key: KeyHere,
    prompt_set: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    """One project, as far as people have come; with the prompt set that was just made of it."""
    if prompt_set is None:
        return await _shown(id, request, backend, key)
    made = await backend.store.prompt_sets.get(key.project_id, prompt_set)
    return await _shown(id, request, backend, key, {"prompt_set": made})


@router.get("/{id}/quality")
async def quality(id: str, request: Request, backend: BackendHere, key: KeyHere) -> Response:
    """The figures of quality, as a piece of the project's page or a page of their own."""
    project = await backend.store.label_projects.get(key.project_id, id)
    people = await backend.store.label_projects.annotators(key.project_id, project.id)
    report = await project_quality(backend.store, backend.artifacts, project)
    context: dict[str, object] = {
        "project": project,
        "quality": report,
        "work": work_of(report.annotators),
        "names": {person.id: person.name for person in people},
        "fewest": FEWEST,
    }
    template = "ui_quality_part.html" if "HX-Request" in request.headers else "ui_quality.html"
    return ui_page(request, template, "label-projects", context)


@router.get("/{id}/comments")
async def comments(id: str, request: Request, backend: BackendHere, key: KeyHere, before: Before = None) -> Response:
    """What people wrote beside their answers, newest first, as a piece of the project's page or a page of their own."""
    project = await backend.store.label_projects.get(key.project_id, id)
    people = await backend.store.label_projects.annotators(key.project_id, project.id)
    found = await backend.store.overview.commented(project.id, before, PER_PAGE)
    names = {person.id: person.name for person in people}
    context: dict[str, object] = {
        "project": project,
        "page": list_page(
            [comment_view(label, names) for label in found], request, shown(found)[-1].label_id if found else None
        ),
    }
    template = "ui_comments_part.html" if "HX-Request" in request.headers else "ui_comments.html"
    return ui_page(request, template, "label-projects", context)


@router.post("/{id}/invitations")
async def invite(
    id: str, form: Annotated[InvitationForm, Form()], request: Request, backend: BackendHere, key: KeyHere
) -> Response:
    """The page with the new link, which is shown to this form alone."""
    derived = invitation_of(request, form.once, form.name) if form.once else None
    person, secret = await backend.store.label_projects.invite(key.project_id, id, form.name, derived)
    link = f"{str(request.base_url).rstrip('/')}/label/enter/{secret}"
    return await _shown(id, request, backend, key, {"invited": person, "link": link})


@router.post("/{id}/annotators/{annotator}/revoke")
async def revoke(id: str, annotator: str, backend: BackendHere, key: KeyHere) -> Response:
    """The invitation and its sessions end; the labels stay."""
    await backend.store.label_projects.revoke(key.project_id, id, annotator)
    return _to(f"/ui/label-projects/{id}#people")


@router.post("/{id}/route")
async def route(id: str, request: Request, backend: BackendHere, key: KeyHere) -> Response:
    """The page, with what another routing has changed."""
    done = await route_again(backend.store, backend.artifacts, key.project_id, id)
    return await _shown(id, request, backend, key, {"rerouted": done})


@making.post("/{id}/preference-set")
async def gather(id: str, form: Annotated[SetForm, Form()], backend: BackendHere, key: KeyHere) -> Response:
    """A set of the answers so far, and its page."""
    chosen = api_projects.FromAnswers(name=form.name, aggregate=form.aggregate, weights=form.weights)
    made = await api_projects.gather(id, chosen, backend, key)
    return _to(f"/ui/preference-sets/{made.id}")


@making.post("/{id}/prompt-set")
async def to_revise(id: str, name: Annotated[Name, Form()], backend: BackendHere, key: KeyHere) -> Response:
    """The page, with the prompt set that was made of what people found bad: prompt sets have no page of their own."""
    made = await api_projects.to_revise(id, api_projects.PromptsToRevise(name=name), backend, key)
    return _to(f"/ui/label-projects/{id}?prompt_set={made.id}#revise")


@router.post("/{id}/close")
async def close(id: str, backend: BackendHere, key: KeyHere) -> Response:
    """For good."""
    await backend.store.label_projects.close(key.project_id, id)
    return _to(f"/ui/label-projects/{id}")


async def _shown(
    id: str, request: Request, backend: Backend, key: KeyRecord, told: dict[str, object] | None = None
) -> Response:
    store = backend.store
    line = await store.overview.label_project(key.project_id, id)
    project = line.project
    routed = await store.overview.routed(project.id)
    chosen = any(one.routed_by in ("random", *TARGETED) for one in routed)
    context: dict[str, object] = {
        "line": line,
        "project": project,
        "people": await store.label_projects.annotators(key.project_id, project.id),
        "routed": routed,
        "set_of_pairs": await _set_of_pairs(backend, project),
        "constitution": await _constitution(backend, project),
        "guideline": guideline_of(project, await law_of(backend, project)),
        "set_name": f"{project.name[:120]} labels",
        "found_bad": await store.overview.prompts_found_bad(project.id),
        "prompt_set_name": f"{project.name[:117]} to revise",
        "prompt_set": None,
        "rerouted": None,
        "may_route": project.status == "open" and chosen and is_routed(project),
        "invited": None,
        "link": "",
    }
    return ui_page(request, "ui_label_project.html", "label-projects", context | (told or {}))


async def _constitution(backend: Backend, project: LabelProjectRecord) -> str | None:
    """name@version, None where people are asked without one."""
    if project.constitution_id is None:
        return None
    law = await backend.store.constitutions.get(project.project_id, project.constitution_id)
    return f"{law.name}@{law.version}"


async def _set_of_pairs(backend: Backend, project: LabelProjectRecord) -> str:
    """The name of the preference set that the pairs are of, empty for a run's."""
    if project.preference_set_id is None:
        return ""
    return (await backend.store.preference_sets.get(project.project_id, project.preference_set_id)).name


def _to(path: str) -> RedirectResponse:
    return RedirectResponse(path, 303)


router.include_router(making)
