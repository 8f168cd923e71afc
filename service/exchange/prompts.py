"""Prompt sets in: `{"prompt": str | [messages], "id"?, "split"?, "tags"?}`; in CSV the other columns become tags."""

from pydantic import JsonValue

from judges.records import Prompt
from service.errors import InvalidInput
from service.exchange.messages import conversation, ends_with_user
from service.exchange.records import Line, read_lines, refuse
from training.rows import conversation_id

_KEYS = ("prompt", "id", "split", "tags")
_SPLITS = ("train", "held_out")


def read_prompts(data: bytes, filename: str, content_type: str) -> list[Prompt]:
    """All prompts, or InvalidInput with the line of every fault; duplicate ids and duplicate prompts are faults."""
    table = filename.lower().endswith(".csv") or content_type == "text/csv" or data[:4] == b"PAR1"
    prompts: list[Prompt] = []
    problems: list[str] = []
    seen: dict[str, str] = {}
    for line in read_lines(data, filename, content_type):
        try:
            prompt = _prompt(line, other_columns_are_tags=table)
        except ValueError as error:
            problems.append(f"{line.place}: {error}")
            continue
        names = {prompt.id: f"the id {prompt.id!r}"} | {conversation_id(prompt.messages): "this prompt"}
        for name, what in names.items():
            if name in seen:
                problems.append(f"{line.place}: {what} stands on {seen[name]} already; remove one")
            seen.setdefault(name, line.place)
        prompts.append(prompt)
    refuse(problems)
    if not prompts:
        raise InvalidInput("there are no prompts; write one JSON object a line")
    return prompts


def _prompt(line: Line, *, other_columns_are_tags: bool) -> Prompt:
    value = line.value
    unknown = [key for key in value if key not in _KEYS]
    if unknown and not other_columns_are_tags:
        raise ValueError(f"unknown key {unknown[0]!r}; known are {', '.join(_KEYS)}")
    if "prompt" not in value:
        raise ValueError("no `prompt`; add it")
    turns = ends_with_user(conversation(value["prompt"], "prompt"), "prompt")
    split = value.get("split") or "train"
    if split not in _SPLITS:
        raise ValueError(f"split is {split!r}; take train or held_out")
    id = value.get("id")
    if id is None or id == "":
        id = conversation_id(turns)
    if isinstance(id, bool) or not isinstance(id, str | int) or len(str(id)) > 128:
        raise ValueError("id must be a text of at most 128 characters")
    tags = _tags(value.get("tags")) | {key: str(value[key]) for key in unknown}
    return Prompt(str(id), turns, "train" if split == "train" else "held_out", tuple(sorted(tags.items())))


def _tags(value: JsonValue) -> dict[str, str]:
    if value is None or value == "":
        return {}
    if isinstance(value, dict):
        return {str(key): str(item) for key, item in value.items()}
    if isinstance(value, list):
        return {str(item): "" for item in value}
    if isinstance(value, str):
        return {item.strip(): "" for item in value.split(",") if item.strip()}
    raise ValueError("tags must be a mapping or a list of texts")
