"""What the study of false ties reads and counts; no server is started."""

import pytest

from benchmarks.precision import DEMO, demo_pairs, gap, judged_prompts, precision
from constitutions.loader import load_constitution_file
from judges.wire import ChatReply, TokenLogprob


def reply(**logprobs: float) -> ChatReply:
    return ChatReply("A", "stop", 1, 1, tuple(TokenLogprob(token, value) for token, value in logprobs.items()))


def test_the_gap_is_read_from_the_two_letters_and_from_nothing_else():
    assert gap(reply(A=-1.0, B=-1.25, C=-0.5)) == 0.25
    assert gap(reply(A=-1.0, b=-1.25)) is None


def test_ties_values_and_errors_by_hand():
    # The third reading is missing on one side. Left: gaps 0, 0.5, 0.5 beside 0.1, 0.5, 0.3: off by 0.1, 0 and 0.2.
    found = precision("s", [0.0, 0.5, None, 0.5], [0.1, 0.5, 0.9, 0.3])
    assert (found.readings, found.ties, found.distinct) == (3, 1, 2)
    assert found.mean_error == pytest.approx(0.1)


def test_every_pair_is_asked_under_every_judged_principle_in_both_orders():
    law = load_constitution_file(DEMO / "constitution.yaml")
    prompts = judged_prompts(demo_pairs(3), law.judged)
    assert len(set(prompts)) == len(prompts) == 3 * len(law.judged) * 2
