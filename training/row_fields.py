"""One line of a rows file: typed reading of its JSON object. What a row is made of stands in rows.py.

A line holds a pair (`chosen` and `rejected`), or a demonstration, which has one reply: our row without `rejected`, or
TRL's `messages` or `prompt` with `completion`. Every refusal names the place and the key. Plain standard library.
"""

import json
from collections.abc import Mapping, Sequence
from typing import get_args

from judges.records import Conversation, Message, Role
from training.demonstrated import prompt_and_reply, refuse_no_example
from training.errors import RowError
from training.implicit_prompts import shared_prefix, split_texts

PAIR = ("chosen", "rejected")
# What a demonstration's reply stands in; of several, the first that a line has.
_REPLIES = ("chosen", "messages", "completion")


def is_unicode(text: str) -> bool:
    """False where half of a surrogate pair stands in it, as JSON's escapes can write it: no tokenizer reads that."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class RowFields:
    """Typed reading of one line's JSON object; every refusal names the place and the key."""

    def __init__(self, line: str, where: str, required: Sequence[str]) -> None:
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise RowError(f"{where}, column {error.colno}: not JSON ({error.msg}); write one object a line") from error
        if not isinstance(value, dict):
            raise RowError(f"{where}: a {type(value).__name__} instead of an object; write one object a line")
        if "\\u" in line and not is_unicode(json.dumps(value, ensure_ascii=False)):
            raise RowError(
                f"{where}: a text holds half of a surrogate pair (\\ud800 to \\udfff); write whole characters"
            )
        missing = [name for name in required if name not in value]
        if missing:
            raise RowError(f"{where}: no {missing[0]!r}; a row needs {', '.join(required)}")
        self._value: Mapping[str, object] = value
        self._where = where

    def has(self, name: str) -> bool:
        return name in self._value

    def refuse(self, name: str, wanted: str) -> RowError:
        return RowError(f"{self._where}: {name!r} must be {wanted}")

    def text(self, name: str, default: str = "") -> str:
        value = self._value.get(name, default)
        if not isinstance(value, str):
            raise self.refuse(name, "a string")
        return value

    def number(self, name: str, default: float, low: float, high: float) -> float:
        value = self._value.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.refuse(name, f"a number from {low} to {high}")
        return float(value)

    def truth(self, name: str) -> bool:
        value = self._value[name]
        if not isinstance(value, bool):
            raise self.refuse(name, "true or false")
        return value

    def items(self, name: str) -> list[object]:
        value = self._value.get(name, [])
        if not isinstance(value, list):
            raise self.refuse(name, "a list")
        return value

    def texts(self) -> tuple[Conversation, str, str]:
        """Prompt, chosen and rejected reply; without `prompt` it is what both, then whole, begin with.

        Of a demonstration the rejected one is empty.
        """
        if not all(map(self.has, PAIR)):
            return *self._demonstration(), ""
        if self.has("prompt"):
            return self.messages("prompt"), self.reply("chosen"), self.reply("rejected")
        chosen, rejected = self._value["chosen"], self._value["rejected"]
        if isinstance(chosen, str) and isinstance(rejected, str):
            prompt, good, bad = split_texts(chosen, rejected)
            if not prompt.strip():
                raise RowError(f"{self._where}: no 'prompt', and the two texts do not begin alike; add 'prompt'")
            return (Message("user", prompt),), good, bad
        try:
            return shared_prefix(self.messages("chosen"), self.messages("rejected"))
        except ValueError as error:
            raise RowError(f"{self._where}: no 'prompt', and {error}; add 'prompt'") from error

    def refuse_demonstration(self) -> None:
        """For what compares two replies."""
        missing = [name for name in PAIR if not self.has(name)]
        reply = next((name for name in _REPLIES if self.has(name)), None)
        if missing and reply is None:
            raise RowError(f"{self._where}: no {missing[0]!r}; a row needs {', '.join(PAIR)}")
        if missing:
            raise RowError(
                f"{self._where}: no {missing[0]!r}: a demonstration has one reply, in {reply!r}, and this method "
                "compares two; give chosen and rejected, or train sft, which imitates the one"
            )

    def _demonstration(self) -> tuple[Conversation, str]:
        """Prompt and reply."""
        name = next((name for name in _REPLIES if self.has(name)), None)
        if name is None:
            raise RowError(f"{self._where}: no 'chosen'; a row needs prompt with chosen or completion, or messages")
        turns = self.messages(name) if name == "messages" else ()
        try:
            prompt, reply = prompt_and_reply(turns) if turns else (self.messages("prompt"), self.reply(name))
            refuse_no_example(self._value.get("label", True), reply)
        except ValueError as error:
            raise RowError(f"{self._where}: {error}") from error
        return prompt, reply

    def messages(self, name: str) -> Conversation:
        if not self.has(name):
            raise RowError(f"{self._where}: no {name!r}; add it")
        value = self._value[name]
        if isinstance(value, str):
            return (Message("user", value),)
        messages = tuple(self._message(name, item) for item in self.items(name))
        if not messages:
            raise self.refuse(name, "a string or a list of at least one message")
        return messages

    def _message(self, name: str, item: object) -> Message:
        if isinstance(item, dict):
            role, content = item.get("role"), item.get("content")
            for known in get_args(Role):
                if role == known and isinstance(content, str):
                    return Message(known, content)
        raise self.refuse(name, 'a list of {"role": "system" | "user" | "assistant", "content": "..."}')

    def reply(self, name: str) -> str:
        if isinstance(self._value[name], str):
            return self.text(name)
        messages = self.messages(name)
        if len(messages) != 1 or messages[0].role != "assistant":
            raise self.refuse(name, "a string or a list of one assistant message")
        return messages[0].content

    def annotators(self) -> tuple[str, ...]:
        names = [item for item in self.items("annotators") if isinstance(item, str)]
        if len(names) != len(self.items("annotators")):
            raise self.refuse("annotators", "a list of strings")
        return tuple(names)

    def per_principle(self) -> tuple[tuple[str, float], ...]:
        pairs: list[tuple[str, float]] = []
        for item in self.items("per_principle"):
            id, p_chosen = (item.get("id"), item.get("p_chosen")) if isinstance(item, dict) else (None, None)
            if not isinstance(id, str) or isinstance(p_chosen, bool) or not isinstance(p_chosen, int | float):
                raise self.refuse("per_principle", 'a list of {"id": "...", "p_chosen": 0.9}')
            pairs.append((id, float(p_chosen)))
        return tuple(pairs)

    def tags(self) -> tuple[tuple[str, str], ...]:
        value = self._value.get("tags", {})
        if not isinstance(value, dict) or not all(isinstance(tag, str) for tag in value.values()):
            raise self.refuse("tags", "an object of strings")
        return tuple((str(key), str(tag)) for key, tag in value.items())
