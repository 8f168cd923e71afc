"""The run's body: one frozen schema, read by the API, the pipeline and the CLI. Each field has one reader."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from training.configs import DpoLoss, Method, PatienceReads, Precision, Quantise, Sampling
from training.conflicts import Conflict
from training.mix_sources import Weights
from training.ownership import Owner

Stage = Literal["sample", "revise", "judge", "mix", "train", "evaluate", "bundle"]
STAGES: tuple[Stage, ...] = ("sample", "revise", "judge", "mix", "train", "evaluate", "bundle")
# What a stage reads of the same run. `judge` reads `revise` too, where that is asked for. `RunRequest.needs` says more.
STAGE_NEEDS: Mapping[Stage, tuple[Stage, ...]] = {
    "sample": (),
    "revise": ("sample",),
    "judge": ("sample",),
    "mix": ("sample", "judge"),
    "train": ("sample", "judge", "mix"),
    "evaluate": ("sample", "judge", "mix", "train"),
    "bundle": ("sample", "judge", "mix", "train"),
}
# A run that imitates revisions has no pairs.
REVISIONS_NEED: Mapping[Stage, tuple[Stage, ...]] = {
    "train": ("sample", "revise"),
    "evaluate": ("sample", "revise", "train"),
    "bundle": ("sample", "revise", "train"),
}
# PPO and RLOO write their replies themselves, and demonstrations are given.
ALONE_NEED: Mapping[Stage, tuple[Stage, ...]] = {"train": (), "evaluate": ("train",), "bundle": ("train",)}
RunStatus = Literal["queued", "running", "cancelling", "cancelled", "failed", "succeeded"]


class Settings(BaseModel):
    """A group of settings: frozen, and it rejects keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SampleSettings(Settings):
    """How the policy answers the training prompts."""

    replies_per_prompt: Annotated[int, Field(ge=2, le=64)] = 4
    max_tokens: Annotated[int, Field(ge=1, le=32768)] = 512
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0


class ReviseSettings(Settings):
    """Critique and revision, as in Constitutional AI (arXiv:2212.08073, section 3). Null revises every reply."""

    replies_per_prompt: Annotated[int, Field(ge=0, le=64)] | None = None
    steps: Annotated[int, Field(ge=1, le=8)] = 1
    max_tokens: Annotated[int, Field(ge=1, le=32768)] = 512
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0


class CompareSettings(Settings):
    """Which replies are compared. `pairs_per_prompt: null` compares all; a cut keeps first what the checks decide."""

    pairs_per_prompt: Annotated[int, Field(ge=1, le=2016)] | None = None


class JudgeSettings(Settings):
    """Which judge, how it is asked (docs/judging.md), and how far it is trusted.

    `calibrate` asks it about so many of the human set's pairs too, and fits the principles' weights to their labels.
    """

    model: str
    protocol: str = "pairwise"
    allow_unqualified: tuple[str, ...] = ()
    calibrate: Annotated[int, Field(strict=True, ge=0, le=10_000)] = 0  # `true` would be one pair
    concurrency: Annotated[int, Field(ge=1, le=4096)] = 128
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 120.0
    max_tokens_total: Annotated[int, Field(ge=1)] | None = None


class MixSettings(Settings):
    """How people's pairs join the machine's (docs/people.md). `ratio` is the largest share of labels in the set.

    `weights: measured` and `calibrate` learn what verdicts are worth from pairs that people and machine have both
    judged: take them where `judge.calibrate` has the judge judge people's pairs. With both, from twenty shared votes,
    `machine_weight` counts no more. `gold` is a set of right answers, an expert's on a random draw of the same pairs:
    with these three it shows whose errors the judge makes. `owners` names, for a principle's id, whose verdicts alone
    count under it. `cap_per_annotator` keeps one busy person from deciding for all.
    """

    human: str | None = None
    gold: str | None = None
    ratio: Annotated[float, Field(ge=0, le=1)] = 0.5
    human_weight: Annotated[float, Field(ge=0, le=100)] = 1.0
    machine_weight: Annotated[float, Field(ge=0, le=100)] = 1.0
    conflict: Conflict = "human_wins"
    weights: Weights = "given"
    calibrate: bool = False
    owners: dict[str, Owner] = {}
    cap_per_annotator: Annotated[int, Field(ge=1)] | None = None


SweptKnob = Literal["beta", "kl_weight"]


class SweepSettings(Settings):
    """The values of one knob. An adapter is trained with each; the best on development prompts is the run's."""

    beta: Annotated[tuple[float, ...], Field(min_length=2, max_length=8)] | None = None
    kl_weight: Annotated[tuple[float, ...], Field(min_length=2, max_length=8)] | None = None

    @property
    def knob(self) -> SweptKnob:
        return "beta" if self.beta is not None else "kl_weight"

    @property
    def values(self) -> tuple[float, ...]:
        return self.beta or self.kl_weight or ()

    @model_validator(mode="after")
    def _one_knob_and_different_values(self) -> Self:
        if (self.beta is None) == (self.kl_weight is None):
            raise ValueError("name one knob with 2 to 8 values: beta for dpo, kl_weight for ppo and rloo")
        if len(set(self.values)) < len(self.values):
            raise ValueError(f"{self.knob} has a value twice; name each once")
        return self


