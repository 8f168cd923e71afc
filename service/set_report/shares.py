"""Shares of pairs with their intervals, prompts counted and not pairs."""

from collections.abc import Iterable

from service.set_report.findings import Share
from training.statistics import NoInterval, clustered_mean


def share_of(cases: Iterable[tuple[str, bool]]) -> Share:
    """(prompt id, whether it was so) of each pair."""
    by_prompt: dict[str, list[float]] = {}
    for prompt_id, was_so in cases:
        by_prompt.setdefault(prompt_id, []).append(float(was_so))
    pairs = sum(map(len, by_prompt.values()))
    found = clustered_mean(by_prompt)
    if isinstance(found, NoInterval):
        return Share(pairs, reason=f"pairs of {found.clusters} prompts; two are needed")
    return Share(pairs, found.estimate, found.low, found.high)
