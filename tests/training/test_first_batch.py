"""The pass that gives a batch's old log-probabilities and values is the one that its gradients come from."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from training.configs import OnlineConfig, PpoConfig, RlooConfig
from training.first_batch import FirstBatch
from training.loop import Step
from training.online import Minibatch, ask, whole_size
from training.online_parts import open_online
from training.packing import TokenGroup
from training.ppo import add_gradients, token_lessons
from training.precision import resolve_numbers
from training.ranks import this_rank
from training.rloo import add_gradients as add_reply_gradients
from training.rloo import reply_lessons
from training.shares import Share
from training.value import add_value_model

from .test_online import LETTERS, config

GROUPS = [TokenGroup(name, (1, 2), ((3, 4),)) for name in "ab"]


def test_what_is_kept_is_taken_once_and_by_its_own_prompts():
    first, found_N = FirstBatch(), torch.ones(2)
    first.keep("policy", GROUPS, found_N)
    first.keep("value", GROUPS, -found_N)
    assert first.take("policy", GROUPS[::-1]) is None
    assert first.take("policy", GROUPS) is found_N
    assert first.take("policy", GROUPS) is None
    assert first.take("value", GROUPS) is not None


def test_a_later_step_forgets_what_an_earlier_one_left():
    first = FirstBatch()
    first.keep("policy", GROUPS, torch.ones(2))
    first.keep("policy", GROUPS[:1], torch.ones(1))
    assert first.take("policy", GROUPS) is None


def gradients(weights: list[torch.nn.Parameter], add: Callable[[], object]) -> list[torch.Tensor]:
    add()
    found = [weight.grad for weight in weights if weight.grad is not None]
    for weight in weights:
        weight.grad = None
    return found


@pytest.mark.parametrize("kind", [PpoConfig, RlooConfig])
def test_gradients_are_those_of_a_pass_of_their_own(tmp_path: Path, tiny: Path, kind: type[OnlineConfig]):
    wanted = config(tmp_path, tiny, kind, minibatches=2, lora_layers_share=0.5, tokens_per_batch=200)
    with open_online(wanted, resolve_numbers("fp32"), [LETTERS]) as (online, _):
        if isinstance(wanted, PpoConfig):
            critic = add_value_model(online.policy, 0)
            torch.nn.init.normal_(critic.head.weight)
            prepare, add = (
                partial(token_lessons, online, wanted, critic),
                partial(add_gradients, online, wanted, critic, ()),
            )
            weights = [*online.policy_weights.values(), *critic.weights().values()]
        else:
            prepare, add = reply_lessons, partial(add_reply_gradients, online)
            weights = list(online.policy_weights.values())
        share = Share(this_rank(), tuple(range(8)), 1.0, tuple(range(8)))
        answered = ask(online, Step(0, share, update=lambda: 0.0, forget=lambda: None))
        lessons = prepare(list(answered.own.values()), 0.1)[:4]
        minibatch = Minibatch(lessons, whole_size(answered.sizes[:4]))
        assert online.first_batch._kept
        found = [gradients(weights, lambda: add(minibatch)) for _ in range(2)]
        assert not online.first_batch._kept  # the second time there was nothing to take
    assert found[0] and len(found[0]) == len(found[1])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
