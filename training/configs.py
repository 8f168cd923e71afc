"""Every knob of the trainers: frozen dataclasses without torch, loaded from YAML. A YAML key is a field's name.

Left out on purpose: the device (CUDA where there is a GPU, else the CPU; CUDA_VISIBLE_DEVICES decides) and dropout
(off: policy and reference must see one network).
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal, TypeVar, get_type_hints

from training.errors import ConfigError, UnreadKnob
from training.knob_files import read_knobs
from training.knobs import count, knob, open_knob, typed
from training.limits import Limits
from training.unknown_knobs import refuse_unknown
from training.unread_knobs import refuse_unread

Precision = Literal["auto", "bf16", "fp32"]
DpoLoss = Literal["dpo", "length_normalised", "ipo"]
Sampling = Literal["torch", "vllm"]
Quantise = Literal["none", "nf4"]
PatienceReads = Literal["loss", "checks"]
Method = Literal["sft", "reward", "dpo", "ppo", "rloo"]

# Of an open `held_out_share`: a look at replies asks the fewest, and the most are enough to see a loss rise.
ONE_IN, FEWEST_HELD_OUT, MOST_HELD_OUT = 20, 16, 64


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """What every trainer needs.

    - `model`: folder of the base model, as transformers saves it.
    - `rows`: JSONL file of preference rows.
    - `output`: the run's folder. Started again with the same config, the run goes on from its last checkpoint.
    - `learning_rate`: peak of AdamW's rate. Small adapters on small models take 1e-4 to 1e-3, large models 1e-5.
    - `warmup_share`: share of the steps in which the rate rises from 0, before it falls linearly to 0.
    - `epochs`: passes over the rows. Raise it for small sets; watch the held-out lift.
    - `lora_rank`: size of the update: 8 to 64. Raise it for large sets.
    - `lora_layers_share`: share of the layers, counted from the last, that the adapter changes. At 0.5 a step of DPO
      takes 0.7 of the time in the first epoch, since the layers below are computed once for policy and reference, and
      no gradient goes into them in any.
    - `lora_targets`: names of linear layers, such as q_proj; empty means all of them but the head.
    - `max_tokens`: rows with a longer prompt plus reply are dropped and counted.
    - `tokens_per_batch`: how many tokens go through the model at once. Lower it when memory runs out.
    - `precision`: auto takes bf16 where the machine multiplies bf16 faster than fp32, else fp32.
    - `gradient_checkpointing`: recompute layers backwards: a third slower, much less memory.
    - `checkpoint_every_steps`: how much work a kill may cost, and how often `patience` looks, and for SFT and DPO the
      limits on replies.
    - `start_adapter`: folder of an adapter of the same base and shape, as peft saves it: training goes on from its
      weights instead of fresh ones. The base stays the reference. For rounds, and for DPO or PPO after SFT.
    - `seed`: decides the adapter's start and the rows' order.
    - `held_out_share`: share of the prompts that are kept from training and measured: at the end, and with `patience`
      at every checkpoint. Left open, SFT and DPO keep a twentieth: 64 prompts at most, and none where that is fewer
      than 16. Set it to 0 where every row must be learnt from, and above where a small set is to be measured.
    - `patience`: how many checkpoints in a row may score below the best on held-out prompts before the run stops; the
      best one is then what is saved, also where the run comes to its end. 0 saves the last. Take 2 or 3 where
      over-fitting is feared.
    """

    model: Path
    rows: Path
    output: Path
    learning_rate: float = knob(1e-5, 1e-12, 1.0)
    warmup_share: float = knob(0.1, 0.0, 1.0)
    epochs: int = count(1, 1, 1000)
    lora_rank: int = count(16, 1, 1024)
    lora_layers_share: float = knob(1.0, 0.01, 1.0)
    lora_targets: tuple[str, ...] = ()
    max_tokens: int = count(2048, 8, 131072)
    tokens_per_batch: int = count(2048, 8, 1048576)
    precision: Precision = "auto"
    gradient_checkpointing: bool = False
    checkpoint_every_steps: int = count(10, 1, 1000000)
    start_adapter: Path | None = None
    seed: int = count(0, 0, 2**31 - 1)
    held_out_share: float | None = open_knob(0.0, 0.9)
    patience: int = count(0, 0, 1000)

    @property
    def lora_alpha(self) -> int:
        """Twice the rank: the update's scale, alpha / rank, is then 2 at every rank, and the rate need not change."""
        return 2 * self.lora_rank

    @property
    def limits(self) -> Limits:
        """What stops the run early."""
        return Limits(patience=self.patience)

    def held_out_of(self, prompts: int) -> int:
        """How many of so many different prompts are kept from training."""
        if self.held_out_share is not None:
            return round(self.held_out_share * prompts)
        kept = min(prompts // ONE_IN, MOST_HELD_OUT)
        return kept if kept >= FEWEST_HELD_OUT else 0

    @property
    def looks_at_held_out(self) -> str:
        """The first knob that is set and says nothing without held-out prompts; empty where there is none."""
        return "patience" if self.patience else ""


@dataclass(frozen=True, kw_only=True)
class PolicyConfig(TrainConfig):
    """What trainers of a policy need besides: limits on what its replies are like; 0 is no limit.

    PPO and RLOO look at the replies of each step. SFT and DPO have the policy answer some held-out prompts at each
    checkpoint, without a limit at each fourth and after the last step. A run that breaks one stops, and the last
    checkpoint that did not is saved.

    - `min_distinct_2`: the smallest share of different token pairs. Set it, to 0.1 or so, where replies collapse.
    - `max_length_ratio`: how many times as long the replies may get as those of the base (of PPO's and RLOO's first
      step). Set it, to 2 or so, where length is what is learnt.
    - `max_refusal_rate`: the largest share that may refuse, by the check `no_refusal`.
    - `constitution`: YAML file. What counts is the weighted share of its checked principles that a reply keeps: in PPO
      and RLOO it scores the replies that are learnt from, in SFT and DPO it is shown of those that are looked at
      (`held_out_score_checks`), and changes nothing but with `patience_reads`.
    - `principles`: ids of the constitution's principles that count; empty means all of them. Leave out judged ones
      that the judge is not fit for, and checks that fail their own examples.
    """

    constitution: Path | None = None
    principles: tuple[str, ...] = ()
    min_distinct_2: float = knob(0.0, 0.0, 1.0)
    max_length_ratio: float = knob(0.0, 0.0, 1e6)
    max_refusal_rate: float = knob(0.0, 0.0, 1.0)

    @property
    def limits(self) -> Limits:
        """What stops the run early."""
        return Limits(
            min_distinct_2=self.min_distinct_2,
            max_length_ratio=self.max_length_ratio,
            max_refusal_rate=self.max_refusal_rate,
            patience=self.patience,
        )


@dataclass(frozen=True, kw_only=True)
class OfflineConfig(TrainConfig):
    """What trainers on given replies, which may run as several processes, need besides.

    - `shard_base`: on several processes, each holds a part of the base's layers (FSDP), and they give one another the
      layer that computes. Set it where the base does not fit into one GPU; else it only costs time.
    - `quantise`: `nf4` holds the base in 4 bits (QLoRA, on CUDA only): a quarter of bf16's memory, slower, and the
      adapter learns beside a base that is a little off. Set it where one GPU must do.
    """

    shard_base: bool = False
    quantise: Quantise = "none"


@dataclass(frozen=True, kw_only=True)
class OfflinePolicyConfig(OfflineConfig, PolicyConfig):
    """What SFT and DPO need besides.

    - `patience_reads`: `checks` has `patience` read the constitution's checks of the replies that are looked at, at
      each checkpoint, instead of the held-out rows' loss. Take it where the checks say what is wanted.
    """

    patience_reads: PatienceReads = "loss"

    @property
    def limits(self) -> Limits:
        """What stops the run early."""
        limits = super().limits
        return replace(limits, score="held_out_score_checks") if self.patience_reads == "checks" else limits

    @property
    def looks_at_held_out(self) -> str:
        """The limits on replies look there too."""
        return super().looks_at_held_out or next(iter(self.limits.read_replies), "")


@dataclass(frozen=True, kw_only=True)
class DpoConfig(OfflinePolicyConfig):
    """Direct preference optimisation with soft labels and weights.

    - `beta`: strength of the pull to the base model. Lower it to move further from it.
    - `sft_weight`: weight of the chosen replies' mean negative log-likelihood beside the DPO loss. Raise it when
      chosen replies lose probability; 0.2 makes small models learn formats much faster.
    - `pairs_per_step`: pairs in one optimiser step.
    - `loss`: `dpo`; `length_normalised` takes log-probabilities a token, so that length earns nothing (take a `beta`
      of 2 to 10 then); `ipo` holds the margin of sure pairs at 1 / (2 beta): when labels are near 0 and 1 and DPO
      overfits.
    - `label_smoothing`: the share of labels taken to be wrong, conservative DPO. Raise it for hard labels of unknown
      reliability; calibrated beliefs (`p_chosen`) need none.
    - `max_kl`: the run stops at the step whose pairs' `kl` (nats a token that the replies lost against the base) is
      higher, and the last checkpoint before it is saved. Set it, to 0.5 or so, where replies get odd; 0 is no limit.
    """

    beta: float = knob(0.1, 1e-4, 100.0)
    loss: DpoLoss = "dpo"
    label_smoothing: float = knob(0.0, 0.0, 0.49)
    sft_weight: float = knob(0.0, 0.0, 100.0)
    max_kl: float = knob(0.0, 0.0, 1000.0)
    pairs_per_step: int = count(16, 1, 4096)

    @property
    def limits(self) -> Limits:
        """What stops the run early."""
        return replace(super().limits, max_kl=self.max_kl)


@dataclass(frozen=True, kw_only=True)
class SftConfig(OfflinePolicyConfig):
    """Supervised fine-tuning on the chosen replies of the rows: `rejected` is not looked at, and may be left out.

    - `replies_per_step`: replies in one optimiser step.
    """

    replies_per_step: int = count(16, 1, 4096)


@dataclass(frozen=True, kw_only=True)
class RewardConfig(OfflineConfig):
    """A reward model: a score for a reply, so that the better of two has the higher one.

    - `prompts_per_step`: prompts in one optimiser step. All pairs of a prompt go in together.
    - `margin`: how far apart the scores of a sure pair should be at least; that of a softer label shrinks with
      2 p_chosen - 1. Raise it where labels are reliable and scores crowd together.
    - `held_out_share`: as for every trainer, but a tenth where it is not given: a reward model's evidence is how often
      it is right.
    - `member`: which member of an ensemble this is. Train the same config with 0, 1, 2: each starts elsewhere and takes
      the rows in another order, and all are measured on the same prompts.
    """

    prompts_per_step: int = count(16, 1, 4096)
    margin: float = knob(0.0, 0.0, 100.0)
    member: int = count(0, 0, 1000)
    held_out_share: float = knob(0.1, 0.0, 0.9)


@dataclass(frozen=True, kw_only=True)
class OnlineConfig(PolicyConfig):
    """What PPO and RLOO need: prompts to answer, what scores the answers, and how strongly the base holds.

    Of `rows` only the prompts count, each once: preference rows will do, and lines of `{"prompt": ...}`. A step is:
    sample replies, score them, learn from them.

    - `held_out_share`: none where it is not given, since each step looks at replies. What is kept is answered, scored.

    - `prompts_per_step`: prompts answered in one step.
    - `replies_per_prompt`: replies to each. PPO takes 1; RLOO at least 2, since they are each other's baseline.
    - `reply_tokens`: the longest reply. Longer ones are cut there.
    - `passes`: passes over a step's replies. 1 keeps to the policy that sampled; 4 learns more from a dear sample.
    - `minibatches`: updates a pass.
    - `clip`: how far a step may move an action's probability, as a share of it.
    - `kl_weight`: the reward's price of a nat away from the base. Raise it when replies become odd.
    - `kl_target`: the KL of a reply, in nats, that `kl_weight` is steered to; 0 leaves it as it is.
    - `max_kl`: the run stops at the step whose replies' KL (nats a reply) is higher; the last checkpoint before it is
      saved. 0 is no limit.
    - `missing_eos_penalty`: taken from the score of a reply that was cut.
    - `check_weight`: weight in the score of the share of the `constitution`'s checks. What has weight 0 trains nothing,
      and `patience` looks at it.
    - `judge_url`: a judge that grades each reply under the constitution's judged principles: an OpenAI-compatible
      server's URL, or `unix:` and a socket's path.
    - `judge_model`: the name that this server knows it by.
    - `judge_key_env`: the environment variable that holds the server's API key, where it wants one.
    - `judge_protocol`: `pointwise`, `proposition`, or the folder of an own one that grades.
    - `judge_weight`: weight of its mean grade, 0 to 1, in the score.
    - `judge_concurrency`: requests at once. Raise it for a server with many GPUs.
    - `judge_timeout_s`: of one request. Raise it for a slow server.
    - `judge_tokens_total`: the run ends with an error once a start of it spent so many tokens; 0 is no limit.
      Of several processes each has its part.
    - `reward_model`: the output folder of `python -m training reward` on the same base.
    - `reward_weight`: weight of its score, in standard deviations over the replies that it was trained on.
    - `reward_ensemble`: the output folders of further members of it: the score is then the mean over all.
    - `spread_weight`: how much of the standard deviation between the members is taken from the score. Raise it, to 1 or
      so, where the policy finds replies that one member overrates.
    - `sampler`: `vllm` starts an engine of its own and reloads its weights in place each step; `torch` samples in the
      trainer itself: no second process, slower, and a run resumed equals one that did not stop.
    """

    held_out_share: float = knob(0.0, 0.0, 0.9)
    prompts_per_step: int = count(16, 1, 4096)
    replies_per_prompt: int = count(1, 1, 256)
    reply_tokens: int = count(128, 1, 32768)
    passes: int = count(1, 1, 64)
    minibatches: int = count(1, 1, 4096)
    clip: float = knob(0.2, 1e-3, 10.0)
    kl_weight: float = knob(0.05, 0.0, 1e6)
    kl_target: float = knob(0.0, 0.0, 1e6)
    max_kl: float = knob(0.0, 0.0, 1000.0)
    missing_eos_penalty: float = knob(0.0, 0.0, 1e6)
    check_weight: float = knob(1.0, 0.0, 1e6)
    judge_url: str = ""
    judge_model: str = ""
    judge_key_env: str = ""
    judge_protocol: str = "pointwise"
    judge_weight: float = knob(1.0, 0.0, 1e6)
    judge_concurrency: int = count(64, 1, 4096)
    judge_timeout_s: float = knob(120.0, 0.001, 3600.0)
    judge_tokens_total: int = count(0, 0, 2**62)
    reward_model: Path | None = None
    reward_weight: float = knob(1.0, 0.0, 1e6)
    reward_ensemble: tuple[str, ...] = ()
    spread_weight: float = knob(0.0, 0.0, 1e6)
    sampler: Sampling = "torch"

    @property
    def held_out_replies(self) -> int:
        """To each held-out prompt; of one alone nobody could tell chance from a change."""
        return max(2, self.replies_per_prompt)

    @property
    def limits(self) -> Limits:
        """What stops the run early."""
        return replace(super().limits, max_kl=self.max_kl)


@dataclass(frozen=True, kw_only=True)
class PpoConfig(OnlineConfig):
    """Proximal policy optimisation with a value model: an adapter and a head of its own on the same base.

    - `gae_lambda`: 1 takes the whole return as it came, lower values trust the value model more.
    - `value_clip`: how far a step may move a value.
    - `ptx_weight`: weight of the chosen replies' likelihood beside PPO's loss (PPO-ptx): raise it when the policy
      forgets.
    - `ptx_rows`: JSONL file of the rows, or demonstrations, whose chosen replies these are; without it those of `rows`.
    """

    gae_lambda: float = knob(0.95, 0.0, 1.0)
    value_clip: float = knob(0.2, 1e-3, 1e6)
    ptx_weight: float = knob(0.0, 0.0, 1e6)
    ptx_rows: Path | None = None


@dataclass(frozen=True, kw_only=True)
class RlooConfig(OnlineConfig):
    """REINFORCE with a leave-one-out baseline: no value model, a reply is one action."""

    replies_per_prompt: int = count(4, 2, 256)


METHODS: Mapping[Method, type[TrainConfig]] = {
    "sft": SftConfig,
    "reward": RewardConfig,
    "dpo": DpoConfig,
    "ppo": PpoConfig,
    "rloo": RlooConfig,
}
Config = TypeVar("Config", bound=TrainConfig)


def load_config(path: Path, schema: type[Config], changes: tuple[str, ...] = ()) -> Config:
    """Read a YAML file of knobs; `changes` are `key=value` texts that go over it. Paths are relative to the caller."""
    return config_from(read_knobs(path, changes), schema, str(path))


def config_from(keys: Mapping[str, object], schema: type[Config], where: str) -> Config:
    """Check names, types and bounds; every complaint names the key."""
    known = {declared.name: declared for declared in fields(schema)}
    refuse_unknown(keys, tuple(known), where)
    for name, declared in known.items():
        if declared.default is dataclasses.MISSING and name not in keys:
            raise ConfigError(f"{where}: no {name!r}; add it")
    hints = get_type_hints(schema)
    values = {key: typed(f"{where}: {key!r}", hints[key], value) for key, value in keys.items()}
    for key, value in values.items():
        low, high = known[key].metadata.get("low"), known[key].metadata.get("high")
        if isinstance(value, int | float) and low is not None and high is not None and not low <= value <= high:
            raise ConfigError(f"{where}: {key!r} is {value}; take a number from {low} to {high}")
    refuse_unread(values, {name: declared.default for name, declared in known.items()}, where)
    config = schema(**values)  # type: ignore[arg-type]
    if isinstance(config, OfflinePolicyConfig) and config.patience_reads == "checks" and config.constitution is None:
        raise UnreadKnob(where, "patience_reads", "constitution")
    # A limit wants prompts however few there are; who only watches takes those that an open share leaves.
    watching = "constitution" if isinstance(config, OfflinePolicyConfig) and config.constitution else ""
    looking = config.looks_at_held_out or (watching if config.held_out_share is not None else "")
    if looking and not config.held_out_share:
        raise ConfigError(f"{where}: {looking!r} looks at held-out prompts; set 'held_out_share' too")
    if isinstance(config, OnlineConfig) and config.kl_target and not config.kl_weight:
        raise ConfigError(f"{where}: 'kl_target' steers 'kl_weight' by factors, and it is 0; set it above 0")
    return config


def defaults_of(schema: type[TrainConfig]) -> dict[str, object]:
    """The knobs that have a default, as JSON values."""
    given = {one.name: one.default for one in fields(schema) if one.default is not dataclasses.MISSING}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}


def config_to_json(config: TrainConfig) -> dict[str, object]:
    """The resolved config as JSON values, for `config.json` and the manifest."""
    return {
        name: str(value) if isinstance(value := getattr(config, name), Path) else value
        for name in (declared.name for declared in fields(config))
    }
