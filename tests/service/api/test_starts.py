"""`start_from`: what a run may go on from, pinned by its id, and kept while a run names it."""

from pathlib import Path

from service.store.records import AdapterRecord, JsonObject
from tests.service.api.conftest import Service

SHAPE: JsonObject = {"lora_rank": 16, "lora_layers_share": 1.0, "lora_targets": []}


async def adapter(service: Service, body: JsonObject, **manifest: object) -> AdapterRecord:
    """One that a run might have made, with this manifest."""
    run = (await service.http.post("/v1/runs", json=body)).json()["id"]
    base = (await service.http.get("/v1/models/base")).json()["sha256"]
    whole = {"adapter_sha256": "a" * 64, "base_model": {"sha256": base}, "config": SHAPE, "kind": "policy"} | manifest
    record = AdapterRecord("", service.project, run, f"short-{run}", "adapters/a.tar.gz", "b" * 64, 1, whole, "")
    return await service.store.adapters.add(record)


async def test_a_run_goes_on_from_a_policy_of_its_base_and_shape_alone(service: Service, tmp_path: Path) -> None:
    body = await service.run_body(tmp_path / "m")
    for manifest, said in (
        ({"base_model": {"sha256": "c" * 64}}, "an adapter of another base than 'base'"),
        ({"kind": "reward_model"}, "start_from: a policy goes on from a policy"),
        ({"config": SHAPE | {"lora_rank": 8}}, "training.lora_rank: adp_"),
        ({"config": SHAPE | {"lora_layers_share": 0.5}}, "was trained with 0.5, this run asks for 1.0"),
        ({"config": SHAPE | {"lora_targets": ["q_proj"]}}, "was trained with ['q_proj'], this run asks for []; take"),
    ):
        unfit = await adapter(service, body, **manifest)
        answer = await service.http.post("/v1/runs?dry_run=true", json=body | {"start_from": unfit.id})
        assert answer.status_code == 422 and said in answer.json()["detail"], answer.text
    none = await service.http.post("/v1/runs", json=body | {"start_from": "adp_none"})
    assert none.status_code == 422 and "start_from: " in none.json()["detail"]


async def test_it_is_held_by_its_id_and_stays_while_a_run_names_it(service: Service, tmp_path: Path) -> None:
    body = await service.run_body(tmp_path / "m")
    fit = await adapter(service, body)
    run = (await service.http.post("/v1/runs", json=body | {"start_from": fit.name})).json()
    assert run["request"]["start_from"] == fit.id
    refused = await service.http.delete(f"/v1/adapters/{fit.id}")
    assert refused.status_code == 409 and run["id"] in refused.json()["detail"], refused.text
    await service.http.post(f"/v1/runs/{run['id']}/cancel")
    assert (await service.http.delete(f"/v1/runs/{run['id']}")).status_code == 200
    assert (await service.http.delete(f"/v1/adapters/{fit.id}")).status_code == 200
