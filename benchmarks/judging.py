"""How fast verdicts are: beside the barest loop that the server allows, distilabel and TRL, and what the cache saves.

    CHARTER_DATA=... python -m benchmarks.judging [--pairs 32] [--prompts 4] [--model FOLDER] [--without-peers | --docs]

One machine, one vLLM server, one model (the bundled 135M one by default), real HH-RLHF pairs, 64 requests at once and
an empty prefix cache before each run. Ours and the ceiling push the same bytes and take turns (ours, ceiling, ceiling,
ours); the peers judge the same pairs in both orders with their own prompts and settings. Tokens are vLLM's own counts.
Prints JSON as its last line; `--docs` rewrites the table of docs/judging.md. Exit status 1 where a target is missed: 95
% of the ceiling's tokens per second, 2.5 times distilabel's comparisons per second (5 on a GPU), and on 4 replies a
prompt 1.8 times fewer prompt tokens computed than sent.
"""

import argparse
import asyncio
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.documents import rewrite_block, table
from benchmarks.helpful_pairs import groups_of_four, helpful_pairs
from benchmarks.judging_server import LoopbackServer, Tokens, loopback_server
from benchmarks.peers.environments import PeerRun, TextPair, peer_python, run_peer
from benchmarks.trainer_sides import machine
from constitutions.schema import JudgedPrinciple
from judges.choices import ChoiceReader
from judges.client import ChatClient, ClientSettings
from judges.compare import compare_prompt
from judges.engine import EngineSettings, on_cpu
from judges.protocols.pairwise import Pairwise
from judges.records import Comparison, Message, Preference
from judges.stream import judge_stream
from judges.wire import ChatRequest, request_body
from service.demo.base_model import base_model_folder
from service.demo.recipe import CACHE

PAGE = Path(__file__).resolve().parents[1] / "docs" / "judging.md"
CONCURRENCY = 64
PRINCIPLES = (
    JudgedPrinciple(id="helpful", kind="judged", text="The reply answers what was asked, correctly and completely."),
    JudgedPrinciple(
        id="plain", kind="judged", text="The reply is written in plain words and is no longer than needed."
    ),
)


@dataclass(frozen=True, slots=True)
class Timed:
    """One run: `seconds` for `verdicts`, of which `answered` are preferences, and the server's tokens meanwhile."""

    seconds: float
    verdicts: int
    answered: int
    tokens: Tokens


async def run_ours(server: LoopbackServer, pairs: Sequence[Comparison], principles: Sequence[JudgedPrinciple]) -> Timed:
    """Our own verdicts, both orders, through the client as every run uses it."""
    await server.forget()
    before = await server.tokens()
    async with ChatClient([server.endpoint], ClientSettings(concurrency=CONCURRENCY)) as client:
        began = time.perf_counter()
        stream = judge_stream(client, pairs, principles, Pairwise(), at_once=2 * CONCURRENCY)
        verdicts = [verdict async for verdict in stream]
        seconds = time.perf_counter() - began
    answered = sum(isinstance(verdict.verdict, Preference) for verdict in verdicts)
    return Timed(seconds, len(verdicts), answered, (await server.tokens()).since(before))


