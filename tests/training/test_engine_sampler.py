"""The sampler and its engine: weights handed over once, replies in order and of those weights, nothing left behind.

The engine is the scripted one: what a true one writes, the tests with vLLM see.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import torch

from training.configs import PpoConfig
from training.engine_sampler import EngineSampler
from training.errors import TrainingError
from training.model import Policy, load_policy
from training.precision import resolve_numbers

from .test_online import config

ENDS = (2, 7)
PROMPTS = [(1, 70 + number) for number in range(12)]


@pytest.fixture
def policy(tmp_path: Path, tiny: Path) -> Policy:
    return load_policy(config(tmp_path, tiny, PpoConfig), resolve_numbers("fp32"))


def shared_folder(log: Path) -> Path:
    name = hashlib.sha256(str(log.parent.resolve()).encode()).hexdigest()[:16]
    return Path(f"/dev/shm/charter-policy-{os.getuid()}-{name}")


@pytest.fixture
def sampler(policy: Policy, tiny: Path, tmp_path: Path) -> Iterator[EngineSampler]:
    log = tmp_path / "engine.log"
    found = EngineSampler(policy, tiny, log, context=64, reply_tokens=6, ends=ENDS, program="scripted")
    yield found
    found.close()
    assert not shared_folder(log).exists()


def test_an_engine_writes_with_the_weights_that_it_was_handed_last(
    policy: Policy, sampler: EngineSampler, tmp_path: Path
):
    folder = shared_folder(tmp_path / "engine.log")
    transport = httpx.HTTPTransport(uds=str(folder / "v.sock"))
    with httpx.Client(transport=transport, base_url="http://localhost") as http:
        sampler.update("one")
        first = sampler.sample(PROMPTS, seed=3)
        sampler.update("one")  # the engine has them
        # The engine answers in another order; each reply is its own prompt's all the same.
        assert [sampler.sample([prompt], seed=4)[0] for prompt in PROMPTS] == first
        assert http.get("/calls").json()["reloads"] == 1
        assert {reply.weights for reply in first} == {"one"}
        assert {reply.finished for reply in first} == {True, False}
        assert all(reply.finished == (reply.tokens[-1] in ENDS) and len(reply.tokens) <= 6 for reply in first)

        with torch.no_grad():
            for name, weight in policy.adapter_weights().items():
                if "lora_B" in name:
                    weight.add_(0.1)
        sampler.update("two")
        second = sampler.sample(PROMPTS, seed=3)
        # Not from the prefix cache, which holds what the old weights made of these prompts.
        assert all(new.tokens != old.tokens for new, old in zip(second, first, strict=True))
        assert {reply.weights for reply in second} == {"two"} and http.get("/calls").json()["reloads"] == 2
        assert [path.name for path in folder.iterdir()] == ["v.sock"]  # the weights do not stay in memory twice


def test_what_the_engine_refuses_is_told_with_its_own_words(sampler: EngineSampler):
    with pytest.raises(
        TrainingError, match=r"the policy's engine answers /v1/completions with 400: .*the context is 4096 tokens"
    ):
        sampler.sample([(1,) * 4095], seed=0)
