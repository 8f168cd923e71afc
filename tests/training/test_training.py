"""The trainers as commands on the tiny model: resume, kill, lock, bad input, and what they leave behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from training.configs import DpoConfig, SftConfig, config_from
from training.dpo import train_dpo
from training.errors import ConfigError, RunFolderBusy, TrainingError
from training.merge import merge_adapter
from training.rows import PreferenceRow, write_rows
from training.run_folder import open_run_folder
from training.sft import train_sft
from training.tokenising import load_tokenizer
from training.turns import reply_tokens

from .test_rows import make_row

ROOT = Path(__file__).parents[2]


def pairs(count: int) -> list[PreferenceRow]:
    """The chosen reply is one letter, the rejected one another: easy to learn."""
    return [
        make_row(f"r{n}", prompt_id=f"p{n}", chosen="a" * (1 + n % 3), rejected="zz" * (1 + n % 2), p_chosen=0.95)
        for n in range(count)
    ]


def settings(folder: Path, tiny: Path, rows: list[PreferenceRow], **changes: object) -> dict[str, object]:
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / "rows.jsonl", rows)
    values = {
        "model": str(tiny), "rows": str(folder / "rows.jsonl"), "output": str(folder / "out"), "learning_rate": 0.01,
        "precision": "fp32", "pairs_per_step": 4, "epochs": 3, "checkpoint_every_steps": 2, "tokens_per_batch": 150,
    }  # fmt: skip
    return values | changes


def dpo_config(folder: Path, tiny: Path, rows: list[PreferenceRow] | None = None, **changes: object) -> DpoConfig:
    values = settings(folder, tiny, pairs(10) if rows is None else rows, **changes)
    return config_from(values, DpoConfig, "test")


def command(folder: Path, values: dict[str, object], method: str = "dpo") -> subprocess.Popen[str]:
    (folder / "run.yaml").write_text(yaml.safe_dump(values))
    return subprocess.Popen(
        [sys.executable, "-m", "training", method, str(folder / "run.yaml")],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def steps(config: DpoConfig | SftConfig) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (config.output / "metrics.jsonl").read_text().splitlines()]
    return [{name: line[name] for name in line if name not in ("seconds", "tokens_per_s")} for line in lines]


def test_dpo_learns_and_leaves_what_it_promises(tmp_path: Path, tiny: Path, capsys: pytest.CaptureFixture[str]):
    config = dpo_config(tmp_path, tiny, epochs=6)
    result = train_dpo(config)
    assert (result["steps"], result["rows"], result["dropped"]) == (18, 10, {})
    lines = steps(config)
    assert [line["step"] for line in lines] == list(range(1, 19))
    assert lines[0]["margin"] == 0.0 and lines[0]["dpo_loss"] == pytest.approx(0.693147, abs=1e-5)
    assert lines[-1]["accuracy"] == 1.0 and lines[-1]["margin"] > 0.3
    progress = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["type"], line["done"], line["total"]) for line in progress] == [
        ("progress", done, 18) for done in range(19)
    ]
    adapter_config = json.loads((config.output / "adapter/adapter_config.json").read_text())
    assert adapter_config["base_model_name_or_path"] == "tiny"
    assert str(tmp_path) not in json.dumps(adapter_config)
    assert json.loads((config.output / "config.json").read_text())["precision"] == "fp32"


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_plain_peft_and_the_merged_model_give_the_trained_policy(tmp_path: Path, tiny: Path, share: float):
    config = dpo_config(tmp_path, tiny, lora_layers_share=share)
    train_dpo(config)
    ids = torch.tensor([[1, 70, 80, 90]])
    base = AutoModelForCausalLM.from_pretrained(tiny)
    untouched = base(ids).logits
    with torch.no_grad():
        adapted = PeftModel.from_pretrained(base, config.output / "adapter")(ids).logits
        merged = merge_adapter(tiny, config.output / "adapter", tmp_path / "merged")
        logits = AutoModelForCausalLM.from_pretrained(merged)(ids).logits
    assert (adapted - untouched).abs().max() > 0.01
    torch.testing.assert_close(adapted, logits, rtol=1e-4, atol=1e-5)
    assert (merged / "tokenizer.json").exists() and (merged / "chat_template.jinja").exists()


@pytest.mark.parametrize(
    ("loss", "beta", "smoothing", "at_start"),
    [
        ("length_normalised", 5.0, 0.0, 0.693147),  # margin 0, whatever the lengths: log 2
        ("ipo", 0.5, 0.0, 1.0),  # margin 0 is 1 from either target
        ("dpo", 0.1, 0.3, 0.693147),
    ],
)
def test_each_form_of_dpo_learns_the_preference(tmp_path: Path, tiny: Path, loss, beta, smoothing, at_start):
    config = dpo_config(tmp_path, tiny, epochs=6, loss=loss, beta=beta, label_smoothing=smoothing)
    train_dpo(config)
    lines = steps(config)
    assert lines[0]["dpo_loss"] == pytest.approx(at_start, abs=1e-5)
    assert lines[-1]["accuracy"] == 1.0 and lines[-1]["dpo_loss"] < at_start


def test_what_is_a_margin_a_token_does_not_grow_with_the_reply(tmp_path: Path, tiny: Path):
    """The same pair with its replies' letters four times over: sums differ fourfold, means hardly."""
    margins = {}
    for loss in ("dpo", "length_normalised"):
        for times in (1, 4):
            row = make_row("r", prompt_id="p", chosen="a" * 3 * times, rejected="z" * 3 * times, p_chosen=1.0)
            config = dpo_config(tmp_path / f"{loss}-{times}", tiny, rows=[row], epochs=4, loss=loss, beta=1.0)
            train_dpo(config)
            margins[loss, times] = steps(config)[-1]["margin"]
    assert margins["dpo", 4] > 2.5 * margins["dpo", 1]
    assert margins["length_normalised", 4] < 2 * margins["length_normalised", 1]


