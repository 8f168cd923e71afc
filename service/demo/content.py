"""The demo's own constitution, prompts and pairs, as files that ship with the package. All of it is our own writing.

Left out: reading a user's files. The service's import does that.
"""

from pathlib import Path

_HERE = Path(__file__).parent
CONSTITUTION = _HERE / "constitution.yaml"
PROMPTS = _HERE / "prompts.jsonl"
HUMAN = _HERE / "human.jsonl"