FEWEST_TOKENS_PER_BATCH = 8
TokensPerBatch = Annotated[int, Field(ge=FEWEST_TOKENS_PER_BATCH, le=1048576)]


class TrainingSettings(Settings):
    """The trainer and its knobs (docs/training.md). One that the method does not read is refused where it is changed.

    `pairs_per_step` counts what the method takes in: pairs; for sft replies, for reward, ppo and rloo prompts. `sft_on`
    says which replies are imitated: the chosen ones of the mixed pairs; every step's revision, which needs no judge or
    mix; or those of the set `mix.human` as they stand, which needs none of the stages before `train`. ppo and rloo need
    none of these either (ppo with a `ptx_weight` reads the mixed pairs beside its prompts): the policy writes the
    replies itself, and each score counts by its weight: the constitution's checks; the judge's grades, where
    `judge_weight` is set; and `reward_adapter`, an adapter of a run with method reward on the same base, alone or with
    the further members that `reward_ensemble` names. One of weight 0 trains nothing and watches: `patience` looks at
    it, on prompts that `held_out_share` keeps apart, instead of at what trains.
    `sweep` trains an adapter for each of several values, and picks on a `development_share` of the training prompts.
    """

    method: Method = "dpo"
    sft_on: Literal["chosen", "revisions", "demonstrations"] = "chosen"
    beta: Annotated[float, Field(gt=0, le=100)] = 0.1
    loss: DpoLoss = "dpo"
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    sft_weight: Annotated[float, Field(ge=0, le=100)] = 0.0
    margin: Annotated[float, Field(ge=0, le=100)] = 0.0
    held_out_share: Annotated[float, Field(ge=0, le=0.9)] | None = None
    patience: Annotated[int, Field(ge=0, le=1000)] = 0
    patience_reads: PatienceReads = "loss"
    member: Annotated[int, Field(ge=0, le=1000)] = 0
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-5
    warmup_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    epochs: Annotated[int, Field(ge=1, le=100)] = 1
    pairs_per_step: Annotated[int, Field(ge=1, le=4096)] = 16
    lora_rank: Annotated[int, Field(ge=1, le=1024)] = 16
    lora_layers_share: Annotated[float, Field(ge=0.01, le=1)] = 1.0
    lora_targets: tuple[str, ...] = ()
    max_tokens: Annotated[int, Field(ge=8, le=131072)] = 2048
    replies_per_prompt: Annotated[int, Field(ge=1, le=256)] | None = None
    reply_tokens: Annotated[int, Field(ge=1, le=32768)] = 128
    passes: Annotated[int, Field(ge=1, le=64)] = 1
    minibatches: Annotated[int, Field(ge=1, le=4096)] = 1
    clip: Annotated[float, Field(gt=0, le=10)] = 0.2
    kl_weight: Annotated[float, Field(ge=0, le=1e6)] = 0.05
    kl_target: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    max_kl: Annotated[float, Field(ge=0, le=1000)] = 0.0
    min_distinct_2: Annotated[float, Field(ge=0, le=1)] = 0.0
    max_length_ratio: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    max_refusal_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    check_weight: Annotated[float, Field(ge=0, le=1e6)] = 1.0
    judge_weight: Annotated[float, Field(ge=0, le=1e6)] | None = None
    judge_protocol: str = "pointwise"
    reward_adapter: str | None = None
    reward_weight: Annotated[float, Field(ge=0, le=1e6)] = 1.0
    reward_ensemble: Annotated[tuple[str, ...], Field(max_length=15)] = ()
    spread_weight: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    missing_eos_penalty: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    gae_lambda: Annotated[float, Field(ge=0, le=1)] = 0.95
    ptx_weight: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    value_clip: Annotated[float, Field(gt=0, le=1e6)] = 0.2
    sampler: Sampling = "torch"
    tokens_per_batch: TokensPerBatch = 2048
    gradient_checkpointing: bool = False
    precision: Precision = "auto"
    quantise: Quantise = "none"
    checkpoint_every_steps: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    sweep: SweepSettings | None = None
    development_share: Annotated[float, Field(gt=0, le=0.9)] = 0.2

    def with_value(self, value: float) -> "TrainingSettings":
        """The settings of one candidate of the sweep."""
        return self if self.sweep is None else self.model_copy(update={"sweep": None, self.sweep.knob: value})

    @property
    def writes_replies(self) -> bool:
        """False where what is trained gives scores: there is no reply of it to compare with the base's."""
        return self.method != "reward"

    @property
    def online(self) -> bool:
        """True where the policy is trained on replies that it writes itself."""
        return self.method in ("ppo", "rloo")

    @property
    def reads_pairs(self) -> bool:
        """True where something is learnt from the mixed pairs."""
        return self.ptx_weight > 0 if self.online else self.sft_on == "chosen"

    @property
    def on_demonstrations(self) -> bool:
        """True where the rows of the run's human set are imitated as they stand."""
        return self.method == "sft" and self.sft_on == "demonstrations"

    @property
    def trains_alone(self) -> bool:
        """True where the training reads nothing of the stages before it."""
        return self.on_demonstrations or (self.online and not self.reads_pairs)