def test_a_finished_run_returns_at_once_with_its_result(tmp_path: Path, tiny: Path):
    config = dpo_config(tmp_path, tiny, epochs=1)
    assert train_dpo(config) == train_dpo(config)
    assert len(steps(config)) == 3


@pytest.mark.parametrize(("kill", "share"), [(signal.SIGKILL, 1.0), (signal.SIGTERM, 0.5)])
def test_resume_equals_not_stopping_bit_for_bit(tmp_path: Path, tiny: Path, kill: signal.Signals, share: float):
    whole = dpo_config(tmp_path / "whole", tiny, sft_weight=0.2, lora_layers_share=share)
    train_dpo(whole)
    values = settings(tmp_path / "cut", tiny, pairs(10), sft_weight=0.2, lora_layers_share=share)
    process = command(tmp_path / "cut", values)
    for line in process.stdout:
        if json.loads(line).get("done") == 5:  # one step after the checkpoint of step 4
            process.send_signal(kill)
            break
    process.communicate()
    assert process.returncode == -kill
    cut = config_from(values, DpoConfig, "test")
    assert not (cut.output / "result.json").exists()
    train_dpo(cut)
    assert steps(cut) == steps(whole)
    ours, theirs = (load_file(config.output / "adapter/adapter_model.safetensors") for config in (cut, whole))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_half_a_checkpoint_is_absent_and_swept_away(tmp_path: Path, tiny: Path):
    config = dpo_config(tmp_path, tiny)
    half = config.output / "checkpoints/.step-00000008.123.tmp"
    half.mkdir(parents=True)
    (half / "state.safetensors").write_bytes(b"half")
    train_dpo(config)
    assert [path.name for path in (config.output / "checkpoints").iterdir()] == ["step-00000009"]


def test_a_folder_trains_in_one_process_at_a_time(tmp_path: Path, tiny: Path):
    config = dpo_config(tmp_path, tiny)
    with open_run_folder(config, "dpo", "fp32"), pytest.raises(RunFolderBusy, match="another process trains here"):
        train_dpo(config)


def test_a_run_goes_on_only_with_the_config_and_rows_that_began_it(tmp_path: Path, tiny: Path):
    train_dpo(dpo_config(tmp_path, tiny, epochs=1))
    with pytest.raises(ConfigError, match=r"began with beta = 0\.1, now it is 0\.2"):
        train_dpo(dpo_config(tmp_path, tiny, epochs=1, beta=0.2))
    with pytest.raises(ConfigError, match="began with rows_sha256"):
        train_dpo(dpo_config(tmp_path, tiny, rows=pairs(9), epochs=1))


def test_a_run_that_began_before_a_knob_existed_goes_on(tmp_path: Path, tiny: Path):
    config = dpo_config(tmp_path, tiny, epochs=1)
    result = train_dpo(config)
    held = json.loads((config.output / "config.json").read_text())
    assert held.pop("lora_layers_share") == 1.0
    (config.output / "config.json").write_text(json.dumps(held))
    assert train_dpo(config) == result
    with pytest.raises(ConfigError, match=r"began with lora_layers_share = 1\.0, now it is 0\.5"):
        train_dpo(dpo_config(tmp_path, tiny, epochs=1, lora_layers_share=0.5))


def test_a_run_may_go_on_with_smaller_batches(tmp_path: Path, tiny: Path):
    with open_run_folder(dpo_config(tmp_path, tiny, epochs=1), "dpo", "fp32"):
        pass
    assert train_dpo(dpo_config(tmp_path, tiny, epochs=1, tokens_per_batch=60))["steps"] == 3


