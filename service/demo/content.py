"""The demo's own constitution, prompts and pairs, as files that ship with the package. All of it is our own writing.

Left out: reading a user's files. The service's import does that.
"""

import json
from pathlib import Path

from judges.records import Conversation, Message

_HERE = Path(__file__).parent
CONSTITUTION = _HERE / "constitution.yaml"
PROMPTS = _HERE / "prompts.jsonl"
HUMAN = _HERE / "human.jsonl"
# Held-out prompts whose replies the demo prints.
SHOWN = ("travel-10", "people-09", "health-08")


def shown_prompts() -> tuple[Conversation, ...]:
    """The prompts of `SHOWN`, in its order; each is one user message."""
    prompt_by_id = {line["id"]: line["prompt"] for line in map(json.loads, PROMPTS.read_text("utf-8").splitlines())}
    return tuple((Message("user", str(prompt_by_id[id])),) for id in SHOWN)
