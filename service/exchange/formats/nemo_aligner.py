"""NeMo-Aligner's DPO lines: plain texts, or texts in its `extra_id` template, with the rewards that RPO reads."""

import re
from collections.abc import Iterator

import pyarrow as pa
from pydantic import JsonValue

from judges.records import Conversation, Message, Role
from service.exchange.formats.pair import Pair, belief_of_scores, number_within, one_question, scores_of
from service.exchange.messages import conversation, ends_with_user, reply
from training.rows import PreferenceRow

SCHEMA = pa.schema(
    [
        ("prompt", pa.string()),
        ("chosen_response", pa.string()),
        ("rejected_response", pa.string()),
        ("chosen_reward", pa.float64()),
        ("rejected_reward", pa.float64()),
        ("p_chosen", pa.float64()),
    ]
)
_TURN = re.compile(r"<extra_id_[01]>(System|User|Assistant)\n")
_END = "\n<extra_id_1>"
_NAMES: dict[Role, str] = {"system": "System", "user": "User", "assistant": "Assistant"}
_ROLES: dict[str, Role] = {name: role for role, name in _NAMES.items()}


def read(value: dict[str, JsonValue]) -> Iterator[Pair]:
    given = value.get("prompt")
    templated = isinstance(given, str) and given.startswith("<extra_id_0>System\n")
    prompt = _turns(str(given)) if templated else conversation(given, "prompt")
    texts = [reply(value.get(name), name) for name in ("chosen_response", "rejected_response")]
    chosen, rejected = (text.removesuffix(_END) if templated else text for text in texts)
    scores = belief_of_scores(value, "chosen_reward", "rejected_reward")
    p_chosen = number_within(value.get("p_chosen"), scores.p_chosen, "p_chosen", 0.5, 1.0)
    asked = ends_with_user(prompt, "prompt")
    yield Pair(asked, chosen, rejected, p_chosen, tags=scores.tags, notices=scores.notices)


def write(row: PreferenceRow) -> dict[str, JsonValue]:
    """One question as plain text, any other conversation in the template."""
    plain = one_question(row)
    end = "" if plain else _END
    return {
        "prompt": row.prompt[0].content if plain else _template(row.prompt),
        "chosen_response": row.chosen + end,
        "rejected_response": row.rejected + end,
    } | scores_of(row, "chosen_reward", "rejected_reward")


def holds(row: PreferenceRow) -> bool:
    """Whether a reader finds the same turns: the template knows them only by their marks in the text."""
    written = write(row)
    try:
        (back,) = read(written)
    except ValueError:
        return False
    return (back.prompt, back.chosen, back.rejected) == (row.prompt, row.chosen, row.rejected)


def _template(turns: Conversation) -> str:
    system, rest = (turns[0].content, turns[1:]) if turns[0].role == "system" else ("", turns)
    said = "".join(f"<extra_id_1>{_NAMES[turn.role]}\n{turn.content}\n" for turn in rest)
    return f"<extra_id_0>System\n{system}\n{said}<extra_id_1>Assistant\n"


def _turns(text: str) -> Conversation:
    parts = _TURN.split(text)
    names, contents = parts[1::2], [part.removesuffix("\n") for part in parts[2::2]]
    if names[-1] != "Assistant" or contents[-1]:
        raise ValueError("prompt does not end with '<extra_id_1>Assistant' and a line break")
    turns = [Message(_ROLES[name], said) for name, said in zip(names, contents, strict=True)][:-1]
    return tuple(turn for index, turn in enumerate(turns) if index or turn.content)
