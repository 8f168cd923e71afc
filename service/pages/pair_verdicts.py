"""The judge's own words on one pair of a run's set: what each principle said in both orders, and who abstained."""

from collections.abc import Mapping
from dataclasses import dataclass

from judges.records import Comparison, Preference, PrincipleVerdict
from service.artifacts import Artifacts
from service.shards import keys_in, read_shard
from service.store.records import StageRecord


@dataclass(frozen=True, slots=True)
class VerdictLine:
    """One principle's verdict. The beliefs are in the chosen reply; None where the judge abstained, for `cause`.

    `chosen_first` was asked with the chosen reply shown first, `chosen_last` with it shown second.
    """

    principle_id: str
    judge: str
    p_chosen: float | None
    chosen_first: float | None
    chosen_last: float | None
    label_mass: float | None
    flipped: bool
    cause: str
    reason: str


async def verdicts_on(
    row_id: str, chosen: str, stages: Mapping[str, StageRecord], artifacts: Artifacts
) -> tuple[VerdictLine, ...]:
    """One line a principle; none for a pair that this run's judge did not compare.

    Shards of comparisons are read until the pair is found; those of its verdicts lie at the same place in their list.
    """
    if "judge" not in stages:
        return ()
    judged, wanted = stages["judge"].result, f"cmp_{row_id.removeprefix('row_')}"
    groups, shards = keys_in(judged, "comparisons"), keys_in(judged)
    for place, group in enumerate(groups):
        pair = next((one for one in await read_shard(artifacts, group, Comparison) if one.id == wanted), None)
        if pair is not None:
            width = len(shards) // len(groups)
            own = shards[place * width : (place + 1) * width]
            verdicts = [one for key in own for one in await read_shard(artifacts, key, PrincipleVerdict)]
            return tuple(_line(one, pair.a == chosen) for one in verdicts if one.comparison_id == wanted)
    return ()


def _line(one: PrincipleVerdict, a_is_chosen: bool) -> VerdictLine:
    said = one.verdict
    if not isinstance(said, Preference):
        return VerdictLine(one.principle_id, one.judge, None, None, None, None, False, said.cause, "")
    beliefs = (said.p_a, said.p_a_ab, said.p_a_ba)
    p_chosen, ab, ba = beliefs if a_is_chosen else tuple(1 - belief for belief in beliefs)
    first, last = (ab, ba) if a_is_chosen else (ba, ab)
    return VerdictLine(
        one.principle_id, one.judge, p_chosen, first, last, said.label_mass, said.flipped, "", said.reason
    )
