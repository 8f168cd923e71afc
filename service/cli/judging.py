"""`charter judge`: may this judge weigh under this constitution? Asks the endpoint itself, without a service.

Without an endpoint it serves a model's folder while it asks.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from constitutions.loader import load_constitution_file
from constitutions.schema import Constitution
from judges.client import ChatClient
from judges.engine import EngineSettings, running_engine
from judges.labelled_sets import EXAMPLES, LabelledPair, drawn
from judges.protocols.protocol import JudgeProtocol
from judges.protocols.registry import load_protocol
from judges.replicas import Endpoint
from service.cli.connection import secret_in
from service.cli.errors import NoModel
from service.cli.examination_table import print_examination
from service.cli.panel import panel
from service.cli.set_options import FormatName, JsonFile, Limit, PrincipleId, ProtocolName, Seed
from service.demo.base_model import base_model_folder
from service.demo.recipe import CACHE
from service.demo.summary import JudgeStanding
from service.demo.tables import standing_line
from service.engines import without_v1
from service.exchange.examination import Examination, ExaminedSlice, examine
from service.exchange.labelled import read_labelled, under_principle
from service.model_folder import declared_context
from service.settings import Settings

app = typer.Typer(help="Judges: qualify one on examples and labelled sets, or weigh several.", no_args_is_help=True)
app.command()(panel)


@app.command("qualify")
def qualify_judge(
    constitution: Annotated[Path, typer.Argument(help="The constitution whose examples are judged.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="The judge's name at its endpoint; without one, a model's folder (default: the bundled one)."
        ),
    ] = None,
    judge_url: Annotated[
        str | None,
        typer.Option(help="An OpenAI-compatible endpoint, with or without /v1. Without it vLLM serves the folder."),
    ] = None,
    key_env: Annotated[str | None, typer.Option(help="Name of the variable that holds the endpoint's key.")] = None,
    protocol: ProtocolName = "pairwise",
    sets: Annotated[
        list[Path] | None, typer.Option("--set", help="A labelled set to judge beside the examples; may be repeated.")
    ] = None,
    set_format: FormatName = None,
    principle: PrincipleId = None,
    limit: Limit = None,
    seed: Seed = 0,
    json_file: JsonFile = None,
) -> None:
    """Examine a judge on the constitution's own examples, and on labelled sets, both orders each.

    Example: `charter judge qualify my-constitution.yaml --model my-judge --judge-url http://localhost:8000`
    """
    asked = _serve(model) if judge_url is None else _remote(model, judge_url, key_env)
    law, way = load_constitution_file(constitution), load_protocol(protocol)
    pairs = [pair for file in sets or () for pair in drawn(read_labelled(file, set_format), limit, seed)]
    found = asyncio.run(_examine(asked, law, way, under_principle(pairs, law, principle)))
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


async def _examine(
    judge: AbstractAsyncContextManager[Endpoint],
    constitution: Constitution,
    protocol: JudgeProtocol,
    pairs: tuple[LabelledPair, ...],
) -> Examination:
    async with judge as endpoint, ChatClient([endpoint]) as client:
        return await examine(client, constitution, protocol, pairs)


def _remote(model: str | None, url: str, key_env: str | None) -> AbstractAsyncContextManager[Endpoint]:
    if model is None:
        raise NoModel("--judge-url: name what the endpoint calls the judge with --model (GET /v1/models lists it)")
    return nullcontext(Endpoint(model=model, base_url=without_v1(url), api_key=secret_in(key_env)))


@asynccontextmanager
async def _serve(model: str | None) -> AsyncIterator[Endpoint]:
    """The folder's own server, until the block ends. Raises InvalidInput and EngineFailed."""
    if model is not None and not Path(model).is_dir():
        raise NoModel(f"--model {model}: no such folder; for a judge that is served elsewhere add its --judge-url")
    folder, settings = Path(model).resolve() if model else base_model_folder(None, CACHE), Settings()
    context = min(declared_context(folder), settings.max_model_len)
    with TemporaryDirectory(prefix="charter-") as own:
        server = EngineSettings(
            model_path=str(folder),
            served_name=folder.name,
            socket_path=Path(own) / "judge.sock",
            log_path=Path(own) / "judge.log",
            program=settings.engine,
            max_model_len=context,
            max_num_seqs=settings.engine_concurrency,
            behaviour=settings.scripted_behaviour,
        )
        typer.echo(f"Starting {folder.name} ...", err=True)
        async with running_engine(server) as engine:
            yield engine.endpoint
