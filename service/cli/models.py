"""`charter model`: the base models and judges that a run may name."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.connection import DEFAULT_URL, Key, Url, connect, delete_with, print_record, print_rows
from service.client import Client

app = typer.Typer(help="Models: register a folder or an endpoint, list, delete.", no_args_is_help=True)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What runs call it.")],
    place: Annotated[str, typer.Argument(help="A folder on the service's machine, or the URL of an endpoint.")],
    served_name: Annotated[str | None, typer.Option(help="The endpoint's name for it; else the same name.")] = None,
    api_key_env: Annotated[
        str | None, typer.Option(help="Name of the worker's variable that holds the endpoint's key.")
    ] = None,
    context_tokens: Annotated[
        int | None, typer.Option(help="Tokens it can read; else what its folder says, 8192 for an endpoint.", min=16)
    ] = None,
    licence: Annotated[str, typer.Option(help="Its licence, for the adapter's manifest.")] = "",
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """Register a base model or a judge. The key needs the scope admin.

    Example: `charter model add my-judge https://judge.example/v1 --served-name judge-70b --api-key-env JUDGE_KEY`
    """
    endpoint = place if place.startswith(("http://", "https://")) else None
    with connect(url, key) as client:
        model = client.add_model(
            name=name,
            path=Path(place) if endpoint is None else None,
            url=endpoint,
            served_name=served_name,
            api_key_env=api_key_env,
            context_tokens=context_tokens,
            licence=licence,
        )
    print_record(model)


@app.command("list")
def list_models(url: Url = DEFAULT_URL, key: Key = "") -> None:
    """All models of the project: id, name, folder, URL, context in tokens.

    Example: `charter model list`
    """
    with connect(url, key) as client:
        print_rows(client.models(), ("id", "name", "path", "url", "context_tokens"))


@app.command()
def delete(
    model: Annotated[str, typer.Argument(help="The model's id, mdl_..., or its name.")],
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """Forget a model; its files stay. Refused while a run uses it. The key needs the scope admin.

    Example: `charter model delete my-judge`
    """
    delete_with(Client.delete_model, model, url, key)
