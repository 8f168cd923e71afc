"""What no trainer can learn from ends in one error that names the row, the file or the knob, in each of them."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from judges.records import Message
from training.configs import METHODS, Method, TrainConfig, config_from
from training.dpo import add_pair_gradients, train_dpo
from training.errors import ConfigError, LostNumber, RowError, TrainingError
from training.largest_group import smaller_groups
from training.loop import Step, StepReport, one_update, run_steps
from training.memory import memory_advice, refuse_no_room
from training.model import Policy, load_policy
from training.online import Minibatch, Size, ask
from training.online_parts import open_online
from training.packing import TokenGroup
from training.ppo import token_lessons, train_ppo
from training.precision import Numbers, resolve_numbers
from training.quantising import refuse_quantising
from training.ranks import this_rank
from training.reward import add_prompt_gradients, load_reward_model, train_reward
from training.reward_rows import load_reward_rows
from training.rloo import add_gradients as add_own_gradients
from training.rloo import reply_lessons, train_rloo
from training.rollouts import Rollout
from training.rows import PreferenceRow, read_rows, row_to_json
from training.run_folder import open_run_folder
from training.schedule import Plan
from training.scorers import FunctionScorer
from training.seen import Asked
from training.sft import add_reply_gradients, train_sft
from training.shares import Share
from training.tokenising import load_tokenized_rows
from training.trainers import train_in_memory
from training.value import add_value_model

from .test_rows import make_row

LENGTH = FunctionScorer("length", lambda rollout: float(len(rollout.text)))
TRAINERS: dict[Method, Callable[..., dict[str, object]]] = {
    "sft": train_sft,
    "reward": train_reward,
    "dpo": train_dpo,
    "ppo": partial(train_ppo, own_scorers=[LENGTH]),
    "rloo": partial(train_rloo, own_scorers=[LENGTH]),
}
ONLINE: tuple[Method, ...] = ("ppo", "rloo")
ASKED = (Message("user", "Hm?"),)
TIES = [make_row("t1", p_chosen=0.5), make_row("t2", p_chosen=0.5)]
each_trainer = pytest.mark.parametrize("method", sorted(TRAINERS))
each_row_trainer = pytest.mark.parametrize("method", ["dpo", "reward", "sft"])  # these learn from given replies
each_online_trainer = pytest.mark.parametrize("method", ONLINE)


def config_of(method: Method, folder: Path, tiny: Path, lines: list[str], **changes: object) -> TrainConfig:
    (folder / "rows.jsonl").write_text("".join(line + "\n" for line in lines))
    values = {"model": str(tiny), "rows": str(folder / "rows.jsonl"), "output": str(folder / "out")}
    values |= {"precision": "fp32", "lora_rank": 2} | ({"held_out_share": 0.0} if method == "reward" else {})
    values |= {"reply_tokens": 4, "replies_per_prompt": 2} if method in ONLINE else {}
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
    nothing = "prompt to answer; add prompts" if method in ONLINE else "row to train on (dropped: none); add rows"
    assert said == f"{tmp_path}/rows.jsonl: no {nothing}"


@each_row_trainer
def test_nothing_but_ties(method: Method, tmp_path: Path, tiny: Path):
    said = refusal(method, tmp_path, tiny, TIES)
    sft = "(dropped: {'tie': 2}); add verdicts (p_chosen above 0.5) on replies that differ"
    assert (sft if method == "sft" else "every row is a tie (p_chosen 0.5") in said


@pytest.mark.parametrize("method", ["dpo", "reward"])
def test_nothing_but_the_same_reply_twice(method: Method, tmp_path: Path, tiny: Path):
    said = refusal(method, tmp_path, tiny, [make_row("r", rejected="a", chosen="a")])
    assert (
        "no row to train on (dropped: {'same_reply': 1}); add verdicts (p_chosen above 0.5) on replies that differ"
        in said
    )


@pytest.mark.parametrize("method", ["dpo", "reward"])
def test_the_same_reply_twice_beside_other_rows_is_left_out_and_counted(method: Method, tmp_path: Path, tiny: Path):
    """Trained on, it would be one decided pair that is never right."""
    rows = [make_row("r1"), make_row("same", chosen="a", rejected="a"), make_row("r2", prompt_id="p2", chosen="Other.")]
    config = config_of(method, tmp_path, tiny, [row_to_json(row) for row in rows], learning_rate=0.01, epochs=8)
    result = TRAINERS[method](config)
    assert (result["rows"], result["dropped"]) == (2, {"same_reply": 1})
    last = json.loads((config.output / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["accuracy"] == 1.0


def test_sft_does_not_look_at_the_rejected_reply(tmp_path: Path, tiny: Path):
    lines = [row_to_json(make_row("same", chosen="a", rejected="a")), row_to_json(make_row("none", rejected=""))]
    result = train_sft(config_of("sft", tmp_path, tiny, lines, epochs=1))
    assert (result["rows"], result["dropped"]) == (2, {})


@pytest.mark.parametrize("method", ["dpo", "reward"])
def test_demonstrations_are_no_pairs(method: Method, tmp_path: Path, tiny: Path):
    rows = [make_row("r1", rejected=""), make_row("r2", rejected=" \n")]
    said = refusal(method, tmp_path, tiny, rows)
    assert "a one-sided set: the rejected reply is blank in 2 of 2 rows, row 'r1' first; add the replies that" in said


@pytest.mark.parametrize(
    ("method", "side", "other"), [("dpo", "rejected", 2), ("reward", "rejected", 0), ("sft", "chosen", 0)]
)
def test_a_side_that_is_nearly_always_blank_is_refused(
    method: Method, side: str, other: int, tmp_path: Path, tiny: Path
):
    rows = [make_row(f"r{n}", **({side: "\n"} if n != other else {})) for n in range(11)]
    said = refusal(method, tmp_path, tiny, rows)
    first = 1 if other == 0 else 0
    assert f"a one-sided set: the {side} reply is blank in 10 of 11 rows, row 'r{first}' first; add the" in said


@each_row_trainer
def test_blank_replies_beside_others_are_trained_on_and_counted(method: Method, tmp_path: Path, tiny: Path):
    """Nine of ten: such a base says nothing, mostly."""
    rows = [make_row(f"r{n}", **({"rejected": " "} if n else {"chosen": ""})) for n in range(10)]
    result = TRAINERS[method](config_of(method, tmp_path, tiny, [row_to_json(row) for row in rows]))
    assert result["blank_replies"] == {"chosen": 1} | ({} if method == "sft" else {"rejected": 9})


@each_trainer
def test_a_model_whose_weights_are_no_numbers(method: Method, tmp_path: Path, tiny: Path):
    base = Path(shutil.copytree(tiny, tmp_path / "base"))
    tensors = load_file(base / "model.safetensors")
    save_file(
        {name: tensor * float("nan") for name, tensor in tensors.items()}, base / "model.safetensors", {"format": "pt"}
    )
    said = refusal(method, tmp_path, base, [make_row("r", prompt_id="r")])
    assert said.startswith("row 'r': the model's ") and "are no numbers, in plain transformers too" in said


@each_row_trainer
def test_rows_that_weigh_nothing(method: Method, tmp_path: Path, tiny: Path):
    said = refusal(method, tmp_path, tiny, [make_row("r", weight=0.0)])
    assert "no row to train on (dropped: {'zero_weight': 1}); raise their weight above 0" in said


ASKED_WHY, BECAUSE = {"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}
DEMONSTRATIONS = (
    {"id": "r2", "prompt_id": "p", "prompt": "Why?", "chosen": "Because."},
    {"messages": [ASKED_WHY, BECAUSE]},
    {"prompt": "Why?", "completion": "Because."},
    {"prompt": [ASKED_WHY], "completion": [BECAUSE]},
)


@pytest.mark.parametrize("method", ["dpo", "reward"])
@pytest.mark.parametrize("line", DEMONSTRATIONS)
def test_what_compares_two_replies_names_a_demonstration(
    method: Method, line: dict[str, object], tmp_path: Path, tiny: Path
):
    config = config_of(method, tmp_path, tiny, [row_to_json(make_row("r1")), json.dumps(line)])
    with pytest.raises(RowError) as caught:
        TRAINERS[method](config)
    assert str(caught.value).startswith("rows.jsonl, line 2: no '")
    assert "this method compares two; give chosen and rejected, or train sft, which imitates the one" in str(
        caught.value
    )


def test_sft_learns_the_same_of_a_demonstration_in_each_form(tmp_path: Path, tiny: Path):
    weights = []
    for number, line in enumerate(DEMONSTRATIONS):
        (tmp_path / str(number)).mkdir()
        config = config_of("sft", tmp_path / str(number), tiny, [json.dumps(line)], learning_rate=0.01, epochs=3)
        assert train_sft(config)["rows"] == 1
        losses = [json.loads(step)["loss"] for step in (config.output / "metrics.jsonl").read_text().splitlines()]
        assert losses[-1] < losses[0]
        weights.append(load_file(config.output / "adapter" / "adapter_model.safetensors"))
    for name, weight in weights[0].items():
        assert all(torch.equal(weight, other[name]) for other in weights[1:])


@each_row_trainer
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


@each_online_trainer
@pytest.mark.parametrize(
    ("max_tokens", "said"),
    [(64, "64 are the most for both; lower reply_tokens, or raise max_tokens"), (4096, "2048 are the most for both; ")],
)
def test_prompts_beyond_the_context(method: Method, tmp_path: Path, tiny: Path, max_tokens: int, said: str):
    rows = [
        make_row(name, prompt_id=name, prompt=(Message("user", "x" * length),))
        for name, length in (("longer", 4000), ("long", 3000))
    ]
    found = refusal(method, tmp_path, tiny, rows, max_tokens=max_tokens)
    # The chat template adds 19 tokens.
    assert (
        "(dropped: {'too_long': 2}); prompt 'long', the shortest, has 3019 tokens, its reply may have 4, and" in found
    )
    assert said in found and found.endswith("raise max_tokens" if max_tokens == 64 else "no more: shorten them")


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


@each_row_trainer
def test_a_loss_that_is_no_number_names_its_row(method: Method, tmp_path: Path, tiny: Path):
    config = config_of(method, tmp_path, tiny, [row_to_json(make_row("r7"))])
    with pytest.raises(TrainingError, match=r"^row 'r7': the loss is not a number; lower learning_rate"):
        add_gradients_of(method, config)()


@pytest.fixture(scope="module")
def without_q(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, but what it makes of a Q is no number."""
    folder = tmp_path_factory.mktemp("without-q")
    tokenizer, model = AutoTokenizer.from_pretrained(tiny), AutoModelForCausalLM.from_pretrained(tiny)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.get_input_embeddings().weight.detach().clone())
    with torch.no_grad():
        model.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids("Q")] = float("nan")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def with_q(rows: list[PreferenceRow], number: int) -> list[str]:
    """The lines of these rows, prompt and chosen reply of the one of this number with a Q in them."""
    broken = replace(rows[number], chosen="Q" * 60, prompt=(Message("user", "Which letter is Q?"),))
    return [row_to_json(broken if n == number else row) for n, row in enumerate(rows)]


