"""TRL's experimental PPOTrainer on given prompts. Runs in an environment of its own, which has nothing of ours.

    python trl_ppo_training.py settings.json

The settings: `model` and `reward_model` (folders, the second a classifier of one label), `prompts` (token ids),
`precision` (fp32 or bf16), `episodes_per_step`, `reply_tokens`, `passes`, `minibatches`, `steps`, `learning_rate`,
`lora_rank`, `lora_layers_share`, `kl_weight`. Policy and value model are LoRA adapters on all linear layers of that
upper share. Nothing is recomputed and nothing saved. Prints {"ends_s", "scores", "peak_memory_bytes"}.
"""

import json
import math
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

import torch
from datasets import Dataset
from peft import LoraConfig, inject_adapter_in_model
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TrainerCallback,
)
from trl.experimental.ppo import PPOConfig, PPOTrainer

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class Clock(TrainerCallback):
    """When each step ended, in seconds from the beginning."""

    def on_train_begin(self, *arguments, **options):
        self.began, self.ends_s = time.perf_counter(), []

    def on_step_end(self, *arguments, **options):
        self.ends_s.append(time.perf_counter() - self.began)


def build(settings, folder, clock):
    dtype = torch.bfloat16 if settings["precision"] == "bf16" else torch.float32
    tokenizer = AutoTokenizer.from_pretrained(settings["model"], padding_side="left")
    classifiers = {
        name: AutoModelForSequenceClassification.from_pretrained(settings[key], num_labels=1, dtype=dtype)
        for name, key in (("reward_model", "reward_model"), ("value_model", "model"))
    }
    arguments = PPOConfig(
        output_dir=folder,
        use_cpu=True,
        bf16=settings["precision"] == "bf16",
        learning_rate=settings["learning_rate"],
        per_device_train_batch_size=settings["episodes_per_step"],
        num_mini_batches=settings["minibatches"],
        num_ppo_epochs=settings["passes"],
        local_rollout_forward_batch_size=settings["episodes_per_step"],
        total_episodes=settings["episodes_per_step"] * settings["steps"],
        response_length=settings["reply_tokens"],
        temperature=1.0,
        stop_token="eos",
        kl_coef=settings["kl_weight"],
        num_sample_generations=0,
        gradient_checkpointing=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        logging_steps=1,
    )
    model = AutoModelForCausalLM.from_pretrained(settings["model"], dtype=dtype)
    layers = model.config.num_hidden_layers
    prompts = Dataset.from_dict({"input_ids": settings["prompts"]})
    lora = {"r": settings["lora_rank"], "lora_alpha": 2 * settings["lora_rank"], "target_modules": LINEAR}
    lora["layers_to_transform"] = list(range(layers - math.ceil(settings["lora_layers_share"] * layers), layers))
    lora["layers_pattern"] = "layers"
    value = inject_adapter_in_model(LoraConfig(**lora), classifiers["value_model"])
    value.score.weight.requires_grad_(True)
    return PPOTrainer(
        args=arguments,
        processing_class=tokenizer,
        model=model,
        ref_model=None,
        train_dataset=prompts,
        eval_dataset=prompts,
        callbacks=[clock],
        peft_config=LoraConfig(task_type="CAUSAL_LM", **lora),
        **classifiers,
    )


def main():
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = build(settings, folder, clock)
        trainer.train()
    scores = [line["objective/scores"] for line in trainer.state.log_history if "objective/scores" in line]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"ends_s": clock.ends_s, "scores": scores, "peak_memory_bytes": peak}))


if __name__ == "__main__":
    main()
