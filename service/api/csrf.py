"""The token that a page's own forms carry: another site can make a browser send the cookie, but cannot read this."""

import hashlib
import hmac
from urllib.parse import urlsplit

from fastapi import Request
from starlette.exceptions import HTTPException


def csrf_token(secret: str) -> str:
    """The token of a session, from the session's secret."""
    return hmac.new(secret.encode(), b"csrf", hashlib.sha256).hexdigest()


def refuse_other_site(request: Request) -> None:
    """For a form that begins a session: there is none yet that could give it a token."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise HTTPException(403, "this form was sent by another site; use the form on this page itself")
