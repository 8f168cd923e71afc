"""A file that is cut short, damaged or gone ends in one line that names it and says what to do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from transformers import AutoConfig, AutoModelForCausalLM

from training.__main__ import main
from training.damaged_files import file_advice
from training.errors import TrainingError

from .test_stopping import different
from .test_training import settings

Harm = Callable[[Path], object]
CHECKPOINT = Path("checkpoints/step-00000002")


@pytest.fixture(scope="module")
def trained(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of two steps; `run.yaml` beside it began it."""
    return run_of("dpo", tmp_path_factory.mktemp("trained"), tiny)


@pytest.fixture(scope="module")
def reward(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_of("reward", tmp_path_factory.mktemp("reward"), tiny)


def run_of(method: str, folder: Path, tiny: Path) -> Path:
    size = {"reward": "prompts_per_step", "dpo": "pairs_per_step"}[method]
    values = settings(folder, tiny, different(4), epochs=1, checkpoint_every_steps=1)
    values.pop("pairs_per_step", None)
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(values | {size: 2}))
    assert main([method, str(path)]) == 0
    return folder / "out"


def copied(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to))


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def refusal(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr of a command that ends with 2."""
    capsys.readouterr()
    assert main(words) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return line.removeprefix("error: ")


@pytest.mark.parametrize(
    ("harm", "name", "said"),
    [
        (half, "state.safetensors", "cut short or damaged"),
        (half, "state.json", "cut short or damaged"),
        (Path.unlink, "state.safetensors", "is not there"),
        (Path.unlink, "state.json", "is not there"),
        (lambda path: path.write_text('{"step": 2}'), "state.json", "cut short or damaged (no 'seconds')"),
    ],
)
def test_a_damaged_checkpoint(tmp_path: Path, trained: Path, capsys, harm: Harm, name: str, said: str):
    out = copied(trained, tmp_path / "out")
    (out / "result.json").unlink()
    harm(out / CHECKPOINT / name)
    again = ["dpo", str(trained.parent / "run.yaml"), "--set", f"output={out}"]
    told = refusal(again, capsys)
    assert told.startswith(f"{out / CHECKPOINT / name}: {said}")
    assert told.endswith(
        f"; remove {out / CHECKPOINT}, and the run goes on without it: from an older checkpoint, or from its start"
    )
    shutil.rmtree(out / CHECKPOINT)  # as told
    assert main(again) == 0


def test_a_folder_of_another_name_is_no_checkpoint(tmp_path: Path, trained: Path):
    out = copied(trained, tmp_path / "out")
    (out / "result.json").unlink()
    (out / "checkpoints" / "step-old").mkdir()
    assert main(["dpo", str(trained.parent / "run.yaml"), "--set", f"output={out}"]) == 0


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("config.json", "put back the run's own, or name another output"),
        ("result.json", "remove it, and the run ends once more from its last checkpoint"),
    ],
)
@pytest.mark.parametrize("harm", [half, lambda path: path.write_text("[1]")])
def test_a_damaged_run_folder(tmp_path: Path, trained: Path, capsys, harm: Harm, name: str, remedy: str):
    out = copied(trained, tmp_path / "out")
    harm(out / name)
    told = refusal(["dpo", str(trained.parent / "run.yaml"), "--set", f"output={out}"], capsys)
    assert told.startswith(f"{out / name}: cut short or damaged (") and told.endswith(f"; {remedy}")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("model.safetensors", "no model"),
        ("config.json", "no tokenizer"),
        ("tokenizer.json", "no tokenizer"),
        ("tokenizer_config.json", "no tokenizer"),
    ],
)
def test_a_damaged_base(tmp_path: Path, trained: Path, tiny: Path, capsys, name: str, what: str):
    base = copied(tiny, tmp_path / "base")
    half(base / name)
    output = f"output={tmp_path / 'out'}"
    told = refusal(["dpo", str(trained.parent / "run.yaml"), "--set", output, "--set", f"model={base}"], capsys)
    assert told.startswith(str(base)) and what in told and "name a model folder as transformers saves it" in told


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
@pytest.mark.parametrize("harm", [half, Path.unlink])
def test_a_damaged_adapter(tmp_path: Path, trained: Path, tiny: Path, capsys, name: str, harm: Harm):
    adapter, run = copied(trained / "adapter", tmp_path / "adapter"), str(trained.parent / "run.yaml")
    harm(adapter / name)
    replies = tmp_path / "replies.jsonl"
    replies.write_text('{"prompt": "a", "reply": "x", "finished": true}\n')
    for words in (
        ["merge", "--model", str(tiny), "--adapter", str(adapter), "--output", str(tmp_path / "merged")],
        ["dpo", run, "--set", f"output={tmp_path / 'out'}", "--set", f"start_adapter={adapter}"],
        ["kl", "--model", str(tiny), "--of", str(adapter), str(replies)],
    ):
        told = refusal(words, capsys)
        assert str(adapter) in told and name in told and "name a folder as peft saves an adapter" in told
    assert not (tmp_path / "merged").exists()


def test_an_adapter_of_another_base(tmp_path: Path, trained: Path, tiny: Path, capsys):
    base = copied(tiny, tmp_path / "base")
    shape = json.loads((base / "config.json").read_text())
    AutoModelForCausalLM.from_config(AutoConfig.for_model(**{**shape, "intermediate_size": 64})).save_pretrained(base)
    words = ["--model", str(base), "--adapter", str(trained / "adapter"), "--output", str(tmp_path / "merged")]
    assert "does not fit this base" in refusal(["merge", *words], capsys)


@pytest.mark.parametrize(
    "name", ["adapter/adapter_model.safetensors", "adapter/adapter_config.json", "config.json", "result.json"]
)
def test_a_damaged_reward_model(tmp_path: Path, trained: Path, reward: Path, capsys, name: str):
    folder = copied(reward, tmp_path / "reward")
    held = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(held | {"member": 1}))
    half(folder / name)
    values = yaml.safe_load((trained.parent / "run.yaml").read_text())
    knobs = {key: values[key] for key in ("model", "rows", "precision")} | {"output": str(tmp_path / "ppo")}
    (tmp_path / "ppo.yaml").write_text(yaml.safe_dump(knobs | {"reward_model": str(folder), "reply_tokens": 2}))
    assert str(folder) in refusal(["ppo", str(tmp_path / "ppo.yaml")], capsys)
    assert str(folder) in refusal(["ensemble", str(folder), str(reward)], capsys)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"prompt": "a", "reply": "x", "fini', "replies.jsonl, line 1, column 31: not JSON"),
        ('{"prompt": "a", "reply": "x"}', "replies.jsonl, line 1: no 'finished'"),
        ('{"prompt": 1, "reply": "x", "finished": true}', "'prompt' must be a list"),
        ('{"prompt": "a", "reply": "x", "finished": 1}', "'finished' must be true or false"),
    ],
)
def test_damaged_replies(tmp_path: Path, trained: Path, tiny: Path, capsys, line: str, said: str):
    replies = tmp_path / "replies.jsonl"
    replies.write_text(line)
    words = ["kl", "--model", str(tiny), "--of", str(trained / "adapter"), str(replies)]
    assert said in refusal(words, capsys)


def test_what_the_system_refuses_is_not_called_damage(tmp_path: Path):
    with pytest.raises(PermissionError), file_advice(tmp_path, "remove it"):
        raise PermissionError(13, "Permission denied")
    with pytest.raises(TrainingError, match=r"is not there; remove it$"), file_advice(tmp_path, "remove it"):
        (tmp_path / "none").read_text()
