"""`charter judge panel`: several judges beside people's labels."""

import json

import pytest

from judges.errors import JudgeError, TooFewLabels, UnreadableLabels
from service.cli.errors import NoKey, NoModel
from tests.service.cli.conftest import scripted_judge
from tests.service.cli.test_cli_judge import LONG, SHORT, a_law, a_set

KEPT = 20


@pytest.fixture
def gold(tmp_path):
    """People like the shorter reply on 20 of 24 prompts; A always is what they like."""
    rows = [
        {"prompt": f"Where do {n} pears go?", "a": SHORT, "b": LONG, "label": "a" if n < KEPT else "b"}
        for n in range(24)
    ]
    return a_set(tmp_path / "gold.jsonl", rows)


@pytest.fixture
def law(tmp_path):
    return a_law(tmp_path, better=SHORT, worse=LONG, examples=1)


def test_a_good_a_bad_and_a_silent_judge(charter, judge_url, gold, law, tmp_path):
    out = tmp_path / "found.json"
    with scripted_judge("bad", "longer") as bad, scripted_judge("even", "tie") as even:
        judges = ("--judge", f"bad={bad}", "--judge", f"even={even}", "--judge", f"scripted={judge_url}")
        result = charter("judge", "panel", law, "--set", gold, *judges, "--json", str(out))
    assert result.exit_code == 0, result.output
    found = json.loads(out.read_text())
    assert (found["labels"], found["prompts"]) == (24, 24)
    members = {one["judge"]: one for one in found["members"]}
    assert [members[name]["accuracy"] for name in ("bad", "even", "scripted")] == pytest.approx([4 / 24, 0.5, 20 / 24])
    # Labels show the bad judge to be harmful, so it is turned round: with the good one, whose opposite it is, 20 of 24.
    assert members["bad"]["weight"] < 0 < members["scripted"]["weight"]
    assert found["panel"] == pytest.approx(20 / 24) and found["best"] == pytest.approx(20 / 24)
    # The cascade asks the good judge wherever the even one says nothing, which is everywhere.
    costs = {(one["cheap"], one["most_lost"]): one for one in found["cascades"]}
    assert (costs["even", 0.05]["saved"], costs["even", 0.05]["lost"]) == (0.0, 0.0)
    assert "scripted" in result.output and "weighed together: 83 % right" in result.output


def test_what_a_panel_needs(charter, judge_url, gold, law, tmp_path):
    ask = ("judge", "panel", law, "--set", gold)
    one = ("--judge", f"scripted={judge_url}")
    for options, kind, said in (
        (one, NoModel, "two judges or more"),
        ((*one, *one), NoModel, "a name of its own"),
        ((*one, "--judge", judge_url), NoModel, "write NAME=URL"),
        ((*one, "--judge", "b=http://127.0.0.1:9", "--key-env", "c=KEY"), NoModel, "'c' is no judge of this panel"),
        ((*one, "--judge", "b=http://127.0.0.1:9", "--key-env", "b=NO_SUCH_KEY"), NoKey, "NO_SUCH_KEY"),
        ((*one, "--judge", "b=http://127.0.0.1:9"), JudgeError, "127.0.0.1:9"),
        ((*one, "--judge", "b=http://127.0.0.1:9", "--principle", "brief"), UnreadableLabels, "no judged principle"),
    ):
        result = charter(*ask, *options)
        assert isinstance(result.exception, kind) and said in str(result.exception), result.output
    few = a_set(tmp_path / "few.jsonl", [{"prompt": f"{n}?", "a": SHORT, "b": LONG, "label": "a"} for n in range(19)])
    with scripted_judge("other", "longer") as other:
        result = charter("judge", "panel", law, "--set", few, *one, "--judge", f"other={other}")
    assert isinstance(result.exception, TooFewLabels) and "19 prompts" in str(result.exception)