@each_trainer
def test_a_lost_number_leaves_an_adapter_to_go_on_from(method: Method, tmp_path: Path, without_q: Path):
    step = {"sft": "replies_per_step", "dpo": "pairs_per_step"}.get(method, "prompts_per_step")
    changes = {step: 1, "checkpoint_every_steps": 1, "epochs": 1}
    asked = [(Message("user", f"Letter {n}?"),) for n in range(4)]
    rows = [make_row(f"r{n}", prompt_id=f"r{n}", prompt=prompt) for n, prompt in enumerate(asked)]
    broken = Plan(4, 1, 1, 0).rows_of_step(2)[0]
    config = config_of(method, tmp_path, without_q, with_q(rows, broken), **changes)
    place = config.output / "adapter-step-00000002"
    lost = (
        "the policy's probabilities of a reply's next token are no numbers" if method in ONLINE else "the loss is not"
    )
    said = f"'r{broken}': {lost}.*; the adapter of step 2 is kept: .* start_adapter: {place} and another output"
    for _ in range(2):  # the same command again ends as it did
        with pytest.raises(LostNumber, match=said):
            TRAINERS[method](config)
    (tmp_path / "next").mkdir()
    lines = list(map(row_to_json, rows))
    mended = config_of(method, tmp_path / "next", without_q, lines, start_adapter=str(place), **changes)
    assert TRAINERS[method](mended)["steps"] == 4
    state = load_file(config.output / "checkpoints/step-00000002/state.safetensors")
    for name, weight in load_file(place / "adapter_model.safetensors").items():
        if "lora_" in name:
            head, tail = name.rsplit(".", 1)
            assert torch.equal(weight, state[f"weight.{head}.default.{tail}"])


