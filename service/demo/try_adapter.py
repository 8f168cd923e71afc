"""Load an adapter with plain peft and answer prompts before and after. A child: `python try_adapter.py JOB.json`.

JOB.json holds the fields of `Job`; the last line on stdout is {"before": [reply, ...], "after": [reply, ...]}. It
shares no code with Charter on purpose: what runs here runs for anyone who has the adapter. It is executed by its path
and never imported, so that the service itself stays free of torch.
"""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar


@dataclass(frozen=True, slots=True)
class Job:
    """`model` and `adapter` are folders; `prompts` holds one list of {"role", "content"} a prompt."""

    model: str
    adapter: str
    prompts: list[list[dict[str, str]]]
    max_tokens: int
    temperature: float
    seed: int


def main(job_file: str) -> None:
    job = Job(**json.loads(Path(job_file).read_text(encoding="utf-8")))
    disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(job.model, padding_side="left")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    device, dtype = ("cuda", torch.bfloat16) if torch.cuda.is_available() else ("cpu", torch.float32)
    base = AutoModelForCausalLM.from_pretrained(job.model, dtype=dtype)
    model = PeftModel.from_pretrained(base, job.adapter).eval().to(device)
    with model.disable_adapter():
        before = replies(model, tokenizer, job)
    after = replies(model, tokenizer, job)
    print(json.dumps({"before": before, "after": after}))


def replies(model: PeftModel, tokenizer: PreTrainedTokenizerBase, job: Job) -> list[str]:
    """One reply a prompt, all in one batch; the same seed for both models."""
    torch.manual_seed(job.seed)
    texts = [tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False) for turns in job.prompts]
    batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False).to(model.device)
    with torch.inference_mode():
        tokens = model.generate(
            **batch,
            max_new_tokens=job.max_tokens,
            do_sample=True,
            temperature=job.temperature,
            pad_token_id=tokenizer.pad_token_id,
        )
    new_tokens = tokens[:, batch["input_ids"].shape[1] :]
    return [str(reply) for reply in tokenizer.batch_decode(new_tokens, skip_special_tokens=True)]


if __name__ == "__main__":
    main(sys.argv[1])
