"""Errors on the wire: one map from our errors to statuses, one shape, RFC 9457 problem+json."""

from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from constitutions.errors import CharterError, ConstitutionError
from judges.errors import JudgeUnavailable
from service.errors import Conflict, Interrupted, InvalidInput, NotAllowed, NotFound, StorageFull, own_words
from service.pages.layout import show

PROBLEM_TYPE = "application/problem+json"
# Whoever reads a page is told on a page.
PAGES = (("/ui/", "ui_problem.html"), ("/label/", "label_problem.html"))
STATUSES: tuple[tuple[type[CharterError], HTTPStatus], ...] = (
    (NotFound, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (NotAllowed, HTTPStatus.UNAUTHORIZED),
    (StorageFull, HTTPStatus.INSUFFICIENT_STORAGE),
    (JudgeUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (Interrupted, HTTPStatus.SERVICE_UNAVAILABLE),
    (CharterError, HTTPStatus.UNPROCESSABLE_ENTITY),
)


class Problem(BaseModel):
    """What every error answers. `errors` lists each place that needs mending."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str
    code: str
    errors: list[str] = []


def problem(request: Request, status: int, detail: str, code: str = "", errors: tuple[str, ...] = ()) -> Response:
    """The answer to a request that went wrong; on a page, a page with the same words."""
    title = HTTPStatus(status).phrase
    page = next((page for prefix, page in PAGES if f"{request.url.path}/".startswith(prefix)), None)
    if page is not None and "HX-Request" not in request.headers:  # a script of ours reads the JSON
        return show(
            request, page, {"status": status, "title": title, "detail": detail, "errors": errors}, status=status
        )
    body = Problem(
        title=title,
        status=status,
        detail=detail,
        instance=request.url.path,
        code=code or title.lower().replace(" ", "_"),
        errors=list(errors),
    )
    return JSONResponse(body.model_dump(), status_code=status, media_type=PROBLEM_TYPE)


def install_problems(app: FastAPI) -> None:
    """Every error of every route leaves in this shape."""
    app.add_exception_handler(CharterError, _ours)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


async def _ours(request: Request, error: Exception) -> Response:
    status = next(status for kind, status in STATUSES if isinstance(error, kind))
    problems = error.problems if isinstance(error, (InvalidInput, ConstitutionError)) else ()
    code = "".join("_" + c.lower() if c.isupper() else c for c in type(error).__name__).lstrip("_")
    return problem(request, status, str(error), code, problems)


async def _malformed(request: Request, error: Exception) -> Response:
    details = error.errors() if isinstance(error, RequestValidationError) else ()
    errors = tuple(f"{_place(d['loc'])}: {own_words(d['msg'])}" for d in details)
    return problem(request, 422, "; ".join(errors[:3]) or "the request is malformed", "malformed", errors)


def _place(loc: tuple[str | int, ...]) -> str:
    """As a client wrote it: without which of several bodies it was read as, a name in brackets."""
    inner = [str(part) for part in loc[1:] if not str(part).startswith("(")]
    return ".".join(inner) or str(loc[0])


async def _http(request: Request, error: Exception) -> Response:
    """What the framework refuses. A wrong method is told the right ones, of all routes with that path."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = {
        404: f"there is no {request.url.path}; see /docs",
        405: f"{request.method} is not allowed here; see /docs",
    }
    said = detail.get(status, str(error.detail) if isinstance(error, HTTPException) else "")
    answer = problem(request, status, said)
    if isinstance(error, HTTPException) and error.headers:
        answer.headers.update(error.headers)
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        answer.headers["Allow"] = ", ".join(sorted(_methods(request)))
    return answer


def _methods(request: Request) -> set[str]:
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] != Match.NONE]
    return {method for route in routes if isinstance(route, Route) for method in route.methods or ()}


async def _unexpected(request: Request, _error: Exception) -> Response:
    return problem(request, 500, "a fault of the service; its log has the details. Nothing was stored.", "internal")
