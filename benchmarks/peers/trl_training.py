"""TRL's DPOTrainer or RewardTrainer on given token ids. Runs in an environment of its own, which has nothing of ours.

    python trl_training.py settings.json

The settings: `method` (dpo or reward), `model` (a folder), `adapter` (a peft folder: the weights to begin with),
`precision` (bf16 or fp32: of the frozen weights, with autocast in bf16), `learning_rate` (it falls linearly to 0),
`beta`, `pairs_per_step`, `gradient_checkpointing`, and `train` and `held_out`, rows in the order of the steps with
`prompt_ids`, `chosen_ids`, `rejected_ids`. Everything else is TRL's default. Tokenising is left out, so that both sides
see the same tokens and neither is timed at it. Prints {"ends_s", "losses", "peak_memory_bytes", "scores"}: when each
step ended, in seconds from the first one's beginning, and of a reward model the held-out rows' scores, chosen and
rejected.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoTokenizer, TrainerCallback
from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer

CUDA = torch.cuda.is_available()


def recording(kind):
    """The trainer, with each step's loss kept as it is (its log rounds), and rows that are token ids already."""

    class Recording(kind):
        def _prepare_dataset(self, dataset, *rest):
            return dataset

        def compute_loss(self, *arguments, **options):
            loss = super().compute_loss(*arguments, **options)
            self.recorded.append(loss.item())
            return loss

    return Recording


class Clock(TrainerCallback):
    """When each step ended, in seconds from the beginning."""

    def on_train_begin(self, *arguments, **options):
        self.began, self.ends_s = time.perf_counter(), []

    def on_step_end(self, *arguments, **options):
        if CUDA:
            torch.cuda.synchronize()
        self.ends_s.append(time.perf_counter() - self.began)


def columns(method, rows):
    """A reward model reads whole conversations."""
    if method == "dpo":
        return Dataset.from_list(rows)
    whole = [{f"{side}_ids": row["prompt_ids"] + row[f"{side}_ids"] for side in ("chosen", "rejected")} for row in rows]
    return Dataset.from_list(whole)


def build(settings, folder, clock):
    """TRL's own way to a LoRA trainer, then our weights into the adapter it made."""
    method = settings["method"]
    options = {
        "output_dir": folder,
        "use_cpu": not CUDA,
        "bf16": settings["precision"] == "bf16",
        "model_init_kwargs": {"dtype": "bfloat16" if settings["precision"] == "bf16" else "float32"},
        "learning_rate": settings["learning_rate"],
        "lr_scheduler_type": "linear",
        "warmup_steps": 0,
        "weight_decay": 0.0,
        "per_device_train_batch_size": settings["pairs_per_step"],
        "gradient_checkpointing": settings["gradient_checkpointing"],
        "train_sampling_strategy": "sequential",
        "num_train_epochs": 1,
        "max_length": None,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }
    lora = LoraConfig.from_pretrained(settings["adapter"])
    lora.inference_mode = False
    kind = {"dpo": DPOTrainer, "reward": RewardTrainer}[method]
    arguments = DPOConfig(beta=settings["beta"], **options) if method == "dpo" else RewardConfig(**options)
    trainer = recording(kind)(
        model=settings["model"],
        args=arguments,
        train_dataset=columns(method, settings["train"]),
        processing_class=AutoTokenizer.from_pretrained(settings["model"]),
        callbacks=[clock],
        peft_config=lora,
    )
    trainer.recorded = []
    model = trainer.model
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()
    found = set_peft_model_state_dict(model, load_file(f"{settings['adapter']}/adapter_model.safetensors"))
    if found.unexpected_keys:
        raise SystemExit(f"the adapter does not fit: {found.unexpected_keys[:3]}")
    return trainer


def scores(trainer, settings):
    """Of the held-out rows: [chosen, rejected] each."""
    rows, batch = columns("reward", settings["held_out"]), settings["pairs_per_step"]
    model, found = trainer.model.eval(), []
    with torch.no_grad(), trainer.accelerator.autocast():
        for start in range(0, len(rows), batch):
            inputs = trainer.data_collator([rows[place] for place in range(start, min(start + batch, len(rows)))])
            inputs = {name: value.to(model.device) for name, value in inputs.items()}
            found += model(**inputs, use_cache=False).logits.float().view(2, -1).T.tolist()
    return found


def main():
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = build(settings, folder, clock)
        trainer.train()
    peak = torch.cuda.max_memory_allocated() if CUDA else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    line = {
        "ends_s": clock.ends_s,
        "losses": trainer.recorded,
        "peak_memory_bytes": peak,
        "scores": scores(trainer, settings) if settings["method"] == "reward" else [],
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
