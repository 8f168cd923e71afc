"""What the first place is worth to a judge, on verdicts whose two orders are known."""

import pytest

from judges.records import Abstention, Preference, PrincipleVerdict
from service.set_report.against import drawn_shards
from service.set_report.bias import source_biases
from service.set_report.orders import order_effects
from service.store.records import StageRecord
from tests.service.set_report.test_bias import pairs


def verdict(
    prompt: str, p_a_ab: float, p_a_ba: float, principle: str = "kind", kind: str = "judged"
) -> PrincipleVerdict:
    said = Preference((p_a_ab + p_a_ba) / 2, p_a_ab, p_a_ba, 1.0)
    return PrincipleVerdict(f"c{prompt}", prompt, principle, kind, "big", "0" * 64, said)


VERDICTS = (
    verdict("p1", 0.9, 0.7),  # A either way: once it stood first, once second
    verdict("p2", 0.8, 0.2),  # the first one, twice: flipped
    verdict("p3", 0.3, 0.6),  # the second one, twice: flipped
    verdict("p4", 0.5, 0.1),  # nobody, then B, which stood first
    verdict("p1", 0.9, 0.1, principle="brief"),
    verdict("p5", 1.0, 1.0, kind="checked"),
    PrincipleVerdict("c", "p6", "kind", "judged", "big", "0" * 64, Abstention("empty", "")),
)


def test_the_first_place_by_hand() -> None:
    brief, kind = order_effects(VERDICTS)
    # Means of the prompts: 1/2, 1, 0 and 1 of 7 readings.
    assert (kind.principle_id, kind.first_wins.pairs, kind.first_wins.estimate) == ("kind", 7, 0.625)
    assert (kind.flipped.pairs, kind.flipped.estimate) == (4, 0.5)
    assert (brief.first_wins.estimate, brief.first_wins.reason) == (None, "pairs of 1 prompts; two are needed")


def test_a_runs_judge_has_a_place_beside_the_people() -> None:
    shown = pairs(3, "a", "b", tags=(("chosen_shown", "first"),))
    ai, human = source_biases([*shown, *pairs(5, "g", "h", source="ai")], VERDICTS)
    assert (human.source, human.first_wins.pairs, ai.first_wins.pairs) == ("human", 3, 9)
    # With the verdict under `brief`: p1 has 3 of 4 now.
    assert ai.first_wins.estimate == pytest.approx((0.75 + 1 + 0 + 1) / 4)


def test_groups_of_pairs_are_drawn_whole() -> None:
    def stage(groups: int) -> StageRecord:
        shards = [f"{group}-{principle}" for group in range(groups) for principle in ("brief", "kind")]
        result = {"comparisons": [str(group) for group in range(groups)], "shards": shards}
        return StageRecord("judge", result, 1.0, "")

    assert drawn_shards(None) == drawn_shards(stage(0)) == ()
    assert len(drawn_shards(stage(100))) == 200
    # 500 shards are 2.5 times as many as are read: every third group.
    drawn = drawn_shards(stage(250))
    assert len(drawn) == 168 and drawn[:4] == ("0-brief", "0-kind", "3-brief", "3-kind")
