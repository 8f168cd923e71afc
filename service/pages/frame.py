"""What all pages for holders of an API key share: the session's CSRF token, the navigation, and lists in pages."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, Literal, TypeVar
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.exceptions import HTTPException

from service.api.csrf import csrf_token
from service.api.sessions import COOKIE
from service.api.state import key_of
from service.pages.layout import show
from service.pages.once import new_once

Section = Literal["runs", "constitutions", "preference-sets", "label-projects", "adapters"]
Item = TypeVar("Item")
PER_PAGE = 20
Before = Annotated[str | None, Query(max_length=64)]


@dataclass(frozen=True, slots=True)
class ListPage(Generic[Item]):
    """Some items, newest first. `older` is the address of the next page, `newest` is false on any but the first."""

    items: Sequence[Item]
    older: str | None
    newest: bool


async def checked_csrf(request: Request) -> None:
    """A POST must carry the session's token: as the field `csrf`, or as the header X-CSRF-Token."""
    if request.method in ("GET", "HEAD"):
        return
    given = request.headers.get("x-csrf-token") or (await request.form()).get("csrf", "")
    wanted = csrf_token(request.cookies.get(COOKIE, ""))
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), wanted.encode()):
        raise HTTPException(403, "this form is not of your session; go back, load the page again, and send it again")


def ui_router(prefix: str) -> APIRouter:
    """Routes of pages: not in the API's description, and closed to forms of other sites."""
    return APIRouter(prefix=prefix, include_in_schema=False, dependencies=[Depends(checked_csrf)])


def ui_page(request: Request, template: str, section: Section, context: dict[str, object]) -> Response:
    """The template within the navigation; it knows `csrf`, `once` and whether the key may change something."""
    key = key_of(request)
    frame: dict[str, object] = {
        "section": section,
        "csrf": csrf_token(request.cookies.get(COOKIE, "")),
        "once": new_once(),
        "may_write": "write" in key.scopes,
        "key_name": key.name,
    }
    return show(request, template, frame | context)


def list_page(items: Sequence[Item], request: Request, last_id: str | None) -> ListPage[Item]:
    """Of up to `PER_PAGE` + 1 items; `last_id` is the id of the last that is shown."""
    more = len(items) > PER_PAGE
    older = f"{request.url.path}?{urlencode({'before': last_id or ''})}" if more else None
    return ListPage(items[:PER_PAGE], older, "before" not in request.query_params)


def shown(items: Sequence[Item]) -> Sequence[Item]:
    """Those of them that stand on this page."""
    return items[:PER_PAGE]