def lost_in_the_third(online_asked: Sequence[Asked], lost: Callable[[Asked], Asked]) -> list[Asked]:
    return [lost(one) if place == 2 else one for place, one in enumerate(online_asked)]


def test_one_lost_number_of_ppo_is_named_by_its_own_prompt(tmp_path: Path, without_q: Path):
    """Advantages are whitened over the step: one that is no number would take the others with it."""
    rows = [make_row(f"r{n}", prompt_id=f"p{n}", prompt=(Message("user", f"Letter {n}?"),)) for n in range(4)]
    config = config_of("ppo", tmp_path, without_q, list(map(row_to_json, rows)), seed=1)  # whose replies have no Q
    q = AutoTokenizer.from_pretrained(without_q).convert_tokens_to_ids("Q")

    def without_kl(one: Asked) -> Asked:
        return replace(one, ref_logps_N=one.ref_logps_N * float("nan"))

    def of_q(one: Asked) -> Asked:
        replies = tuple((q,) * len(reply) for reply in one.group.replies)
        return replace(one, group=replace(one.group, replies=replies))

    with open_online(config, resolve_numbers("fp32"), [LENGTH]) as (online, _):
        critic = add_value_model(online.policy, 0)
        whole = Share(this_rank(), tuple(range(4)), 1.0, tuple(range(4)))
        answered = ask(online, Step(0, whole, update=lambda: 0.0, forget=lambda: None))
        asked = list(answered.own.values())
        assert asked[2].group.row_id == "p2"
        for lost, name in ((without_kl, "advantage"), (of_q, "value")):
            with pytest.raises(LostNumber, match=f"^row 'p2': the {name} of a reply's token is not a number; lower"):
                token_lessons(online, config, critic, lost_in_the_third(asked, lost), 0.1)
        lessons = reply_lessons(lost_in_the_third(asked, without_kl), 0.1)
        with pytest.raises(LostNumber, match=r"^row 'p2': the loss is not a number; lower"):
            add_own_gradients(online, Minibatch(lessons, Size(len(lessons), len(lessons))))


