"""Real pairs: HH-RLHF's helpful-base (Bai et al. 2022, arXiv:2204.05862), as comparisons.

The file is `hh-rlhf/helpful-base.jsonl.gz` under the folder that CHARTER_DATA names.
"""

import gzip
import itertools
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from judges.records import Comparison, Message

PAIRS = "hh-rlhf/helpful-base.jsonl.gz"
_MOST_CHARS = 2400  # of a conversation or a reply, so that every judge's prompt fits 4096 tokens
_TURN = re.compile(r"\n\n(Human|Assistant): ")


def helpful_pairs() -> Iterator[Comparison]:
    """The pairs in the file's order, without those that are too long; ends the study where the file is not there."""
    path = Path(os.environ.get("CHARTER_DATA", "")) / PAIRS
    if not path.is_file():
        sys.exit(f"set CHARTER_DATA to the folder that holds {PAIRS}")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            pair = read_pair(str(number), json.loads(line))
            if max(sum(len(m.content) for m in pair.messages), len(pair.a), len(pair.b)) <= _MOST_CHARS:
                yield pair


def read_pair(number: str, row: dict[str, str]) -> Comparison:
    """A row's two transcripts differ in their last turn."""
    _, *turns = _TURN.split(row["chosen"])
    roles = ["user" if who == "Human" else "assistant" for who in turns[::2]]
    messages = tuple(
        Message("user" if role == "user" else "assistant", text.strip())
        for role, text in zip(roles[:-1], turns[1::2], strict=False)
    )
    rejected = _TURN.split(row["rejected"])[-1].strip()
    return Comparison(f"hh-{number}", f"hh-{number}", messages, turns[-1].strip(), rejected)


def groups_of_four(prompts: int) -> list[Comparison]:
    """Four replies a prompt, all six pairs: a pair's own two, and as third and fourth those of the next pair.

    They answer another question, which matters to a judge and not to a count of tokens.
    """
    pairs = list(itertools.islice(helpful_pairs(), 2 * prompts))
    found = []
    for own, other in zip(pairs[::2], pairs[1::2], strict=True):
        replies = (own.a, own.b, other.a, other.b)
        for (i, a), (j, b) in itertools.combinations(enumerate(replies), 2):
            found.append(Comparison(f"{own.id}-{i}{j}", own.prompt_id, own.messages, a, b))
    return found
