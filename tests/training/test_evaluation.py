"""Evaluation: rates, the joint one, judged win rates and reply statistics, worked by hand."""

import pytest

from training.errors import TrainingError
from training.evaluation import CheckedReply, JudgedMeeting, evaluate, reply_statistics


def reply(prompt: str, brief: bool, plain: bool, text: str = "a b") -> CheckedReply:
    return CheckedReply(prompt, text, (("brief", brief), ("plain", plain)))


BEFORE = [reply("1", False, True), reply("1", False, False), reply("2", True, False), reply("2", True, True)]
AFTER = [reply("1", True, True), reply("1", True, False), reply("2", True, True), reply("2", True, True)]


def test_checked_and_joint_rates():
    brief, plain, joint = evaluate(BEFORE, AFTER, []).principles
    assert (brief.id, brief.before, brief.after, brief.lift) == ("brief", 0.5, 1.0, 0.5)
    assert (plain.before, plain.after) == (0.5, 0.75)
    assert (joint.id, joint.kind, joint.before, joint.after) == ("joint", "joint", 0.25, 0.75)
    # differences 0.5 and 0.5 agree: 0.5 -+ 3/2, cut
    assert (joint.low, joint.high) == (-1.0, 1.0)
    assert (joint.prompts, joint.replies) == (2, 4)


def test_a_judged_principle_is_a_win_rate_over_the_base():
    meetings = [JudgedMeeting("1", "kind", 1.0), JudgedMeeting("1", "kind", 0.5), JudgedMeeting("2", "kind", 0.25)]
    kind = evaluate(BEFORE, AFTER, meetings).principles[-1]
    assert (kind.id, kind.kind, kind.before, kind.after, kind.lift) == ("kind", "judged", 0.5, 0.5, 0.0)
    assert (kind.prompts, kind.replies) == (2, 3)
    assert kind.low < 0 < kind.high


def test_a_reply_that_was_not_checked_is_an_error():
    with pytest.raises(TrainingError, match="not checked under principle 'brief'"):
        evaluate(BEFORE, [CheckedReply("1", "x", (("plain", True),)), *AFTER], [])


def test_reply_statistics_by_hand():
    statistics = reply_statistics(["The cat the cat", "one", ""])
    assert (statistics.replies, statistics.mean_words, statistics.median_words) == (3, 5 / 3, 1.0)
    assert statistics.distinct_1 == 3 / 5  # the, cat, one of five words
    assert statistics.distinct_2 == 2 / 3  # (the cat), (cat the) of three pairs
    assert (statistics.unique_replies, statistics.empty_replies) == (1.0, 1 / 3)
    with pytest.raises(TrainingError, match="no replies to describe"):
        reply_statistics([])
