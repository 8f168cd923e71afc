"""The token that a page's own forms carry: another site can make a browser send the cookie, but cannot read this."""

import hashlib
import hmac


def csrf_token(secret: str) -> str:
    """The token of a session, from the session's secret."""
    return hmac.new(secret.encode(), b"csrf", hashlib.sha256).hexdigest()
