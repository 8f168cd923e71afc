"""`charter judge qualify`: a judge is examined on a constitution's own examples."""

import gzip
import json

import pytest
import yaml

from judges.errors import JudgeError, ProtocolError, UnreadableLabels
from service.cli.errors import NoKey, NoModel

SHORT = "Keep them in the fridge."
LONG = "There are a great many ways in which one could perhaps consider keeping them for a somewhat longer time."


def a_law(tmp_path, *, better: str, worse: str, examples: int):
    """Examples that a judge who likes short replies gets all right, or all wrong."""
    law = {
        "name": "short-law",
        "principles": [
            {
                "id": "plain",
                "kind": "judged",
                "text": "The reply is plain.",
                "examples": [
                    {"prompt": f"How do I keep {number} apples?", "better": better, "worse": worse}
                    for number in range(examples)
                ],
            },
            {
                "id": "brief",
                "kind": "checked",
                "text": "At most eight words.",
                "check": {"max_words": 8},
                "examples": [{"prompt": "Apples?", "better": SHORT, "worse": LONG}],
            },
        ],
    }
    file = tmp_path / "law.yaml"
    file.write_text(yaml.safe_dump(law), encoding="utf-8")
    return str(file)


def test_a_judge_that_is_always_right_is_trusted_and_weighs(charter, judge_url, tmp_path):
    law = a_law(tmp_path, better=SHORT, worse=LONG, examples=24)
    result = charter("judge", "qualify", law, "--model", "scripted", "--judge-url", judge_url)
    assert result.exit_code == 0, result.output
    # Wilson's interval of 24 out of 24: 24 / (24 + 1.96 ** 2) = 0.862
    assert "plain: trusted (100 %, 86-100 %, 24 examples): its verdicts weigh" in result.output
    assert "brief: check passes its 1 example(s): its verdicts weigh" in result.output
    # One order or the other, it is right, and so is a count of characters turned round: 0 % for the longest.
    row = next(line.split() for line in result.output.splitlines() if line.strip().startswith("plain  "))
    assert row[:4] == ["plain", "examples", "trusted", "24/24"]
    assert row[4:14] == ["100", "%", "(86-100)", "0", "%", "100", "%", "100", "%", "50"]
    assert "plain (examples): no length: the label determines the margin or the length gap fully" in result.output


def test_a_judge_that_is_always_wrong_is_harmful_and_weighs_nothing(charter, judge_url, tmp_path):
    law = a_law(tmp_path, better=LONG, worse=SHORT, examples=20)
    result = charter("judge", "qualify", law, "--model", "scripted", "--judge-url", judge_url)
    assert "plain: worse than chance (0 %, 0-16 %, 20 examples): judged and shown, weighs 0" in result.output


def test_without_an_endpoint_a_folder_is_served_and_asked(charter, tmp_path):
    law = a_law(tmp_path, better=SHORT, worse=LONG, examples=20)
    folder, behaviour = tmp_path / "my-judge", tmp_path / "behaviour.json"
    folder.mkdir()
    (folder / "config.json").write_text('{"max_position_embeddings": 512}')
    (folder / "model.safetensors").write_bytes(b"the scripted server reads none")
    behaviour.write_text('{"taste": "shorter"}')
    scripted = {"CHARTER_ENGINE": "scripted", "CHARTER_SCRIPTED_BEHAVIOUR": str(behaviour)}
    result = charter("judge", "qualify", law, "--model", str(folder), **scripted)
    assert result.exit_code == 0, result.output
    assert "plain: trusted (100 %" in result.output


def test_a_judge_that_nothing_serves_is_refused_by_name(charter, tmp_path):
    law = a_law(tmp_path, better=SHORT, worse=LONG, examples=1)
    refused = charter("judge", "qualify", law, "--model", "judge-70b")
    assert isinstance(refused.exception, NoModel) and "add its --judge-url" in str(refused.exception)
    refused = charter("judge", "qualify", law, "--judge-url", "http://127.0.0.1:9")
    assert isinstance(refused.exception, NoModel) and "--model" in str(refused.exception)
    (tmp_path / "empty").mkdir()
    refused = charter("judge", "qualify", law, "--model", str(tmp_path / "empty"))
    assert "no config.json in it" in str(refused.exception)


