"""Runs through the API: started, followed, cancelled, resumed, and what may not be deleted meanwhile."""

import asyncio
import json
from pathlib import Path

import pytest

from service.schemas import STAGES
from service.store.records import NewEvent
from tests.service.api.conftest import Service


async def test_a_run_is_queued_with_its_job_and_first_event(service: Service, tmp_path: Path) -> None:
    body = await service.run_body(tmp_path / "m")
    run = await service.http.post("/v1/runs", json=body)
    assert run.status_code == 201 and run.json()["status"] == "queued", run.text
    events = (await service.http.get(f"/v1/runs/{run.json()['id']}/events")).json()
    assert [event["seq"] for event in events["data"]] == [1]


async def test_a_dry_run_starts_nothing(service: Service, tmp_path: Path) -> None:
    body = await service.run_body(tmp_path / "m")
    plan = (await service.http.post("/v1/runs?dry_run=true", json=body)).json()
    assert plan["sample_calls"] == 4 and plan["tokens"] > 0
    assert (await service.http.get("/v1/runs")).json()["data"] == []


async def test_unknown_names_are_all_told_at_once(service: Service) -> None:
    body = {"constitution": "no", "prompts": "no", "model": "no", "judge": {"model": "no"}, "mix": {"human": "no"}}
    answer = await service.http.post("/v1/runs", json=body)
    assert answer.status_code == 422
    assert {error.split(":")[0] for error in answer.json()["errors"]} == {
        "constitution", "prompts", "model", "judge.model", "mix.human",
    }  # fmt: skip


async def test_a_wrong_knob_is_named(service: Service, tmp_path: Path) -> None:
    body = await service.run_body(tmp_path / "m")
    answer = await service.http.post("/v1/runs", json=body | {"training": {"learning_rat": 1}})
    assert answer.status_code == 422 and "training.learning_rat" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ([], ["stages: none is named; leave the field out to go through all, or name some of sample, revise, judge"]),
        (["train"], ["stages: 'train' needs sample, judge, mix in the same run"]),
        (["revise"], ["stages: 'revise' needs sample in the same run"]),
        (["sample", "mix"], ["stages: 'mix' needs judge in the same run"]),
        (["sample", "judge", "mix", "bundle"], ["stages: 'bundle' needs train in the same run"]),
        (["sample", "judge", "mix", "evaluate", "bundle"], ["stages: 'evaluate' needs", "stages: 'bundle' needs"]),
    ],
)
async def test_stages_that_would_find_nothing_to_work_on_are_refused(
    service: Service, tmp_path: Path, stages: list[str], said: list[str]
) -> None:
    body = await service.run_body(tmp_path / "m")
    answer = await service.http.post("/v1/runs", json=body | {"stages": stages})
    assert answer.status_code == 422, answer.text
    for error, start in zip(answer.json()["errors"], said, strict=True):
        assert error.startswith(start)
    assert (await service.http.get("/v1/runs")).json()["data"] == []


async def test_stages_may_end_early_or_leave_out_what_no_other_reads(service: Service, tmp_path: Path) -> None:
    body = await service.run_body(tmp_path / "m")
    for left_out in ((), ("revise", "evaluate")):
        stages = [stage for stage in STAGES if stage not in left_out]
        for end in range(1, len(stages) + 1):
            answer = await service.http.post("/v1/runs?dry_run=true", json=body | {"stages": stages[:end]})
            assert answer.status_code == 201, answer.text


async def test_a_misspelt_principle_is_named(service: Service, tmp_path: Path) -> None:
    body = await service.run_body(tmp_path / "m")
    for given, status in ((["brief"], 201), (["brief", "breif"], 422)):
        judge = {"model": "base", "allow_unqualified": given}
        answer = await service.http.post("/v1/runs", json=body | {"judge": judge})
        assert answer.status_code == status, answer.text
    said = "judge.allow_unqualified: 'breif' is no principle of 'short'; it has brief"
    assert answer.json()["errors"] == [said]
    answer = await service.http.post("/v1/runs", json=body | {"mix": {"owners": {"breif": "human"}}})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [said.replace("judge.allow_unqualified", "mix.owners")]


