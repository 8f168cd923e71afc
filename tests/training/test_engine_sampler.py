"""The sampler and its engine: weights handed over once, replies in order and of those weights, nothing left behind;
alone, and in whole runs of PPO. RLOO would learn nothing here: all the scripted replies to a prompt are one.

The engine is the scripted one: what a true one writes, the tests with vLLM see.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import httpx
import pytest
import torch

from training.configs import PpoConfig
from training.engine_sampler import EngineSampler, told_logps
from training.errors import LostReply, TrainingError
from training.model import Policy, load_policy
from training.online_parts import open_sampler
from training.ppo import train_ppo
from training.precision import resolve_numbers
from training.rollouts import Rollout, SampledReply, weights_name

from .test_online import LETTERS, Interrupted, config, steps

ENDS = (2, 7)
PROMPTS = [(1, 70 + number) for number in range(12)]


@pytest.fixture
def policy(tmp_path: Path, tiny: Path) -> Policy:
    return load_policy(config(tmp_path, tiny, PpoConfig), resolve_numbers("fp32"))


def shared_folder(log: Path) -> Path:
    name = hashlib.sha256(str(log.resolve()).encode()).hexdigest()[:16]
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


def test_a_log_probability_that_is_no_number_ends_with_its_prompt():
    assert told_logps((1, 2), {"token_logprobs": [-0.5, -2.0]}) == (-0.5, -2.0)
    assert told_logps((1, 2), None) == ()
    for told in (None, float("nan"), float("-inf")):
        with pytest.raises(LostReply, match="no numbers; lower learning_rate") as caught:
            told_logps((1, 2), {"token_logprobs": [-0.5, told]})
        assert caught.value.prompt == (1, 2)


def test_what_the_engine_refuses_is_told_with_its_own_words(sampler: EngineSampler):
    with pytest.raises(
        TrainingError, match=r"the policy's engine answers /v1/completions with 400: .*the context is 4096 tokens"
    ):
        sampler.sample([(1,) * 4095], seed=0)


class SeesWeights:
    """Scores as LETTERS does, and keeps which weights made a step's replies, what they are, and what had been reloaded.

    It is interrupted where it has been asked so many times.
    """

    name = "letters"

    def __init__(self, output: Path, most: int = 100) -> None:
        self._socket = shared_folder(output / "engine.log") / "v.sock"
        self._most = most
        self.stamps: list[str] = []
        self.replies: list[list[tuple[int, ...]]] = []
        self.reloads: list[int] = []

    def scores(self, rollouts: Sequence[Rollout]) -> Sequence[float]:
        if len(self.stamps) == self._most:
            raise Interrupted
        (stamp,) = {one.reply.weights for one in rollouts}
        self.stamps.append(stamp)
        self.replies.append([one.reply.tokens for one in sorted(rollouts, key=lambda one: one.asked.prompt.id)])
        transport = httpx.HTTPTransport(uds=str(self._socket))
        with httpx.Client(transport=transport, base_url="http://localhost") as http:
            self.reloads.append(http.get("/calls").json()["reloads"])
        return LETTERS.scores(rollouts)


SCRIPTED = partial(open_sampler, program="scripted")
ENGINE = {"sampler": "vllm", "epochs": 4, "passes": 2, "minibatches": 2, "replies_per_prompt": 1, "kl_weight": 0.02}


def test_a_run_learns_from_an_engines_replies_to_its_present_weights(tmp_path: Path, tiny: Path):
    wanted = config(tmp_path / "whole", tiny, PpoConfig, held_out_share=0.25, **ENGINE)
    seen = SeesWeights(wanted.output)
    result = train_ppo(wanted, [seen], SCRIPTED)
    # 4 steps of the 6 prompts that are trained on, and at the end a look at the 2 held out.
    assert [len(replies) for replies in seen.replies] == [6] * 4 + [4]
    assert result["steps"] == 4 and result["held_out"]["prompts"] == 2
    # The first replies are the fresh adapter's, the last ones the finished one's; several updates are one reload.
    fresh = load_policy(wanted, resolve_numbers("fp32"))
    assert seen.stamps[0] == weights_name(fresh.adapter_weights())
    last = {"start_adapter": str(wanted.output / "adapter")}
    finished = load_policy(config(tmp_path / "next", tiny, PpoConfig, **last), resolve_numbers("fp32"))
    assert seen.stamps[-1] == weights_name(finished.adapter_weights())
    assert len(set(seen.stamps)) == 5 and seen.reloads == [1, 2, 3, 4, 5]
    # The same prompts are answered otherwise once the weights moved: neither they nor the prefix cache is of before.
    for before, after in zip(seen.replies[:3], seen.replies[1:4], strict=True):
        assert all(old != new for old, new in zip(before, after, strict=True))
    assert all(line["gradient_norm"] > 0 for line in steps(wanted.output))
    assert not shared_folder(wanted.output / "engine.log").exists()

    # One that was interrupted hands its checkpoint's weights to a new engine, and ends as the whole one did.
    halves = config(tmp_path / "halves", tiny, PpoConfig, held_out_share=0.25, **ENGINE)
    first, second = SeesWeights(halves.output, 2), SeesWeights(halves.output)
    with pytest.raises(Interrupted):
        train_ppo(halves, [first], SCRIPTED)
    assert not shared_folder(halves.output / "engine.log").exists()
    train_ppo(halves, [second], SCRIPTED)
    assert first.stamps + second.stamps == seen.stamps and first.replies + second.replies == seen.replies
    assert second.reloads == [1, 2, 3] and steps(halves.output) == steps(wanted.output)


class StaysBehind:
    """An engine's sampler that takes no weights after the first."""

    def __init__(self, engine: EngineSampler) -> None:
        self._engine = engine
        self._taken = False

    def update(self, weights: str) -> None:
        if not self._taken:
            self._engine.update(weights)
        self._taken = True

    def sample(self, prompts: Sequence[tuple[int, ...]], *, seed: int) -> list[SampledReply]:
        return self._engine.sample(prompts, seed=seed)

    def close(self) -> None:
        self._engine.close()


def test_a_run_ends_where_its_engine_stays_at_old_weights(tmp_path: Path, tiny: Path):
    wanted = config(tmp_path, tiny, PpoConfig, **ENGINE)
    seen = SeesWeights(wanted.output)
    with pytest.raises(TrainingError, match=r"its reply was made by the weights [0-9a-f]{12}, the policy is at"):
        train_ppo(wanted, [seen], lambda *parts: StaysBehind(SCRIPTED(*parts)))
    # One step was learnt from, and none of the stale replies was even scored.
    assert len(seen.stamps) == 1 and [line["step"] for line in steps(wanted.output)] == [1]
    assert not shared_folder(wanted.output / "engine.log").exists()
