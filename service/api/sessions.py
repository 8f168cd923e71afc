"""Sessions of people who look at the pages with an API key: a signed cookie that names the key and when it ends.

Nothing is kept for a session: the cookie is bound to its key, so that a revoked key ends it at once, and whoever reads
the database can sign none, since the signing secret lies in a file beside it. Logging out drops the cookie; to end a
stolen one before its hours are over, revoke the key.
"""

import contextlib
import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path

from service.errors import NotAllowed

COOKIE = "charter_session"
SESSION_S = 24 * 3600


class Sessions:
    """Signs and reads cookies with one secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def cookie(self, key_id: str, ends_at: int) -> str:
        """`ends_at` is in seconds since 1970."""
        matter = f"{key_id}.{ends_at}"
        return f"{matter}.{self._signature(matter)}"

    def key_id(self, cookie: str, now: float | None = None) -> str:
        """The id of the key that signed in. Raises NotAllowed for a cookie that is not ours, or is over."""
        matter, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(matter).encode()):
            raise NotAllowed("you are not signed in; sign in with an API key")
        key_id, _, ends_at = matter.rpartition(".")
        if (time.time() if now is None else now) >= int(ends_at):
            raise NotAllowed("the session is over; sign in again")
        return key_id

    def _signature(self, matter: str) -> str:
        return hmac.new(self._secret, matter.encode(), hashlib.sha256).hexdigest()


def session_secret(file: Path) -> bytes:
    """What the file holds; made at the first start, for this user only. A deleted file ends all sessions."""
    if not file.exists():
        own = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(own, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as opened:
            opened.write(secrets.token_bytes(32))
        with contextlib.suppress(FileExistsError):  # another process was faster: its secret counts
            os.link(own, file)
        own.unlink()
    return file.read_bytes()
