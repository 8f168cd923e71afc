"""The demo's own program from end to end: its options, what it leaves, and what a signal in its midst leaves.

One whole demo with all its options serves most tests; others are cut short beside it and after it.
"""

import hashlib
import json
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import jsonschema
import pytest

from service.cli.runs import read_request
from service.client import Client
from service.demo.content import SHOWN
from service.demo.service_process import free_port
from tests.service.demo.conftest import HUMAN_PAIRS, Demos, Ended, Started, hh_line
from training.bundle import verify_bundle

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "summary.schema.json").read_text(encoding="utf-8"))
pytestmark = pytest.mark.timeout(900)


@dataclass(frozen=True)
class Begun:
    """A demo with people's pairs, a judge at a URL, and a service that is to be kept."""

    out: Path
    port: int
    judge: str
    demo: Started


@dataclass(frozen=True)
class Kept(Begun):
    """The same, done; its service goes on."""

    ended: Ended

    @property
    def pid(self) -> int:
        found = re.search(r"stop it with: kill (\d+)", self.ended.text)
        assert found is not None, self.ended
        return int(found[1])

    def stop(self) -> None:
        """As the demo said."""
        if self.demo.living():
            os.kill(self.pid, signal.SIGTERM)
            self.demo.wait_until_alone(within_s=20)


@pytest.fixture(scope="module")
def begun(demos: Demos, human: Path, judge: str) -> Begun:
    """The whole demo, at work: mostly on one core, so that the first tests may run beside it."""
    out, port = demos.folder / "out", free_port()
    pairs_and_judge = ("--human", str(human), "--judge-url", judge, "--judge-model", "org/judge-70b")
    demo = demos.start(*pairs_and_judge, "--keep", "--port", str(port), "--seed", "1", out=out)
    return Begun(out, port, judge, demo)


@pytest.fixture(scope="module")
def kept(begun: Begun) -> Iterator[Kept]:
    kept = Kept(begun.out, begun.port, begun.judge, begun.demo, begun.demo.end())
    yield kept
    kept.stop()


def summary_in(out: Path) -> dict:
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    jsonschema.validate(summary, SCHEMA)
    return summary


def sha256_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.usefixtures("begun")
def test_ctrl_c_and_sigterm_in_the_midst_leave_no_process_and_the_next_demo_begins_anew(demos):
    cut = demos.start(out=demos.folder / "cut")
    cut.wait_for("train")
    cut.wait_for_child("dpo")
    ended = cut.end(signal.SIGINT)
    cut.wait_until_alone()
    assert (ended.status, ended.errors) == (130, "")
    assert "Stopping the service (pid" in ended.text
    again = demos.start("--keep", out=demos.folder / "cut")
    again.wait_for("sample")
    ended = again.end(signal.SIGTERM)
    again.wait_until_alone()
    assert (ended.status, ended.errors) == (130, "")
    assert "is now in" not in ended.text and "Left running" not in ended.text


def test_a_kept_demo_prints_a_page_to_label_its_pairs_and_writes_the_run_that_learns_from_them(kept):
    told = re.search(r"Label (\d+) pairs of this run: (http://\S+)", kept.ended.text)
    assert told is not None and 1 <= int(told[1]) <= 20
    page = httpx.get(told[2])
    assert page.status_code == 200 and "Which reply would you rather be given?" in page.text
    key = (kept.out / "service" / "api-key").read_text().strip()
    with Client(f"http://127.0.0.1:{kept.port}", api_key=key) as client:
        project = re.search(r"charter label export (lpr_\w+) --name my-labels", kept.ended.text)
        assert project is not None
        person = next(iter(client.annotators(project[1])))
        with httpx.Client(base_url=client.url, headers={"Authorization": f"Bearer {key}"}) as http:
            asked = http.get(f"/v1/label-projects/{project[1]}/tasks/next", params={"annotator": person.id}).json()
            answer = {"task_id": asked["data"][0]["id"], "annotator": person.id, "choice": "first"}
            assert http.post("/v1/labels", json=answer).status_code == 201
        assert client.gather_labels(project[1], name="my-labels").rows == 1
        assert client.plan_run(read_request(kept.out / "next-run.yaml"))


