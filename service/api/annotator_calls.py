"""Which requests are an annotator's, and whether one that changes something comes from our own page.

An annotator has the cookie of a session, and no key: it opens the labelling pages and two calls of the API.
"""

import hmac
import re
from urllib.parse import parse_qs

from fastapi import Request

from service.api.csrf import csrf_token
from service.api.state import ANNOTATOR_COOKIE

_PAGES = re.compile(r"/label(/.*)?")
_CALLS = {"GET": re.compile(r"/v1/label-projects/[^/]+/tasks/next"), "POST": re.compile(r"/v1/labels")}
_FORM = "application/x-www-form-urlencoded"


def by_annotator(request: Request) -> bool:
    """A labelling page, or a call with their cookie and without a key."""
    path, headers = request.url.path, request.headers
    if _PAGES.fullmatch(path):
        return True
    call = _CALLS.get(request.method)
    keyless = "authorization" not in headers and "x-api-key" not in headers
    return keyless and ANNOTATOR_COOKIE in request.cookies and call is not None and bool(call.fullmatch(path))


def leases(request: Request) -> bool:
    """A GET that gives tasks out: it changes what others are given."""
    return bool(_CALLS["GET"].fullmatch(request.url.path))


async def carries_token(request: Request, session_secret: str) -> bool:
    """The session's token stands in the header X-CSRF-Token, or in a form's field `csrf`.

    A body is read for it only where its length was told: the guard has compared that with the limit.
    """
    given = request.headers.get("x-csrf-token", "")
    is_form = request.headers.get("content-type", "").split(";")[0].strip().lower() == _FORM
    if not given and is_form and "content-length" in request.headers:
        fields = parse_qs((await request.body()).decode("utf-8", "replace"))
        given = fields.get("csrf", [""])[-1]
    return hmac.compare_digest(given.encode(), csrf_token(session_secret).encode())
