"""A preference row and its JSONL form: a superset of TRL's conversational format, so other trainers read it as is.

Plain standard library: `service` imports this without torch. `prompt` is a list of messages; `chosen` and `rejected`
are lists of one assistant message, and a plain string is read too; TRL's own rows, which have no ids, are read in each
of its forms (row_fields.py). Errors name the file and the line.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from judges.records import Conversation, Prompt
from training.errors import RowError
from training.publish import published_file
from training.row_fields import PAIR, RowFields

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Source = Literal["human", "ai", "check"]
_REQUIRED = ("id", "prompt_id", "prompt", "chosen", "rejected")


@dataclass(frozen=True, slots=True)
class PreferenceRow:
    """One pair. `p_chosen` is the belief that `chosen` is better, 0.5 to 1 (0.5 is a tie); `weight` scales its loss.

    `per_principle` holds (principle id, p_chosen under it) of every principle that answered; `origin` says where
    the row came from (a run, an upload, a labeller) in free text that a person can follow. Keys of `tags` differ.
    """

    id: str
    prompt_id: str
    prompt: Conversation
    chosen: str
    rejected: str
    p_chosen: float
    weight: float
    source: Source
    judge: str = ""
    annotators: tuple[str, ...] = ()
    constitution_sha256: str = ""
    per_principle: tuple[tuple[str, float], ...] = ()
    origin: str = ""
    tags: tuple[tuple[str, str], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class WrittenReply:
    """A reply that a model wrote, and where it stands; one that is not `finished` was cut."""

    where: str
    prompt: Conversation
    text: str
    finished: bool


def row_to_json(row: PreferenceRow) -> str:
    """One line of JSON, without a line break."""
    return json.dumps(row_object(row), ensure_ascii=False, allow_nan=False)


def row_object(row: PreferenceRow) -> dict[str, Json]:
    """The row as its line's JSON object."""
    return {
        "id": row.id,
        "prompt_id": row.prompt_id,
        "prompt": [{"role": message.role, "content": message.content} for message in row.prompt],
        "chosen": [{"role": "assistant", "content": row.chosen}],
        "rejected": [{"role": "assistant", "content": row.rejected}],
        **said_object(row),
    }


def said_object(row: PreferenceRow) -> dict[str, Json]:
    """Of that object, what is said of the two replies: all but the texts and what they are called."""
    return {
        "p_chosen": row.p_chosen,
        "weight": row.weight,
        "source": row.source,
        "judge": row.judge,
        "annotators": list(row.annotators),
        "constitution_sha256": row.constitution_sha256,
        "per_principle": [{"id": id, "p_chosen": p_chosen} for id, p_chosen in row.per_principle],
        "origin": row.origin,
        "tags": dict(row.tags),
    }


def row_from_json(line: str, where: str) -> PreferenceRow:
    """Read one line of ours. `where` (for example `rows.jsonl, line 7`) begins every error's message."""
    return _row(RowFields(line, where, _REQUIRED))


def read_rows(path: Path, *, with_rejected: bool = True) -> tuple[PreferenceRow, ...]:
    """All rows of a JSONL file, ours or TRL's; blank lines are skipped. Two rows with one id are an error.

    Without `with_rejected` demonstrations are read too, and `rejected` of these is empty.
    TRL's have no ids, and in two of its four forms no prompt but what both replies begin with: ids are then made of the
    texts, a copy's numbered, so that a row that stands twice counts twice.
    """
    rows: list[PreferenceRow] = []
    place_by_id: dict[str, str] = {}
    copies: Counter[str] = Counter()
    for where, line in _lines(path):
        fields = RowFields(line, where, ())
        if with_rejected:
            fields.refuse_demonstration()
        row = _row(fields)
        if not fields.has("id"):
            copies[row.id] += 1
            row = row if copies[row.id] == 1 else replace(row, id=f"{row.id}-{copies[row.id]}")
        if row.id in place_by_id:
            raise RowError(f"{where}: id {row.id!r} stands in {place_by_id[row.id]} too; give each row its own id")
        place_by_id[row.id] = where
        rows.append(row)
    return tuple(rows)


def read_prompts(path: Path) -> tuple[Prompt, ...]:
    """The different prompts of a JSONL file, each once: of rows of any form, or of lines with nothing but `prompt`."""
    prompts: dict[Conversation, Prompt] = {}
    for where, line in _lines(path):
        fields = RowFields(line, where, ())
        whole = fields.has("messages") or all(map(fields.has, PAIR))
        messages = fields.texts()[0] if whole and not fields.has("prompt") else fields.messages("prompt")
        id = fields.text("prompt_id") or fields.text("id") or where
        prompts.setdefault(messages, Prompt(id, messages))
    return tuple(prompts.values())


def read_replies(path: Path) -> tuple[WrittenReply, ...]:
    """Lines of prompt, reply and finished, as a model wrote them."""
    found: list[WrittenReply] = []
    for where, line in _lines(path):
        fields = RowFields(line, where, ("prompt", "reply", "finished"))
        found.append(WrittenReply(where, fields.messages("prompt"), fields.reply("reply"), fields.truth("finished")))
    return tuple(found)


def write_rows(path: Path, rows: Iterable[PreferenceRow]) -> int:
    """Write JSONL under a temporary name, then rename: the file is complete or absent. Returns the rows' number."""
    count = 0
    with published_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(row_to_json(row) + "\n")
            count += 1
    return count


def write_prompts(path: Path, prompts: Iterable[Prompt]) -> None:
    """Write JSONL that `read_prompts` reads: complete or absent."""
    with published_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for prompt in prompts:
            turns = [{"role": message.role, "content": message.content} for message in prompt.messages]
            file.write(json.dumps({"id": prompt.id, "prompt": turns}, ensure_ascii=False) + "\n")


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Where each line stands, and the line; blank lines are skipped."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise RowError(f"{path}: cannot be read ({error.strerror}); name a JSONL file of preference rows") from error
    for number, raw in enumerate(lines, start=1):
        where = f"{path.name}, line {number}"
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise RowError(f"{where}, byte {error.start}: not UTF-8; save the file as UTF-8") from error
        if line.strip():
            yield where, line


def conversation_id(turns: Conversation) -> str:
    """The same conversation has the same id wherever it comes from: splits are made by it."""
    said = [{"role": turn.role, "content": turn.content} for turn in turns]
    return "p" + hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()[:24]


def _source(fields: RowFields) -> Source:
    value = fields.text("source", "human")
    for known in get_args(Source):
        if value == known:
            source: Source = known
            return source
    raise fields.refuse("source", f"one of {', '.join(get_args(Source))}")


def _row(fields: RowFields) -> PreferenceRow:
    prompt, chosen, rejected = fields.texts()
    prompt_id = fields.text("prompt_id") if fields.has("prompt_id") else conversation_id(prompt)
    texts = json.dumps([prompt_id, chosen, rejected], ensure_ascii=False)
    return PreferenceRow(
        id=fields.text("id") if fields.has("id") else "r" + hashlib.sha256(texts.encode()).hexdigest()[:24],
        prompt_id=prompt_id,
        prompt=prompt,
        chosen=chosen,
        rejected=rejected,
        p_chosen=fields.number("p_chosen", 1.0, 0.5, 1.0),
        weight=fields.number("weight", 1.0, 0.0, 1e6),
        source=_source(fields),
        judge=fields.text("judge"),
        annotators=fields.annotators(),
        constitution_sha256=fields.text("constitution_sha256"),
        per_principle=fields.per_principle(),
        origin=fields.text("origin"),
        tags=fields.tags(),
    )
