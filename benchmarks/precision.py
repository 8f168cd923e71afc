"""False ties: how often a judge in bfloat16 gives A and B the same logit, with its head in bfloat16 and in float32.

    python -m benchmarks.precision [--pairs 24] [--docs]

Three real vLLM servers one after the other, the bundled 135M model on the demo's own pairs under its judged
principles, both orders: all in float32 (the reference), all in bfloat16, and bfloat16 with the head in float32, which
is how `judges/engine.py` starts every server. Prints the section of docs/judging.md, which `--docs` rewrites there,
and JSON as the last line. Exit status 1 where the head in float32 leaves a tie that the reference does not have.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.documents import rewrite_block, table
from constitutions.loader import load_constitution_file
from constitutions.schema import JudgedPrinciple
from judges.choices import ChoiceReader
from judges.client import ChatClient, ClientSettings
from judges.compare import compare_prompt
from judges.engine import EngineSettings, running_engine
from judges.records import Comparison, Message
from judges.wire import ChatReply, ChatRequest
from service.demo.base_model import base_model_folder
from service.demo.recipe import CACHE
from service.exchange.labelled import read_labelled

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "service" / "demo"
PAGE = ROOT / "docs" / "judging.md"
# bfloat16 is emulated on a CPU without it, and slow.
PATIENT = ClientSettings(timeout_s=3600)
# The later of two equal options counts: these come after the engine's own.
SERVERS = {
    "float32": ("--dtype", "float32"),
    "bfloat16": ("--dtype", "bfloat16", "--hf-overrides", "{}"),
    "bfloat16, head in float32": ("--dtype", "bfloat16"),
}


@dataclass(frozen=True, slots=True)
class Precision:
    """`gaps` are log p(A) - log p(B) of each reading, in nats; a tie is a gap of exactly 0."""

    server: str
    readings: int
    ties: int
    distinct: int
    mean_error: float


def demo_pairs(most: int) -> list[Comparison]:
    """The pairs that ship with the demo."""
    return [pair.comparison for pair in read_labelled(DEMO / "human.jsonl", None)[:most]]


def gap(reply: ChatReply) -> float | None:
    """log p(A) - log p(B) of the two bare letters; None where the server's list lacks one of them."""
    found = {entry.token: entry.logprob for entry in reply.first_token}
    return found["A"] - found["B"] if {"A", "B"} <= found.keys() else None


async def read_gaps(options: Sequence[str], prompts: Sequence[str]) -> list[float | None]:
    """Start a server with these options and ask it all prompts."""
    with tempfile.TemporaryDirectory(prefix="ch-") as folder:
        settings = EngineSettings(
            model_path=str(base_model_folder(None, CACHE)),
            served_name="judge",
            socket_path=Path(folder) / "v.sock",
            log_path=Path(folder) / "v.log",
            max_model_len=2048,
            extra_args=tuple(options),
        )
        request = ChatRequest(max_tokens=1, top_logprobs=ChoiceReader().top_logprobs)
        async with running_engine(settings) as engine, ChatClient([engine.endpoint], PATIENT) as client:
            asked = (client.chat([Message("user", prompt)], request=request) for prompt in prompts)
            return [gap(reply) for reply in await asyncio.gather(*asked)]


def precision(server: str, gaps: Sequence[float | None], reference: Sequence[float | None]) -> Precision:
    """What one server's gaps show beside the reference's, over the readings that both have."""
    both = [(a, b) for a, b in zip(gaps, reference, strict=True) if a is not None and b is not None]
    return Precision(
        server=server,
        readings=len(both),
        ties=sum(a == 0 for a, _ in both),
        distinct=len({round(a, 9) for a, _ in both}),
        mean_error=statistics.fmean(abs(a - b) for a, b in both),
    )


def text_of(found: Sequence[Precision]) -> str:
    """The section of the page."""
    rows = [[f.server, str(f.readings), str(f.ties), str(f.distinct), f"{f.mean_error:.4f}"] for f in found]
    return (
        "## Precision\n\n"
        "bfloat16 keeps 8 bits of a logit: between 16 and 32 its steps are 0.125, so that A and B can get the very\n"
        "same one, and different beliefs one value. Charter starts vLLM with the head in float32 (`--hf-overrides\n"
        '\'{"head_dtype": "float32"}\'`); the layers stay in the model\'s own type. Written by\n'
        "`python -m benchmarks.precision --docs`: the bundled 135M model on the demo's pairs, both orders; `distinct`\n"
        "counts the different values of log p(A) - log p(B); the error is their mean distance, in nats, from the\n"
        "server that computes everything in float32.\n\n"
        + table(["server", "readings", "ties", "distinct", "error"], rows)
    )


def judged_prompts(pairs: Sequence[Comparison], principles: Sequence[JudgedPrinciple]) -> list[str]:
    """Each pair under each principle in both orders."""
    return [
        compare_prompt(pair, principle, swapped=swapped)
        for pair, principle, swapped in itertools.product(pairs, principles, (False, True))
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--docs", action="store_true", help="rewrite the section of docs/judging.md")
    options = parser.parse_args()
    law = load_constitution_file(DEMO / "constitution.yaml")
    prompts = judged_prompts(demo_pairs(options.pairs), law.judged)
    gaps = {name: asyncio.run(read_gaps(arguments, prompts)) for name, arguments in SERVERS.items()}
    found = [precision(name, own, gaps["float32"]) for name, own in gaps.items()]
    text = text_of(found)
    print(text)
    if options.docs:
        rewrite_block(PAGE, "precision", text)
    print(json.dumps([asdict(one) for one in found]))
    return 0 if found[-1].ties <= found[0].ties else 1


if __name__ == "__main__":
    sys.exit(main())
