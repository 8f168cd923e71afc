"""Our requests as JSON, and a server's JSON as our replies: the OpenAI chat completion and vLLM's reward scores.

Only the fields named here are ever sent: `seed` and every vendor extension are left out, since some of them can kill
an engine (a seeded request whose prefill is chunked ends vLLM 0.32 on CPU). Everything that comes back is checked; a
NaN, a missing field or a wrong type is `JudgeUnreadable`, never a default.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from judges.errors import JudgeRejected, JudgeUnreadable, PromptTooLong
from judges.records import Message

# What servers call a prompt that does not fit: vLLM, OpenAI, llama.cpp and TGI.
_TOO_LONG = re.compile(
    r"maximum context length|context_length_exceeded|exceeds? the (available )?context|must be <= \d+ tokens|"
    r"max_model_len|longer than the (maximum|max)",
    re.IGNORECASE,
)
_SHOWN_CHARS = 300


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """How one reply is drawn. `top_logprobs` > 0 also asks for the first token's likeliest spellings (at most 20).

    Requests with the same `affinity` go to the same replica while it is well, so that its prefix cache serves them.
    """

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    top_logprobs: int = 0
    affinity: str = ""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One token that could have come first, as the server spells it, and its natural-log probability."""

    token: str
    logprob: float


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What came back. `first_token` is empty unless logprobs were asked for, and where nothing was generated."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    first_token: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class RewardReply:
    """What a reward model gave one conversation: `score` is a logit, any finite number, higher for better."""

    score: float
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model that a server offers; `max_model_len` in tokens, 0 where the server does not tell."""

    name: str
    max_model_len: int


def request_body(model: str, messages: Sequence[Message], request: ChatRequest) -> bytes:
    """The JSON body of one chat request, UTF-8. Lone surrogates, which UTF-8 cannot carry, become `?`."""
    body: dict[str, object] = {
        "model": model,
        "messages": [{"role": m.role, "content": m.content} for m in messages],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
    }
    if request.stop:
        body["stop"] = list(request.stop)
    if request.top_logprobs:
        body["logprobs"] = True
        body["top_logprobs"] = request.top_logprobs
    return json.dumps(body, ensure_ascii=False).encode("utf-8", errors="replace")


def reward_body(model: str, messages: Sequence[Message]) -> bytes:
    """The JSON body for POST /classify, where vLLM serves a reward model; without its sigmoid, since we take logits."""
    turns = [{"role": m.role, "content": m.content} for m in messages]
    body = {"model": model, "messages": turns, "use_activation": False}
    return json.dumps(body, ensure_ascii=False).encode("utf-8", errors="replace")


def read_reward(data: bytes, where: str) -> RewardReply:
    """Read `data[0].probs`, which must be one finite number; raises JudgeUnreadable for anything else."""
    body = _mapping(read_json(data, where), where, "the answer")
    listed = body.get("data")
    if not isinstance(listed, list) or len(listed) != 1:
        raise JudgeUnreadable(f"{where} answered without one entry in `data`: {shown(data)}")
    scores = _mapping(listed[0], where, "data[0]").get("probs")
    if not isinstance(scores, list) or len(scores) != 1:
        raise JudgeUnreadable(f"{where} did not give one score; serve a reward model with one class: {shown(data)}")
    score = scores[0]
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        raise JudgeUnreadable(f"{where} gave the score {score!r}; it must be a finite number")
    usage = _mapping(body.get("usage"), where, "usage")
    return RewardReply(float(score), _count(usage, "prompt_tokens", where))


def read_json(data: bytes, where: str) -> object:
    """Parse strictly: NaN and Infinity are not numbers here."""

    def refuse(constant: str) -> object:
        raise JudgeUnreadable(
            f"{where} answered with {constant} in its JSON; the model may be broken: check its weights"
        )

    try:
        parsed: object = json.loads(data, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise JudgeUnreadable(f"{where} answered 200 with what is not JSON: {shown(data)}") from error
    return parsed


def read_reply(data: bytes, where: str, *, logprobs: bool) -> ChatReply:
    """Read a chat completion; raises JudgeUnreadable with the place where it departs from the format."""
    body = _mapping(read_json(data, where), where, "the answer")
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise JudgeUnreadable(f"{where} answered without choices: {shown(data)}")
    choice = _mapping(choices[0], where, "choices[0]")
    message = _mapping(choice.get("message"), where, "choices[0].message")
    usage = _mapping(body.get("usage"), where, "usage")
    text = message.get("content")
    if text is not None and not isinstance(text, str):
        raise JudgeUnreadable(f"{where} answered with content that is not text: {shown(data)}")
    return ChatReply(
        text=text or "",
        finish_reason=str(choice.get("finish_reason") or ""),
        prompt_tokens=_count(usage, "prompt_tokens", where),
        completion_tokens=_count(usage, "completion_tokens", where),
        first_token=_first_token(choice, where) if logprobs else (),
    )


def read_models(data: bytes, where: str) -> tuple[ServedModel, ...]:
    """Read GET /v1/models."""
    listed = _mapping(read_json(data, where), where, "the answer").get("data")
    if not isinstance(listed, list):
        raise JudgeUnreadable(f"{where}/v1/models answered without a list `data`: {shown(data)}")
    cards = [_mapping(card, where, "data[]") for card in listed]
    return tuple(
        ServedModel(str(card.get("id", "")), length if isinstance(length := card.get("max_model_len"), int) else 0)
        for card in cards
    )


def rejection(status: int, data: bytes, where: str) -> JudgeRejected:
    """The error for a 4xx answer, with the server's own words."""
    said = shown(data)
    if status == 400 and _TOO_LONG.search(data[:4000].decode("utf-8", errors="replace")):
        return PromptTooLong(f"{where} says the prompt is too long: {said}; shorten it or raise max_model_len", status)
    remedy = {401: "; check its API key", 403: "; check its API key", 404: "; check the URL and the model's name"}
    return JudgeRejected(f"{where} refused the request with status {status}: {said}{remedy.get(status, '')}", status)


