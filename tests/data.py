"""The published sets that some tests and studies want (LLMBar's recorded verdicts, HH-RLHF): none of them is committed.

`CHARTER_DATA` names the folder that holds them; what the product ships needs none.
"""

import os
from pathlib import Path

import pytest

SETTING = "CHARTER_DATA"


def data_file(name: str) -> Path:
    """One file of the sets. Skips the test where the setting is absent, and fails it where it names no such file."""
    folder = os.environ.get(SETTING)
    if not folder:
        pytest.skip(f"set {SETTING} to the folder that holds {name}")
    path = Path(folder) / name
    if not path.is_file():
        pytest.fail(f"{SETTING} is set, but has no {name}")
    return path
