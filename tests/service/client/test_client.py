"""The client against a real service: what goes up comes back, in types, and errors carry the service's words."""

import asyncio
import gzip
import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from service.artifacts import Artifacts
from service.cli.runs import read_changes
from service.client import ApiError, Client, Unreachable
from service.demo.service_process import free_port
from service.errors import ServiceError
from service.schemas import JudgeSettings, QualifyRequest, RunRequest
from service.store.records import AdapterRecord
from service.store.store import Store
from tests.service.client.conftest import Live
from tests.service.serving import judge_by_url

LAW = b"""name: short
version: "1"
principles:
  - {id: brief, kind: checked, text: At most fifty words., check: {max_words: 50}}
"""


def file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def prepared(client: Client, folder: Path) -> RunRequest:
    """All that a run needs; posting it again changes nothing but the prompt set."""
    client.add_constitution(LAW)
    lines = '{"prompt": "Why?"}\n{"prompt": "How?", "split": "held_out"}\n'
    prompts = client.add_prompts(file(folder, "prompts.jsonl", lines))
    client.add_model(name="base", path=model_folder(folder))
    return RunRequest(constitution="short", prompts=prompts.id, model="base", judge=JudgeSettings(model="base"))


def model_folder(folder: Path) -> Path:
    model = folder.parent / "model"  # one for all tests: a model's name stays with its path
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text('{"max_position_embeddings": 128}')
    (model / "model.safetensors").write_bytes(b"weights")
    return model


def test_what_goes_up_comes_back(client: Client, tmp_path: Path) -> None:
    law = client.add_constitution(LAW)
    assert (law.name, law.version) == ("short", "1")
    assert client.add_constitution(LAW).id == law.id
    assert law.id in [known.id for known in client.constitutions()]
    prompts = client.add_prompts(file(tmp_path, "odd \u2028 name.csv", "prompt,split\nWhy?,train\nHow?,held_out\n"))
    assert prompts.id in [known.id for known in client.prompt_sets()]
    assert (prompts.train, prompts.held_out) == (1, 1)


def test_preferences_go_up_packed_and_come_down(client: Client, tmp_path: Path) -> None:
    asked = [f"\n\nHuman: Why {n}?\n\nAssistant:" for n in range(3)]
    pairs = [{"chosen": f"{text} Because\u2028so.", "rejected": f"{text} Hm."} for text in asked]
    packed = tmp_path / "people.jsonl.gz"
    packed.write_bytes(gzip.compress("".join(json.dumps(p, ensure_ascii=False) + "\n" for p in pairs).encode()))
    made = client.add_preferences(packed, name="people")
    assert made.id in [known.id for known in client.preference_sets()]
    assert (made.name, made.kind, made.rows) == ("people", "human", 3)
    assert client.export_preferences(made.id, tmp_path / "out.jsonl", format="hh-rlhf") == 0
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").split("\n")
    assert [json.loads(line) for line in lines if line] == pairs


def test_a_judge_is_examined(client: Client, tmp_path: Path) -> None:
    port, better = free_port(), "Yes."
    law = "name: brief-answers\nprinciples:\n  - id: brief\n    kind: judged\n    text: Be brief.\n    examples:\n"
    worse = "There are a great many sides to that question, as one may well imagine."
    law += "".join(f'      - {{prompt: "Is {n} odd?", better: "{better}", worse: "{worse}"}}\n' for n in range(20))
    client.add_constitution(law.encode())
    with judge_by_url(tmp_path, port, taste="shorter"):
        client.add_model(name="far", url=f"http://127.0.0.1:{port}/v1", served_name="far")
        found = client.qualify("brief-answers", QualifyRequest(judge="far"))
    assert [(one.principle_id, one.verdict, one.weighs, one.examples) for one in found.slices] == [
        ("brief", "trusted", True, 20)
    ]


