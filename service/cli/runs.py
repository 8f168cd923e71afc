"""`charter run`: create, follow, cancel, resume, report, delete."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
import yaml
from pydantic import ValidationError
from rich.console import Console

from service.cli.connection import DEFAULT_URL, Key, Url, connect, delete_with, print_json, print_record, print_rows
from service.cli.errors import UnreadableRequest
from service.client import Client
from service.demo.bars import progress_view
from service.errors import own_words
from service.schemas import ResumeRequest, RunRequest
from training.knob_files import changed_knob

app = typer.Typer(help="Runs: from a constitution and prompts to an adapter.", no_args_is_help=True)
RunId = Annotated[str, typer.Argument(help="The run's id, run_...")]


@app.command()
def create(
    file: Annotated[Path, typer.Argument(help="The run's body in YAML or JSON; ids or names of what was posted.")],
    dry_run: Annotated[bool, typer.Option(help="Only say what it would cost.")] = False,
    follow: Annotated[bool, typer.Option(help="Stay and show its progress.")] = False,
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """Start a run.

    Example: `charter run create run.yaml --follow`
    """
    request = read_request(file)
    with connect(url, key) as client:
        if dry_run:
            print_json(client.plan_run(request))
            return
        run = client.create_run(request)
        typer.echo(run.id)
        if follow:
            show_until_over(client, run.id)


@app.command("follow")
def follow_run(run: RunId, url: Url = DEFAULT_URL, key: Key = "") -> None:
    """Show a run's progress until it is over. Exit 1 unless it succeeded.

    Example: `charter run follow run_0123`
    """
    with connect(url, key) as client:
        show_until_over(client, run)


@app.command("list")
def list_runs(url: Url = DEFAULT_URL, key: Key = "") -> None:
    """All runs of the project: id, status, when they were made.

    Example: `charter run list`
    """
    with connect(url, key) as client:
        print_rows(client.runs(), ("id", "status", "created_at"))


@app.command()
def cancel(run: RunId, url: Url = DEFAULT_URL, key: Key = "") -> None:
    """Stop a run; what it finished stays, and it can be resumed.

    Example: `charter run cancel run_0123`
    """
    with connect(url, key) as client:
        print_record(client.cancel_run(run))


@app.command()
def resume(
    run: RunId,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Go on with another training.tokens_per_batch or training.gradient_checkpointing; may be repeated.",
        ),
    ] = None,
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """Queue a failed or cancelled run again; no finished part is done twice, of training at most ten steps.

    Example: `charter run resume run_0123 --set training.tokens_per_batch=1024`
    """
    wanted = read_changes(changes or ())
    with connect(url, key) as client:
        print_record(client.resume_run(run, wanted))


@app.command()
def report(run: RunId, url: Url = DEFAULT_URL, key: Key = "") -> None:
    """What a run made and what changed, as JSON.

    Example: `charter run report run_0123 > report.json`
    """
    with connect(url, key) as client:
        print_json(client.report(run))


@app.command()
def delete(run: RunId, url: Url = DEFAULT_URL, key: Key = "") -> None:
    """Delete a run with its events. Refused while it runs, or while its adapter is there.

    Example: `charter run delete run_0123`
    """
    delete_with(Client.delete_run, run, url, key)


def show_until_over(client: Client, run_id: str) -> None:
    """Follow the events; exit 1 unless the run succeeded."""
    console = Console(stderr=True)
    with progress_view(console) as view:
        for event in client.follow(run_id):
            view.show(event)
    run = client.get_run(run_id)
    typer.echo(f"{run.id} {run.status}" + (f": {run.error}" if run.error else ""))
    if run.status != "succeeded":
        raise typer.Exit(1)
    console.print(f"What it made: {client.url}/ui/runs/{run.id}, or `charter run report {run.id}`", soft_wrap=True)


def read_request(file: Path) -> RunRequest:
    """A run's body from a file. Raises UnreadableRequest, which names the place."""
    try:
        return RunRequest.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise UnreadableRequest(f"{file}: {error.strerror}; name a run's body in YAML or JSON") from error
    except UnicodeDecodeError as error:
        raise UnreadableRequest(f"{file}, byte {error.start}: not UTF-8; save the file as UTF-8") from error
    except yaml.YAMLError as error:
        raise UnreadableRequest(f"{file}: not YAML: {error}") from error
    except ValidationError as error:
        raise UnreadableRequest(f"{file}: {_problems(error)}") from error


def read_changes(texts: Sequence[str]) -> ResumeRequest:
    """What `--set` asks for. Raises UnreadableRequest for a setting that a resumed run keeps, and ConfigError."""
    given = dict(map(changed_knob, texts))
    training = {name.removeprefix("training."): value for name, value in given.items() if name.startswith("training.")}
    others = {name: value for name, value in given.items() if not name.startswith("training.")}
    try:
        return ResumeRequest.model_validate({"training": training, **others})
    except ValidationError as error:
        raise UnreadableRequest(f"--set: {_problems(error)}") from error


def _problems(error: ValidationError) -> str:
    return "; ".join(": ".join(filter(None, (_place(one["loc"]), own_words(one["msg"])))) for one in error.errors())


def _place(loc: Sequence[str | int]) -> str:
    return ".".join(map(str, loc))
