"""`charter judge`: may this judge weigh under this constitution? Asks the endpoint itself, without a service."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from constitutions.loader import load_constitution_file
from constitutions.schema import Constitution
from judges.client import ChatClient
from judges.protocols.probe import probe_labels
from judges.protocols.protocol import JudgeProtocol
from judges.protocols.registry import load_protocol
from judges.qualify import WEIGHTED, Qualification, qualify
from judges.replicas import Endpoint
from service.cli.errors import NoKey
from service.demo.summary import JudgeStanding
from service.demo.tables import standing_line
from service.engines import without_v1

app = typer.Typer(help="Judges: qualify one on a constitution's examples.", no_args_is_help=True)


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
) -> None:
    """Examine a judge on the constitution's own examples, both orders each.

    Example: `charter judge qualify my-constitution.yaml --model my-judge --judge-url http://localhost:8000`
    """
    endpoint = Endpoint(model=model, base_url=without_v1(judge_url), api_key=_key(key_env))
    result = asyncio.run(_qualify(endpoint, load_constitution_file(constitution), load_protocol(protocol)))
    for one in result.per_principle:
        standing = JudgeStanding(
            principle_id=one.principle_id,
            kind=one.kind,
            verdict=one.verdict,
            examples=one.examples,
            accuracy=one.accuracy,
            low=one.low,
            high=one.high,
            weight_allowed=one.verdict in WEIGHTED,
        )
        typer.echo(standing_line(standing))
    typer.echo(f"the longer reply wins in {100 * result.longest_wins:.0f} % of these examples")


def _key(variable: str | None) -> str | None:
    """The endpoint's key. Raises NoKey where the variable that should hold it is unset or empty."""
    if variable is None:
        return None
    if key := os.environ.get(variable):
        return key
    raise NoKey(f"--key-env {variable}: no such variable, or it is empty; export it, or leave --key-env out")


async def _qualify(endpoint: Endpoint, constitution: Constitution, protocol: JudgeProtocol) -> Qualification:
    """Raises LabelsMissing where the judge cannot write what the protocol reads."""
    async with ChatClient([endpoint]) as client:
        await probe_labels(client, protocol)
        return await qualify(client, constitution, protocol)