def test_errors_are_the_services_own_words(client: Client, tmp_path: Path) -> None:
    with pytest.raises(ApiError, match="line 2") as told:
        client.add_prompts(file(tmp_path, "p.jsonl", '{"prompt": "a"}\n{broken\n'))
    assert told.value.status == 422
    with pytest.raises(ApiError, match="no run 'run_0'") as told:
        client.get_run("run_0")
    assert told.value.status == 404
    with pytest.raises(ApiError, match=r"config\.json"):
        client.add_model(name="none", path=tmp_path)


def test_a_wrong_key_is_told(live: Live) -> None:
    with Client(live.process.url, api_key="ck_wrong") as stranger, pytest.raises(ApiError, match="key") as told:
        list(stranger.runs())
    assert told.value.status == 401


def test_nobody_there() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with Client(url, api_key="ck_x") as client:
        for call in (lambda: client.get_run("x"), lambda: client.add_constitution(LAW), lambda: client.delete("/v1/x")):
            with pytest.raises(Unreachable, match=r"cannot be reached.*charter serve"):
                call()


def test_a_run_from_plan_to_cancel(client: Client, tmp_path: Path) -> None:
    request = prepared(client, tmp_path)
    plan = client.plan_run(request)
    assert isinstance(plan, dict) and plan["sample_calls"] == 4
    run = client.create_run(request)
    assert run.status == "queued" and run.id in [known.id for known in client.runs()]
    assert client.cancel_run(run.id).status == "cancelled"
    assert client.resume_run(run.id).status == "queued"
    assert client.cancel_run(run.id).status == "cancelled"
    assert client.resume_run(run.id, read_changes(["training.tokens_per_batch=64"])).status == "queued"
    assert client.cancel_run(run.id).status == "cancelled"
    told = list(client.follow(run.id))
    assert [event.data["status"] for event in told] == [*["queued", "cancelled"] * 3]
    assert told[4].data["message"] == "It goes on with training.tokens_per_batch 64."
    assert client.report(run.id)
    with pytest.raises(ServiceError, match="made no adapter"):
        client.adapter_of(run.id)
    client.delete(f"/v1/runs/{run.id}")
    with pytest.raises(ApiError, match="no run"):
        client.get_run(run.id)


def test_lists_go_on_over_pages(client: Client, tmp_path: Path) -> None:
    request = prepared(client, tmp_path)
    made = [client.create_run(request).id for _ in range(102)]  # the client asks for 100 at a time
    assert [run.id for run in client.runs()][-102:] == made


def test_an_adapter_is_downloaded_whole(client: Client, live: Live, tmp_path: Path) -> None:
    run = client.create_run(prepared(client, tmp_path))
    bundle = tmp_path / "bundle.tar.gz"
    with tarfile.open(bundle, "w:gz") as archive:
        archive.add(model_folder(tmp_path), arcname="adapter")
    sha256 = hashlib.sha256(bundle.read_bytes()).hexdigest()
    asyncio.run(publish(live, run.id, bundle, sha256))
    adapter = client.adapter_of(run.id)
    client.download_adapter(adapter.id, tmp_path / "copy.tar.gz")
    assert (tmp_path / "copy.tar.gz").read_bytes() == bundle.read_bytes()
    assert adapter.sha256 == sha256


def test_bytes_with_another_hash_are_not_kept(client: Client, live: Live, tmp_path: Path) -> None:
    run = client.create_run(prepared(client, tmp_path))
    asyncio.run(publish(live, run.id, file(tmp_path, "bundle", "damaged"), "0" * 64))
    with pytest.raises(ServiceError, match="do not have the hash"):
        client.download_adapter(client.adapter_of(run.id).id, tmp_path / "copy.tar.gz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "prompts.jsonl"]


async def publish(live: Live, run_id: str, bundle: Path, sha256: str) -> None:
    """What the last stage of a run does."""
    store, artifact = Store(live.database), f"adapters/{run_id}.tar.gz"
    await Artifacts(str(live.home / "artifacts")).put_file(artifact, bundle)
    project = await store.access.ensure_project("default")
    size = bundle.stat().st_size
    await store.adapters.add(AdapterRecord("", project.id, run_id, "short", artifact, sha256, size, {}, ""))
    await store.close()
