"""An adapter that a trainer left, loaded into vLLM's own LoRA: the same log-probabilities as in transformers and peft.

The model's folder is CHARTER_BUNDLED_MODEL, or the bundled one, converted once.
"""

import importlib.util
import os
import tempfile
from pathlib import Path

import httpx
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from judges.engine import EngineSettings, running_engine
from judges.records import Message
from service.demo.base_model import base_model_folder
from service.demo.recipe import CACHE
from training.configs import SftConfig, config_from
from training.rows import PreferenceRow, write_rows
from training.sft import train_sft

pytestmark = [
    pytest.mark.real_model,
    pytest.mark.timeout(600),
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]
ASKED = (Message("user", "How often do I water a cactus?"),)
TEXT = "How often do I water a cactus? Once in a month, and never in winter. Arrr!"


def trained_adapter(model: Path, folder: Path) -> Path:
    """Of a few steps on few layers, at a rate that shows."""
    rows = [PreferenceRow(f"r{n}", f"p{n}", ASKED, f"Number {n}, arrr!", "", 1.0, 1.0, "human") for n in range(2)]
    write_rows(folder / "rows.jsonl", rows)
    knobs = {"model": str(model), "rows": str(folder / "rows.jsonl"), "output": str(folder / "out")}
    more = {"precision": "fp32", "learning_rate": 0.005, "epochs": 8, "lora_rank": 8, "lora_layers_share": 0.2}
    train_sft(config_from(knobs | more, SftConfig, "test"))
    return folder / "out" / "adapter"


def logps_of_peft(model: Path, adapter: Path, ids: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each token after the first, by the base and with the adapter."""
    whole = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32), adapter).eval()
    with torch.no_grad():
        with whole.disable_adapter():
            base = whole(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
        ours = whole(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
    chosen = torch.tensor(ids[1:])[:, None]
    return base.gather(1, chosen)[:, 0], ours.gather(1, chosen)[:, 0]


async def logps_of_vllm(http: httpx.AsyncClient, name: str, ids: list[int]) -> torch.Tensor:
    body = {"model": name, "prompt": ids, "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}
    answer = await http.post("/v1/completions", json=body)
    assert answer.status_code == 200, answer.text
    told = answer.json()["choices"][0]["prompt_logprobs"]
    return torch.tensor([one[str(id)]["logprob"] for one, id in zip(told[1:], ids[1:], strict=True)])


async def test_vllm_gives_with_our_adapter_what_peft_gives(tmp_path: Path) -> None:
    model = Path(os.environ.get("CHARTER_BUNDLED_MODEL") or base_model_folder(None, CACHE))
    adapter = trained_adapter(model, tmp_path)
    ids = AutoTokenizer.from_pretrained(model)(TEXT)["input_ids"]
    base, ours = logps_of_peft(model, adapter, ids)
    assert (ours - base).abs().max() > 0.2  # else the test would show nothing
    more = ("--enable-lora", "--max-lora-rank", "8", "--lora-modules", f"ours={adapter}", "--enforce-eager")
    # A path that is short enough for a socket.
    with tempfile.TemporaryDirectory(prefix="ch-") as folder:
        settings = EngineSettings(
            str(model), "base", Path(folder, "v.sock"), tmp_path / "v.log",
            max_model_len=256, max_num_seqs=4, kv_cache_gib=1, dtype="float32", extra_args=more,
        )  # fmt: skip
        async with running_engine(settings) as engine:
            transport = httpx.AsyncHTTPTransport(uds=engine.endpoint.uds)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=120) as http:
                torch.testing.assert_close(await logps_of_vllm(http, "base", ids), base, atol=1e-3, rtol=0)
                torch.testing.assert_close(await logps_of_vllm(http, "ours", ids), ours, atol=1e-3, rtol=0)