async def test_weights_from_people_need_people_and_enough_of_them(service: Service, tmp_path: Path) -> None:
    body = await service.run_body(tmp_path / "m")
    judge = {"judge": {"model": "base", "calibrate": 30}}
    refused = await service.http.post("/v1/runs", json=body | judge)
    assert refused.status_code == 422 and "name their set in mix.human" in refused.json()["detail"]
    for pairs, status in ((19, 422), (20, 201)):
        lines = "\n".join(
            json.dumps({"prompt": f"{n}?", "chosen": "Yes.", "rejected": "No, not at all."}) for n in range(pairs)
        )
        posted = await service.http.post(f"/v1/preference-sets?name=people-{pairs}", content=lines)
        assert posted.status_code == 201, posted.text
        mix = {"mix": {"human": posted.json()["id"]}}
        answer = await service.http.post("/v1/runs?dry_run=true", json=body | judge | mix)
        assert answer.status_code == status, answer.text
    without = (await service.http.post("/v1/runs?dry_run=true", json=body | mix)).json()
    assert answer.json()["judge_calls"] >= without["judge_calls"]
    few = await service.http.post("/v1/runs", json=body | mix | {"judge": {"model": "base", "calibrate": 19}})
    assert few.status_code == 422 and "19 of the 20 pairs of 'people-20' are too few" in few.json()["detail"]


async def test_a_protocol_is_one_of_ours_and_its_requests_are_counted(service: Service, tmp_path: Path) -> None:
    law = b"name: kindly\nprinciples: [{id: kind, kind: judged, text: Be kind.}]\n"
    posted = await service.http.post("/v1/constitutions", content=law)
    body = await service.run_body(tmp_path / "m") | {"constitution": posted.json()["id"]}
    calls = {}
    for protocol in ("pairwise", "critique-first"):
        judge = {"model": "base", "protocol": protocol}
        answer = await service.http.post("/v1/runs?dry_run=true", json=body | {"judge": judge})
        assert answer.status_code == 201, answer.text
        calls[protocol] = answer.json()["judge_calls"]
    assert calls["critique-first"] == 2 * calls["pairwise"] > 0
    refused = await service.http.post("/v1/runs", json=body | {"judge": {"model": "base", "protocol": "../mine"}})
    assert refused.status_code == 422 and "judge.protocol: there is no '../mine'; choose" in refused.json()["detail"]


async def test_cancel_and_resume(service: Service, tmp_path: Path) -> None:
    id = (await service.http.post("/v1/runs", json=await service.run_body(tmp_path / "m"))).json()["id"]
    assert (await service.http.post(f"/v1/runs/{id}/resume")).status_code == 409
    assert (await service.http.post(f"/v1/runs/{id}/cancel")).json()["status"] == "cancelled"
    assert (await service.http.post(f"/v1/runs/{id}/cancel")).json()["status"] == "cancelled"
    resumed = (await service.http.post(f"/v1/runs/{id}/resume")).json()
    assert (resumed["status"], resumed["attempt"]) == ("queued", 2)


async def test_what_a_run_uses_cannot_be_deleted(service: Service, tmp_path: Path) -> None:
    body = await service.run_body(tmp_path / "m")
    id = (await service.http.post("/v1/runs", json=body)).json()["id"]
    for path in ("constitutions/short", "prompt-sets/prompts", "models/base"):
        answer = await service.http.delete(f"/v1/{path}")
        assert answer.status_code == 409 and id in answer.json()["detail"], path
    assert (await service.http.delete(f"/v1/runs/{id}")).status_code == 409
    await service.http.post(f"/v1/runs/{id}/cancel")
    for path in (f"runs/{id}", "constitutions/short", "prompt-sets/prompts", "models/base"):
        assert (await service.http.delete(f"/v1/{path}")).status_code == 200, path


async def test_events_have_no_gap_and_no_twin_under_many_writers(service: Service, tmp_path: Path) -> None:
    id = (await service.http.post("/v1/runs", json=await service.run_body(tmp_path / "m"))).json()["id"]
    runs = service.store.runs
    await asyncio.gather(*(runs.add_event(id, NewEvent("sample", "progress", done=i)) for i in range(30)))
    assert [event.seq for event in await runs.events(id)] == list(range(1, 32))


async def test_a_stream_goes_on_after_the_last_event_seen_and_ends_with_the_run(
    service: Service, tmp_path: Path
) -> None:
    id = (await service.http.post("/v1/runs", json=await service.run_body(tmp_path / "m"))).json()["id"]
    for done in range(3):
        await service.store.runs.add_event(id, NewEvent("sample", "progress", done=done, total=3))
    await service.http.post(f"/v1/runs/{id}/cancel")
    headers = {"Accept": "text/event-stream", "Last-Event-ID": "2"}
    stream = (await service.http.get(f"/v1/runs/{id}/events", headers=headers)).text
    seen = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: ")]
    assert [event["seq"] for event in seen] == [3, 4, 5]
    assert seen[-1]["data"]["status"] == "cancelled"


async def test_an_endpoint_cannot_be_trained(service: Service, tmp_path: Path) -> None:
    body = await service.run_body(tmp_path / "m")
    await service.http.post("/v1/models", json={"name": "far", "url": "https://judge.example"})
    answer = await service.http.post("/v1/runs", json=body | {"model": "far"})
    assert answer.status_code == 422 and "weights" in answer.json()["detail"]