class EvaluateSettings(Settings):
    """The proof: base against adapter on the held-out prompts. `pairs_per_prompt` of them meet before the judge.

    A reward model's proof takes no settings: it was measured on the prompts that `training.held_out_share` kept.
    """

    replies_per_prompt: Annotated[int, Field(ge=1, le=64)] = 4
    pairs_per_prompt: Annotated[int, Field(ge=0, le=64)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=32768)] = 512
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7


_RUN_EXAMPLE: JsonValue = {
    "constitution": "plain-speech",
    "prompts": "prompts",
    "model": "smollm2",
    "judge": {"model": "smollm2"},
    "sample": {"replies_per_prompt": 4, "max_tokens": 160},
    "mix": {"human": "people", "ratio": 0.5},
    "training": {"method": "dpo", "epochs": 2},
}


class RunRequest(Settings):
    """What POST /v1/runs takes. Every id or name must exist already; `?dry_run=true` only says what it would cost.

    `start_from` is an adapter of the same model: it writes the samples, and the training goes on from it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [_RUN_EXAMPLE]})

    constitution: str
    prompts: str
    held_out: str | None = None
    model: str
    start_from: str | None = None
    judge: JudgeSettings
    sample: SampleSettings = SampleSettings()
    revise: ReviseSettings = ReviseSettings()
    compare: CompareSettings = CompareSettings()
    mix: MixSettings = MixSettings()
    training: TrainingSettings = TrainingSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    stages: tuple[Stage, ...] = STAGES

    @property
    def unread_stages(self) -> tuple[Stage, ...]:
        """The stages whose results the training has no use for."""
        if self.training.reads_pairs:
            return ()
        return ("sample", "revise", "judge", "mix") if self.training.trains_alone else ("judge", "mix")

    def needs(self, stage: Stage) -> tuple[Stage, ...]:
        """The stages of the same run that this one reads."""
        own = ALONE_NEED if self.training.trains_alone else REVISIONS_NEED
        own = STAGE_NEEDS if self.training.reads_pairs else own
        return own.get(stage, STAGE_NEEDS[stage])


class ResumedTraining(Settings):
    """What takes memory and leaves what comes out as it is; null leaves it as it was. The trainers go on with both."""

    tokens_per_batch: TokensPerBatch | None = None
    gradient_checkpointing: bool | None = None


class ResumeRequest(Settings):
    """What POST /v1/runs/{id}/resume takes, if anything: where memory ran out, how to go on with less of it."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"examples": [{"training": {"tokens_per_batch": 1024}}]}
    )

    training: ResumedTraining = ResumedTraining()

    @property
    def changed(self) -> Mapping[str, JsonValue]:
        """By their whole names."""
        return {f"training.{name}": value for name, value in self.training.model_dump(exclude_none=True).items()}

    def applied_to(self, request: RunRequest) -> RunRequest:
        training = request.training.model_copy(update=self.training.model_dump(exclude_none=True))
        return request.model_copy(update={"training": training})

    @model_validator(mode="before")
    @classmethod
    def _refuse_any_other(cls, given: JsonValue) -> JsonValue:
        if not isinstance(given, dict):
            return given
        training = given.get("training")
        others = [name for name in given if name != "training"]
        if isinstance(training, dict):
            others += [f"training.{name}" for name in training if name not in ResumedTraining.model_fields]
        if others:
            free = " and ".join(f"training.{name}" for name in ResumedTraining.model_fields)
            raise ValueError(
                f"{', '.join(others)}: a run is resumed with what it was made with, but for {free}; for anything else "
                "start another run"
            )
        return given


UNCHANGED = ResumeRequest()
# One person waits for the answer.
MOST_PAIRS = 200


class QualifyRequest(Settings):
    """What POST /v1/constitutions/{id}/qualify takes: `judge` is a registered judge's id or name.

    `set` is a preference set whose human rows are judged beside the examples, `limit` of them drawn by `seed`.

    `principle` is the one that the set's labels are about; it is needed where the constitution judges several.
    `protocol` is how the judge is asked, as in a run.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"examples": [{"judge": "judge", "set": "people", "limit": 100}]}
    )
    judge: str
    protocol: str = "pairwise"
    set: str | None = None
    principle: str | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_PAIRS)] = MOST_PAIRS
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
