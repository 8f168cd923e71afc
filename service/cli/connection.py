"""How a command reaches the service, and how it prints what comes back."""

import dataclasses
import json
import os
from collections.abc import Callable, Iterable
from typing import Annotated, Any, ClassVar, Protocol

import typer
from pydantic import JsonValue

from service.cli.errors import NoKey
from service.client import Client

DEFAULT_URL = "http://127.0.0.1:8080"
Url = Annotated[str, typer.Option("--url", envvar="CHARTER_URL", help="Where the service listens.")]
Key = Annotated[str, typer.Option("--api-key", envvar="CHARTER_API_KEY", help="An API key.", show_default=False)]


class Record(Protocol):
    """A frozen dataclass, as the client returns them."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


def connect(url: str, key: str) -> Client:
    """A client; use it as a context manager. Raises NoKey rather than be refused by the service."""
    if not key:
        raise NoKey("no API key: set CHARTER_API_KEY to the key that `charter serve` printed at its first start")
    return Client(url, api_key=key)


def secret_in(variable: str | None) -> str | None:
    """An endpoint's key. Raises NoKey where the variable that should hold it is unset or empty."""
    if variable is None:
        return None
    if key := os.environ.get(variable):
        return key
    raise NoKey(f"--key-env {variable}: no such variable, or it is empty; export it, or leave --key-env out")


def delete_with(delete: Callable[[Client, str], None], name: str, url: str, key: str) -> None:
    """Delete one resource, and say so."""
    with connect(url, key) as client:
        delete(client, name)
    typer.echo(f"deleted {name}")


def print_json(value: JsonValue) -> None:
    """Indented JSON on stdout, so that other programs read it."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_record(record: Record) -> None:
    """A record as JSON."""
    typer.echo(json.dumps(dataclasses.asdict(record), indent=2, ensure_ascii=False, default=str))


def print_line(record: Record) -> None:
    """A record as JSON in one line."""
    typer.echo(json.dumps(dataclasses.asdict(record), ensure_ascii=False, default=str))


def print_rows(records: Iterable[Record], fields: tuple[str, ...]) -> None:
    """Some fields of each record, separated by tabs: for people and for `cut`. What is not there is a dash."""
    for record in records:
        values = (getattr(record, field) for field in fields)
        typer.echo("\t".join("-" if value is None else str(value) for value in values))
