"""The options of the commands that ask judges about labelled sets."""

from pathlib import Path
from typing import Annotated

import typer

from service.exchange.labelled import SetFormat

ProtocolName = Annotated[str, typer.Option(help="How it judges: a protocol's name, or the path of your own.")]
FormatName = Annotated[
    SetFormat | None, typer.Option("--format", help="The sets' format, where it cannot be told from their first line.")
]
PrincipleId = Annotated[
    str | None, typer.Option(help="The principle that the sets' labels are about, where they do not say.")
]
Limit = Annotated[int | None, typer.Option(min=1, help="At most so many pairs of each set, drawn by --seed.")]
Seed = Annotated[int, typer.Option(min=0, help="Another seed draws other pairs.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Also write everything that was found to this file.")]
