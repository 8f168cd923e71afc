"""A form that makes something makes it once, however often it is sent: a double click sends it twice.

Each page gives its forms a random field `once`. What a form led to is kept as the answer to an Idempotency-Key is; a
link that may not be kept is derived from the form again.
"""

import base64
import hashlib
import hmac
import secrets

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from service.api.guard import RepeatableRoute
from service.api.sessions import COOKIE
from service.store.access import KeptAnswer


def new_once() -> str:
    """For the forms of one page; each is told by its address too."""
    return secrets.token_urlsafe(16)


class OnceRoute(RepeatableRoute):
    """A form's route that answers with a redirect: sent again as it was, the form leads there again.

    One that was changed is another one, though it has the page's old `once`.
    """

    @staticmethod
    async def repeat_key(request: Request) -> str | None:
        body = await request.body()
        once = (await request.form()).get("once")
        return hashlib.sha256(body).hexdigest() if once else None

    @staticmethod
    def kept(answer: Response) -> str:
        return answer.headers["location"]

    @staticmethod
    def again(earlier: KeptAnswer) -> Response:
        return RedirectResponse(earlier.body, earlier.status)


def invitation_of(request: Request, once: str, name: str) -> str:
    """The secret of an invitation by that form: the same for the same form and session, and known to nobody else."""
    matter = "\0".join(["invitation", request.url.path, once, name])
    digest = hmac.new(request.cookies.get(COOKIE, "").encode(), matter.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")
