"""The demo's settings, in one place. They cut the job to two CPU cores and a model of 135 M parameters.

On a GPU use the defaults of `service/schemas.py`: all replies revised, all pairs compared.
"""

from dataclasses import dataclass
from pathlib import Path

from service.schemas import (
    CompareSettings,
    EvaluateSettings,
    JudgeSettings,
    MixSettings,
    ReviseSettings,
    RunRequest,
    SampleSettings,
    TrainingSettings,
)

# A longer reply has more than thirty-five words: it fails `brief` wherever it would have ended.
REPLY_TOKENS = 48
# No top_p: sorting the vocabulary for it takes a CPU a third of the time of a token.
SAMPLE = SampleSettings(replies_per_prompt=4, max_tokens=REPLY_TOKENS, temperature=0.7)
REVISE = ReviseSettings(replies_per_prompt=1, steps=1, max_tokens=REPLY_TOKENS, temperature=0.3)
COMPARE = CompareSettings(pairs_per_prompt=2)
TRAINING = TrainingSettings(
    method="dpo",
    learning_rate=5e-4,
    beta=0.2,
    sft_weight=1.0,
    lora_rank=16,
    lora_layers_share=0.5,
    epochs=1,
    pairs_per_step=8,
)
EVALUATE = EvaluateSettings(replies_per_prompt=4, temperature=0.7, max_tokens=REPLY_TOKENS, pairs_per_prompt=1)
HUMAN_RATIO = 0.25
CACHE = Path.home() / ".cache" / "charter"


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the user chose on the command line.

    `human` is a file of preferences in any format that the service imports; `judge_url` an OpenAI-compatible endpoint
    that serves `judge_model`, else the policy itself judges; `model` a folder, else the bundled model. `port` 0 picks
    a free one; `keep` leaves the service running.
    """

    out: Path
    human: Path | None = None
    judge_url: str | None = None
    judge_model: str | None = None
    model: Path | None = None
    seed: int = 0
    port: int = 0
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Posted:
    """Ids and names of what the demo posted before the run."""

    constitution: str
    prompts: str
    human: str
    model: str
    judge: str


def run_request(posted: Posted, seed: int) -> RunRequest:
    """The body of POST /v1/runs."""
    return RunRequest(
        constitution=posted.constitution,
        prompts=posted.prompts,
        model=posted.model,
        judge=JudgeSettings(model=posted.judge),
        sample=SAMPLE,
        revise=REVISE,
        compare=COMPARE,
        mix=MixSettings(human=posted.human, ratio=HUMAN_RATIO),
        training=TRAINING,
        evaluate=EVALUATE,
        seed=seed,
    )
