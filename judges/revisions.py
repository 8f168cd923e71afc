"""Cleaning what a model wrote as a revision: preambles, labels and quotes go; refusals and copies are named.

Left out: judging whether the revision is better. The comparison does that.
"""

import re

from judges.records import Abstention, Cause
from judges.wire import ChatReply

# "Sure, here is a revised reply that follows the principle:" and its kin: an opening clause about the reply itself
# that ends in a colon. "Here are three tips:" is about the matter, and stays.
_PREAMBLE = re.compile(
    r"^\s*(?:(?:sure|certainly|of course|absolutely|okay|ok|yes|got it|understood)\b[,.!:]*\s*)?"
    r"(?:here(?:['\u2019]s| is| are)|this is|below is|i(?:['\u2019]ve| have))\b"
    r"(?:[^\n:]{0,60}\b(?:revis|rewrit|rewrote|improved|corrected|repl(?:y|ies)\b|response|version|answer|principle)"
    r"[^\n:]{0,80})?\s*:\s*",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"^\s*[*_#]{0,3}\s*(?:revised|rewritten|new|improved|final|corrected|better)\s+"
    r"(?:reply|response|answer|version|text)\b\s*[*_]{0,3}\s*[:\n]\s*[*_]{0,3}\s*",
    re.IGNORECASE,
)
_FILLER_OPENING = re.compile(r"^\s*(?:sure|certainly|of course|absolutely)[,.!:]+\s*\n+", re.IGNORECASE)
_FENCE_LINE = re.compile(r"^\s*(?:\[\[.{0,60}?\]\]|```\w*)\s*$", re.MULTILINE)
_CANNOT = r"(?:can(?:not| not|['\u2019]?t)|won['\u2019]?t|am (?:unable|not able))\b"
_REFUSAL = re.compile(
    r"^\W*(?:i(?:['\u2019]m| am)\s+(?:very |so )?(?:sorry|afraid)|sorry|my apologies|i apologi[sz]e|"
    rf"i\s+{_CANNOT}|as an ai\b[^.]{{0,80}}\bi\s+{_CANNOT})",
    re.IGNORECASE,
)
_QUOTES = {'"': '"', "\u201c": "\u201d", "'": "'"}


def strip_preamble(text: str) -> str:
    """The reply itself, without "Sure, here is ...:", a label, fence lines, or quotes around the whole."""
    text = _FENCE_LINE.sub("", text).strip()
    for pattern in (_FILLER_OPENING, _PREAMBLE, _LABEL):
        text = pattern.sub("", text, count=1).strip()
    closing = _QUOTES.get(text[:1])
    if closing and len(text) > 2 and text.endswith(closing) and closing not in text[1:-1]:
        text = text[1:-1].strip()
    return text


def is_refusal(text: str) -> bool:
    """True where the text opens by declining."""
    return _REFUSAL.match(text) is not None


def fault_of(reply: ChatReply, after: str, before: str) -> Abstention | None:
    """Why a revision cannot be kept, or None: cut off, empty, a refusal that was none before, or a copy."""
    cause: Cause | None = None
    if reply.finish_reason == "length":
        cause = "truncated"
    elif not after:
        cause = "empty"
    elif is_refusal(after) and not is_refusal(before):
        cause = "refused"
    elif after.split() == before.split():
        cause = "unchanged"
    return Abstention(cause, reply.text) if cause else None
