"""The whole job on real parts, smaller: the real service, real vLLM, the real 135M model, everything through the API.

vLLM is killed twice with SIGKILL on the way; the run must not notice. The model's folder is CHARTER_BUNDLED_MODEL, or
the bundled one, converted once.
"""

import contextlib
import importlib.util
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from service.client import Client, Event
from service.demo.base_model import base_model_folder
from service.demo.content import HUMAN, PROMPTS
from service.demo.recipe import CACHE
from service.demo.service_process import ServiceProcess, ServiceSettings, start_service
from service.schemas import (
    CompareSettings,
    EvaluateSettings,
    JudgeSettings,
    MixSettings,
    ReviseSettings,
    RunRequest,
    SampleSettings,
    TrainingSettings,
)
from training.bundle import verify_bundle
from training.weights import model_sha256

pytestmark = [
    pytest.mark.real_model,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]
TRAIN, HELD_OUT, PEOPLE, TOKENS = 6, 3, 6, 24
LAW = b"""
name: small
version: "1"
principles:
  - id: brief
    kind: checked
    text: Answers are short.
    check: {max_words: 12}
  - id: plain
    kind: checked
    text: Answers are plain text.
    check: {plain_text: {}}
  - id: kind
    kind: judged
    text: Answers are kind.
    examples:
      - {prompt: "Hello?", better: "Hello, friend.", worse: "What do you want from me now, stranger?"}
      - {prompt: "I failed.", better: "That is hard. What happened?", worse: "No wonder."}
"""


@pytest.fixture
def service() -> Iterator[ServiceProcess]:
    # A short path: sockets lie below it.
    with tempfile.TemporaryDirectory(prefix="ch-") as folder:
        service = start_service(ServiceSettings(home=Path(folder)))
        below = psutil.Process(service.pid).children(recursive=True)
        try:
            service.wait_until_ready()
            below = psutil.Process(service.pid).children(recursive=True)
            yield service
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                below = psutil.Process(service.pid).children(recursive=True)
            service.stop()
            _, alive = psutil.wait_procs(below, timeout=10)
            assert alive == []


def few_prompts(folder: Path) -> Path:
    lines = [json.loads(line) for line in PROMPTS.read_text().splitlines()]
    kept = [line for line in lines if line["split"] == "train"][:TRAIN]
    kept += [line for line in lines if line["split"] == "held_out"][:HELD_OUT]
    file = folder / "prompts.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in kept))
    return file


def few_pairs(folder: Path) -> Path:
    file = folder / "people.jsonl"
    file.write_text("\n".join(HUMAN.read_text().splitlines()[:PEOPLE]))
    return file


def kill_vllm(service: ServiceProcess) -> bool:
    """SIGKILL of a vLLM server below the service; False where none runs."""
    for child in psutil.Process(service.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            line = child.cmdline()
            if any(word.endswith("vllm_server.py") for word in line) and "guard.py" not in " ".join(line):
                child.kill()
                return True
    return False


def request(client: Client, model: Path, folder: Path) -> RunRequest:
    base = client.add_model(name="base", path=model)
    prompts = client.add_prompts(few_prompts(folder))
    return RunRequest(
        constitution=client.add_constitution(LAW).id,
        prompts=prompts.id,
        model=base.id,
        judge=JudgeSettings(model=base.id),
        sample=SampleSettings(replies_per_prompt=2, max_tokens=TOKENS),
        revise=ReviseSettings(replies_per_prompt=1, max_tokens=TOKENS),
        compare=CompareSettings(pairs_per_prompt=1),
        mix=MixSettings(human=client.add_preferences(few_pairs(folder)).id),
        training=TrainingSettings(learning_rate=1e-4, pairs_per_step=4, lora_rank=4),
        evaluate=EvaluateSettings(replies_per_prompt=1, max_tokens=TOKENS),
    )


def test_the_whole_job_survives_two_kills_of_vllm(service: ServiceProcess, tmp_path: Path) -> None:
    model = Path(os.environ.get("CHARTER_BUNDLED_MODEL") or base_model_folder(None, CACHE))
    killed: set[str] = set()

    def watch(event: Event) -> None:
        # Once while the base is sampled, once while the judge is at work.
        due = event.stage in ("sample", "judge") and event.stage not in killed
        if due and event.type == "progress" and event.done != event.total and kill_vllm(service):
            killed.add(str(event.stage))

    with Client(service.url, api_key=service.api_key()) as client:
        run = client.create_run(request(client, model, tmp_path))
        seen = []
        for event in client.follow(run.id):
            seen.append(event.seq)
            watch(event)
        done = client.get_run(run.id)
        assert done.status == "succeeded", f"{done.error}\n{service.log_tail()}"
        assert killed == {"sample", "judge"}
        assert seen == list(range(1, len(seen) + 1))
        report = client.report(run.id)
        bundle = tmp_path / "adapter.tar.gz"
        client.download_adapter(client.adapter_of(run.id).id, bundle)
    assert report["counts"]["samples"] == TRAIN * 2
    assert {one["id"] for one in report["principles"]} == {"brief", "plain", "kind", "joint"}
    manifest = verify_bundle(bundle)
    assert manifest.base_model.sha256 == model_sha256(model)