@pytest.mark.parametrize("protocol", ["pointwise", "critique-first", "metrics-and-reference"])
def test_another_protocol_is_named(protocol, charter, judge_url, tmp_path):
    law = a_law(tmp_path, better=SHORT, worse=LONG, examples=20)
    ask = ("judge", "qualify", law, "--model", "scripted", "--judge-url", judge_url, "--protocol")
    result = charter(*ask, protocol)
    assert result.exit_code == 0, result.output
    assert "plain: trusted (100 %" in result.output
    refused = charter(*ask, "coin-toss")
    assert isinstance(refused.exception, ProtocolError) and "no protocol 'coin-toss'" in str(refused.exception)


def test_a_judge_that_is_down_is_an_error_that_names_it(charter, tmp_path):
    law = a_law(tmp_path, better=SHORT, worse=LONG, examples=1)
    result = charter("judge", "qualify", law, "--model", "gone", "--judge-url", "http://127.0.0.1:9")
    assert isinstance(result.exception, JudgeError)
    assert "127.0.0.1:9" in str(result.exception)


@pytest.mark.parametrize("end", ["/v1", "/v1/", "/"])
def test_an_endpoints_url_may_end_in_v1(end, charter, judge_url, tmp_path):
    law = a_law(tmp_path, better=SHORT, worse=LONG, examples=1)
    result = charter("judge", "qualify", law, "--model", "scripted", "--judge-url", judge_url + end)
    assert result.exit_code == 0, result.output
    assert "plain: " in result.output


@pytest.mark.parametrize("environment", [{}, {"MY_JUDGES_KEY": ""}], ids=["unset", "empty"])
def test_a_key_that_is_not_there_is_refused_by_its_variables_name(environment, charter, judge_url, tmp_path):
    law = a_law(tmp_path, better=SHORT, worse=LONG, examples=1)
    ask = ("judge", "qualify", law, "--model", "scripted", "--judge-url", judge_url, "--key-env", "MY_JUDGES_KEY")
    refused = charter(*ask, **environment)
    assert isinstance(refused.exception, NoKey) and "MY_JUDGES_KEY" in str(refused.exception)
    assert charter(*ask, MY_JUDGES_KEY="secret").exit_code == 0


def a_set(file, rows):
    text = "\n".join(json.dumps(row) for row in rows)
    file.write_bytes(gzip.compress(text.encode()) if file.suffix == ".gz" else text.encode())
    return str(file)


def pairs(label, count=20, **more):
    """Ours: A is the shorter reply."""
    return [{"prompt": f"Where do {n} pears go?", "a": SHORT, "b": LONG, "label": label} | more for n in range(count)]


def hh_rlhf(count=20):
    """The longer reply was chosen."""
    start = "\n\nHuman: Where do {} pears go?\n\nAssistant: "
    return [{"chosen": start.format(n) + LONG, "rejected": start.format(n) + SHORT} for n in range(count)]


