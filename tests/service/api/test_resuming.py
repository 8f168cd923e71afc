"""What may change when a run is resumed: what takes memory, and nothing that changes what comes out."""

from pathlib import Path

import pytest

from service.store.records import JsonObject
from tests.service.api.conftest import Service


async def test_a_run_is_resumed_with_less_memory_and_nothing_else_changed(service: Service, tmp_path: Path) -> None:
    body = await service.run_body(tmp_path / "m")
    before = (await service.http.post("/v1/runs", json=body)).json()
    await service.http.post(f"/v1/runs/{before['id']}/cancel")
    less = {"training": {"tokens_per_batch": 64, "gradient_checkpointing": True}}
    resumed = await service.http.post(f"/v1/runs/{before['id']}/resume", json=less)
    assert resumed.status_code == 200 and resumed.json()["status"] == "queued", resumed.text
    changed = before["request"]["training"] | less["training"]
    assert resumed.json()["request"] == before["request"] | {"training": changed}
    await service.http.post(f"/v1/runs/{before['id']}/cancel")
    for nothing in (None, {}, {"training": {}}, {"training": {"tokens_per_batch": None}}):
        again = await service.http.post(f"/v1/runs/{before['id']}/resume", json=nothing)
        assert again.json()["request"]["training"] == changed, again.text
        await service.http.post(f"/v1/runs/{before['id']}/cancel")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"training": {"learning_rate": 0.1}}, "training.learning_rate: a run is resumed with what it was made with"),
        ({"seed": 1, "training": {"tokens_per_batch": 64}}, "seed: a run is resumed with what it was made with"),
        ({"training": {"tokens_per_batch": 7}}, "training.tokens_per_batch: "),
        ({"training": 5}, "training: "),
        ([], ""),
    ],
)
async def test_any_other_setting_is_refused(service: Service, tmp_path: Path, changes: JsonObject, said: str) -> None:
    run = (await service.http.post("/v1/runs", json=await service.run_body(tmp_path / "m"))).json()["id"]
    await service.http.post(f"/v1/runs/{run}/cancel")
    refused = await service.http.post(f"/v1/runs/{run}/resume", json=changes)
    assert refused.status_code == 422 and said in refused.json()["detail"], refused.text
    assert (await service.http.get(f"/v1/runs/{run}")).json()["status"] == "cancelled"
