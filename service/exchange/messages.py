"""Conversations as the formats write them, and as ours."""

from collections.abc import Sequence

from pydantic import JsonValue

from judges.records import Conversation, Message

# OpenAI's newer models call the system's turn the developer's.
_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "human": "user",
    "gpt": "assistant",
}


def conversation(value: JsonValue, what: str) -> Conversation:
    """A text (one turn of the user's) or a list of {role, content}. Raises ValueError that names `what`."""
    if isinstance(value, str):
        return (Message("user", _text(value, what)),)
    if value is None:
        raise ValueError(f"{what} is missing")
    if not isinstance(value, list) or not value:
        raise ValueError(f"{what} is neither a text nor a list of messages")
    return tuple(_message(item, f"{what}[{index}]") for index, item in enumerate(value))


def reply(value: JsonValue, what: str) -> str:
    """A text, or one message of the assistant. Raises ValueError."""
    if isinstance(value, str):
        return value
    turns = conversation([value] if isinstance(value, dict) else value, what)
    if len(turns) != 1 or turns[0].role != "assistant":
        raise ValueError(f"{what} must be a text or one message of the assistant")
    return turns[0].content


def ends_with_user(turns: Conversation, what: str) -> Conversation:
    """The same, if it is the assistant's turn now. Raises ValueError."""
    if turns[-1].role != "user":
        raise ValueError(f"{what} ends with a message of the {turns[-1].role}; it must end with the user's")
    return turns


def as_json(turns: Sequence[Message]) -> list[JsonValue]:
    """[{role, content}, ...]"""
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def _message(item: JsonValue, what: str) -> Message:
    if not isinstance(item, dict):
        raise ValueError(f"{what} is no message; write {{role, content}}")
    role, content = item.get("role", item.get("from")), _whole(item.get("content", item.get("value")), what)
    if not isinstance(role, str) or role not in _ROLES:
        raise ValueError(f"{what}.role is {role!r}; take system, user or assistant")
    if not isinstance(content, str):
        raise ValueError(f"{what}.content is not a text")
    said = content if _ROLES[role] == "assistant" else _text(content, what)  # models do say nothing at times
    return Message(_ROLES[role], said)  # type: ignore[arg-type]


def _whole(content: JsonValue, what: str) -> JsonValue:
    """Of a list of text parts the text, a line for each; anything else as it is."""
    if not isinstance(content, list) or not content:
        return content
    texts: list[str] = []
    for index, part in enumerate(content):
        text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
        if not isinstance(text, str):
            raise ValueError(f"{what}.content[{index}] is no part of type text, and rows hold texts alone")
        texts.append(text)
    return "\n".join(texts)


def _text(value: str, what: str) -> str:
    if not value.strip():
        raise ValueError(f"{what} is empty")
    return value
