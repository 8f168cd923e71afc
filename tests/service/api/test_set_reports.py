"""A run's set is held against what the run had, unless something else is named."""

from dataclasses import replace
from pathlib import Path

from judges.records import Preference, PrincipleVerdict
from service.shards import to_parquet
from tests.service.api.conftest import PAIRS, Service

LEAKED = PAIRS + '{"prompt": "how do I boil an egg?", "chosen": "In water.", "rejected": "No.", "source": "ai"}\n'


async def test_a_runs_set_is_held_against_what_the_run_had(service: Service, tmp_path: Path) -> None:
    asked = await service.run_body(tmp_path / "base")
    await service.http.post("/v1/prompt-sets?name=others", content='{"prompt": "Why?", "split": "train"}')
    run = (await service.http.post("/v1/runs", json=asked)).json()["id"]
    said = Preference(0.6, 0.9, 0.2, 1.0)  # the first of both orders
    shard = to_parquet([PrincipleVerdict(f"c{n}", f"p{n}", "kind", "judged", "big", "0" * 64, said) for n in (1, 2)])
    await service.app.state.backend.artifacts.put_new("verdicts/v.parquet", shard)
    await service.store.runs.record_stage(run, "judge", {"shards": ["verdicts/v.parquet"], "comparisons": ["c"]}, 1.0)
    imported = (await service.http.post("/v1/preference-sets", content=LEAKED)).json()["id"]
    record = await service.store.preference_sets.get(service.project, imported)
    made = (await service.store.preference_sets.add(replace(record, id="", name="mixed", run_id=run))).id

    async def told(id: str, **names: str) -> dict:
        answer = await service.http.get(f"/v1/preference-sets/{id}/report", params={"full": True, **names})
        assert answer.status_code == 200, answer.text
        return answer.json()

    whole = await told(made)
    assert [one["principle_id"] for one in whole["coverage"]["principles"]] == ["brief"]
    assert (whole["leakage"]["held_out"], whole["leakage"]["exact"]) == (1, 1)
    (order,) = whole["orders"]
    assert (order["judge"], order["first_wins"]["estimate"], order["flipped"]["estimate"]) == ("big", 1.0, 1.0)
    named = await told(made, constitution="", prompts="others")
    assert named["coverage"]["principles"] == [] and named["leakage"]["held_out"] == 0
    alone = await told(imported)
    assert (alone["leakage"]["held_out"], alone["orders"]) == (0, [])
