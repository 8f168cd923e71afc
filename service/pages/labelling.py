"""The labelling page: enter by invitation, answer tasks, take an answer back. Every part works without a script.

A form's POST ends in a redirect. With the header HX-Request, which the page's script sends, an answer's ends as soon as
it is stored, and the next tasks come as a piece of a page. The guard has let the annotator in and compared the CSRF
token before a route is reached.
"""

import time
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from service.api.csrf import csrf_token, refuse_other_site
from service.api.state import ANNOTATOR_COOKIE, AnnotatorHere, BackendHere
from service.errors import AnsweredBefore
from service.pages.guidelines import guideline_of, law_of, read_law
from service.pages.label_forms import COMMENT_CHARACTERS, REWRITE_CHARACTERS, AnswerForm, DraftForm
from service.pages.label_views import (
    answered_view,
    is_right,
    progress_view,
    said_in,
    said_on_page,
    says_the_same,
    task_view,
)
from service.pages.layout import show
from service.store.annotators import SESSION_S
from service.store.label_records import Desk, TaskLabel

# The task on the page and the one after it.
TASKS_HELD = 2
router = APIRouter(prefix="/label", include_in_schema=False)
Context = dict[str, object]


@router.get("/enter/{invitation}")
async def invitation(invitation: str, request: Request, backend: BackendHere) -> Response:
    """What the project asks and what is stored of the person, before anything is."""
    annotator = await backend.store.label_projects.invited(invitation)
    project = await backend.store.label_projects.get(annotator.project_id, annotator.label_project_id)
    guideline = guideline_of(project, await law_of(backend, project))
    context: Context = {"annotator": annotator, "project": project, "guideline": guideline}
    return show(request, "label_enter.html", context)


@router.post("/enter/{invitation}")
async def enter(invitation: str, request: Request, backend: BackendHere) -> Response:
    """Sets the session's cookie. Another site must not put a person into a session of its own choice."""
    refuse_other_site(request)
    _, secret = await backend.store.label_projects.enter(invitation)
    answer = _to("/label")
    answer.set_cookie(
        ANNOTATOR_COOKIE,
        secret,
        max_age=SESSION_S,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )
    return answer


@router.get("")
async def task(request: Request, backend: BackendHere, annotator: AnnotatorHere, undone: bool = False) -> Response:
    """The task to answer, with the next one behind it; or why there is none."""
    desk = await backend.store.label_projects.desk(annotator.id, TASKS_HELD)
    context = _shown(request, desk)
    context |= {"project": desk.project, "annotator": annotator, "undone": undone}
    if desk.project.status == "closed":
        return show(request, "label_closed.html", context)
    if desk.tasks:
        context["guideline"] = guideline_of(desk.project, read_law(desk.law))
        return show(request, "label.html", context)
    left = progress_view(desk.progress).left
    return show(request, "label_waiting.html" if left else "label_done.html", context)


@router.get("/next")
async def next_tasks(request: Request, backend: BackendHere, annotator: AnnotatorHere) -> Response:
    """The tasks that are held, as a piece of a page."""
    desk = await backend.store.label_projects.desk(annotator.id, TASKS_HELD)
    return show(request, "label_tasks.html", _shown(request, desk))


@router.get("/waiting")
async def waiting(request: Request, backend: BackendHere, annotator: AnnotatorHere) -> Response:
    """For those who wait: nothing while there is no task, so that nothing is announced; else a way on."""
    desk = await backend.store.label_projects.desk(annotator.id, TASKS_HELD)
    if desk.tasks:
        return show(request, "label_found.html", {"said": "There is a task for you."})
    if progress_view(desk.progress).left:
        return Response(status_code=204)
    return show(request, "label_found.html", {"said": "All tasks are answered."})


@router.post("/answer")
async def answer(
    form: Annotated[AnswerForm, Form()], request: Request, backend: BackendHere, annotator: AnnotatorHere
) -> Response:
    """Sent twice it counts once; a second, other answer only `instead`. After a training task the right one is told."""
    store, given = backend.store.label_projects, form.answer()
    label = await (store.change if form.instead else store.submit)(annotator.id, form.task_id, given)
    if not says_the_same(label, given):
        return _answered_before(request, form, label)
    if "HX-Request" in request.headers:
        return Response(status_code=204)  # as soon as it is stored: the next tasks are asked for after that
    return _to(f"/label/told/{label.task_id}" if label.training and label.gold else "/label")


@router.get("/told/{task_id}")
async def told(task_id: str, request: Request, backend: BackendHere, annotator: AnnotatorHere) -> Response:
    """A training task's right answer and its reason, beside the person's own."""
    label = await backend.store.label_projects.label_of(annotator.id, task_id)
    if not label.training or label.gold is None:
        return _to("/label")
    context: Context = {
        "label": label,
        "task": answered_view(label),
        "right": is_right(label),
        "said": said_on_page(label.choice, label.order),
        "gold": said_on_page(label.gold, label.order),
    }
    return show(request, "label_told.html", context)


@router.post("/undo")
async def undo(backend: BackendHere, annotator: AnnotatorHere) -> Response:
    """The last answer is taken back, and its task stands on the page again."""
    task = await backend.store.label_projects.undo(annotator.id)
    return _to("/label?undone=true" if task else "/label")


@router.post("/draft", status_code=204)
async def draft(form: Annotated[DraftForm, Form()], backend: BackendHere, annotator: AnnotatorHere) -> Response:
    """What was typed so far, against a reload."""
    await backend.store.label_projects.save_draft(annotator.id, form.task_id, form.draft().model_dump_json())
    return Response(status_code=204)


def _answered_before(request: Request, form: AnswerForm, label: TaskLabel) -> Response:
    """Both answers beside each other, where the page in a browser's history was answered again."""
    first = said_on_page(label.choice, label.order, label.ranking)
    if "HX-Request" in request.headers:
        raise AnsweredBefore(f"you answered this task before ({first}), and that answer stands")
    context: Context = {
        "csrf": csrf_token(request.cookies[ANNOTATOR_COOKIE]),
        "label": label,
        "task": answered_view(label),
        "answers": ((first, label.comment, label.rewrite), (said_in(form.answer()), form.comment, form.rewrite)),
        "form": form,
    }
    return show(request, "label_answered.html", context, status=409)


def _shown(request: Request, desk: Desk) -> Context:
    """The tasks on the desk, and the person's progress."""
    law = read_law(desk.law)
    principles = {one.id: one.text for one in law.principles} if law else {}
    return {
        "csrf": csrf_token(request.cookies[ANNOTATOR_COOKIE]),
        "tasks": [task_view(task, principles) for task in desk.tasks],
        "progress": progress_view(desk.progress),
        "shown_at": time.time(),
        "comment_characters": COMMENT_CHARACTERS,
        "rewrite_characters": REWRITE_CHARACTERS,
    }


def _to(path: str) -> RedirectResponse:
    return RedirectResponse(path, 303)
