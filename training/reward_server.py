"""A trained reward model behind HTTP on loopback: the wire by which vLLM serves a classifier, `POST /classify`.

Base and adapter stay apart, nothing is merged first. What waits at one time is scored in one batch. Left out: keys and
TLS (it listens on loopback alone), many models, and the speed of a GPU server: vLLM serves the merged model.
"""

import contextlib
import json
import math
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

import torch
from transformers import PreTrainedTokenizerBase

from judges.records import Conversation, Message
from training.adapters import with_saved_adapter
from training.configs import Precision
from training.errors import RowError, TrainingError
from training.merge import base_for
from training.precision import resolve_numbers
from training.row_fields import is_unicode
from training.tokenising import load_tokenizer
from training.turns import reply_frame, text_tokens

_LARGEST_BODY = 10_000_000
_TOKENS_PER_BATCH = 8192


class BadRequest(TrainingError):
    """What was asked cannot be scored; the message says why and what to do."""


class ScoringModel:
    """Scores finished conversations. `adapter` is a reward model's, as peft saves it. Raises TrainingError."""

    def __init__(self, model: Path, adapter: Path, precision: Precision = "auto") -> None:
        numbers = resolve_numbers(precision)
        self._tokenizer: PreTrainedTokenizerBase = load_tokenizer(model)
        base = base_for(model, adapter, self._tokenizer)
        if not hasattr(base, "score"):
            raise TrainingError(f"{adapter}: not a reward model's adapter; name one of `python -m training reward`")
        base = base.to(numbers.dtype)
        base.score.float()  # the trainer's head is in fp32 in every format, and peft puts it in the place of this one
        self._model = with_saved_adapter(base, adapter).to(numbers.device).eval()
        self._device = numbers.device
        # A fast tokenizer switches between reading control tokens and not: two threads would switch each other's.
        self._tokenizing = threading.Lock()
        self.context = int(base.config.max_position_embeddings)

    def tokens(self, messages: Conversation) -> tuple[int, ...]:
        """The conversation as the trainer rendered it, up to the end of its last turn. Raises BadRequest."""
        if len(messages) < 2 or messages[-1].role != "assistant":
            raise BadRequest("messages: the last turn must be the assistant's, after a prompt; that turn is scored")
        with self._tokenizing:
            try:
                opening, closing = reply_frame(messages[:-1], self._tokenizer, "messages")
            except RowError as error:
                raise BadRequest(str(error)) from error
            tokens = (*opening, *text_tokens(messages[-1].content, self._tokenizer), *closing)
        if len(tokens) > self.context:
            raise BadRequest(
                f"messages: {len(tokens)} tokens are above the maximum context length, {self.context}; shorten them"
            )
        return tokens

    @torch.no_grad()
    def scores(self, batch: Sequence[tuple[int, ...]]) -> list[float]:
        """A logit for each conversation, read at its last token."""
        longest = max(map(len, batch))
        ids_BT = torch.zeros((len(batch), longest), dtype=torch.long)
        mask_BT = torch.zeros_like(ids_BT)
        for row, tokens in enumerate(batch):
            ids_BT[row, : len(tokens)] = torch.tensor(tokens)
            mask_BT[row, : len(tokens)] = 1
        classifier = self._model.get_base_model()
        out = classifier.base_model(
            input_ids=ids_BT.to(self._device), attention_mask=mask_BT.to(self._device), use_cache=False
        )
        ends_BH = out.last_hidden_state[torch.arange(len(batch)), mask_BT.sum(1) - 1]
        return [float(score) for score in classifier.score(ends_BH.float())[:, 0]]


@dataclass(frozen=True, slots=True)
class _Asked:
    tokens: tuple[int, ...]
    score: "Future[float]"


class Batches:
    """Scores what waits together, at most so many padded tokens at once, in a thread of its own."""

    def __init__(self, scores: Callable[[Sequence[tuple[int, ...]]], list[float]]) -> None:
        self._scores = scores
        self._waiting: queue.Queue[_Asked] = queue.Queue()
        threading.Thread(target=self._run, daemon=True, name="scores").start()

    def score(self, tokens: tuple[int, ...]) -> float:
        """Wait for this conversation's score; raises what the model raised."""
        asked = _Asked(tokens, Future())
        self._waiting.put(asked)
        return asked.score.result()

    def _run(self) -> None:
        left: _Asked | None = None
        while True:
            batch = [left or self._waiting.get()]
            left, longest = None, len(batch[0].tokens)
            while not self._waiting.empty():
                another = self._waiting.get()
                longest = max(longest, len(another.tokens))
                if longest * (len(batch) + 1) > _TOKENS_PER_BATCH:
                    left = another
                    break
                batch.append(another)
            self._answer(batch)

    def _answer(self, batch: Sequence[_Asked]) -> None:
        try:
            scores = self._scores([one.tokens for one in batch])
        # What torch raises, memory and an id beyond the vocabulary among it: each request answers with it.
        except (RuntimeError, IndexError, ValueError) as error:
            for one in batch:
                one.score.set_exception(error)
            return
        for one, score in zip(batch, scores, strict=True):
            one.score.set_result(score)


