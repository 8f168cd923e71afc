"""What the trainers' benchmarks count and compare. Neither side is timed here, and TRL is not installed."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from benchmarks import dpo, growth, reward
from benchmarks.flops import (
    EpisodeLengths,
    RowLengths,
    Shape,
    dpo_flops,
    ppo_update_flops,
    read_shape,
    reward_flops,
)
from benchmarks.gemm import gemm_flops_per_s, products
from benchmarks.peers import environments
from benchmarks.reward import Accuracy, accuracy_of_scores
from benchmarks.trainer_rows import first_rows, of_different_prompts, row_of
from benchmarks.trainer_sides import SideRun, Start, beside, joined
from benchmarks.trainer_start import dpo_start, reward_start
from judges.records import Comparison, Message
from training.configs import DpoConfig, RewardConfig
from training.packing import TokenGroup, group_mask
from training.precision import Numbers
from training.rows import write_rows
from training.schedule import Plan

SMALL = Shape(
    hidden_size=2,
    intermediate_size=3,
    num_hidden_layers=1,
    num_attention_heads=1,
    num_key_value_heads=1,
    head_dim=2,
    vocab_size=5,
)


def test_flops_by_hand():
    # The layer's matrices have 4 x 4 + 3 x 6 = 34 weights. Six tokens go in (3 + 1 + 2); the prompt's see 1 + 2 + 3,
    # the replies' the prompt (3 x 3) and themselves (1 + 1 + 2): 19. Five tokens are scored over 5 x 2 weights.
    row = RowLengths(prompt=3, chosen=2, rejected=3)
    assert (SMALL.linear_flops(row), SMALL.attention_flops(row), SMALL.head_flops(row)) == (408, 152, 100)
    assert dpo_flops(SMALL, [row, row]) == 2 * (3 * 408 + 4 * 152 + 3 * 100)
    # With the replies' last tokens: eight tokens, 30 pairs of them, no head.
    assert reward_flops(SMALL, [row]) == 2 * (2 * 8 * 34) + 3 * (4 * 30 * 2)
    # Two of the prompt's tokens stand with another row: four go in, and the 1 + 2 that those two see are gone.
    second = RowLengths(prompt=3, chosen=2, rejected=3, shared=2)
    assert (SMALL.linear_flops(second), SMALL.attention_flops(second)) == (2 * 4 * 34, 4 * 16 * 2)
    # Four tokens of an episode go in, 10 pairs of them, two are scored. Forwards by base, policy and value model, then
    # two of these forwards and back: 3 + 2 x 2 passes of linear layers, 3 + 2 x 3 of attention, 2 + 2 of the head.
    episode = EpisodeLengths(prompt=3, reply=2)
    assert ppo_update_flops(SMALL, [episode]) == 7 * (2 * 4 * 34) + 9 * (4 * 10 * 2) + 4 * (2 * 2 * 10)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_lengths_count_what_the_layout_has(prompt, chosen, rejected):
    group = TokenGroup("r", (1,) * prompt, ((1,) * chosen, (1,) * rejected))
    row = RowLengths(prompt, chosen, rejected)
    assert row.tokens == group.tokens
    assert row.visible == (group_mask(group, torch.float32, torch.device("cpu")) == 0).sum().item()
    alone, episode = TokenGroup("r", (1,) * prompt, ((1,) * chosen,)), EpisodeLengths(prompt, chosen)
    assert episode.tokens == alone.tokens
    assert episode.visible == (group_mask(alone, torch.float32, torch.device("cpu")) == 0).sum().item()


def test_the_ceiling_multiplies_what_a_step_multiplies(tiny):
    shape = read_shape(tiny)
    made = products(shape, 8)
    # Two layers; k and v are of one shape, and so are gate and up: twice forwards, once back.
    assert made[8, shape.hidden_size, shape.head_dim] == 2 * 2 * 2
    assert made[8, shape.intermediate_size, shape.hidden_size] == 2 * 2 + 2 * 2
    assert made[4, shape.hidden_size, shape.vocab_size] == 2
    assert gemm_flops_per_s(shape, 8, Numbers(torch.device("cpu"), "fp32")) > 0


def test_sides_by_hand():
    ours = joined([SideRun(8, (1.0, 2.0), (0.7, 0.5), 100), SideRun(8, (3.0, 6.0), (0.7, 0.5), 120)])
    assert (ours.pairs_per_s, ours.peak_memory_bytes) == (2.0, 120)
    assert beside(ours, SideRun(8, (8.0, 16.0), (0.7, 0.25), 480)) == {
        "trl_pairs_per_s": 0.5,
        "trl_peak_memory_bytes": 480,
        "ratio": 4.0,
        "memory_ratio": 0.25,
        "max_loss_difference": 0.25,
    }
    with pytest.raises(ValueError, match="shorter"):
        beside(ours, SideRun(8, (8.0,), (0.7,), 480))


def test_what_dpo_misses():
    good = {"ratio": 3.0, "gemm_share": 0.5, "memory_ratio": 0.25, "max_loss_difference": 1e-6}
    assert dpo.missed(good, "fp32") == []
    assert dpo.missed(good, "bf16") == ["ratio"]
    assert dpo.missed(good | {"ratio": 2.0, "gemm_share": 0.85, "max_loss_difference": 1e-3}, "fp32") == [
        "max_loss_difference"
    ]
    assert dpo.missed({"gemm_share": 0.1}, "fp32") == []


def test_what_growth_misses():
    few, many = SideRun(16, (8.0,), (0.5,), 100), SideRun(128, (70.0,), (0.5,), 104)
    found = growth.figures(growth.Size(few, 400), growth.Size(many, 404)) | {"long_prompt_ratio": 1.3}
    assert found["speed_ratio"] == pytest.approx(128 / 70 / 2)
    assert growth.missed(found) == ["speed_ratio", "long_prompt_ratio"]


def test_the_largest_step_is_counted_without_what_its_rows_share():
    sizes = [(10, 0), (12, 8), (12, 8), (12, 8), (20, 0), (9, 0)]  # prompts, and what of them another row computes
    train = [
        {"prompt_ids": [0] * prompt, "chosen_ids": [0, 0], "rejected_ids": [0], "shared": shared}
        for prompt, shared in sizes
    ]
    # Four pairs a step; of the replies one token goes in: 11 + 3 x 5 = 26, and 21 + 10 = 31.
    assert growth.largest_step_tokens(Start(train, [])) == 31


def test_the_peer_is_as_right_as_its_scores():
    rows = [row_of(str(n), f"prompt {n}", "a longer reply", "short") for n in range(4)]
    start = Start([], [{"id": str(n)} for n in range(4)])
    told = accuracy_of_scores(start, rows, [(1.0, 0.0), (2.0, 1.0), (0.0, 1.0), (1.0, 1.0)])
    assert (told.accuracy, told.longest_wins) == (0.625, 1.0)  # a tie is half right


def test_what_reward_misses():
    run, even = SideRun(4, (2.0,), (0.7,), 100), Accuracy(0.6, 0.5, 0.7, 0.55)
    found = reward.figures(run, SideRun(4, (6.0,), (0.7,), 100), even, Accuracy(0.75, 0.6, 0.8, 0.55))
    assert reward.missed(found | {"held_out": 10}, efficacy=True) == []
    assert reward.missed(found | {"held_out": 20}, efficacy=True) == ["accuracy"]  # three pairs fewer
    slow = found | {"held_out": 10, "ratio": 1.9}
    assert (reward.missed(slow, efficacy=True), reward.missed(slow, efficacy=False)) == ([], ["ratio"])
    assert reward.missed(found | {"held_out": 10, "longest_wins": 0.6}, efficacy=True) == ["longest_wins"]


def test_written_rows_are_the_same_each_time_and_about_as_long_as_real_ones(monkeypatch):
    monkeypatch.delenv("CHARTER_DATA", raising=False)
    rows = first_rows(200)
    assert rows == first_rows(200) and len({row.prompt for row in rows}) == 200
    lengths = [len(row.chosen.split()) for row in rows]
    assert 85 < sum(lengths) / len(lengths) < 105


def test_a_prompt_is_taken_once():
    asked = (Message("user", "Why?"),)
    pairs = [Comparison(str(n), str(n), asked, "yes", reply) for n, reply in enumerate(("yes", "no", "maybe"))]
    assert [pair.id for pair in of_different_prompts(iter(pairs))] == ["1"]


def test_both_sides_begin_alike(tmp_path, tiny):
    rows = [row_of(f"r{n}", f"prompt {n}", f"good {n}", "bad") for n in range(6)]
    write_rows(tmp_path / "rows.jsonl", rows)
    paths = {"model": tiny, "rows": tmp_path / "rows.jsonl", "output": tmp_path / "unused"}
    start = dpo_start(DpoConfig(**paths, pairs_per_step=4), tmp_path / "dpo")
    plan = Plan(6, 4, 1, 0)
    order = [number for step in range(plan.steps) for number in plan.rows_of_step(step)]
    assert [row["id"] for row in start["train"]] == [f"r{number}" for number in order]
    weights = load_file(tmp_path / "dpo" / "adapter_model.safetensors")
    assert all((weight == 0).all() for name, weight in weights.items() if "lora_B" in name)

    held = reward_start(RewardConfig(**paths, held_out_share=0.5), tmp_path / "reward")
    assert (len(held["train"]), len(held["held_out"])) == (3, 3)
    assert {row["id"] for part in held.values() for row in part} == {row.id for row in rows}
    assert any("score" in name for name in load_file(tmp_path / "reward" / "adapter_model.safetensors"))


def test_each_peer_is_pinned():
    for environment in environments.ENVIRONMENTS.values():
        text = (environments._HERE / environment.requirements).read_text()
        assert re.search(r"^\w[\w\[\]]*==[\d.]+$", text, re.MULTILINE), environment
