"""`charter prompts` and `charter preferences`: files go in, files come out, sets are deleted."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.connection import DEFAULT_URL, Key, Url, connect, delete_with, print_json, print_record, print_rows
from service.cli.set_report import print_set_report
from service.client import Client
from service.exchange.export import FileKind
from service.exchange.formats.registry import Format

prompts = typer.Typer(help="Prompt sets, from JSONL, CSV or Parquet: post, list, delete.", no_args_is_help=True)
preferences = typer.Typer(help="People's preferences: import, export, list, delete.", no_args_is_help=True)
Name = Annotated[str | None, typer.Option(help="What to call it; the file's name otherwise.")]


@prompts.command("post")
def post_prompts(
    file: Annotated[Path, typer.Argument(help="A line a prompt, with `prompt` and perhaps `split: held_out`.")],
    name: Name = None,
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """Send prompts to train on and to hold out.

    Example: `charter prompts post prompts.jsonl --name questions`
    """
    with connect(url, key) as client:
        print_record(client.add_prompts(file, name=name))


@prompts.command("list")
def list_prompts(url: Url = DEFAULT_URL, key: Key = "") -> None:
    """All prompt sets of the project: id, name, prompts to train on, prompts held out.

    Example: `charter prompts list`
    """
    with connect(url, key) as client:
        print_rows(client.prompt_sets(), ("id", "name", "train", "held_out"))


@prompts.command("delete")
def delete_prompts(
    prompt_set: Annotated[str, typer.Argument(help="The set's id, prm_..., or its name (the newest of it).")],
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """Delete a prompt set. Refused while a run uses it.

    Example: `charter prompts delete questions`
    """
    delete_with(Client.delete_prompts, prompt_set, url, key)


@preferences.command("post")
def post_preferences(
    file: Annotated[Path, typer.Argument(help="JSONL, JSON, CSV or Parquet of any of the formats; .gz too.")],
    name: Name = None,
    format: Annotated[Format | None, typer.Option(help="Where it cannot be told from the first line.")] = None,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Skip lines that cannot be read; name them.")
    ] = False,
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """Send pairs that people labelled.

    Example: `charter preferences post pairs.jsonl.gz --name helpful --skip-broken`
    """
    with connect(url, key) as client:
        print_record(client.add_preferences(file, name=name, format=format, skip_broken=skip_broken))


@preferences.command("export")
def export_preferences(
    preference_set: Annotated[str, typer.Argument(help="Id or name of the set, for example one that a run mixed.")],
    file: Annotated[Path, typer.Argument(help="Where to write it.")],
    format: Annotated[Format, typer.Option(help="What each loses: docs/exchange.md; charter nothing.")] = "charter",
    kind: Annotated[FileKind, typer.Option("--as", help="The kind of file.")] = "jsonl",
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """Write a preference set to a file that other trainers read.

    Example: `charter preferences export prf_0123 pairs.csv --format trl --as csv`
    """
    with connect(url, key) as client:
        left_out = client.export_preferences(preference_set, file, format=format, kind=kind)
    typer.echo(str(file))
    if left_out:
        rows = "1 row" if left_out == 1 else f"{left_out} rows"
        typer.echo(f"{rows} left out: {format} cannot hold them (a tie, a system turn); charter can", err=True)


@preferences.command("report")
def report_preferences(
    preference_set: Annotated[str, typer.Argument(help="Id or name of the set.")],
    constitution: Annotated[
        str | None, typer.Option(help="Its principles should be covered. Of a run's set the run's, else none.")
    ] = None,
    prompts: Annotated[
        str | None,
        typer.Option(help="A prompt set: look for its held-out prompts. Of a run's set the run's, else none."),
    ] = None,
    near: Annotated[float, typer.Option(help="How far near-duplicates overlap, 0.3 to 1.")] = 0.8,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """Which principles decide where, what wins beside the matter, what stands there twice, what is held out as well.

    Example: `charter preferences report helpful --prompts questions`
    """
    named = {"constitution": constitution, "prompts": prompts, "near": str(near), "full": "true"}
    with connect(url, key) as client:
        found = client.preference_report(
            preference_set, {name: text for name, text in named.items() if text is not None}
        )
    if as_json:
        print_json(found)
    else:
        print_set_report(found)


@preferences.command("list")
def list_preferences(url: Url = DEFAULT_URL, key: Key = "") -> None:
    """All preference sets of the project: id, name, who labelled it, pairs.

    Example: `charter preferences list`
    """
    with connect(url, key) as client:
        print_rows(client.preference_sets(), ("id", "name", "kind", "rows"))


@preferences.command("delete")
def delete_preferences(
    preference_set: Annotated[str, typer.Argument(help="The set's id, prf_..., or its name (the newest of it).")],
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """Delete a preference set. Refused while a run uses it, or made it.

    Example: `charter preferences delete helpful`
    """
    delete_with(Client.delete_preferences, preference_set, url, key)
