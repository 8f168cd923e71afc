"""`charter judge panel`: several judges on one labelled set. Asks the endpoints themselves, without a service."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from constitutions.loader import load_constitution_file
from judges.calibration.panel_study import PanelStudy
from judges.labelled_sets import drawn
from judges.protocols.registry import load_protocol
from judges.replicas import Endpoint
from service.cli.connection import secret_in
from service.cli.errors import NoModel
from service.cli.set_options import FormatName, JsonFile, Limit, PrincipleId, ProtocolName, Seed
from service.demo.tables import percent
from service.engines import without_v1
from service.exchange.labelled import read_labelled, under_principle
from service.exchange.panel import panel_of


def panel(
    constitution: Annotated[Path, typer.Argument(help="The constitution whose principle the labels are about.")],
    judges: Annotated[
        list[str], typer.Option("--judge", metavar="NAME=URL", help="A judge; name two or more, the strongest last.")
    ],
    sets: Annotated[list[Path], typer.Option("--set", help="People's labels: a labelled set; may be repeated.")],
    keys: Annotated[
        list[str] | None,
        typer.Option("--key-env", metavar="NAME=VARIABLE", help="The variable that holds this judge's key."),
    ] = None,
    protocol: ProtocolName = "pairwise",
    set_format: FormatName = None,
    principle: PrincipleId = None,
    limit: Limit = None,
    seed: Seed = 0,
    json_file: JsonFile = None,
) -> None:
    """What judges are worth alone, weighed together, and one before another, by people's labels.

    Example: `charter judge panel law.yaml --judge small=http://localhost:8000 --judge big=http://localhost:8001 --set
    gold.jsonl`
    """
    endpoints = _endpoints(judges, keys or ())
    law, way = load_constitution_file(constitution), load_protocol(protocol)
    pairs = [pair for file in sets for pair in drawn(read_labelled(file, set_format), limit, seed)]
    found = asyncio.run(panel_of(endpoints, law, way, under_principle(pairs, law, principle)))
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(found), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    _print(found)


def _endpoints(judges: Sequence[str], keys: Sequence[str]) -> Mapping[str, Endpoint]:
    """Raises NoModel where one is not NAME=URL, comes twice, or is alone."""
    variables = dict(_split(text, "--key-env", "VARIABLE") for text in keys)
    named = [_split(text, "--judge", "URL") for text in judges]
    urls = dict(named)
    if len(urls) < max(2, len(named)):
        raise NoModel("--judge: a panel has two judges or more, each with a name of its own; one has `judge qualify`")
    if unknown := sorted(variables.keys() - urls.keys()):
        raise NoModel(f"--key-env: {unknown[0]!r} is no judge of this panel; it has {', '.join(urls)}")
    return {name: Endpoint(name, without_v1(url), api_key=secret_in(variables.get(name))) for name, url in urls.items()}


def _split(text: str, option: str, what: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not name or not value:
        raise NoModel(f"{option} {text}: write NAME={what}, the name as the endpoint calls the judge")
    return name, value


def _print(found: PanelStudy) -> None:
    console = Console(width=120, markup=False, highlight=False, soft_wrap=True)
    table = Table("judge", "answered", "accuracy", "weight", box=box.SIMPLE_HEAD, pad_edge=False)
    for one in found.members:
        table.add_row(one.judge, f"{one.answered}/{found.labels}", percent(one.accuracy), f"{one.weight:+.2f}")
    console.print(table)
    lines = [
        f"weighed together: {percent(found.panel)} right, on prompts that had no part in the weights",
        f"the best alone, picked on the same prompts as the weights: {percent(found.best)}",
        f"the half on which they agree more: {percent(found.agreed)}"
        + ("" if found.disagreed is None else f"; the other half: {percent(found.disagreed)}"),
    ]
    if found.effective_judges is not None:
        lines.append(f"worth {found.effective_judges:.1f} independent votes")
    for line in lines:
        console.print(line)
    costs = Table("first", "then", "may lose", "saves", "loses", box=box.SIMPLE_HEAD, pad_edge=False)
    for cost in found.cascades:
        lost = f"{100 * cost.lost:+.1f}"
        costs.add_row(cost.cheap, cost.strong, f"{100 * cost.most_lost:.0f}", percent(cost.saved), lost)
    console.print(costs)
    console.print("first, then where it is unsure: the share of the second's calls that it saves; points of accuracy.")
