"""`charter adapter`: what the runs made."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.connection import DEFAULT_URL, Key, Url, connect, delete_with, print_rows
from service.client import Client
from training.bundle import verify_bundle

app = typer.Typer(help="Adapters: list, download, delete.", no_args_is_help=True)


@app.command("list")
def list_adapters(url: Url = DEFAULT_URL, key: Key = "") -> None:
    """All adapters of the project: id, run, hash, size in bytes, the last good step where the training failed.

    Example: `charter adapter list`
    """
    with connect(url, key) as client:
        print_rows(client.adapters(), ("id", "run_id", "sha256", "bytes", "last_good_step"))


@app.command()
def download(
    adapter: Annotated[str, typer.Argument(help="The adapter's id, adp_...")],
    file: Annotated[Path, typer.Argument(help="Where to write the bundle.")] = Path("adapter.tar.gz"),
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """Fetch the bundle (adapter, manifest, card, report) and verify every file's hash.

    Example: `charter adapter download adp_0123 adapter.tar.gz`
    """
    with connect(url, key) as client:
        client.download_adapter(adapter, file)
    manifest = verify_bundle(file)
    typer.echo(f"{file}: {len(manifest.files)} files verified; load it on {manifest.base_model.name}")
    typer.echo(f"base model sha256 {manifest.base_model.sha256}")


@app.command()
def delete(
    adapter: Annotated[str, typer.Argument(help="The adapter's id, adp_..., or its name (the newest of it).")],
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """Delete an adapter; its file goes with `charter gc`.

    Example: `charter adapter delete adp_0123`
    """
    delete_with(Client.delete_adapter, adapter, url, key)