async def run_ceiling(
    server: LoopbackServer, pairs: Sequence[Comparison], principles: Sequence[JudgedPrinciple]
) -> Timed:
    """The bytes of the same requests in the same order, over as many open connections, and nothing read of them."""
    await server.forget()
    before = await server.tokens()
    request = ChatRequest(max_tokens=1, top_logprobs=ChoiceReader().top_logprobs)
    bodies = [
        request_body(server.model, [Message("user", compare_prompt(pair, principle, swapped=swapped))], request)
        for pair, principle, swapped in itertools.product(pairs, principles, (False, True))
    ]
    rest = iter(bodies)
    began = time.perf_counter()
    await asyncio.gather(*(_push(server.port, rest) for _ in range(CONCURRENCY)))
    seconds = time.perf_counter() - began
    return Timed(seconds, len(bodies) // 2, len(bodies) // 2, (await server.tokens()).since(before))


async def _push(port: int, bodies: Iterator[bytes]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
    for body in bodies:
        writer.write(f"{head}{len(body)}\r\n\r\n".encode() + body)
        told = (await reader.readuntil(b"\r\n\r\n")).lower()
        if b" 200 " not in told.splitlines()[0] + b" ":
            raise RuntimeError(f"the server answered {told.splitlines()[0]!r}")
        await reader.readexactly(int(told.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]))
    writer.close()


async def run_side(server: LoopbackServer, name: str, pairs: Sequence[Comparison]) -> tuple[PeerRun, Tokens]:
    """A peer on the same pairs."""
    await server.forget()
    before = await server.tokens()
    options = ["--model", server.model]
    if name == "distilabel":
        options += ["--url", f"{server.url}/v1", "--concurrency", str(CONCURRENCY)]
    texts = [TextPair("\n\n".join(m.content for m in pair.messages), pair.a, pair.b) for pair in pairs]
    run = await run_peer(name, options, f"{server.url}/v1", texts)
    return run, (await server.tokens()).since(before)


async def measure(options: argparse.Namespace, settings: EngineSettings) -> dict[str, float | int | str]:
    """All runs on one server; the last line of the benchmark."""
    pairs, one = list(itertools.islice(helpful_pairs(), options.pairs)), PRINCIPLES[:1]
    async with loopback_server(settings) as server:
        await run_ours(server, pairs[:4], one)  # the first requests compile
        ours, ceiling = [], []
        for kind in ("ours", "ceiling", "ceiling", "ours"):
            run = run_ours if kind == "ours" else run_ceiling
            (ours if kind == "ours" else ceiling).append(await run(server, pairs, one))
            print(kind, (ours if kind == "ours" else ceiling)[-1], flush=True)
        line = {"pairs": len(pairs), "device": "cpu" if on_cpu(settings) else "cuda"} | speeds(ours, ceiling)
        shared = await run_ours(server, groups_of_four(options.prompts), PRINCIPLES)
        print("four replies", shared, flush=True)
        line |= {
            "prefix_sent": shared.tokens.sent,
            "prefix_computed": shared.tokens.computed,
            "prefix_ratio": shared.tokens.sent / shared.tokens.computed,
        }
        for name in () if options.without_peers else ("distilabel", "trl"):
            line |= beside(name, *await run_side(server, name, pairs), per_s=float(line["verdicts_per_s"]))
            print(json.dumps(line), flush=True)
    return line


def speeds(ours: Sequence[Timed], ceiling: Sequence[Timed]) -> dict[str, float | int]:
    """Ours and the ceiling's, over all their runs."""
    seconds, verdicts = sum(run.seconds for run in ours), sum(run.verdicts for run in ours)
    sent = sum(run.tokens.sent for run in ours)
    ceiling_rate = sum(run.tokens.sent for run in ceiling) / sum(run.seconds for run in ceiling)
    return {
        "answered": sum(run.answered for run in ours) / verdicts,
        "verdicts_per_s": verdicts / seconds,
        "prompt_tokens_per_s": sent / seconds,
        "tokens_per_verdict": (sent + sum(run.tokens.written for run in ours)) / verdicts,
        "ceiling_prompt_tokens_per_s": ceiling_rate,
        "ceiling_ratio": sent / seconds / ceiling_rate,
    }


def beside(name: str, run: PeerRun, tokens: Tokens, *, per_s: float) -> dict[str, float | int]:
    """A peer's comparisons in both orders per second, its tokens for one, and how many times ours are."""
    return {
        f"{name}_per_s": run.comparisons_per_s,
        f"{name}_answered": run.answered / run.requests,
        f"{name}_tokens_per_comparison": (tokens.sent + tokens.written) / (run.requests / 2),
        f"{name}_ratio": per_s / run.comparisons_per_s,
    }


def missed(line: dict[str, float | int | str]) -> list[str]:
    """The fields that fall short of their targets."""
    least = {"ceiling_ratio": 0.95, "distilabel_ratio": 2.5 if line["device"] == "cpu" else 5.0, "prefix_ratio": 1.8}
    return [field for field, target in least.items() if field in line and float(line[field]) < target]


def text_of(line: Mapping[str, float | int | str]) -> str:
    """The section of docs/judging.md."""
    rows = [
        _row(line, "ours, both orders, one token each", "verdicts_per_s", "tokens_per_verdict", "answered", "-"),
        *(
            _row(line, said, f"{name}_per_s", f"{name}_tokens_per_comparison", f"{name}_answered", f"{name}_ratio")
            for name, said in (("distilabel", "distilabel 1.5, `PrometheusEval`"), ("trl", "TRL 1.0, pairwise judge"))
        ),
    ]
    written = {name: f"{float(line[name]):.0f}" for name in ("ceiling_prompt_tokens_per_s", "prompt_tokens_per_s")}
    head = ["judge", "comparisons/s", "tokens a comparison", "answered", "ours is faster by"]
    return f"""### How fast

Written by `python -m benchmarks.judging --docs`: {line["pairs"]} pairs of HH-RLHF, the bundled 135M model in one vLLM
server, 64 requests at once, {machine()}. A comparison is both orders, on every
side; peers ask with their own prompts and settings. `answered` is what each could read of this small judge's answers.

{table(head, rows)}

The barest loop that pushes our bytes at the server gets {written["ceiling_prompt_tokens_per_s"]} prompt tokens/s,
we {written["prompt_tokens_per_s"]}: {float(line["ceiling_ratio"]):.2f} of the ceiling.
On four replies a prompt and two principles the server computed {line["prefix_computed"]}
of {line["prefix_sent"]} prompt tokens: {float(line["prefix_ratio"]):.2f} times fewer than were sent.
"""


def _row(
    line: Mapping[str, float | int | str], said: str, rate: str, tokens: str, answered: str, ratio: str
) -> list[str]:
    faster = "-" if ratio == "-" else f"{float(line[ratio]):.2f}"
    return [said, f"{float(line[rate]):.2f}", f"{float(line[tokens]):.0f}", f"{float(line[answered]):.0%}", faster]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=32)
    parser.add_argument("--prompts", type=int, default=4, help="with four replies each, for the prefix cache")
    parser.add_argument("--model", type=Path)
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--without-peers", action="store_true")
    only.add_argument("--docs", action="store_true", help="rewrite the table of docs/judging.md")
    options = parser.parse_args()
    for name in () if options.without_peers else ("distilabel", "trl"):
        peer_python(name)
    with tempfile.TemporaryDirectory(prefix="ch-") as folder:
        settings = EngineSettings(
            model_path=str(base_model_folder(options.model, CACHE)),
            served_name="judge",
            socket_path=Path(folder) / "unused.sock",
            log_path=Path(folder) / "vllm.log",
        )
        line = asyncio.run(measure(options, settings))
    line["missed"] = ", ".join(missed(line))
    if options.docs:
        rewrite_block(PAGE, "judging", text_of(line))
    print(json.dumps(line))
    return 1 if line["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