def shown(data: bytes) -> str:
    """The start of an answer, printable, for an error message."""
    text = data[: 4 * _SHOWN_CHARS].decode("utf-8", errors="replace")
    clean = "".join(c if c.isprintable() else " " for c in text)
    return repr(clean[:_SHOWN_CHARS] + ("..." if len(clean) > _SHOWN_CHARS else ""))


def _first_token(choice: dict[str, object], where: str) -> tuple[TokenLogprob, ...]:
    logprobs = choice.get("logprobs")
    if logprobs is None:
        raise JudgeUnreadable(f"{where} sent no logprobs; the judge must offer `top_logprobs` on chat completions")
    content = _mapping(logprobs, where, "logprobs").get("content")
    if content is None or content == []:
        return ()
    if not isinstance(content, list):
        raise JudgeUnreadable(f"{where} answered with logprobs.content that is no list")
    top = _mapping(content[0], where, "logprobs.content[0]").get("top_logprobs")
    if not isinstance(top, list):
        raise JudgeUnreadable(f"{where} answered without top_logprobs; the judge must offer them")
    return tuple(_token_logprob(_mapping(entry, where, "top_logprobs[]"), where) for entry in top)


def _token_logprob(entry: dict[str, object], where: str) -> TokenLogprob:
    token, logprob = entry.get("token"), entry.get("logprob")
    if not isinstance(token, str) or isinstance(logprob, bool) or not isinstance(logprob, int | float):
        raise JudgeUnreadable(f"{where} answered with a top_logprobs entry that is not a token and a number: {entry!r}")
    # Rounding may lift a certain token a hair above 0; more is no log-probability.
    if math.isnan(logprob) or logprob > 1e-3:
        raise JudgeUnreadable(f"{where} answered with logprob {logprob} for {token!r}; it must be 0 or less")
    return TokenLogprob(token, min(0.0, float(logprob)))


def _mapping(value: object, where: str, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise JudgeUnreadable(f"{where} answered in a wrong shape: {what} is {type(value).__name__}, not an object")
    return value


def _count(usage: dict[str, object], field: str, where: str) -> int:
    count = usage.get(field)
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise JudgeUnreadable(f"{where} answered with usage.{field} = {count!r}; a count of tokens is needed")
    return count
