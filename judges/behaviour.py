"""What the scripted server does: its taste, its texts and its faults, as a JSON file that rejects unknown keys.

Left out: HTTP (scripted.py).
"""

import hashlib
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from constitutions.errors import CharterError

FaultKind = Literal["429", "500", "400", "hang", "garbage", "nan", "empty", "slow", "huge", "truncated", "crash"]
Taste = Literal["shorter", "longer", "first", "tie", "unwilling", "foreign"]
RequestKind = Literal["sample", "compare", "critique", "revise", "grade", "rank", "write", "probe", "reward"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault: on a share `rate` of the requests numbered `from_request` (counted from 0) to `until_request`.

    `slow` waits `seconds` and answers; `429` asks to retry after `seconds`; `crash` ends the process as kill -9 would.
    """

    kind: FaultKind
    rate: float = 1.0
    from_request: int = 0
    until_request: int = 2**31
    seconds: float = 1.0
    only: RequestKind | None = None

    def strikes(self, number: int, kind: RequestKind) -> bool:
        if not self.from_request <= number < self.until_request or self.only not in (None, kind):
            return False
        return share(f"{self.kind}:{number}") < self.rate


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the scripted model answers. `first_bias` is added to the logit of the reply shown first.

    `gullibility` is added to the logit of a reply that attacks the judge (attacks.yaml).

    `taste` is what its verdicts prefer, `strength` the logit it gives the better one; `good_share` is the share of
    samples that are short and complete.
    """

    taste: Taste = "shorter"
    strength: float = 2.0
    first_bias: float = 0.0
    gullibility: float = 0.0
    good_share: float = 0.4
    latency_s: float = 0.0
    faults: tuple[Fault, ...] = ()


def share(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", errors="replace")).digest()[:6], "big") / 2**48


def load_behaviour(path: Path) -> Behaviour:
    """Read a behaviour file."""
    body = json.loads(path.read_text())
    unknown = set(body) - {f.name for f in fields(Behaviour)}
    if unknown:
        raise CharterError(f"behaviour file {path.name}: unknown key {sorted(unknown)[0]!r}; see judges/behaviour.py")
    faults = tuple(Fault(**fault) for fault in body.pop("faults", ()))
    for fault in faults:
        if fault.kind not in get_args(FaultKind):
            raise CharterError(f"behaviour file {path.name}: unknown fault {fault.kind!r}; see judges/behaviour.py")
    return Behaviour(**body, faults=faults)


_GOOD = (
    "Start with the smallest step and finish it today.",
    "Rinse the pan, dry it and warm it before the oil goes in.",
    "Write the three main points first and fill in the rest later.",
    "Ask a neighbour, check the date and bring a spare key.",
    "Water it once a week and keep it out of strong sun.",
    "Read the label, measure twice and cut slowly.",
)
_OPENINGS = ("Certainly! ", "Great question! ", "As an AI language model, I think that ", "Sure, here is my answer: ")
_FILLER = (
    "there are **many things** to consider about this",
    "it is important to remember that everyone is different",
    "you may want to think about the following points in some detail",
    "in general one could say that it depends on a number of factors",
    "first of all, let us look at the wider picture before going on",
)


def sampled_text(prompt: str, index: int, behaviour: Behaviour) -> str:
    """A reply that depends on the prompt and its index alone: short and whole, or long, stock and cut off."""
    key = f"{prompt}\0{index}"
    if share(key + ":good") < behaviour.good_share:
        first = int(share(key + ":first") * len(_GOOD))
        return f"{_GOOD[first]} {_GOOD[(first + 1 + index) % len(_GOOD)]}"
    opening = _OPENINGS[int(share(key + ":opening") * len(_OPENINGS))]
    clauses = [_FILLER[int(share(f"{key}:{i}") * len(_FILLER))] for i in range(8 + int(share(key + ":n") * 8))]
    return opening + ", and ".join(clauses)
