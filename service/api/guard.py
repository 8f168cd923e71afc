"""What stands before every route: Host, size of the body, API key, scope, rate, and repeated POSTs.

Default deny: a path that is not in PUBLIC needs a key, whatever route is added later; an annotator's session opens what
`annotator_calls.py` lists.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.annotator_calls import by_annotator, carries_token, leases
from service.api.problems import problem
from service.api.sessions import COOKIE
from service.api.state import ANNOTATOR_COOKIE, asking, backend_of
from service.errors import Conflict, InvalidInput, NotAllowed
from service.settings import Settings
from service.store.access import AnsweredMeanwhile, KeptAnswer, Repeatable
from service.store.label_records import AnnotatorRecord
from service.store.records import KeyRecord

PAGES = "/ui/"
SIGN_IN = "/ui/login"
PUBLIC = frozenset({"/healthz", "/readyz", "/openapi.json", "/docs", "/docs/oauth2-redirect", "/", SIGN_IN})
DOCS_FILES = "/docs/files"
# An invitation's secret stands in its path: it is what lets in.
PUBLIC_FOLDERS = (f"{DOCS_FILES}/", "/static/", "/label/enter/")
_READS = ("GET", "HEAD", "OPTIONS")
_ADMIN = ("/v1/models", "/v1/keys")
_PORT = re.compile(r":[0-9]+$")
Handler = Callable[[Request], Awaitable[Response]]


class Guard:
    """The outermost middleware: what it refuses reaches no route; what it reads of a body is read again behind it."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._rate = RateLimitItemPerMinute(settings.requests_per_minute)
        # It counts; a limiter that remembers each request goes through everybody's at each of them.
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        read: list[Message] = []

        async def noted() -> Message:
            read.append(await receive())
            return read[-1]

        async def again() -> Message:
            return read.pop(0) if read else await receive()

        refused = await self._refusal(Request(scope, noted))
        await (refused or self._app)(scope, again, send)

    async def _refusal(self, request: Request) -> Response | None:
        """What to answer instead of the route; None lets the request in, and says in its state who asks."""
        host = _PORT.sub("", request.headers.get("host", ""))
        if "*" not in self._settings.allowed_hosts and host not in self._settings.allowed_hosts:
            return problem(request, 400, f"the Host {host!r} is not served here; add it to CHARTER_ALLOWED_HOSTS")
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._settings.max_upload_mb * 1_000_000:
            return problem(request, 413, _too_long(self._settings))
        if request.url.path in PUBLIC or request.url.path.startswith(PUBLIC_FOLDERS):
            return None
        try:
            if by_annotator(request):
                return await self._refusal_of_annotator(request)
            key = await _key_that_asks(request)
        except NotAllowed as error:
            if request.url.path.startswith(PAGES):
                return RedirectResponse(f"{SIGN_IN}?{urlencode({'next': _page_asked(request)})}", 303)
            answer = problem(request, 401, str(error), "not_allowed")
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        if (scope := _scope_needed(request)) not in key.scopes:
            return problem(request, 403, f"this key may {', '.join(key.scopes)}; {request.method} here needs {scope}")
        if (slow_down := await self._too_many(request, key.id)) is not None:
            return slow_down
        request.state.key = request.state.asking = key
        return None

    async def _refusal_of_annotator(self, request: Request) -> Response | None:
        """By the cookie of their session; what changes something needs its token too. Raises NotAllowed."""
        secret = request.cookies.get(ANNOTATOR_COOKIE, "")
        annotator = await backend_of(request).store.label_projects.annotator_of(secret)
        if request.method not in _READS and not await carries_token(request, secret):
            return problem(request, 403, "the form's token is not of this session; load the page again, and repeat it")
        if (slow_down := await self._too_many(request, annotator.id)) is not None:
            return slow_down
        request.state.asking = annotator
        return None

    async def _too_many(self, request: Request, id: str) -> Response | None:
        if await self._limiter.hit(self._rate, id):
            return None
        answer = problem(request, 429, f"more than {self._settings.requests_per_minute} requests a minute; wait")
        answer.headers["Retry-After"] = "5"
        return answer


