"""Commands that start a program: the service, a worker, the demo.

`serve` and `worker` replace this process, so that signals and exit codes are the program's own.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from service.cli.connection import print_json
from service.demo.demo import run_demo
from service.demo.recipe import DemoOptions
from service.demo.summary import read_summary
from service.demo.tables import print_summary
from service.settings import Settings

Home = Annotated[Path | None, typer.Option(help="Folder of the service's data. Also CHARTER_HOME.", metavar="DIR")]


def add_commands(app: typer.Typer) -> None:
    """Put the commands at the top of the command line."""
    for command in (serve, worker, demo, summary):
        app.command()(command)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. Also CHARTER_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on. Also CHARTER_PORT.")] = None,
    home: Home = None,
) -> None:
    """Start the service: API, database, worker and models. It prints an API key at its first start.

    Example: `charter serve --port 8000 --home ./charter-data`
    """
    _become("service.serve", CHARTER_HOST=host, CHARTER_PORT=port, CHARTER_HOME=home)


def worker(home: Home = None) -> None:
    """Start one more worker on the same database and artifact store.

    Example: `CHARTER_DATABASE_URL=postgresql+psycopg://... charter worker`
    """
    _become("service.worker", CHARTER_HOME=home)


def demo(
    human: Annotated[
        Path | None, typer.Option(help="Preferences to mix in, in any format that can be imported; .gz too.")
    ] = None,
    judge_url: Annotated[
        str | None, typer.Option(help="An OpenAI-compatible endpoint that judges; its key in the variable JUDGE_KEY.")
    ] = None,
    judge_model: Annotated[str | None, typer.Option(help="The model's name at --judge-url.")] = None,
    model: Annotated[Path | None, typer.Option(help="Folder of the base model. Default: the bundled one.")] = None,
    seed: Annotated[int, typer.Option(help="Decides what is drawn and trained.", min=0, max=2**31 - 1)] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the adapter, the summary and the data.")] = Path("out/demo"),
    port: Annotated[int, typer.Option(help="Loopback port of the service; 0 takes a free one.", min=0, max=65535)] = 0,
    keep: Annotated[bool, typer.Option(help="Leave the service running at the end.")] = False,
) -> None:
    """Run the whole job on this machine: constitution, prompts and pairs in, an aligned adapter out.

    Example: `charter demo --human my-pairs.jsonl.gz --seed 1`
    """
    run_demo(
        DemoOptions(
            out=out,
            human=human,
            judge_url=judge_url,
            judge_model=judge_model,
            model=model,
            seed=seed,
            port=port,
            keep=keep,
        )
    )


def summary(
    file: Annotated[Path, typer.Argument(help="The summary to show.")] = Path("out/demo/summary.json"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a demo brought.

    Example: `charter summary out/demo/summary.json`
    """
    from rich.console import Console

    read = read_summary(file)
    if as_json:
        print_json(read.model_dump(mode="json"))
    else:
        print_summary(Console(), read)


def _become(module: str, **variables: object) -> None:
    """Replace this process by `python -m module`; what was given on the command line goes in as its variables."""
    os.environ.update({name: str(value) for name, value in variables.items() if value is not None})
    Settings()  # what is wrong with them is told here, in one line
    os.execv(sys.executable, [sys.executable, "-m", module])  # noqa: S606 - our own module, no shell
