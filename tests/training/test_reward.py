"""The reward model: its loss by hand, the packed layout beside transformers' own classifier, and what it leaves."""

import json
import math
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import tensor as t
from transformers import AutoModelForSequenceClassification

from judges.measures import Statistic, measure
from judges.records import Message
from training.configs import RewardConfig, config_from
from training.losses import reward_loss
from training.merge import merge_adapter
from training.precision import resolve_numbers
from training.reward import load_reward_model, measures_of, train_reward
from training.reward_evidence import NormalScores, RewardEvidence
from training.reward_rows import load_reward_rows
from training.rows import PreferenceRow, write_rows
from training.scores import pack_finished, reply_scores
from training.tokenising import load_tokenizer

from .test_rows import make_row
from .test_training import command


def test_reward_loss_by_hand():
    # gap 1: log(1 + 1/e); a margin of 1 makes of a gap of 2 the same; 0.75 sure: 0.75 log(1 + 1/e) + 0.25 log(1 + e)
    loss = reward_loss(
        t([3.0, 3.0, 3.0]), t([2.0, 1.0, 2.0]), p_chosen_B=t([1.0, 1.0, 0.75]), margin_B=t([0.0, 1.0, 0.0])
    )
    assert loss.tolist() == pytest.approx([0.3132617, 0.3132617, 0.75 * 0.3132617 + 0.25 * 1.3132617])


def test_a_tie_pulls_the_scores_together():
    chosen = t(1.0, requires_grad=True)
    reward_loss(chosen, t(0.0), p_chosen_B=t(0.5)).backward()
    assert chosen.grad.item() == pytest.approx(0.2310586)  # sigmoid(1) - 0.5


def asked(number: int) -> tuple[Message, ...]:
    return (Message("user", f"Letter {number}?"),)


def pairs(prompts: int) -> list[PreferenceRow]:
    """Three replies a prompt, a over m over z, all three pairs: easy to learn, and to tell on other prompts."""
    order = [("aa", "mm"), ("mm", "zz"), ("aa", "zz")]
    return [
        make_row(f"r{n}-{k}", prompt_id=f"p{n}", prompt=asked(n), chosen=chosen, rejected=rejected, p_chosen=0.95)
        for n in range(prompts)
        for k, (chosen, rejected) in enumerate(order)
    ]


def settings(folder: Path, tiny: Path, rows: list[PreferenceRow], **changes: object) -> dict[str, object]:
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / "rows.jsonl", rows)
    values = {
        "model": str(tiny), "rows": str(folder / "rows.jsonl"), "output": str(folder / "out"), "learning_rate": 0.01,
        "precision": "fp32", "prompts_per_step": 4, "epochs": 4, "checkpoint_every_steps": 2, "tokens_per_batch": 200,
        "held_out_share": 0.25,
    }  # fmt: skip
    return values | changes


def reward_config(folder: Path, tiny: Path, rows: list[PreferenceRow], **changes: object) -> RewardConfig:
    return config_from(settings(folder, tiny, rows, **changes), RewardConfig, "test")


def classified(model: torch.nn.Module, tiny: Path, row: PreferenceRow, reply: str) -> float:
    """By transformers alone: the whole conversation as the chat template writes it."""
    turns = [{"role": m.role, "content": m.content} for m in row.prompt] + [{"role": "assistant", "content": reply}]
    ids = load_tokenizer(tiny).apply_chat_template(turns, return_tensors="pt", return_dict=False)
    with torch.no_grad():
        return model(input_ids=ids).logits[0, 0].item()


