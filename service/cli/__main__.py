"""The command `charter`. Each command is thin: it calls the Python client, or starts a program of the service.

Exit status: 0 done, 1 an error that the message explains, 2 a wrong command line.
"""

from typing import NoReturn

import httpx
import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from rich.console import Console

from constitutions.errors import CharterError, ConstitutionError
from service.cli import adapters, judging, labelling, laws, maintenance, models, programs, runs, uploads
from service.cli.faults import file_fault, setting_fault
from service.client import ApiError
from service.settings import Settings

app = typer.Typer(
    name="charter",
    help="Turn a written constitution into an aligned LoRA adapter.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)
programs.add_commands(app)
app.command()(maintenance.gc)
app.add_typer(laws.app, name="constitution")
app.add_typer(uploads.prompts, name="prompts")
app.add_typer(uploads.preferences, name="preferences")
app.add_typer(models.app, name="model")
app.add_typer(runs.app, name="run")
app.add_typer(labelling.app, name="label")
app.add_typer(judging.app, name="judge")
app.add_typer(adapters.app, name="adapter")
app.add_typer(maintenance.keys, name="key")


def main() -> None:
    """Run a command; what Charter raises on purpose becomes one line on stderr."""
    try:
        app()
    except ConstitutionError as error:
        _fail("\n       ".join(error.problems))
    except ApiError as error:
        _fail("\n       ".join([str(error), *(place for place in error.problems if place not in str(error))]))
    except CharterError as error:
        _fail(str(error))
    except httpx.TransportError as error:
        _fail(f"the service cannot be reached ({error}); start it with `charter serve`, or set CHARTER_URL")
    except (ValidationError, SettingsError) as error:
        _fail(setting_fault(error, Settings))
    except OSError as error:
        _fail(file_fault(error))


def _fail(message: str) -> NoReturn:
    Console(stderr=True, soft_wrap=True).print(f"error: {message}", markup=False, highlight=False)
    raise SystemExit(1) from None


if __name__ == "__main__":
    main()
