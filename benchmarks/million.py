"""A million verdicts through the scripted judge in this process: how much memory, and what a second run asks.

    python -m benchmarks.million [--verdicts 1000000] [--out FOLDER]

Prompts of four replies, all six pairs, two principles, both orders, into Parquet shards of 500 rows. The second run
goes over the same comparisons and reads every verdict back. Prints JSON as its last line. Exit status 1 where the
memory reaches 1 GB, a verdict is missing, or the second run asks the judge anything.
"""

import argparse
import asyncio
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import combinations

from constitutions.schema import JudgedPrinciple
from judges.protocols.pairwise import Pairwise
from judges.records import Comparison, Message, Preference, PrincipleVerdict
from judges.scripted_client import ScriptedClient
from service.artifacts import Artifacts
from service.shards import read_shard
from service.verdict_shards import Judging, ensure_verdict_shards

MOST_MB = 1000
PRINCIPLES = (
    JudgedPrinciple(id="short", kind="judged", text="The reply is short and ends when the question is answered."),
    JudgedPrinciple(id="plain", kind="judged", text="The reply is written in plain words."),
)


@dataclass(frozen=True, slots=True)
class Run:
    """`preferences` of the `verdicts` are answers; `calls` went to the judge; `peak_mb` is the process's so far."""

    verdicts: int
    preferences: int
    calls: int
    seconds: float
    peak_mb: float


def comparisons(verdicts: int) -> Iterator[Comparison]:
    """Enough for that many verdicts, drawn one by one."""
    drawn = 0
    for p in range(verdicts):
        replies = [f"Reply {r} to question {p}" + ", and so on" * ((p + r) % 7) + "." for r in range(4)]
        for a, b in combinations(range(4), 2):
            if drawn * len(PRINCIPLES) >= verdicts:
                return
            drawn += 1
            message = Message("user", f"What is the answer to question {p}?")
            yield Comparison(f"{p}-{a}-{b}", f"p{p}", (message,), replies[a], replies[b])


async def run(folder: str, verdicts: int) -> Run:
    """Judge what is not there yet, and read all of it."""
    artifacts, client = Artifacts(folder), ScriptedClient()
    judging = Judging(client, "scripted", Pairwise(), PRINCIPLES)
    began, rows, preferences = time.perf_counter(), 0, 0
    async for key in ensure_verdict_shards(artifacts, judging, comparisons(verdicts)):
        found = await read_shard(artifacts, key, PrincipleVerdict)
        rows += len(found)
        preferences += sum(isinstance(one.verdict, Preference) for one in found)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Run(rows, preferences, client.calls, time.perf_counter() - began, peak_mb)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verdicts", type=int, default=1_000_000)
    parser.add_argument("--out", help="keep the shards there; they are thrown away by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ch-") as folder:
        first = asyncio.run(run(options.out or folder, options.verdicts))
        print(asdict(first), flush=True)
        second = asyncio.run(run(options.out or folder, options.verdicts))
    print(json.dumps({"first": asdict(first), "second": asdict(second), "peak_mb": second.peak_mb}))
    whole = first.preferences == second.preferences == first.verdicts >= options.verdicts
    return 0 if whole and second.calls == 0 and second.peak_mb < MOST_MB else 1


if __name__ == "__main__":
    sys.exit(main())
