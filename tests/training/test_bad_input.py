"""What no trainer can learn from ends in one error that names the row, the file or the knob, in each of them."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from judges.records import Message
from training.configs import METHODS, Method, TrainConfig, config_from
from training.dpo import add_pair_gradients, train_dpo
from training.errors import ConfigError, RowError, TrainingError
from training.largest_group import smaller_groups
from training.loop import StepReport, one_update, run_steps
from training.memory import memory_advice, refuse_no_room
from training.model import Policy, load_policy
from training.packing import TokenGroup
from training.precision import Numbers, resolve_numbers
from training.quantising import refuse_quantising
from training.reward import add_prompt_gradients, load_reward_model, train_reward
from training.reward_rows import load_reward_rows
from training.rows import PreferenceRow, read_rows, row_to_json
from training.run_folder import open_run_folder
from training.schedule import Plan
from training.sft import add_reply_gradients, train_sft
from training.tokenising import load_tokenized_rows
from training.trainers import train_in_memory

from .test_rows import make_row

TRAINERS: dict[Method, Callable[..., dict[str, object]]] = {
    "sft": train_sft,
    "reward": train_reward,
    "dpo": train_dpo,
}
ASKED = (Message("user", "Hm?"),)
TIES = [make_row("t1", p_chosen=0.5), make_row("t2", p_chosen=0.5)]
each_trainer = pytest.mark.parametrize("method", sorted(TRAINERS))


def config_of(method: Method, folder: Path, tiny: Path, lines: list[str], **changes: object) -> TrainConfig:
    (folder / "rows.jsonl").write_text("".join(line + "\n" for line in lines))
    values = {"model": str(tiny), "rows": str(folder / "rows.jsonl"), "output": str(folder / "out")}
    values |= {"precision": "fp32", "lora_rank": 2} | ({"held_out_share": 0.0} if method == "reward" else {})
    return config_from(values | changes, METHODS[method], "test")


def refusal(method: Method, folder: Path, tiny: Path, rows: list[PreferenceRow], **changes: object) -> str:
    config = config_of(method, folder, tiny, [row_to_json(row) for row in rows], **changes)
    with pytest.raises(TrainingError) as caught:
        TRAINERS[method](config)
    assert not (config.output / "result.json").exists()
    return str(caught.value)


@each_trainer
def test_an_empty_set(method: Method, tmp_path: Path, tiny: Path):
    said = refusal(method, tmp_path, tiny, [])
    assert said == f"{tmp_path}/rows.jsonl: no row to train on (dropped: none); add rows"


@each_trainer
def test_nothing_but_ties(method: Method, tmp_path: Path, tiny: Path):
    said = refusal(method, tmp_path, tiny, TIES)
    sft = "(dropped: {'tie': 2}); of a tie neither reply was chosen: add verdicts (p_chosen above 0.5)"
    assert (sft if method == "sft" else "every row is a tie (p_chosen 0.5") in said


@pytest.mark.parametrize("method", ["dpo", "reward"])
def test_nothing_but_the_same_reply_twice(method: Method, tmp_path: Path, tiny: Path):
    assert "the same reply twice" in refusal(method, tmp_path, tiny, [make_row("r", rejected="a", chosen="a")])


def test_what_imitates_does_not_look_at_the_rejected_reply(tmp_path: Path, tiny: Path):
    config = config_of("sft", tmp_path, tiny, [row_to_json(make_row("r", rejected="a", chosen="a"))])
    assert train_sft(config)["rows"] == 1


@each_trainer
def test_a_model_whose_weights_are_no_numbers(method: Method, tmp_path: Path, tiny: Path):
    base = Path(shutil.copytree(tiny, tmp_path / "base"))
    tensors = load_file(base / "model.safetensors")
    save_file(
        {name: tensor * float("nan") for name, tensor in tensors.items()}, base / "model.safetensors", {"format": "pt"}
    )
    said = refusal(method, tmp_path, base, [make_row("r")])
    assert said.startswith("row 'r': the model's ") and "are no numbers, in plain transformers too" in said


@each_trainer
def test_rows_that_weigh_nothing(method: Method, tmp_path: Path, tiny: Path):
    said = refusal(method, tmp_path, tiny, [make_row("r", weight=0.0)])
    assert "no row to train on (dropped: {'zero_weight': 1}); raise their weight above 0" in said


@each_trainer
def test_a_one_sided_set_is_named_by_its_line(method: Method, tmp_path: Path, tiny: Path):
    one_sided = json.dumps({"id": "r2", "prompt_id": "p", "prompt": "Why?", "chosen": "Because."})
    config = config_of(method, tmp_path, tiny, [row_to_json(make_row("r1")), one_sided])
    with pytest.raises(RowError, match=r"^rows\.jsonl, line 2: no 'rejected'; a row needs"):
        TRAINERS[method](config)


@each_trainer
@pytest.mark.parametrize(
    ("max_tokens", "said"),
    [
        (64, "tokens where 64 are the most; raise max_tokens"),
        (4096, "where 2048 are the most; the model takes no more"),
    ],
)
def test_replies_beyond_the_context(method: Method, tmp_path: Path, tiny: Path, max_tokens: int, said: str):
    rows = [make_row("longer", chosen="x" * 4000), make_row("long", chosen="x" * 3000)]
    found = refusal(method, tmp_path, tiny, rows, max_tokens=max_tokens)
    assert "(dropped: {'too_long': 2}); row 'long', the shortest, has 3" in found
    assert said in found


@each_trainer
def test_a_lora_target_that_does_not_exist(method: Method, tmp_path: Path, tiny: Path):
    said = refusal(method, tmp_path, tiny, [make_row("r")], lora_targets=["q_prj"])
    assert "lora_targets: no linear layer is called 'q_prj'; take of down_proj, gate_proj" in said


def test_a_share_that_takes_every_prompt(tmp_path: Path, tiny: Path):
    said = refusal("reward", tmp_path, tiny, [make_row("r")], held_out_share=0.9)
    assert "all 1 prompts are held out at held_out_share 0.9; lower it" in said


def broken(policy: Policy) -> Policy:
    """As after a step that went astray."""
    with torch.no_grad():
        for weight in policy.adapter_weights().values():
            weight.fill_(float("nan"))
    return policy


def add_gradients_of(method: Method, config: TrainConfig) -> Callable[[], StepReport]:
    """A step of the trainer over all rows, with weights that are no numbers."""
    numbers = resolve_numbers("fp32")
    if method == "reward":
        prompts = load_reward_rows(config, read_rows(config.rows)).train
        policy = broken(load_reward_model(config, numbers))
        return lambda: add_prompt_gradients(policy, config, prompts)
    policy = broken(load_policy(config, numbers))
    rows = load_tokenized_rows(config, with_rejected=method == "dpo").kept
    if method == "sft":
        return lambda: add_reply_gradients(policy, config, rows)
    return lambda: add_pair_gradients(policy, config, rows, torch.zeros(len(rows), 2), tuple(range(len(rows))))


@each_trainer
def test_a_loss_that_is_no_number_names_its_row(method: Method, tmp_path: Path, tiny: Path):
    config = config_of(method, tmp_path, tiny, [row_to_json(make_row("r7"))])
    with pytest.raises(TrainingError, match=r"^row 'r7': the loss is not a number; lower learning_rate"):
        add_gradients_of(method, config)()


@dataclass
class Hungry:
    """Takes a step or two, then asks for more memory than an address can name."""

    policy: Policy
    steps: int = 0

    def __call__(self, _: tuple[int, ...]) -> StepReport:
        self.steps += 1
        if self.steps == 3:
            torch.empty(2**50, dtype=torch.uint8)
        for weight in self.policy.adapter_weights().values():
            weight.grad = torch.ones_like(weight)
        return StepReport({"loss": 0.0}, 1)


def test_out_of_memory_names_the_knob_and_keeps_the_checkpoint(tmp_path: Path, tiny: Path):
    config = config_of("sft", tmp_path, tiny, [row_to_json(make_row("r"))], checkpoint_every_steps=1)

    def trainer(_: TrainConfig) -> dict[str, object]:
        policy = load_policy(config, resolve_numbers("fp32"))
        with open_run_folder(config, "sft", "fp32") as folder:
            take_step = one_update(Hungry(policy))
            run_steps(config, policy.adapter_weights(), folder, Plan(1, 1, 5, 0), kept={}, take_step=take_step)
        return {}

    with pytest.raises(TrainingError, match="out of memory; lower tokens_per_batch, or max_tokens where"):
        train_in_memory(trainer, config)
    assert [path.name for path in (config.output / "checkpoints").glob("step-*")] == ["step-00000002"]


# A prompt of the tiny model is 19 tokens and its letters; of a reply all but the last token go in: one a letter.
@pytest.mark.parametrize(
    ("method", "changes", "said"),
    [
        ("sft", {}, "row 'long' alone has 62 tokens, more than tokens_per_batch: lower max_tokens, or set"),
        ("dpo", {}, "row 'long' alone has 65 tokens, more than tokens_per_batch: lower max_tokens, or set"),
        ("sft", {"tokens_per_batch": 62}, "out of memory; lower tokens_per_batch"),
        ("sft", {"max_tokens": 60}, "out of memory; lower tokens_per_batch"),
        (
            "rloo",
            {"replies_per_prompt": 3, "reply_tokens": 21},
            "alone with its replies has 82 tokens, more than tokens_per_batch: lower reply_tokens, replies_per_prompt",
        ),
    ],
)
def test_out_of_memory_names_the_row_that_is_more_than_a_batch(
    method: Method, changes: dict[str, object], said: str, tmp_path: Path, tiny: Path
):
    rows = [
        make_row("short", prompt=ASKED, chosen="a", rejected="b"),
        make_row("long", prompt=ASKED, chosen="x" * 40, rejected="no."),
    ]
    own = {"tokens_per_batch": 60} | changes
    config = config_of(method, tmp_path, tiny, [row_to_json(row) for row in rows], **own)

    def trainer(_: TrainConfig) -> dict[str, object]:
        raise MemoryError

    with pytest.raises(TrainingError) as caught:
        train_in_memory(trainer, config)
    assert said in str(caught.value)


def test_out_of_memory_in_a_reward_model_counts_all_replies_to_a_prompt(tmp_path: Path, tiny: Path):
    rows = [make_row(f"r{letter}", prompt=ASKED, chosen=letter * 20, rejected="no") for letter in "abc"]
    config = config_of("reward", tmp_path, tiny, [row_to_json(row) for row in rows], tokens_per_batch=80)
    assert "row 'ra' alone has" in smaller_groups(config)


def test_a_row_whose_mask_no_memory_holds_is_named_before_anything_is_loaded():
    huge = TokenGroup("huge", (0,) * 1_999_991, ((0,) * 10,))
    with pytest.raises(TrainingError) as caught:  # 2,000,000 squared, at 4 + 1 bytes
        refuse_no_room([TokenGroup("small", (0,), ((0,),)), huge], Numbers(torch.device("cpu"), "fp32"))
    assert str(caught.value).startswith(
        "row 'huge': its 2000000 tokens need 20000 GB of memory for the attention's mask"
    )
    assert str(caught.value).endswith("; lower max_tokens, so that it is left out")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "the GPU is out of memory; take less"),
        (MemoryError(), "out of memory; take less"),
    ],
)
def test_every_kind_of_too_little_memory_is_told_alike(error: Exception, said: str):
    with pytest.raises(TrainingError) as caught, memory_advice(lambda: "take less"):
        raise error
    assert str(caught.value) == said


def test_another_fault_is_not_called_memory():
    with pytest.raises(RuntimeError, match="shapes"), memory_advice():
        raise RuntimeError("the shapes do not fit")


def test_four_bits_need_a_gpu_and_the_error_says_what_to_do(tmp_path: Path, tiny: Path):
    config = config_of("dpo", tmp_path, tiny, [], quantise="nf4")
    with pytest.raises(ConfigError, match=r"quantise: nf4 needs a CUDA GPU.*leave it none here"):
        refuse_quantising(config, Numbers(torch.device("cpu"), "fp32"))
    both = config_of("dpo", tmp_path, tiny, [], quantise="nf4", shard_base=True)
    with pytest.raises(ConfigError, match="nf4 and shard_base exclude each other"):
        refuse_quantising(both, Numbers(torch.device("cuda"), "bf16"))
