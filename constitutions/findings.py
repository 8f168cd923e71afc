"""What the linter says about a constitution. Left out: the rules (`lint.py`, `lint_examples.py`)."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One objection. An error makes the constitution useless, a warning weakens it, an info is worth knowing."""

    severity: Literal["error", "warning", "info"]
    code: str
    principle_id: str | None
    message: str