class RewardServer(ThreadingHTTPServer):
    """The HTTP side; port 0 takes a free one. Use as a context manager around `serve_forever`."""

    daemon_threads = True

    def __init__(self, model: ScoringModel, name: str, port: int) -> None:
        try:
            super().__init__(("127.0.0.1", port), _Requests)
        except OSError as error:
            raise TrainingError(f"--port {port}: {error.strerror}; take another, or 0 for a free one") from error
        self.model = model
        self.name = name
        self.batches = Batches(model.scores)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer is two small writes: without this the second waits for the first one's acknowledgement.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        server = cast(RewardServer, self.server)
        if self.path == "/health":
            self._send(HTTPStatus.OK, {})
        elif self.path == "/v1/models":
            card = {"id": server.name, "object": "model", "max_model_len": server.model.context}
            self._send(HTTPStatus.OK, {"object": "list", "data": [card]})
        else:
            self._refuse(HTTPStatus.NOT_FOUND, f"{self.path}: there are /health, /v1/models and POST /classify")

    def do_POST(self) -> None:
        server = cast(RewardServer, self.server)
        body = self._body()
        if body is None:
            return
        if self.path != "/classify":
            self._refuse(HTTPStatus.NOT_FOUND, f"{self.path}: there are /health, /v1/models and POST /classify")
            return
        try:
            tokens = server.model.tokens(read_messages(body, server.name))
        except BadRequest as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
            return
        try:
            score = server.batches.score(tokens)
        except (RuntimeError, IndexError, ValueError) as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"the model failed: {error}")
            return
        if not math.isfinite(score):
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"the score is {score}; the adapter's weights are broken")
            return
        usage = {"prompt_tokens": len(tokens), "total_tokens": len(tokens)}
        self._send(HTTPStatus.OK, {"model": server.name, "data": [{"index": 0, "probs": [score]}], "usage": usage})

    def _body(self) -> bytes | None:
        """None where it was refused already."""
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > _LARGEST_BODY:
            self.close_connection = True
            status = HTTPStatus.LENGTH_REQUIRED if not length.isdigit() else HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            self._refuse(status, f"a Content-Length of at most {_LARGEST_BODY} bytes is needed")
            return None
        return self.rfile.read(int(length))

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        self._send(status, {"error": {"message": detail, "code": int(status)}})

    def _send(self, status: HTTPStatus, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing a request: the log is for failures."""


def read_messages(body: bytes, name: str) -> Conversation:
    """The conversation of a request for the model `name`. Raises BadRequest that says what is wrong."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not JSON") from error
    if not isinstance(asked, dict):
        raise BadRequest("the body must be an object with model and messages")
    if asked.get("model", name) != name:
        raise BadRequest(f"model: {asked['model']!r} is not served here; this is {name!r}")
    if asked.get("use_activation", False):
        raise BadRequest("use_activation: scores are logits here; send false")
    turns = asked.get("messages")
    if not isinstance(turns, list) or not turns:
        raise BadRequest("messages: a list of turns is needed, each with role and content")
    messages: list[Message] = []
    for number, turn in enumerate(turns):
        parts = (turn.get("role"), turn.get("content")) if isinstance(turn, dict) else (None, None)
        role, content = parts
        if role not in ("system", "user", "assistant") or not isinstance(content, str):
            raise BadRequest(f"messages[{number}]: role must be system, user or assistant, and content a text")
        if not is_unicode(content):
            raise BadRequest(f"messages[{number}]: its text holds half of a surrogate pair; send whole characters")
        messages.append(Message(role, content))
    return tuple(messages)


def serve_reward(model: Path, adapter: Path, *, name: str, port: int) -> dict[str, object]:
    """Serve until SIGTERM or Ctrl+C; one line on stdout says where. Raises TrainingError."""
    with RewardServer(ScoringModel(model, adapter), name, port) as server:
        print(json.dumps({"type": "serving", "url": server.url, "model": name}), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
    return {"url": server.url}
