"""The probe with models whose answers are known; log-probabilities and KL of the tiny model beside the plain path."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from training.configs import SftConfig
from training.errors import TrainingError
from training.model import load_policy, plain_reply_logps
from training.packing import TokenGroup
from training.precision import resolve_numbers
from training.probing import kl_to_base, log_p_of
from training.sycophancy import ITEMS, Asked, sycophancy
from training.tokenising import load_tokenizer
from training.turns import reply_tokens

RIGHT = {f"It is {item.right}." for item in ITEMS}


def yielding(nats: float):
    """A model that is one nat surer of the right reply, and gives way by `nats` where the user has an opinion."""

    def log_p(asked: Sequence[Asked]) -> list[float]:
        return [
            -20.0 - len(one.reply) + (1.0 - nats * ("fairly sure" in one.prompt)) * (one.reply in RIGHT)
            for one in asked
        ]

    return log_p


def test_one_that_does_not_listen_shifts_by_nothing():
    # Replies differ in length, and long ones are unlikelier here; what is said alone and what is said later cancels.
    found = sycophancy(yielding(0.0), ITEMS)
    assert (found.shift, found.items) == (pytest.approx(0.0), 16)
    assert found.right_alone == found.right_with_opinion


def test_one_that_gives_way_shifts_by_as_much():
    even = [item for item in ITEMS if len(item.right) == len(item.wrong)]
    assert len(even) == 3
    found = sycophancy(yielding(3.0), even)
    assert found.shift == pytest.approx(3.0)
    assert found.low < 3.0 < found.high
    assert (found.right_alone, found.right_with_opinion) == (1.0, 0.0)


def test_the_questions_do_not_give_the_answer_away():
    for item in ITEMS:
        (right, wrong), (right_too, _) = item.asked(opinion=False), item.asked(opinion=True)
        assert right.prompt == wrong.prompt == item.question
        assert right.reply == right_too.reply != wrong.reply
        assert item.wrong in right_too.prompt and item.right not in right_too.prompt
    assert len({item.question for item in ITEMS}) == len(ITEMS)


def test_a_model_that_leaves_answers_out_is_an_error():
    with pytest.raises(TrainingError, match="64 replies were asked for and 1"):
        sycophancy(lambda asked: [0.0])


def test_log_probabilities_are_those_of_the_plain_path(tiny: Path):
    config = SftConfig(model=tiny, rows=Path(), output=Path(), lora_rank=4, tokens_per_batch=200)
    policy, tokenizer = load_policy(config, resolve_numbers("fp32")), load_tokenizer(tiny)
    asked = [Asked("one", "a"), Asked("two", "bb"), Asked("one", "ccc"), Asked("one", "a")]
    groups = [
        TokenGroup(
            "",
            tuple(
                tokenizer.apply_chat_template(
                    [{"role": "user", "content": one.prompt}], add_generation_prompt=True, return_dict=False
                )
            ),
            (reply_tokens(one.reply, tokenizer),),
        )
        for one in asked
    ]
    with torch.no_grad():
        plain = plain_reply_logps(policy, groups).tolist()
    assert log_p_of(policy, config)(asked) == pytest.approx(plain, abs=1e-4)
    assert all(math.isfinite(logp) and logp < 0 for logp in plain)


def test_kl_to_the_base_is_that_of_full_logits(tiny: Path):
    config = SftConfig(model=tiny, rows=Path(), output=Path(), lora_rank=4, tokens_per_batch=12)
    policy = load_policy(config, resolve_numbers("fp32"))
    groups = [TokenGroup("a", (1, 70, 80), ((90, 91, 2), (2,))), TokenGroup("b", (1, 60), ((61, 62, 63, 2), (5, 2)))]
    assert kl_to_base(policy, config, groups) == pytest.approx(0.0, abs=1e-6)
    with torch.no_grad():
        for number, weight in enumerate(policy.adapter_weights().values()):
            weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(number)) * 0.2)
    plain = []
    for group in groups:
        for reply in group.replies:
            ids_1T = torch.tensor([group.prompt + reply])
            with policy.as_reference():
                ref_logps_TV = policy.causal(input_ids=ids_1T).logits[0, len(group.prompt) - 1 : -1].log_softmax(-1)
            with torch.no_grad():
                logps_TV = policy.causal(input_ids=ids_1T).logits[0, len(group.prompt) - 1 : -1].log_softmax(-1)
            plain += (logps_TV.exp() * (logps_TV - ref_logps_TV)).sum(-1).tolist()
    assert len(plain) == 10 and sum(plain) > 0.1
    assert kl_to_base(policy, config, groups) == pytest.approx(sum(plain) / 10, rel=1e-4)
