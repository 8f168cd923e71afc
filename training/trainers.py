"""The one way in to every trainer, however many processes there are: what torchrun and Ray start is this function."""

from collections.abc import Callable
from functools import partial

from training.configs import Method, TrainConfig
from training.largest_group import smaller_groups
from training.memory import memory_advice
from training.precision import resolve_numbers
from training.quantising import refuse_quantising


def trainer_of(method: Method) -> Callable[[TrainConfig], dict[str, object]]:
    """The method's trainer. Only what it needs is imported."""
    match method:
        case "reward":
            from training.reward import train_reward as trainer
        case "sft":
            from training.sft import train_sft as trainer
        case "ppo":
            from training.ppo import train_ppo as trainer
        case "rloo":
            from training.rloo import train_rloo as trainer
        case "dpo":
            from training.dpo import train_dpo as trainer

    def train(config: TrainConfig) -> dict[str, object]:
        refuse_quantising(config, on_gpu=resolve_numbers(config.precision).device.type == "cuda")
        return train_in_memory(trainer, config)

    return train


def train_in_memory(trainer: Callable[[TrainConfig], dict[str, object]], config: TrainConfig) -> dict[str, object]:
    """Where memory runs out, at whatever the trainer does then, the error names what to lower."""
    with memory_advice(partial(smaller_groups, config)):
        return trainer(config)