def test_sets_are_measured_beside_the_examples_and_written_as_json(charter, judge_url, tmp_path):
    law = a_law(tmp_path, better=SHORT, worse=LONG, examples=20)
    own = a_set(tmp_path / "own.jsonl", [*pairs("a", 15), *pairs("b", 1, prompt="Figs?", slice="figs", group="f")])
    people = a_set(tmp_path / "people.jsonl.gz", hh_rlhf())
    llmbar = tmp_path / "natural.json"
    llmbar.write_text(
        json.dumps([{"input": f"{n}?", "output_1": LONG, "output_2": SHORT, "label": 2} for n in range(3)])
    )
    out = tmp_path / "found.json"
    sets = ("--set", own, "--set", people, "--set", str(llmbar), "--json", str(out))
    result = charter("judge", "qualify", law, "--model", "scripted", "--judge-url", judge_url, *sets)
    assert result.exit_code == 0, result.output
    found = json.loads(out.read_text())
    assert (found["judge"], found["constitution"]) == ("scripted", "short-law")
    shown = [
        (one["principle_id"], one["slice"], one["verdict"], one["weighs"], one["examples"]) for one in found["slices"]
    ]
    assert shown == [
        ("plain", "examples", "trusted", True, 20),
        ("brief", "examples", "trusted", True, 1),
        ("plain", "own", "unproven", None, 15),
        ("plain", "figs", "unproven", None, 1),
        ("plain", "people", "harmful", None, 20),
        ("plain", "natural", "unproven", None, 3),
    ]
    people_found = found["slices"][4]["measures"]
    assert people_found["accuracy"] == {"value": 0.0, "reason": ""}
    assert people_found["longest_wins"]["value"] == 1.0
    assert people_found["length_bias"]["value"] is None and "determines" in people_found["length_bias"]["reason"]
    assert found["slices"][1]["measures"] is None  # a check proves itself


def test_a_limit_draws_the_same_pairs_for_the_same_seed(charter, judge_url, tmp_path):
    law = a_law(tmp_path, better=SHORT, worse=LONG, examples=1)
    rows = [row | {"label": "ab"[n % 2]} for n, row in enumerate(pairs("a", 30))]
    ask = ("judge", "qualify", law, "--model", "scripted", "--judge-url", judge_url)
    drawn = ("--set", a_set(tmp_path / "own.jsonl", rows), "--limit", "9")
    outputs = [charter(*ask, *drawn, "--seed", seed).output for seed in ("1", "1", "2", "3", "4")]
    assert outputs[0] == outputs[1] and len(set(outputs)) > 1
    assert "9/9" in outputs[0]


@pytest.mark.parametrize(
    ("rows", "more", "said"),
    [
        (pairs("a", 2) + pairs("b", 1), (), "own.jsonl, line 3: contradicts own.jsonl, line 1"),
        (pairs("a", 2, principle="kind"), (), "own.jsonl, line 1: 'kind' is no judged principle of 'short-law'"),
        (pairs("a", 2), ("--principle", "brief"), "'brief' is no judged principle of 'short-law'; it has plain"),
        (pairs("a", 2), ("--format", "trl"), "own.jsonl: line 1"),
        ([*hh_rlhf(1), {"chosen": "x", "rejected": "y"}], (), "own.jsonl: line 2"),
        ([], (), "own.jsonl: there "),
    ],
)
def test_a_set_that_cannot_be_used_names_file_and_line(rows, more, said, charter, judge_url, tmp_path):
    law = a_law(tmp_path, better=SHORT, worse=LONG, examples=1)
    file = a_set(tmp_path / "own.jsonl", rows)
    result = charter("judge", "qualify", law, "--model", "scripted", "--judge-url", judge_url, "--set", file, *more)
    assert isinstance(result.exception, UnreadableLabels), result.output
    assert said in str(result.exception)


def test_with_several_principles_the_sets_must_be_named(charter, judge_url, tmp_path):
    law = tmp_path / "law.yaml"
    judged = [{"id": id, "kind": "judged", "text": f"The reply is {id}."} for id in ("plain", "kind")]
    law.write_text(yaml.safe_dump({"name": "two", "principles": judged}))
    ask = ("judge", "qualify", str(law), "--model", "scripted", "--judge-url", judge_url)
    file = ("--set", a_set(tmp_path / "own.jsonl", pairs("a")))
    refused = charter(*ask, *file)
    assert "own.jsonl, line 1: the label says nothing of a principle" in str(refused.exception)
    result = charter(*ask, *file, "--principle", "kind")
    assert "kind: unproven (50 %, 0-100 %, 0 examples): judged and shown, weighs 0" in result.output
    assert [line.split()[:3] for line in result.output.splitlines() if "20/20" in line] == [["kind", "own", "trusted"]]