def test_it_learns_the_order_and_leaves_what_it_promises(tmp_path: Path, tiny: Path):
    config = reward_config(tmp_path, tiny, pairs(16), epochs=8)
    result = train_reward(config)
    assert (result["rows"], result["dropped"]) == (36, {})
    held_out = result["held_out"]
    assert (held_out["examples"], held_out["prompts"]) == (12, 4)
    assert held_out["accuracy"]["value"] == 1.0
    lines = [json.loads(line) for line in (config.output / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["accuracy"] == 1.0 and lines[-1]["loss"] < lines[0]["loss"]
    normal = result["normal"]
    assert normal["replies"] == 36 and normal["sd"] > 0
    assert train_reward(config) == result


def test_plain_peft_and_the_merged_classifier_give_the_same_score(tmp_path: Path, tiny: Path):
    config = reward_config(tmp_path, tiny, pairs(8))
    train_reward(config)
    base = AutoModelForSequenceClassification.from_pretrained(tiny, num_labels=1, dtype=torch.float32)
    adapted = PeftModel.from_pretrained(base, config.output / "adapter").eval()
    merged = AutoModelForSequenceClassification.from_pretrained(
        merge_adapter(tiny, config.output / "adapter", tmp_path / "merged"), dtype=torch.float32
    ).eval()
    row = pairs(1)[2]
    best, worst = (classified(adapted, tiny, row, reply) for reply in (row.chosen, row.rejected))
    assert best > worst
    assert [classified(merged, tiny, row, reply) for reply in (row.chosen, row.rejected)] == pytest.approx(
        [best, worst], abs=1e-4
    )


def test_packed_scores_are_transformers_own(tmp_path: Path, tiny: Path):
    """Replies of one letter, of none and long ones, several to a prompt, several prompts in a row."""
    rows = [
        make_row("r1", prompt=asked(1), chosen="a", rejected=""),
        make_row("r2", prompt=asked(1), chosen="a longer reply, with words", rejected="a"),
        make_row("r3", prompt=(Message("system", "S"), *asked(2)), chosen="b", rejected="<|im_end|>"),
    ]
    config = reward_config(tmp_path, tiny, rows, held_out_share=0.0)
    policy = load_reward_model(config, resolve_numbers("fp32"))
    prompts = load_reward_rows(config, rows).train
    assert [len(prompt.group.replies) for prompt in prompts] == [3, 2]
    with torch.no_grad():
        ours = reply_scores(
            policy, policy.causal.score, pack_finished(policy, [prompt.group for prompt in prompts])
        ).tolist()
    model = policy.model.eval()
    plain = [classified(model, tiny, rows[0], reply) for reply in ("a", "", "a longer reply, with words")]
    plain.append(classified(model, tiny, rows[2], "b"))
    assert ours[:4] == pytest.approx(plain, abs=1e-5)
    # What a person wrote stays letters; the chat template alone would have ended the turn there.
    assert ours[4] != pytest.approx(classified(model, tiny, rows[2], "<|im_end|>"), abs=1e-5)


def test_all_pairs_of_a_prompt_are_one_element_and_on_one_side_of_the_split(tmp_path: Path, tiny: Path):
    rows = pairs(20)
    found = load_reward_rows(reward_config(tmp_path, tiny, rows), rows)
    assert (len(found.train), len(found.held_out)) == (15, 5)
    for prompt in (*found.train, *found.held_out):
        assert len(prompt.group.replies) == 3 and len(prompt.pairs) == 3
    trained = {pair.row.prompt_id for prompt in found.train for pair in prompt.pairs}
    assert trained.isdisjoint(pair.row.prompt_id for prompt in found.held_out for pair in prompt.pairs)
    other = load_reward_rows(replace(reward_config(tmp_path, tiny, rows), seed=1), rows)
    assert other.held_out != found.held_out


def test_calibration_is_beside_how_sure_the_rows_are(tmp_path: Path, tiny: Path):
    rows = [replace(row, p_chosen=0.7) for row in pairs(4)]
    prompts = load_reward_rows(reward_config(tmp_path, tiny, rows, held_out_share=0.0), rows).train
    as_sure = measures_of(prompts, [math.log(0.7 / 0.3)] * len(rows))
    assert (as_sure.accuracy.value, as_sure.longest_wins.value) == (1.0, 0.5)
    assert as_sure.ece.value == pytest.approx(0, abs=1e-6) and as_sure.brier.value == pytest.approx(0, abs=1e-6)
    too_sure = measures_of(prompts, [math.log(0.9 / 0.1)] * len(rows))
    assert too_sure.ece.value == pytest.approx(0.2, abs=1e-6) and too_sure.brier.value == pytest.approx(0.04, abs=1e-6)


def test_resume_equals_not_stopping_bit_for_bit(tmp_path: Path, tiny: Path):
    whole = reward_config(tmp_path / "whole", tiny, pairs(16))
    train_reward(whole)
    values = settings(tmp_path / "cut", tiny, pairs(16))
    process = command(tmp_path / "cut", values, "reward")
    for line in process.stdout:
        if json.loads(line).get("done") == 5:  # one step after the checkpoint of step 4
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    cut = config_from(values, RewardConfig, "test")
    assert not (cut.output / "result.json").exists()
    train_reward(cut)
    ours, theirs = (load_file(config.output / "adapter/adapter_model.safetensors") for config in (cut, whole))
    assert ours.keys() == theirs.keys() and any("score" in name for name in ours)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    ("low", "longest_wins", "beats"),
    [(0.61, Statistic(0.6), True), (0.6, Statistic(0.6), False), (0.9, Statistic(None, "no pair has a winner"), False)],
)
def test_only_an_interval_above_the_baseline_beats_length(low: float, longest_wins: Statistic, beats: bool):
    held_out = replace(measure([]), low=low, high=1.0, longest_wins=longest_wins)
    assert RewardEvidence(NormalScores(0.0, 1.0, 2), held_out).beats_length is beats
    assert not RewardEvidence(NormalScores(0.0, 1.0, 2), None).beats_length
