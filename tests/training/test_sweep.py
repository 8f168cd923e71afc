"""A sweep's figures by hand: win rates, the candidate that is picked, its place in the proof, and the KL of replies."""

import json
import math
import tarfile
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from training.bundle import verify_bundle, write_bundle
from training.errors import TrainingError
from training.manifest import manifest_from_json, manifest_to_json
from training.precision import resolve_numbers
from training.reply_kl import Written, reply_kls
from training.sweep import Candidate, FailedCandidate, ReplyKl, Sweep, WinRate, best_of, win_rate
from training.tokenising import load_tokenizer

from .test_bundle import make_inputs, members


def candidate(value: float, rate: float, kl: float) -> Candidate:
    won = WinRate(rate, rate - 0.1, rate + 0.1, 8, 16)
    return Candidate(value, f"{value}" * 8, "c" * 64, won, ReplyKl(kl, math.sqrt(kl)), stopped_early=False)


def test_prompts_count_alike_however_many_of_their_meetings_were_decided():
    # Prompt means 0.9, 0.5, 0.4: mean 0.6, standard error 0.152753, t(2) = 4.302653: half width 0.657, cut to 0 and 1.
    found = win_rate({"p": [1.0, 0.8], "q": [0.5], "r": [0.0, 0.8], "nothing": []})
    assert (found.rate, found.prompts, found.meetings) == (pytest.approx(0.6), 3, 5)
    assert (found.low, found.high) == (0.0, 1.0)
    narrow = win_rate({f"p{n}": [0.8 + 0.1 * (n % 2)] for n in range(16)})
    # Eight of 0.8 and eight of 0.9: sd 0.0516398 / 4, t(15) = 2.131450.
    assert (narrow.low, narrow.high) == (pytest.approx(0.85 - 0.0275169), pytest.approx(0.85 + 0.0275169))


def test_one_prompt_has_no_interval_and_none_no_rate():
    assert win_rate({"p": [0.7, 0.9]}) == WinRate(pytest.approx(0.8), 0.0, 1.0, 1, 2)
    with pytest.raises(TrainingError, match="no meeting with the base was decided"):
        win_rate({"p": [], "q": []})


def test_the_highest_win_rate_is_picked_and_of_equals_the_nearest_to_the_base():
    far, near, worse = candidate(0.05, 0.7, 9.0), candidate(0.1, 0.7 + 1e-12, 4.0), candidate(0.3, 0.6, 1.0)
    assert best_of([far, near, worse]) == near
    assert best_of([far, worse]) == far


def test_the_bundle_names_every_candidate_and_shows_them(tmp_path: Path):
    tried = (candidate(0.05, 0.6, 9.0), candidate(0.25, 0.7, 4.0))
    sweep = Sweep("beta", tried, 0.25, 24, 8, (FailedCandidate(0.01, "step 2: kl is 8, beyond its limit 2"),))
    inputs = make_inputs(tmp_path)
    inputs = replace(inputs, manifest=replace(inputs.manifest, sweep=sweep), report=replace(inputs.report, sweep=sweep))
    write_bundle(inputs, tmp_path / "bundle.tar.gz")
    assert verify_bundle(tmp_path / "bundle.tar.gz").sweep == sweep
    assert manifest_from_json(manifest_to_json(inputs.manifest)).sweep == sweep
    files = members(tmp_path / "bundle.tar.gz")
    assert json.loads(files["report.json"])["sweep"] == json.loads(json.dumps(asdict(sweep)))
    assert "| 0.25, picked | 70.0 % (60.0 % to 80.0 %) | 4 | 2 |" in files["README.md"].decode()
    assert "No adapter came of beta 0.01: step 2: kl is 8, beyond its limit 2." in files["README.md"].decode()
    page = files["report.html"].decode()
    assert "What beta does" in page and "one point a candidate" in page and page.count("data:image/png") == 3
    with tarfile.open(tmp_path / "bundle.tar.gz") as tar:
        assert "metrics.jsonl" in tar.getnames()


def test_the_kl_of_replies_is_that_of_the_full_distributions(tmp_path: Path, tiny: Path):
    """By transformers and peft alone: the sum over a reply's tokens of KL(adapter || base) of the next one."""
    folders = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = get_peft_model(
            AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32),
            LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False),
        ).eval()
        folders.append(tmp_path / str(seed))
        model.save_pretrained(folders[-1])
    turns = [{"role": "user", "content": "Letter?"}]
    lines = [
        {"prompt": turns, "reply": "a\u2028b\x85c", "finished": True},
        {"prompt": turns, "reply": "de", "finished": False},
    ]
    (tmp_path / "replies.jsonl").write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    found = reply_kls(tiny, [Written(folder, tmp_path / "replies.jsonl") for folder in folders], tokens_per_batch=64)
    tokenizer = load_tokenizer(tiny)
    asked = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    sums = []
    for line in lines:
        ids = tokenizer(line["reply"], add_special_tokens=False)["input_ids"]
        ids += [tokenizer.eos_token_id] if line["finished"] else []
        with torch.no_grad():
            row = torch.tensor([asked + ids])
            after = model(input_ids=row).logits[0, len(asked) - 1 : -1].log_softmax(-1)
            with model.disable_adapter():
                before = model(input_ids=row).logits[0, len(asked) - 1 : -1].log_softmax(-1)
        sums.append((after.exp() * (after - before)).sum().item())
    most = 1e-4 if resolve_numbers("auto").precision == "fp32" else 1e-2  # the other side is in fp32 everywhere
    assert found[1].kl == pytest.approx(sum(sums) / 2, rel=most)
    assert found[1].sqrt_kl == pytest.approx(math.sqrt(sum(sums) / 2), rel=most)
    assert found[0].kl > 0 and found[0].kl != pytest.approx(found[1].kl, rel=1e-3)
    broken = {name: tensor * math.nan for name, tensor in load_file(folders[0] / "adapter_model.safetensors").items()}
    save_file(broken, folders[0] / "adapter_model.safetensors")
    with pytest.raises(TrainingError, match="the KL is nan: the adapter's weights are broken"):
        reply_kls(tiny, [Written(folders[0], tmp_path / "replies.jsonl")], tokens_per_batch=64)
    (tmp_path / "none.jsonl").write_text("")
    with pytest.raises(TrainingError, match="no reply to measure on"):
        reply_kls(tiny, [Written(folders[0], tmp_path / "none.jsonl")], tokens_per_batch=64)
