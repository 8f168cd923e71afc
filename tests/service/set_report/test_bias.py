"""What wins beside the matter, on rows where it is known."""

import math
from dataclasses import replace

import pytest

from judges.records import Message
from service.set_report.bias import FEATURES, feature_effect, length_effect, source_biases
from training.rows import PreferenceRow

ROW = PreferenceRow("r", "p", (Message("user", "Why?"),), "Because.", "Hm.", 1.0, 1.0, "human")


def pairs(count: int, chosen: str, rejected: str, **changed: object) -> list[PreferenceRow]:
    return [
        replace(ROW, id=f"{chosen}{n}", prompt_id=f"{chosen}{n}", chosen=chosen, rejected=rejected, **changed)
        for n in range(count)
    ]


def test_the_longer_one_wins_three_times_in_four() -> None:
    # 7 against 15 characters are one doubling of length + 1; odds of 3 to 1 are ln 3 for each doubling.
    rows = [*pairs(300, "x" * 15, "x" * 7), *pairs(100, "y" * 7, "y" * 15)]
    found = length_effect(rows)
    assert found.longer_wins.estimate == pytest.approx(0.75)
    assert found.longer_wins.low < 0.75 < found.longer_wins.high
    assert found.slope.value == pytest.approx(math.log(3), abs=1e-3)


def test_equal_lengths_and_few_pairs_say_nothing() -> None:
    found = length_effect(pairs(5, "aaa", "bbb"))
    assert found.longer_wins.estimate is None and found.longer_wins.reason
    assert found.slope.value is None and "20 will do" in found.slope.reason


@pytest.mark.parametrize(
    ("feature", "text"),
    [
        ("list", "Take:\n- eggs\n- milk"),
        ("list", "1. Eggs\n2. Milk"),
        ("heading", "# Eggs\nBoil them."),
        ("markdown", "Boil **ten** minutes."),
        ("markdown", "`boil`"),
        ("exclamation", "Boil them!"),
        ("refusal", "I'm sorry, but I can't help with that."),
    ],
)
def test_features(feature: str, text: str) -> None:
    assert FEATURES[feature](text) and not FEATURES[feature]("Boil 10 - 12 eggs # at once, 3. of them in the pan.")


def test_a_feature_wins_where_one_reply_alone_has_it() -> None:
    rows = [*pairs(3, "Yes!", "Yes."), *pairs(1, "No.", "No!"), *pairs(4, "Ah!", "Oh!")]
    found = feature_effect("exclamation", rows)
    assert (found.of_chosen, found.of_rejected) == (7 / 8, 5 / 8)
    assert (found.wins.pairs, found.wins.estimate) == (4, 0.75)


def test_each_source_apart_and_ties_aside() -> None:
    shown = pairs(3, "a", "b", tags=(("chosen_shown", "first"),)) + pairs(
        1, "c", "d", tags=(("chosen_shown", "second"),)
    )
    found = source_biases([*shown, *pairs(2, "e", "f", p_chosen=0.5), *pairs(5, "g", "h", source="ai")])
    assert [(one.source, one.rows, one.decided) for one in found] == [("ai", 5, 5), ("human", 6, 4)]
    assert found[1].first_wins.estimate == 0.75
    assert found[0].first_wins.estimate is None
