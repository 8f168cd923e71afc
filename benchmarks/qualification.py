"""Is the bundled model a judge? Examined on LLMBar's natural part and on HH-RLHF's helpful part, whatever comes of it.

    CHARTER_DATA=... python -m benchmarks.qualification [--limit 100] [--protocols pairwise] [--docs]

One real vLLM server, the protocols one after the other, each pair in both orders. LLMBar (Zeng et al. 2023,
arXiv:2310.07641) is judged whole, of HH-RLHF (Bai et al. 2022, arXiv:2204.05862) a draw of `--limit` pairs. Prints the
section of docs/judging.md, which `--docs` rewrites there, and JSON as the last line.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.documents import rewrite_block, table
from benchmarks.llmbar import data_folder
from constitutions.schema import Constitution, JudgedPrinciple
from judges.client import ChatClient, ClientSettings
from judges.engine import EngineSettings, running_engine
from judges.labelled_sets import LabelledPair, drawn
from judges.measures import Measures, Statistic
from judges.protocols.registry import load_protocol
from service.demo.base_model import base_model_folder
from service.demo.recipe import CACHE
from service.exchange.examination import ExaminedSlice, examine
from service.exchange.labelled import read_labelled, under_principle

PAGE = Path(__file__).resolve().parents[1] / "docs" / "judging.md"
NATURAL, HELPFUL = "llmbar/natural.json", "hh-rlhf/helpful-base.jsonl.gz"
PROTOCOLS = ("pairwise", "pointwise", "proposition")
BETTER = JudgedPrinciple(
    kind="judged", id="better", text="The reply does what the person asked for, correctly, and is of use to them."
)
LAW = Constitution(name="better-reply", version="1", principles=(BETTER,))
NAMES = {"natural": "LLMBar, natural", "helpful-base": "HH-RLHF, helpful"}


@dataclass(frozen=True, slots=True)
class Examined:
    """One protocol on one set."""

    protocol: str
    found: ExaminedSlice
    measures: Measures


def labelled(folder: Path, limit: int, seed: int) -> tuple[LabelledPair, ...]:
    """All of LLMBar's natural pairs, and `limit` of HH-RLHF's."""
    helpful = drawn(read_labelled(folder / HELPFUL, None), limit, seed)
    return under_principle([*read_labelled(folder / NATURAL, None), *helpful], LAW, None)


async def examined(pairs: Sequence[LabelledPair], protocols: Sequence[str]) -> list[Examined]:
    """Every protocol on every set, by one server."""
    model = base_model_folder(None, CACHE)
    with tempfile.TemporaryDirectory(prefix="ch-") as own:
        server = EngineSettings(
            model_path=str(model),
            served_name=model.name,
            socket_path=Path(own) / "v.sock",
            log_path=Path(own) / "v.log",
        )
        patient = ClientSettings(timeout_s=3600)
        async with running_engine(server) as engine, ChatClient([engine.endpoint], patient) as client:
            results = []
            for name in protocols:
                began = time.monotonic()
                found = await examine(client, LAW, load_protocol(name), pairs)
                print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
                results += [
                    Examined(name, one, one.measures) for one in found.slices if one.measures and one.slice in NAMES
                ]
            return results


def text_of(results: Sequence[Examined], limit: int) -> str:
    """The section of the page."""
    head = ["set, protocol", "answered", "accuracy % (95 %)", "longest wins %", "both orders agree %"]
    head += ["agree and right %", "first pick %", "length", "label mass", "kappa", "alpha", "ECE", "Brier", "verdict"]
    return (
        "### The bundled model as a judge\n\n"
        f"Written by `python -m benchmarks.qualification --limit {limit} --docs`: SmolLM2-135M-Instruct on LLMBar's\n"
        f"natural pairs and on {limit} pairs drawn from HH-RLHF's helpful part, under one principle:\n"
        f"“{BETTER.text}” `length` is the partial correlation with the gap in\n"
        "characters; a dash is a statistic without a value. A judge at chance weighs nothing in a run: what the demo\n"
        "learns, it learns from checks and people.\n\n" + table(head, [_row(one) for one in results])
    )


def _row(one: Examined) -> list[str]:
    m = one.measures
    shares = (m.longest_wins, m.consistency, m.consistent_and_correct, m.first_pick_rate)
    numbers = (m.length_bias, m.label_mass, m.kappa, m.alpha, m.ece, m.brier)
    return [
        f"{NAMES[one.found.slice]}, `{one.protocol}`",
        f"{m.answered} of {m.examples}",
        f"{_percent(m.accuracy)} ({100 * m.low:.0f} to {100 * m.high:.0f})",
        *(_percent(share) for share in shares),
        *("-" if number.value is None else f"{number.value:.2f}" for number in numbers),
        one.found.verdict.replace("_", " "),
    ]


def _percent(share: Statistic) -> str:
    return "-" if share.value is None else f"{100 * share.value:.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, default=100, help="pairs of HH-RLHF")
    parser.add_argument("--protocols", nargs="+", default=PROTOCOLS, metavar="NAME")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--docs", action="store_true", help="rewrite the section of docs/judging.md")
    options = parser.parse_args()
    results = asyncio.run(examined(labelled(data_folder(), options.limit, options.seed), options.protocols))
    text = text_of(results, options.limit)
    print(text)
    if options.docs:
        rewrite_block(PAGE, "qualification", text)
    print(json.dumps([{"protocol": one.protocol} | one.found.model_dump(mode="json") for one in results]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