def test_a_demo_leaves_a_valid_summary_a_verified_bundle_and_the_report(kept):
    assert (kept.ended.status, kept.ended.errors) == (0, "")
    summary = summary_in(kept.out)
    assert summary["adapter"] == {
        "path": str(kept.out / "adapter.tar.gz"),
        "sha256": sha256_of(kept.out / "adapter.tar.gz"),
    }
    assert verify_bundle(kept.out / "adapter.tar.gz").base_model.name == "tiny"
    assert (kept.out / "report.html").stat().st_size > 10_000
    assert (kept.out / "adapter" / "adapter_model.safetensors").is_file()
    # 96 prompts with four replies, one of which is revised; two pairs each, under eight principles.
    assert (summary["counts"]["samples"], summary["counts"]["revisions"]) == (384, 96)
    assert {one["id"] for one in summary["principles"] if one["kind"] == "joint"} == {"joint"}
    assert len(summary["principles"]) == 9


def test_a_demo_prints_the_replies_the_table_the_times_and_where_everything_is(kept):
    text = kept.ended.text
    assert text.count("\nbefore: ") == text.count("\nafter:  ") == len(SHOWN)
    assert re.search(r"all checks together.*joint.*\d+ %.*\d+ %.*[+-]\d+.*[+-]\d+ to [+-]\d+", text)
    assert f"Report:  {kept.out / 'report.html'}    Summary: {kept.out / 'summary.json'}" in text
    for step in ("sample", "revise", "judge", "mix", "train", "evaluate", "bundle", "start", "upload", "try"):
        assert re.search(rf"Time: .*\b{step} (\d+ min )?\d+ s", text), step
    assert re.search(r"Time: .*; (\d+ min )?\d+ s in all\n", text)
    assert re.search(r"  kind: (at chance|weak|trusted|worse than chance|unproven) \(", text)


def test_of_many_human_pairs_as_many_are_drawn_as_the_ratio_lets_in(kept):
    pairs = summary_in(kept.out)["preferences"]
    machine = pairs["ai"] + pairs["check"]
    # At most a quarter of all rows are people's: a third of the machine's.
    assert 0 < pairs["human"] == machine // 3 < HUMAN_PAIRS == pairs["human_available"]
    assert f"{HUMAN_PAIRS} human pairs from people.jsonl.gz" in kept.ended.text
    assert f"Pairs trained on: {pairs['human']} of {HUMAN_PAIRS} human, " in kept.ended.text


def test_the_endpoint_that_was_named_is_the_judge(kept):
    kinds = httpx.get(kept.judge.removesuffix("/v1") + "/calls", trust_env=False).json()["kinds"]
    assert kinds["sample"] == 1  # whether it answers at all
    # One reply a prompt is revised; a check that it fails is its own critic.
    assert kinds["revise"] == 96 >= kinds["critique"] > 0
    # Both orders of 22 examples for each judged principle, and of the pairs of each prompt.
    assert kinds["compare"] > 2 * (2 * 22 + 2 * 96)
    assert f"base tiny, judge org/judge-70b at {kept.judge}." in kept.ended.text
    assert summary_in(kept.out)["qualification"]["judge"] == "org/judge-70b"


def test_a_kept_service_is_reached_and_ended_as_the_demo_said(kept, demos):
    said = re.search(r"Left running: (\S+), key in (\S+); stop it", kept.ended.text)
    assert said is not None
    assert said[1] == f"http://127.0.0.1:{kept.port}"
    with Client(said[1], api_key=Path(said[2]).read_text().strip()) as client:
        assert [run.status for run in client.runs()] == ["succeeded"]
    again = demos.start(out=kept.out).end()
    assert again.status == 1
    assert again.errors.count("\n") == 1
    assert f"(pid {kept.pid}) works in {kept.out}; end it with `kill {kept.pid}`" in again.errors
    assert summary_in(kept.out)
    kept.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(said[1], trust_env=False)


def test_results_are_set_aside_whole_before_another_demo_even_one_that_a_broken_line_7_ends(kept, demos, tmp_path):
    kept.stop()
    digest = sha256_of(kept.out / "adapter.tar.gz")
    lines = [hh_line(number) for number in range(10)]
    lines[6] = '{"chosen": "\\n\\nHuman: Hi'
    (tmp_path / "people.jsonl").write_text("\n".join(lines))
    broken = demos.start("--human", str(tmp_path / "people.jsonl"), out=kept.out)
    ended = broken.end()
    broken.wait_until_alone()
    assert ended.status == 1
    assert ended.errors.startswith("error: ") and ended.errors.count("\n") == 1
    assert "line 7" in ended.errors
    (aside,) = (kept.out / "earlier").iterdir()
    assert f"What the earlier demo brought is now in {aside};" in ended.text
    assert sha256_of(aside / "adapter.tar.gz") == digest == summary_in(aside)["adapter"]["sha256"]
    assert (aside / "report.html").is_file() and (aside / "service" / "charter.sqlite").is_file()
    assert not (kept.out / "summary.json").exists()
