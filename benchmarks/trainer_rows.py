"""The preference rows that trainers are measured on: real ones, or ones written by code. Plain standard library.

Real are HH-RLHF's helpful pairs (benchmarks/helpful_pairs.py), the first pair of each prompt, where CHARTER_DATA is
set. The others are words drawn with a seed: as long, and nothing can be learnt from them.
"""

import itertools
import os
import random
from collections.abc import Iterator

from benchmarks.helpful_pairs import helpful_pairs
from judges.records import Comparison, Message
from training.rows import PreferenceRow

_WORDS = (
    "the",
    "of",
    "a",
    "to",
    "and",
    "in",
    "is",
    "it",
    "you",
    "that",
    "for",
    "on",
    "are",
    "with",
    "as",
    "be",
    "this",
    "have",
    "from",
    "or",
    "one",
    "had",
    "by",
    "word",
    "not",
)
# HH-RLHF's helpful pairs in words: means and standard deviations of prompts and replies, as far as they matter here.
_PROMPT_WORDS, _REPLY_WORDS = (110, 60), (95, 50)
_FEWEST_WORDS = 8


def data_name() -> str:
    """Which rows `first_rows` gives here."""
    return "hh-rlhf helpful-base" if os.environ.get("CHARTER_DATA") else "written by code"


def first_rows(count: int, most_chars: int | None = None) -> list[PreferenceRow]:
    """So many rows of different prompts; of the real ones those whose prompt and longer reply have `most_chars`."""
    if not os.environ.get("CHARTER_DATA"):
        return [written_row(number) for number in range(count)]
    fitting = (pair for pair in helpful_pairs() if most_chars is None or chars(pair) <= most_chars)
    return [real_row(pair) for pair in itertools.islice(of_different_prompts(fitting), count)]


def chars(pair: Comparison) -> int:
    """Of the prompt and the longer reply."""
    return sum(len(message.content) for message in pair.messages) + max(len(pair.a), len(pair.b))


def of_different_prompts(pairs: Iterator[Comparison]) -> Iterator[Comparison]:
    """The first pair of each prompt whose replies differ and are not empty."""
    seen: set[tuple[Message, ...]] = set()
    for pair in pairs:
        if pair.messages not in seen and pair.a and pair.b and pair.a != pair.b:
            seen.add(pair.messages)
            yield pair


def real_row(pair: Comparison) -> PreferenceRow:
    """HH-RLHF's chosen reply is the comparison's first."""
    return PreferenceRow(pair.id, pair.prompt_id, pair.messages, pair.a, pair.b, 1.0, 1.0, "human")


def written_row(number: int) -> PreferenceRow:
    """A row of as many words as a real one has; the same for the same number."""
    draw = random.Random(number)
    prompt, chosen, rejected = (
        words(draw, max(_FEWEST_WORDS, round(draw.gauss(*length))))
        for length in (_PROMPT_WORDS, _REPLY_WORDS, _REPLY_WORDS)
    )
    return row_of(f"w-{number}", f"{number}: {prompt}", chosen, rejected)


def row_of(id: str, prompt: str, chosen: str, rejected: str) -> PreferenceRow:
    """A sure label by a person."""
    return PreferenceRow(id, id, (Message("user", prompt),), chosen, rejected, 1.0, 1.0, "human")


def words(draw: random.Random, count: int) -> str:
    """So many of the commonest words."""
    return " ".join(draw.choices(_WORDS, k=count))
