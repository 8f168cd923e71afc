"""Right answers named by a run: what is refused, what they cost, and that their set stays."""

import json
from pathlib import Path

import pytest

from tests.service.api.conftest import Service

LAW = b"name: kindly\nprinciples: [{id: kind, kind: judged, text: Be kind.}]\n"
MEASURED = {"human": "people", "weights": "measured", "calibrate": True}


async def with_sets(service: Service, folder: Path) -> dict:
    """A body that lacks only `mix.gold`, and the sets `people` (20 rows) and `right` (7)."""
    law = await service.http.post("/v1/constitutions", content=LAW)
    for name, rows in (("people", 20), ("right", 7)):
        lines = "\n".join(
            json.dumps({"prompt": f"{n}?", "chosen": "Yes.", "rejected": "No, not at all."}) for n in range(rows)
        )
        posted = await service.http.post(f"/v1/preference-sets?name={name}", content=lines)
        assert posted.status_code == 201, posted.text
    body = await service.run_body(folder) | {"constitution": law.json()["id"]}
    return body | {"judge": {"model": "base", "calibrate": 20}, "mix": MEASURED}


async def test_the_verdicts_on_right_answers_are_counted_and_their_set_stays(service: Service, tmp_path: Path) -> None:
    body = await with_sets(service, tmp_path / "m")
    mix = {"mix": MEASURED | {"gold": "right"}}
    plans = [(await service.http.post("/v1/runs?dry_run=true", json=body | more)).json() for more in ({}, mix)]
    # seven pairs under one judged principle, in both orders
    assert plans[1]["judge_calls"] - plans[0]["judge_calls"] == 14
    made = await service.http.post("/v1/runs", json=body | mix)
    assert made.status_code == 201 and made.json()["request"]["mix"]["gold"] == "right", made.text
    run = made.json()["id"]
    sets = {one["name"]: one["id"] for one in (await service.http.get("/v1/preference-sets")).json()["data"]}
    kept = await service.http.delete(f"/v1/preference-sets/{sets['right']}")
    assert kept.status_code == 409 and run in kept.json()["detail"]
    await service.http.post(f"/v1/runs/{run}/cancel")
    assert (await service.http.delete(f"/v1/runs/{run}")).status_code == 200
    assert (await service.http.delete(f"/v1/preference-sets/{sets['right']}")).status_code == 200


@pytest.mark.parametrize(
    ("judge", "mix", "missing"),
    [
        ({}, {}, ("judge.calibrate to so many of people's own pairs as are to be judged",)),
        ({"calibrate": 20}, {"calibrate": False}, ("mix.calibrate to true",)),
        ({"calibrate": 20}, {"weights": "given"}, ("mix.weights to measured",)),
        (
            {"calibrate": 20},
            {"weights": "given", "calibrate": False},
            ("mix.calibrate to true", "mix.weights to measured"),
        ),
    ],
)
async def test_right_answers_that_would_measure_nothing_are_refused(
    service: Service, tmp_path: Path, judge: dict, mix: dict, missing: tuple[str, ...]
) -> None:
    body = await with_sets(service, tmp_path / "m")
    asked = body | {"judge": {"model": "base"} | judge, "mix": MEASURED | {"gold": "right"} | mix}
    answer = await service.http.post("/v1/runs?dry_run=true", json=asked)
    said = f"mix.gold: right answers measure nothing as this run is set; set {', '.join(missing)}, or leave it out"
    assert answer.status_code == 422 and answer.json()["errors"] == [said], answer.text


async def test_a_set_that_holds_no_right_answers_is_refused(service: Service, tmp_path: Path) -> None:
    body = await with_sets(service, tmp_path / "m")
    written = '{"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}]}'
    await service.http.post("/v1/preference-sets?name=written", content=written)
    for gold, said in (
        ("no", "mix.gold: 'no' does not exist; there are people, right"),
        ("people", "mix.gold: it is the set of mix.human"),
        ("written", "mix.gold: 'written' holds demonstrations"),
    ):
        answer = await service.http.post("/v1/runs?dry_run=true", json=body | {"mix": MEASURED | {"gold": gold}})
        assert answer.status_code == 422 and answer.json()["detail"].startswith(said), answer.text
