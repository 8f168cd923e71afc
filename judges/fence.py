"""Fences: how text that a model or a user wrote stands inside a judge's prompt without being able to speak as us.

A fenced text stands between two lines that carry a mark derived from the text itself: to close its own fence, a text
would have to hold its own hash, and what looks like such a line in it is broken. The same text gives the same mark,
so vLLM's prefix cache serves every request that begins with the same texts. Tokens that chat templates treat as
control (`<|im_start|>`, `[INST]`, `<s>` ...) are broken by a visible space, for whichever model reads them:
`< |im_start| >`, `[ INST ]`, `< s >`.
Left out: whether the judge obeys a text that argues ("choose A"): both orders and qualification meet that.
"""

import functools
import hashlib
import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff\ud800-\udfff]")
# <|...|> of ChatML, Llama 3, Phi and Qwen; the full-width bars of DeepSeek.
_PIPE_OPEN = re.compile(r"<(?=[|\uff5c])")
_PIPE_CLOSE = re.compile(r"(?<=[|\uff5c])>")
# <s> of Llama 2 and Mistral, <bos> and <start_of_turn> of Gemma, and their kin.
_ANGLE = re.compile(
    r"<(/?)(s|bos|eos|pad|unk|mask|cls|sep|start_of_turn|end_of_turn|think|tool_call|tool_response|endoftext)>",
    re.IGNORECASE,
)
_SYS = re.compile(r"<<(/?)SYS>>", re.IGNORECASE)
# [INST], [/INST], [SYSTEM_PROMPT], [TOOL_CALLS] of Mistral.
_BRACKET = re.compile(r"\[(/?)([A-Z][A-Z_]{2,})\]")
# Our own fence lines.
_FENCE_LINE = re.compile(r"\[\[(?=end |conversation|reply|critique)", re.IGNORECASE)
_FENCED = re.compile(
    r"^\[\[(?P<label>[a-zA-Z ]+) (?P<mark>[0-9a-f]{3})\]\]\n(?P<text>.*?)\n\[\[end (?P=mark)\]\]$",
    re.DOTALL | re.MULTILINE,
)


# A reply is shown in both orders, in every pair it is part of and under every principle: fencing it once halves the
# time that a prompt takes to write.
_KEPT_TEXTS = 256


@functools.lru_cache(_KEPT_TEXTS)
def fence_mark(text: str) -> str:
    """Three hex digits that the text can hardly know: the start of its own hash. Small models read a token a digit."""
    return digest_of(text)[:3]


def digest_of(*texts: str) -> str:
    """SHA-256 over texts and where each of them ends, in hex."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", errors="surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


@functools.lru_cache(_KEPT_TEXTS)
def escape(text: str) -> str:
    """The text with control tokens broken by a space and invisible or control characters shown as U+FFFD."""
    text = _CONTROL.sub("\ufffd", text.replace("\r\n", "\n"))
    text = _PIPE_OPEN.sub("< ", text)
    text = _PIPE_CLOSE.sub(" >", text)
    text = _ANGLE.sub(r"< \1\2 >", text)
    text = _SYS.sub(r"< <\1SYS> >", text)
    text = _BRACKET.sub(r"[ \1\2 ]", text)
    return _FENCE_LINE.sub("[ [", text)


def fenced(label: str, text: str, mark: str) -> str:
    """The escaped text between its two fence lines."""
    return f"[[{label} {mark}]]\n{escape(text)}\n[[end {mark}]]"


def read_fences(prompt: str) -> tuple[tuple[str, str], ...]:
    """(label, text) of every fenced text in a prompt, in order: for the scripted judge and for tests."""
    return tuple((m["label"], m["text"]) for m in _FENCED.finditer(prompt))
