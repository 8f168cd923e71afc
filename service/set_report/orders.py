"""What the place of a reply is worth to a judge, read from verdicts that were asked for in both orders."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from judges.records import Preference, PrincipleVerdict
from service.set_report.findings import OrderEffect
from service.set_report.shares import share_of


def order_effects(verdicts: Iterable[PrincipleVerdict]) -> tuple[OrderEffect, ...]:
    """For each judge and principle. Checks and abstentions have no order."""
    groups: defaultdict[tuple[str, str], list[PrincipleVerdict]] = defaultdict(list)
    for one in judged(verdicts):
        groups[one.judge, one.principle_id].append(one)
    return tuple(
        OrderEffect(judge, principle_id, share_of(first_readings(own)), share_of(_flips(own)))
        for (judge, principle_id), own in sorted(groups.items())
    )


def judged(verdicts: Iterable[PrincipleVerdict]) -> Sequence[PrincipleVerdict]:
    """Those that a judge gave, and not a check."""
    return [one for one in verdicts if one.kind == "judged"]


def first_readings(verdicts: Iterable[PrincipleVerdict]) -> Iterator[tuple[str, bool]]:
    """Of each reading with a winner: the prompt's id, and whether the reply shown first won."""
    for one in verdicts:
        said = one.verdict
        if isinstance(said, Preference):
            # B stood first in the second reading, and both are the probability that A wins.
            for p_first in (said.p_a_ab, 1 - said.p_a_ba):
                if p_first != 0.5:
                    yield one.prompt_id, p_first > 0.5


def _flips(verdicts: Iterable[PrincipleVerdict]) -> Iterator[tuple[str, bool]]:
    for one in verdicts:
        if isinstance(one.verdict, Preference):
            yield one.prompt_id, one.verdict.flipped
