"""Signing in with an API key, and out. The key itself is not kept: the cookie names it and is signed."""

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from service.api.csrf import refuse_other_site
from service.api.sessions import COOKIE, SESSION_S
from service.api.state import BackendHere
from service.errors import NotAllowed
from service.pages.frame import checked_csrf
from service.pages.layout import show

router = APIRouter(include_in_schema=False)
_HOME = "/ui/runs"
Secret = Annotated[str, Form(max_length=512)]


@router.get("/")
async def home() -> Response:
    """The first page."""
    return RedirectResponse(_HOME, 303)


@router.get("/ui")
@router.get("/ui/")
async def start() -> Response:
    """The first page too."""
    return RedirectResponse(_HOME, 303)


@router.get("/ui/login")
async def form(request: Request, next: Annotated[str, Query()] = "") -> Response:
    """Asks for an API key."""
    return show(request, "ui_login.html", {"next": local_page(next), "fault": ""})


@router.post("/ui/login")
async def sign_in(request: Request, backend: BackendHere, key: Secret, next: Annotated[str, Form()] = "") -> Response:
    """There is no session yet that could give the form a token: it must come from a page of this host."""
    refuse_other_site(request)
    try:
        found = await backend.store.access.key_of(key.strip())
    except NotAllowed as error:
        return show(request, "ui_login.html", {"next": local_page(next), "fault": str(error)}, status=401)
    answer = RedirectResponse(local_page(next), 303)
    answer.set_cookie(
        COOKIE,
        backend.sessions.cookie(found.id, int(time.time()) + SESSION_S),
        max_age=SESSION_S,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return answer


@router.post("/ui/logout", dependencies=[Depends(checked_csrf)])
async def sign_out() -> Response:
    """Drops the cookie."""
    answer = RedirectResponse("/ui/login", 303)
    answer.delete_cookie(COOKIE)
    return answer


def local_page(asked: str) -> str:
    """The page to go on to: one of ours, whatever the address said."""
    return asked if asked.startswith("/ui/") and "\\" not in asked and not asked.startswith("/ui/log") else _HOME
