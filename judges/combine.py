"""One belief from the verdicts of several principles: weighted log-odds, not a vote.

A plain majority of six judges scored 50 % on LLMBar-Adversarial where the best alone scored 81 %; weighted log-odds
scored 82 %. They keep a sure verdict sure and a tie out of the way. A check is certain of what it measured, but that
is not all of what is better: its 1 or 0 counts as 0.9 or 0.1. Left out: where the weights come from (qualify.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from judges.choices import logit, sigmoid
from judges.records import Abstention, Preference, PrincipleVerdict

CHECK_RELIABILITY = 0.9
LOWEST_P, HIGHEST_P = 0.01, 0.99


@dataclass(frozen=True, slots=True)
class Combined:
    """`p_a` is the belief that reply A is better, 0.01 to 0.99. `decisive` are the principles that pulled its way,
    the strongest first; `source` is `check` where no judge moved it; `abstentions` counts the weighted ones."""

    p_a: float
    decisive: tuple[str, ...]
    source: Literal["ai", "check"]
    abstentions: int


def combine_verdicts(verdicts: Sequence[PrincipleVerdict], weights: Mapping[str, float]) -> Combined | Abstention:
    """sigmoid(sum of weight * logit(p)) over the verdicts of one comparison.

    A principle of weight 0, or without a weight, never moves it. Where no weighted principle answered, the result is
    the first one's abstention.
    """
    weighted = [v for v in verdicts if weights.get(v.principle_id, 0.0) > 0]
    answered = [
        (v, weights[v.principle_id] * logit(kept_p(v.verdict.p_a, v.kind)))
        for v in weighted
        if isinstance(v.verdict, Preference)
    ]
    if not answered:
        abstained = [v.verdict for v in weighted if isinstance(v.verdict, Abstention)]
        return abstained[0] if abstained else Abstention("empty", "no principle with a weight gave a verdict")
    total = sum(pull for _, pull in answered)
    decisive = sorted((entry for entry in answered if entry[1] * total > 0), key=lambda entry: -abs(entry[1]))
    moved = [v for v, pull in answered if pull != 0] or [v for v, _ in answered]
    return Combined(
        p_a=min(max(sigmoid(total), LOWEST_P), HIGHEST_P),
        decisive=tuple(v.principle_id for v, _ in decisive),
        source="check" if all(v.kind == "checked" for v in moved) else "ai",
        abstentions=len(weighted) - len(answered),
    )


def kept_p(p_a: float, kind: Literal["judged", "checked"]) -> float:
    """The probability as it counts: a judge's within 0.01 and 0.99, a check's within 0.1 and 0.9."""
    low = 1 - CHECK_RELIABILITY if kind == "checked" else LOWEST_P
    return min(max(p_a, low), 1 - low)
