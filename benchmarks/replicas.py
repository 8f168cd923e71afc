"""How the throughput grows with the replicas behind a judge, and what one that is ill costs.

    python -m benchmarks.replicas [--rounds 40]

Scripted servers in processes of their own, 1 s for an answer, 16 requests in flight at each. First 1, 2, 4 and 8 well
ones: verdicts per second beside N times those of one. Then 4 of which one hangs, dies or answers 429 from its 33rd
request on: the verdicts lost, and the time beside that of 3 well ones, which is the ill one's fair share. Prints JSON
as its last line. A run takes `--rounds` seconds at least; its end, when the last answers are awaited and places stand
empty, costs up to one more, which few rounds would show as a share of the throughput. Exit status 1 where a speed-up is
below 0.95 N, a verdict is lost or the time is above 1.1 times.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import httpx
import psutil

from constitutions.schema import JudgedPrinciple
from judges.client import ChatClient, ClientSettings
from judges.engine import start_scripted
from judges.fence import read_fences
from judges.protocols.pairwise import Pairwise
from judges.records import Comparison, Message, Preference
from judges.replicas import Endpoint
from judges.stream import judge_stream

CONCURRENCY, LATENCY_S = 16, 1.0
SIZES = (1, 2, 4, 8)
ILL = ("hang", "crash", "429")
ILL_FROM = 32
LEAST_SHARE, MOST_TIME = 0.95, 1.1
PRINCIPLE = JudgedPrinciple(id="short", kind="judged", text="The reply is short.")
REPLIES = ("Yes.", "No, not at all.", "It depends on what you mean.", "Perhaps.")


@dataclass(frozen=True, slots=True)
class Round:
    """One run. `spread` is the mean number of replicas that saw a prompt: 1 where each prefix cache serves its own.

    `client_cpu_s` is what our process computed meanwhile, and `cpu_idle` the share of the machine's cores that stood
    idle: where it is near 0, the time tells about the machine and not about the client.
    """

    replicas: int
    fault: str
    verdicts: int
    lost: int
    seconds: float
    spread: float
    client_cpu_s: float
    cpu_idle: float

    @property
    def per_s(self) -> float:
        return self.verdicts / self.seconds


def prompt_pairs(prompts: int) -> list[Comparison]:
    """Four replies a prompt, all six pairs."""
    return [
        Comparison(f"{p}-{a}-{b}", f"p{p}", (Message("user", f"Question {p}?"),), a, b)
        for p in range(prompts)
        for a, b in combinations(REPLIES, 2)
    ]


async def run_round(replicas: int, fault: str, rounds: int) -> Round:
    """`rounds` full loads of every well replica."""
    well = replicas - bool(fault)
    pairs = prompt_pairs(well * CONCURRENCY * rounds // (2 * 6))
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ch-")))
        endpoints = [await _served(stack, folder, number, fault if number == 0 else "") for number in range(replicas)]
        client = await stack.enter_async_context(ChatClient(endpoints, ClientSettings(concurrency=CONCURRENCY)))
        psutil.cpu_percent()  # from here on
        began, computed = time.perf_counter(), time.process_time()
        stream = judge_stream(client, pairs, [PRINCIPLE], Pairwise(), at_once=replicas * CONCURRENCY * 2)
        verdicts = [verdict async for verdict in stream]
        seconds, computed = time.perf_counter() - began, time.process_time() - computed
        cpu_idle = 1 - psutil.cpu_percent() / 100
        spread = await _spread([e for e in endpoints[bool(fault) :] if e.uds])
    lost = len(pairs) - sum(isinstance(verdict.verdict, Preference) for verdict in verdicts)
    return Round(replicas, fault, len(pairs), lost, seconds, spread, computed, cpu_idle)


async def _served(stack: contextlib.AsyncExitStack, folder: Path, number: int, fault: str) -> Endpoint:
    faults = [{"kind": fault, "from_request": ILL_FROM}] if fault else []
    behaviour = folder / f"{number}.json"
    behaviour.write_text(json.dumps({"latency_s": LATENCY_S, "faults": faults}))
    engine = await start_scripted(folder / f"{number}.sock", folder / f"{number}.log", behaviour=behaviour)
    stack.push_async_callback(engine.stop)
    return engine.endpoint


async def _spread(endpoints: Sequence[Endpoint]) -> float:
    """From the last bodies that each server kept."""
    seen = []
    for endpoint in endpoints:
        transport = httpx.AsyncHTTPTransport(uds=endpoint.uds)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            bodies = (await http.get("/calls")).json()["bodies"]
        seen.append({dict(read_fences(body["messages"][0]["content"]))["conversation"] for body in bodies})
    return sum(len(prompts) for prompts in seen) / len(set().union(*seen))


async def measure(rounds: int) -> list[Round]:
    """The well ones, then three well ones for comparison, then the ill ones."""
    plans = [*((size, "") for size in SIZES), (3, ""), *((4, fault) for fault in ILL)]
    found = []
    for replicas, fault in plans:
        found.append(await run_round(replicas, fault, rounds))
        print(asdict(found[-1]) | {"per_s": round(found[-1].per_s, 2)}, flush=True)
    return found


def report(found: Sequence[Round]) -> dict[str, object]:
    """The last line."""
    well = {one.replicas: one for one in found if not one.fault}
    ill = {one.fault: one for one in found if one.fault}
    return {
        "speed_up_share": {size: well[size].per_s / (size * well[1].per_s) for size in SIZES},
        "time_over_share": {fault: one.seconds / well[3].seconds for fault, one in ill.items()},
        "lost": {fault: one.lost for fault, one in ill.items()},
        "spread": {size: one.spread for size, one in well.items()},
        "cpu_idle": min(one.cpu_idle for one in found),
        "verdicts": sum(one.verdicts for one in found),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    told = asyncio.run(measure(options.rounds))
    line = report(told)
    print(json.dumps(line))
    shares, times = line["speed_up_share"].values(), line["time_over_share"].values()
    lost = sum(one.lost for one in told)
    return 0 if min(shares) >= LEAST_SHARE and max(times) <= MOST_TIME and not lost else 1


if __name__ == "__main__":
    sys.exit(main())
