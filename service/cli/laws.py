"""`charter constitution`: lint and diff work on files, without a service; post sends one, list shows and
delete removes them."""

from pathlib import Path
from typing import Annotated

import typer

from constitutions.differences import diff_constitutions
from constitutions.lint import lint_constitution
from constitutions.loader import load_constitution_file
from service.cli.connection import DEFAULT_URL, Key, Url, connect, delete_with, print_record, print_rows
from service.cli.difference import difference_lines
from service.client import Client

app = typer.Typer(help="Constitutions: lint, diff, post, list, delete.", no_args_is_help=True)
File = Annotated[Path, typer.Argument(help="A constitution in YAML or JSON.")]


@app.command()
def lint(file: File) -> None:
    """Read a constitution and say what a careful reader would object to. Exit 1 on errors.

    Example: `charter constitution lint my-constitution.yaml`
    """
    findings = lint_constitution(load_constitution_file(file))
    for finding in findings:
        where = f" {finding.principle_id}:" if finding.principle_id else ""
        typer.echo(f"{finding.severity}: {finding.code}:{where} {finding.message}")
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(1)
    typer.echo(f"{file}: in order" if not findings else f"{file}: {len(findings)} finding(s), no errors")


@app.command()
def diff(old: File, new: File) -> None:
    """Say which principles differ between two files, by meaning and not by line.

    Example: `charter constitution diff version-1.yaml version-2.yaml`
    """
    for line in difference_lines(diff_constitutions(load_constitution_file(old), load_constitution_file(new))):
        typer.echo(line)


@app.command()
def post(file: File, url: Url = DEFAULT_URL, key: Key = "") -> None:
    """Send a constitution to the service. The same text again gives the same id.

    Example: `charter constitution post my-constitution.yaml`
    """
    with connect(url, key) as client:
        print_record(client.add_constitution(file.read_bytes(), filename=file.name))


@app.command("list")
def list_constitutions(url: Url = DEFAULT_URL, key: Key = "") -> None:
    """All constitutions of the project: id, name, version, hash.

    Example: `charter constitution list`
    """
    with connect(url, key) as client:
        print_rows(client.constitutions(), ("id", "name", "version", "sha256"))


@app.command()
def delete(
    constitution: Annotated[
        str, typer.Argument(help="Its id, con_..., its name (the newest version), or name@version.")
    ],
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """Delete one version of a constitution. Refused while a run uses it.

    Example: `charter constitution delete my-constitution@1`
    """
    delete_with(Client.delete_constitution, constitution, url, key)
