"""`charter judge`: may this judge weigh under this constitution? Asks the endpoint itself, without a service."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from constitutions.loader import load_constitution_file
from constitutions.schema import Constitution
from judges.client import ChatClient
from judges.labelled_sets import EXAMPLES, LabelledPair, drawn
from judges.protocols.protocol import JudgeProtocol
from judges.protocols.registry import load_protocol
from judges.replicas import Endpoint
from service.cli.errors import NoKey
from service.cli.examination_table import print_examination
from service.demo.summary import JudgeStanding
from service.demo.tables import standing_line
from service.engines import without_v1
from service.exchange.examination import Examination, ExaminedSlice, examine
from service.exchange.labelled import SetFormat, read_labelled, under_principle

app = typer.Typer(help="Judges: qualify one on a constitution's examples and on labelled sets.", no_args_is_help=True)


@app.callback()
def judge() -> None:
    """Keeps `qualify` a sub-command while it is the only one."""


@app.command("qualify")
def qualify_judge(
    constitution: Annotated[Path, typer.Argument(help="The constitution whose examples are judged.")],
    model: Annotated[str, typer.Option(help="The judge's name at its endpoint.")],
    judge_url: Annotated[str, typer.Option(help="An OpenAI-compatible endpoint, with or without /v1.")],
    key_env: Annotated[str | None, typer.Option(help="Name of the variable that holds the endpoint's key.")] = None,
    protocol: Annotated[
        str, typer.Option(help="How it judges: a protocol's name, or the path of your own.")
    ] = "pairwise",
    sets: Annotated[
        list[Path] | None, typer.Option("--set", help="A labelled set to judge beside the examples; may be repeated.")
    ] = None,
    set_format: Annotated[
        SetFormat | None,
        typer.Option("--format", help="The sets' format, where it cannot be told from their first line."),
    ] = None,
    principle: Annotated[
        str | None, typer.Option(help="The principle that the sets' labels are about, where they do not say.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many pairs of each set, drawn by --seed.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other pairs.")] = 0,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write everything that was found to this file.")
    ] = None,
) -> None:
    """Examine a judge on the constitution's own examples, and on labelled sets, both orders each.

    Example: `charter judge qualify my-constitution.yaml --model my-judge --judge-url http://localhost:8000`
    """
    endpoint = Endpoint(model=model, base_url=without_v1(judge_url), api_key=_key(key_env))
    law, way = load_constitution_file(constitution), load_protocol(protocol)
    pairs = [pair for file in sets or () for pair in drawn(read_labelled(file, set_format), limit, seed)]
    found = asyncio.run(_examine(endpoint, law, way, under_principle(pairs, law, principle)))
    if json_file is not None:
        json_file.write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8")
    for one in found.slices:
        if one.slice == EXAMPLES:
            typer.echo(standing_line(_standing(one)))
    print_examination(found)


def _standing(one: ExaminedSlice) -> JudgeStanding:
    """As the demo's closing page shows it."""
    measures = one.measures
    accuracy = measures.accuracy.value if measures else None
    return JudgeStanding(
        principle_id=one.principle_id,
        kind=one.kind,
        verdict=one.verdict,
        examples=one.examples,
        accuracy=0.5 if accuracy is None else accuracy,
        low=measures.low if measures else 0.0,
        high=measures.high if measures else 1.0,
        weight_allowed=bool(one.weighs),
    )


def _key(variable: str | None) -> str | None:
    """The endpoint's key. Raises NoKey where the variable that should hold it is unset or empty."""
    if variable is None:
        return None
    if key := os.environ.get(variable):
        return key
    raise NoKey(f"--key-env {variable}: no such variable, or it is empty; export it, or leave --key-env out")


async def _examine(
    endpoint: Endpoint, constitution: Constitution, protocol: JudgeProtocol, pairs: tuple[LabelledPair, ...]
) -> Examination:
    async with ChatClient([endpoint]) as client:
        return await examine(client, constitution, protocol, pairs)
