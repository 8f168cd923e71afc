"""The summary's schema in docs/ is the one that the code writes, and it takes what the issue names and nothing else."""

import json
from pathlib import Path

import jsonschema
import pytest
from pydantic import JsonValue

from service.demo.errors import DemoError
from service.demo.summary import (
    AdapterFile,
    Counts,
    JudgeQualification,
    JudgeStanding,
    Preferences,
    PrincipleOutcome,
    Summary,
    read_summary,
    summary_of,
    summary_schema,
)

SCHEMA_FILE = Path(__file__).parents[3] / "docs" / "summary.schema.json"


def a_summary() -> Summary:
    return Summary(
        stage_s={"sample": 70.5, "train": 170.0},
        counts=Counts(samples=440, revisions=110, verdicts=1760, abstentions=3, flips=200),
        preferences=Preferences(human=53, ai=0, check=160, human_available=64),
        principles=(
            PrincipleOutcome(id="brief", kind="checked", before=0.1, after=0.6, low=0.4, high=0.6),
            PrincipleOutcome(id="joint", kind="joint", before=0.06, after=0.45, low=0.31, high=0.47),
            PrincipleOutcome(id="kind", kind="judged", before=0.5, after=0.52, low=-0.06, high=0.1),
        ),
        qualification=JudgeQualification(
            judge="SmolLM2-135M-Instruct",
            per_principle=(
                JudgeStanding(
                    principle_id="kind",
                    kind="judged",
                    verdict="at_chance",
                    examples=22,
                    accuracy=0.52,
                    low=0.40,
                    high=0.64,
                    weight_allowed=False,
                ),
                JudgeStanding(
                    principle_id="brief",
                    kind="checked",
                    verdict="trusted",
                    examples=1,
                    accuracy=1.0,
                    low=0.2,
                    high=1.0,
                    weight_allowed=True,
                ),
            ),
        ),
        adapter=AdapterFile(path="out/demo/adapter.tar.gz", sha256="ab" * 32),
        peak_memory_bytes=5 * 2**30,
    )


def test_the_schema_in_docs_is_the_one_in_the_code():
    assert SCHEMA_FILE.read_text(encoding="utf-8") == summary_schema()


def test_a_summary_fits_the_schema():
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(a_summary().model_dump_json()), schema)


@pytest.mark.parametrize(
    ("key", "value"),
    [("stage_s", {"sample": -1}), ("peak_memory_bytes", -1), ("adapter", {"path": "a", "sha256": "no"}), ("more", 1)],
)
def test_the_schema_refuses_what_is_wrong(key, value):
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    wrong = json.loads(a_summary().model_dump_json()) | {key: value}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)


def test_the_issues_keys_are_all_required():
    wanted = {"stage_s", "counts", "preferences", "principles", "qualification", "adapter", "peak_memory_bytes"}
    assert set(json.loads(summary_schema())["required"]) == wanted


def a_report() -> dict[str, JsonValue]:
    """A run's report says more than the summary keeps."""
    known = json.loads(a_summary().model_dump_json())
    for principle in known["principles"]:
        principle |= {"lift": principle["after"] - principle["before"], "prompts": 48, "replies": 192}
    for standing in known["qualification"]["per_principle"]:
        del standing["weight_allowed"]
        standing |= {"correct": 11.0, "consistency": 0.2, "first_pick_rate": 0.9, "abstentions": 0}
    return known | {"adapter": {"id": "adp_1", "sha256": "cd" * 32}, "samples": []}


def test_the_runs_report_becomes_the_summary_and_the_demos_own_steps_join_its_times():
    wanted = a_summary()
    made = summary_of(a_report(), wanted.adapter, {"start": 30.0})
    assert made == wanted.model_copy(update={"stage_s": {**wanted.stage_s, "start": 30.0}})


def test_a_report_that_lacks_something_is_an_error_that_names_it():
    with pytest.raises(DemoError, match="lacks what the summary needs: 'counts'"):
        summary_of({name: value for name, value in a_report().items() if name != "counts"}, a_summary().adapter, {})


def test_a_summary_is_read_back(tmp_path):
    file = tmp_path / "summary.json"
    file.write_text(a_summary().model_dump_json(), encoding="utf-8")
    assert read_summary(file) == a_summary()


@pytest.mark.parametrize(("text", "says"), [(None, "No such file"), ("{}", "not a summary of this version")])
def test_a_file_that_is_no_summary_is_named(tmp_path, text, says):
    file = tmp_path / "summary.json"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(DemoError, match=says):
        read_summary(file)