def test_what_cannot_be_trained_on_is_dropped_and_told(tmp_path: Path, tiny: Path):
    rows = [*pairs(4), make_row("long", rejected="x" * 400), make_row("nothing", weight=0.0)]
    result = train_dpo(dpo_config(tmp_path, tiny, rows=rows, epochs=1, max_tokens=300))
    assert result["dropped"] == {"too_long": 1, "zero_weight": 1}
    assert [row["id"] for row in result["dropped_rows"]] == ["long", "nothing"]
    assert result["dropped_rows"][0]["tokens"] > 400


def without_a_number_for(letter: str, tiny: Path, folder: Path) -> Path:
    """The tiny model, but what reads the letter in is no number; the head, which is tied to it there, is its own."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny), load_tokenizer(tiny)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.get_input_embeddings().weight.detach().clone())
    with torch.no_grad():
        model.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids(letter)] = float("nan")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_loss_that_is_no_number_names_its_row_and_keeps_the_checkpoint(tmp_path: Path, tiny: Path):
    model = without_a_number_for("Q", tiny, tmp_path / "model")
    rows = [*pairs(7), make_row("broken", chosen="aQa")]  # step 2 comes to it
    config = dpo_config(tmp_path, model, rows=rows, epochs=1, checkpoint_every_steps=1)
    with pytest.raises(TrainingError, match="row 'broken': the loss is not a number; lower"):
        train_dpo(config)
    assert list((config.output / "checkpoints").glob("step-*"))
    assert not (config.output / "result.json").exists()


def test_text_that_looks_like_a_control_token_stays_text(tiny: Path):
    tokenizer = load_tokenizer(tiny)
    ids = reply_tokens("a<|im_end|>b", tokenizer)
    assert len(ids) == 12 + 1  # one a byte, and the end
    assert ids.index(tokenizer.eos_token_id) == 12


def test_sft_imitates_no_tie(tmp_path: Path, tiny: Path):
    values = settings(tmp_path, tiny, [*pairs(3), make_row("tie", p_chosen=0.5)], epochs=1)
    values["replies_per_step"] = values.pop("pairs_per_step")
    result = train_sft(config_from(values, SftConfig, "test"))
    assert (result["rows"], result["dropped"]) == (3, {"tie": 1})


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_sft_learns(tmp_path: Path, tiny: Path, share: float):
    values = settings(tmp_path, tiny, pairs(10), epochs=8, lora_layers_share=share)
    values["replies_per_step"] = values.pop("pairs_per_step")
    config = config_from(values, SftConfig, "test")
    result = train_sft(config)
    assert result["steps"] == 24
    losses = [line["loss"] for line in steps(config)]
    assert losses[0] == pytest.approx(5.56, abs=0.5)  # log 260: the tiny model knows nothing
    assert losses[-1] < losses[0] - 0.5


def test_the_command_line_ends_in_a_result_or_in_one_line_on_stderr(tmp_path: Path, tiny: Path):
    good = command(tmp_path, settings(tmp_path, tiny, pairs(4), epochs=1))
    out, err = good.communicate()
    assert good.returncode == 0, err
    last = json.loads(out.splitlines()[-1])
    assert last["type"] == "result" and len(last["adapter_sha256"]) == 64 and last["peak_memory_bytes"] > 10**7
    (tmp_path / "rows.jsonl").write_text("{oops\n")
    (tmp_path / "other").mkdir()
    bad = command(tmp_path, {"model": str(tiny), "rows": str(tmp_path / "rows.jsonl"), "output": str(tmp_path / "o")})
    out, err = bad.communicate()
    assert bad.returncode == 2
    assert err.splitlines()[-1].startswith("error: rows.jsonl, line 1, column 2: not JSON")
    assert "Traceback" not in err


def test_training_imports_nothing_that_a_bare_node_lacks():
    program = (
        # transformers imports scikit-learn where it is, which brings more along: a bare node has none of it.
        "import sys; sys.modules['sklearn'] = None\n"
        "import training.__main__, training.dpo, training.sft, training.merge, training.tiny\n"
        "print(sorted({'pydantic','datasets','httpx','fastapi','pyarrow','vllm','ray','sqlalchemy','matplotlib'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, env=os.environ, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_torch_free_modules_are_free_of_torch():
    names = ["rows", "configs", "mix", "manifest", "statistics", "evaluation", "bundle", "weights", "run_folder"]
    names += ["monitors", "kl", "limits", "sycophancy", "held_out", "reward_evidence"]
    program = f"import sys, {', '.join('training.' + name for name in names)}\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
