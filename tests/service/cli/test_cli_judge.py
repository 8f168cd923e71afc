"""`charter judge qualify`: a judge is examined on a constitution's own examples."""

import pytest
import yaml

from judges.errors import JudgeError, ProtocolError
from service.cli.errors import NoKey

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
    assert "the longer reply wins in 0 % of these examples" in result.output


def test_a_judge_that_is_always_wrong_is_harmful_and_weighs_nothing(charter, judge_url, tmp_path):
    law = a_law(tmp_path, better=LONG, worse=SHORT, examples=20)
    result = charter("judge", "qualify", law, "--model", "scripted", "--judge-url", judge_url)
    assert "plain: worse than chance (0 %, 0-16 %, 20 examples): judged and shown, weighs 0" in result.output


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