class BodyLimit:
    """Refuses a body without a Content-Length once it is too long: it is never cut off and taken for whole."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._limit = settings.max_upload_mb * 1_000_000

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._limit:
                raise HTTPException(413, _too_long(self._settings))  # `problems.py` answers it as any other error
            return message

        await self._app(scope, limited, send)


class RepeatableRoute(APIRoute):
    """A route whose POST may carry an Idempotency-Key: sent again, it is answered again, not carried out again."""

    @staticmethod
    async def repeat_key(request: Request) -> str | None:
        """What makes two POSTs the same one; None is carried out each time."""
        return request.headers.get("idempotency-key")

    @staticmethod
    def kept(answer: Response) -> str:
        """What of an answer is kept for a repeat: its body, unless a route says otherwise."""
        return bytes(answer.body).decode()

    @staticmethod
    def again(earlier: KeptAnswer) -> Response:
        """The answer to a repeat, made of what was kept."""
        headers = {"Idempotent-Replayed": "true"}
        return Response(earlier.body, earlier.status, headers=headers, media_type="application/json")

    def get_route_handler(self) -> Callable[[Request], Any]:
        carry_out = super().get_route_handler()

        async def handler(request: Request) -> Response:
            repeat_key = await self.repeat_key(request) if request.method == "POST" else None
            if repeat_key is None:
                return await carry_out(request)
            if not 1 <= len(repeat_key) <= 255:
                raise InvalidInput("Idempotency-Key must have 1 to 255 characters")
            return await self._once(request, repeat_key, carry_out)

        return handler

    async def _once(self, request: Request, repeat_key: str, carry_out: Handler) -> Response:
        """Look, carry out, and look again where a twin was faster: it has finished when this one is told."""
        repeats = backend_of(request).store.repeats
        matter = str(request.url.query).encode() + b"\n" + await request.body()
        who = asking(request)
        route = f"POST {request.url.path}"
        asked = Repeatable(
            project_id=who.project_id,
            route=f"{route} {who.id}" if isinstance(who, AnnotatorRecord) else route,
            key=repeat_key,
            request_sha256=hashlib.sha256(matter).hexdigest(),
        )
        for _ in range(2):
            if (earlier := await repeats.answered(asked)) is not None:
                return self.again(earlier)
            try:
                async with repeats.first_time(asked) as keep:
                    answer = await carry_out(request)
                    await keep(KeptAnswer(answer.status_code, self.kept(answer)))
                    return answer
            except AnsweredMeanwhile:
                continue
        raise Conflict(f"a request with Idempotency-Key {repeat_key!r} is in progress; try again in a moment")


async def _key_that_asks(request: Request) -> KeyRecord:
    """By the session's cookie on pages, by the key itself elsewhere. Raises NotAllowed."""
    backend = backend_of(request)
    if request.url.path.startswith(PAGES):
        return await backend.store.access.living_key(backend.sessions.key_id(request.cookies.get(COOKIE, "")))
    return await backend.store.access.key_of(_secret(request))


def _page_asked(request: Request) -> str:
    """Where to go on after signing in: what was asked for, unless it changes something."""
    return request.url.path + (f"?{request.url.query}" if request.url.query else "") if request.method == "GET" else ""


def _secret(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    secret = token if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
    if not secret:
        raise NotAllowed("no API key; send Authorization: Bearer ck_...")
    return secret.strip()


def _scope_needed(request: Request) -> str:
    if request.method in _READS and not leases(request):
        return "read"
    return "admin" if request.url.path.startswith(_ADMIN) else "write"


def _too_long(settings: Settings) -> str:
    return f"the body is longer than {settings.max_upload_mb} MB; split it"
