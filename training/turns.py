"""How a model's chat template frames what is said: the tokens before a reply, and those that end its turn.

What was written never becomes a control token: `<|im_end|>` in a text stays letters, in a prompt as in a reply. Left
out: added tokens that the tokenizer does not call special, which a text may hold.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from judges.records import Conversation, Message
from training.errors import RowError, TrainingError

# Stands where the reply will stand, to cut the rendered conversation there.
_REPLY = "\ue000reply\ue001"
# Characters of nobody's alphabet: they stand for control tokens' letters while the template renders a text.
_PRIVATE_USE = range(0xF0000, 0xFFFFE)


def prompt_tokens(messages: Conversation, tokenizer: PreTrainedTokenizerBase, where: str) -> tuple[int, ...]:
    """A conversation as the chat template writes it, up to where the reply begins.

    `where` (for example `row 'r7'`) begins the RowError that is raised where the template refuses it.
    """
    letters_by_mark = _marks(messages, tokenizer)
    text = _rendered(_marked(messages, letters_by_mark, tokenizer), tokenizer, where, up_to_reply=True)
    return _framed_tokens(text, letters_by_mark, tokenizer)


def reply_frame(
    prompt: Conversation, tokenizer: PreTrainedTokenizerBase, where: str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The tokens that stand before a reply in a finished conversation, and those that the template writes after it."""
    letters_by_mark = _marks(prompt, tokenizer)
    turns = (*_marked(prompt, letters_by_mark, tokenizer), Message("assistant", _REPLY))
    before, found, after = _rendered(turns, tokenizer, where, up_to_reply=False).rpartition(_REPLY)
    if not found:
        raise RowError(f"{where}: the model's chat template does not write replies as they are; take another model")
    opening, closing = (_framed_tokens(text, letters_by_mark, tokenizer) for text in (before, after))
    return opening, closing or (tokenizer.eos_token_id,)


def reply_tokens(text: str, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """A reply and the end of its turn."""
    return (*text_tokens(text, tokenizer), turn_end(tokenizer))


def text_tokens(text: str, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The tokens of a text alone, none of them a control token."""
    return tuple(tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])


@lru_cache(maxsize=8)
def turn_end(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that ends a reply: the first added token that the template writes after it, else the eos token."""
    _, closing = reply_frame((Message("user", "?"),), tokenizer, "a question and its reply")
    added = {id for id, token in tokenizer.added_tokens_decoder.items() if token.content.strip()}
    return next((id for id in closing if id in added), int(tokenizer.eos_token_id))


def turn_ends(tokenizer: PreTrainedTokenizerBase, model: Path) -> tuple[int, ...]:
    """Where sampling stops: the template's own end first, then eos and what else the model ends with, as it says."""
    own = turn_end(tokenizer)
    return (own, *sorted({tokenizer.eos_token_id, *_eos_ids(model)} - {own}))


def _eos_ids(model: Path) -> tuple[int, ...]:
    """Of the model's generation config, or of its config where it has none: as a server takes them."""
    path = next((path for name in ("generation_config.json", "config.json") if (path := model / name).is_file()), None)
    if path is None:
        return ()
    try:
        found = json.loads(path.read_text()).get("eos_token_id")
    except ValueError as error:
        raise TrainingError(f"{path}: not JSON ({error}); copy the model's folder anew") from error
    return tuple(found) if isinstance(found, list) else () if found is None else (int(found),)


def _rendered(messages: Conversation, tokenizer: PreTrainedTokenizerBase, where: str, *, up_to_reply: bool) -> str:
    turns = [{"role": message.role, "content": message.content} for message in messages]
    try:
        return str(tokenizer.apply_chat_template(turns, add_generation_prompt=up_to_reply, tokenize=False))
    except TemplateError as error:
        raise RowError(
            f"{where}: the model's chat template refuses the conversation ({error}); write turns that it takes, or "
            "take another model"
        ) from error


def _marks(messages: Conversation, tokenizer: PreTrainedTokenizerBase) -> Mapping[int, str]:
    """For each control token whose letters stand in these texts a character that does not; most often none."""
    said = "".join(message.content for message in messages)
    if not (found := sorted(set(_control_tokens(tokenizer).findall(said)))):
        return {}
    return dict(zip((code for code in _PRIVATE_USE if chr(code) not in said), found, strict=False))


def _marked(
    messages: Conversation, letters_by_mark: Mapping[int, str], tokenizer: PreTrainedTokenizerBase
) -> Conversation:
    """The texts with the marks in the place of the letters."""
    if not letters_by_mark:
        return messages
    mark_by_letters = {letters: chr(mark) for mark, letters in letters_by_mark.items()}
    tokens = _control_tokens(tokenizer)
    return tuple(
        Message(message.role, tokens.sub(lambda found: mark_by_letters[found[0]], message.content))
        for message in messages
    )


def _framed_tokens(
    rendered: str, letters_by_mark: Mapping[int, str], tokenizer: PreTrainedTokenizerBase
) -> tuple[int, ...]:
    """The template's control tokens as such, and what stands between them as text."""
    if not letters_by_mark:
        return tuple(tokenizer(rendered, add_special_tokens=False)["input_ids"])
    ids: list[int] = []
    start = 0
    for token in _control_tokens(tokenizer).finditer(rendered):
        ids += text_tokens(rendered[start : token.start()].translate(letters_by_mark), tokenizer)
        ids += tokenizer(token[0], add_special_tokens=False)["input_ids"]
        start = token.end()
    return (*ids, *text_tokens(rendered[start:].translate(letters_by_mark), tokenizer))


@lru_cache(maxsize=8)
def _control_tokens(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str]:
    """Finds the tokenizer's special tokens in a text, of two that begin alike the longer one."""
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    longest_first = sorted(special, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