def test_a_number_lost_before_any_checkpoint_says_so(tmp_path: Path, without_q: Path):
    config = config_of("sft", tmp_path, without_q, with_q([make_row("r"), make_row("q")], 1))
    with pytest.raises(LostNumber, match=r"row 'q': the loss is not a number; .* \(no checkpoint was written before\)"):
        train_sft(config)


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


class HungryScorer:
    """Scores by length, and asks at the third time for more memory than an address can name."""

    name = "length"

    def __init__(self) -> None:
        self._asked = 0

    def scores(self, rollouts: Sequence[Rollout]) -> Sequence[float]:
        self._asked += 1
        if self._asked == 3:
            torch.empty(2**50, dtype=torch.uint8)
        return LENGTH.scores(rollouts)


@each_online_trainer
def test_out_of_memory_while_it_samples_keeps_the_checkpoint_too(method: Method, tmp_path: Path, tiny: Path):
    config = config_of(method, tmp_path, tiny, [row_to_json(make_row("r"))], epochs=4, checkpoint_every_steps=1)
    trainer = partial({"ppo": train_ppo, "rloo": train_rloo}[method], own_scorers=[HungryScorer()])
    with pytest.raises(TrainingError, match="out of memory; lower tokens_per_batch, or max_tokens where"):
        train_in_memory(trainer, config)
    assert [path.name for path in (config.output / "checkpoints").glob("step-*")] == ["step-00000002"]


@each_online_trainer
def test_replies_that_no_memory_holds_are_refused_before_anything_is_loaded(method: Method, tmp_path: Path, tiny: Path):
    many = {"reply_tokens": 1900, "replies_per_prompt": 256}
    said = refusal(method, tmp_path, tiny, [make_row("r", prompt_id="p7", prompt=ASKED)], **many)
    # 22 of the prompt and 256 times 1,899: squared, at 4 + 1 bytes
    assert said.startswith("row 'p7': its 486166 tokens need 1182 GB of memory for the attention's mask alone")
    assert said.endswith("; lower reply_tokens, replies_per_prompt or max_tokens")


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
        refuse_quantising(config, on_gpu=False)
    both = config_of("dpo", tmp_path, tiny, [], quantise="nf4", shard_base=True)
    with pytest.raises(ConfigError, match="nf4 and shard_base exclude each other"):
        refuse_quantising(both, on_gpu=True)


@pytest.mark.parametrize(("method", "train"), [("ppo", train_ppo), ("rloo", train_rloo)])
def test_that_nothing_scores_is_told_before_the_base_is_loaded(
    method: Method, train: Callable[[TrainConfig], object], tmp_path: Path, tiny: Path
):
    base = tmp_path / "unloadable"
    shutil.copytree(tiny, base)
    (base / "model.safetensors").write_bytes(b"cut short")
    config = config_of(method, tmp_path, base, [row_to_json(make_row("r"))])
    with pytest.raises(TrainingError, match="nothing scores the replies: name a constitution"):
        train(config)
