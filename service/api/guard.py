"""What stands before every route: Host, size of the body, API key, scope, rate, and repeated POSTs.

Default deny: a path that is not in PUBLIC needs a key, whatever route is added later.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import problem
from service.api.state import backend_of
from service.errors import Conflict, NotAllowed
from service.settings import Settings
from service.store.access import KeptAnswer
from service.store.records import KeyRecord

PUBLIC = frozenset({"/healthz", "/readyz", "/openapi.json", "/docs", "/docs/oauth2-redirect", "/"})
_ADMIN = ("/v1/models", "/v1/keys")
Handler = Callable[[Request], Awaitable[Response]]


class Guard:
    """The middleware function of one application."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rate = RateLimitItemPerMinute(settings.requests_per_minute)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def __call__(self, request: Request, call_next: Handler) -> Response:
        host = request.headers.get("host", "").rsplit(":", 1)[0] if request.headers.get("host") else ""
        if "*" not in self._settings.allowed_hosts and host not in self._settings.allowed_hosts:
            return problem(request, 400, f"the Host {host!r} is not served here; add it to CHARTER_ALLOWED_HOSTS")
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._settings.max_upload_mb * 1_000_000:
            return _too_large(request, self._settings)
        if request.url.path in PUBLIC:
            return await call_next(request)
        try:
            key = await backend_of(request).store.access.key_of(_secret(request))
        except NotAllowed as error:
            answer = problem(request, 401, str(error), "not_allowed")
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        if (scope := _scope_needed(request)) not in key.scopes:
            return problem(request, 403, f"this key may {', '.join(key.scopes)}; {request.method} here needs {scope}")
        if not await self._limiter.hit(self._rate, key.id):
            answer = problem(request, 429, f"more than {self._settings.requests_per_minute} requests a minute; wait")
            answer.headers["Retry-After"] = "5"
            return answer
        request.state.key = key
        return await call_next(request)


class BodyLimit:
    """Cuts off a body without a Content-Length once it is too long."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._limit = settings.max_upload_mb * 1_000_000

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._limit:
                # What follows is never read; the parser sees a body that ends here and refuses it.
                return {"type": "http.request", "body": b"", "more_body": False}
            return message

        await self._app(scope, limited, send)


class RepeatableRoute(APIRoute):
    """A route whose POST may carry an Idempotency-Key: sent again, it is answered again, not carried out again."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        carry_out = super().get_route_handler()

        async def handler(request: Request) -> Response:
            repeat_key = request.headers.get("idempotency-key")
            if request.method != "POST" or repeat_key is None:
                return await carry_out(request)
            if not 1 <= len(repeat_key) <= 255:
                return problem(request, 422, "Idempotency-Key must have 1 to 255 characters")
            return await _once(request, repeat_key, carry_out)

        return handler


async def _once(request: Request, repeat_key: str, carry_out: Handler) -> Response:
    repeats, key, route = backend_of(request).store.repeats, _key(request), f"POST {request.url.path}"
    query = str(request.url.query).encode()
    digest = hashlib.sha256(query + b"\n" + await request.body()).hexdigest()
    try:
        kept = await repeats.claim(key.project_id, route, repeat_key, digest)
    except Conflict as error:
        return problem(request, 422 if "another body" in str(error) else 409, str(error), "idempotency")
    if kept is not None:
        headers = {"Idempotent-Replayed": "true"}
        return Response(kept.body, kept.status, headers=headers, media_type="application/json")
    done = False
    try:
        answer = await carry_out(request)
        body = getattr(answer, "body", None)  # a stream has none: it is not kept
        if isinstance(body, bytes) and answer.status_code < 300:
            await repeats.keep(key.project_id, route, repeat_key, KeptAnswer(answer.status_code, body.decode()))
            done = True
        return answer
    finally:
        if not done:
            await repeats.release(key.project_id, route, repeat_key)


def _key(request: Request) -> KeyRecord:
    key: KeyRecord = request.state.key
    return key


def _secret(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    secret = token if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
    if not secret:
        raise NotAllowed("no API key; send Authorization: Bearer ck_...")
    return secret.strip()


def _scope_needed(request: Request) -> str:
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return "read"
    return "admin" if request.url.path.startswith(_ADMIN) else "write"


def _too_large(request: Request, settings: Settings) -> Response:
    return problem(request, 413, f"the body is longer than {settings.max_upload_mb} MB; split it")
