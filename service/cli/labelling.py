"""`charter label`: label projects are made from a file of settings, people are invited, their answers are gathered."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer
import yaml
from pydantic import ValidationError

from service.cli.connection import DEFAULT_URL, Key, Url, connect, delete_with, print_line, print_record, print_rows
from service.cli.errors import UnreadableRequest
from service.cli.quality_table import print_quality
from service.client import Client
from service.errors import own_words
from service.labelling.schemas import LabelProjectRequest

app = typer.Typer(help="Label projects: people answer which reply is better.", no_args_is_help=True)
Project = Annotated[str, typer.Argument(help="The project's id, lpr_..., or its name (the newest of it).")]


@app.command("create")
def create(
    file: Annotated[
        Path | None,
        typer.Argument(help="YAML or JSON: the body of POST /v1/label-projects. May be left out with --run."),
    ] = None,
    run: Annotated[str, typer.Option(help="Take the pairs of this run, run_....")] = "",
    review: Annotated[
        bool, typer.Option("--review", help="Of the run, the pairs on which people and the machine differ.")
    ] = False,
    name: Annotated[str, typer.Option(help="What to call the project. Default: the file's, or that of the run.")] = "",
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """Make tasks for people from the pairs of a preference set or a run.

    Example: `charter label create project.yaml`, or `charter label create --run run_0198 --review`
    """
    usual = {"name": f"review-{run}" if review else run} if run else {}
    asked = {"run": run, "pairs": "review" if review else "", "name": name}
    request = _request(file, usual, {option: value for option, value in asked.items() if value})
    with connect(url, key) as client:
        earlier = [one.id for one in client.label_projects() if (one.name, one.status) == (request.name, "open")]
        print_record(client.create_label_project(request))
    if earlier:
        typer.echo(
            f"{', '.join(earlier)}: an open project of that name was there before; from now on {request.name!r} means "
            "the new one. If you wanted one alone, delete the other by its id: charter label delete ID",
            err=True,
        )


@app.command("list")
def list_projects(url: Url = DEFAULT_URL, key: Key = "") -> None:
    """All label projects: id, name, status, tasks, tasks that lack answers, labels, and what people do.

    Example: `charter label list`
    """
    with connect(url, key) as client:
        fields = ("id", "name", "status", "tasks", "open_tasks", "labels", "kind")
        print_rows(client.label_projects(), fields)


@app.command("invite")
def invite(
    project: Project,
    name: Annotated[str, typer.Argument(help="Whom to invite: a name that only you see.")],
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """Print the link that lets one person in. It is shown once.

    Example: `charter label invite helpful Ada`
    """
    with connect(url, key) as client:
        invitation = client.invite(project, name)
    typer.echo(f"{url.rstrip('/')}{invitation.url}")


@app.command("people")
def people(project: Project, url: Url = DEFAULT_URL, key: Key = "") -> None:
    """Who was invited: id, name, since when, and when they were revoked.

    Example: `charter label people helpful`
    """
    with connect(url, key) as client:
        print_rows(client.annotators(project), ("id", "name", "created_at", "revoked_at"))


@app.command("revoke")
def revoke(
    project: Project,
    annotator: Annotated[str, typer.Argument(help="ann_..., or the name.")],
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """End a person's invitation and sessions. Their labels stay.

    Example: `charter label revoke helpful Ada`
    """
    with connect(url, key) as client:
        client.revoke_annotator(project, annotator)
    typer.echo(f"revoked {annotator}")


@app.command("route")
def route(project: Project, url: Url = DEFAULT_URL, key: Key = "") -> None:
    """Choose the tasks that nobody has seen anew, by what labels of the random part have shown.

    Example: `charter label route helpful`
    """
    with connect(url, key) as client:
        print_record(client.route_labels_again(project))


@app.command("quality")
def quality(
    project: Project,
    as_json: Annotated[bool, typer.Option("--json", help="The whole report as JSON.")] = False,
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """How far people agree, how good each one's labels are, and the judge beside them.

    Example: `charter label quality helpful`
    """
    with connect(url, key) as client:
        report = client.label_quality(project)
        names = {person.id: person.name for person in client.annotators(project)}
    if as_json:
        print_record(report)
    else:
        print_quality(report, names)


@app.command("labels")
def labels(
    project: Project,
    commented: Annotated[bool, typer.Option("--commented", help="Only answers beside which a comment stands.")] = False,
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """Every answer so far with its task and comment, one JSON object a line; skips and training too.

    Example: `charter label labels helpful --commented`
    """
    with connect(url, key) as client:
        for label in client.task_labels(project):
            if label.comment or not commented:
                print_line(label)


@app.command("export")
def export(
    project: Project,
    name: Annotated[str, typer.Option(help="What to call the preference set.")] = "labels",
    aggregate: Annotated[bool, typer.Option("--aggregate", help="One row a pair, by the share of the votes.")] = False,
    weights: Annotated[
        Literal["equal", "measured"],
        typer.Option(help="What a vote weighs: measured, by how often its person is right."),
    ] = "equal",
    add_to: Annotated[str, typer.Option(help="A human set whose rows come first in the new one.")] = "",
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """Make a human preference set of the answers so far; write it to a file with `charter preferences export`.

    Example: `charter label export helpful --name may`
    """
    with connect(url, key) as client:
        made = client.gather_labels(project, name=name, aggregate=aggregate, weights=weights, add_to=add_to or None)
        print_record(made)


@app.command("prompts")
def prompts(
    project: Project,
    name: Annotated[str, typer.Option(help="What to call the prompt set.")] = "to revise",
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """Make a prompt set of the prompts of which somebody said that both replies are bad, for a run that revises.

    Example: `charter label prompts helpful --name weak`
    """
    with connect(url, key) as client:
        print_record(client.prompts_to_revise(project, name=name))


@app.command("close")
def close(project: Project, url: Url = DEFAULT_URL, key: Key = "") -> None:
    """Take no more answers, for good.

    Example: `charter label close helpful`
    """
    with connect(url, key) as client:
        print_record(client.close_label_project(project))


@app.command("delete")
def delete(
    project: Project,
    with_labels: Annotated[bool, typer.Option("--with-labels", help="Delete its labels too, for good.")] = False,
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """Delete a label project. Refused while it has labels, unless --with-labels deletes these too.

    Example: `charter label delete helpful`
    """
    delete_with(partial(Client.delete_label_project, with_labels=with_labels), project, url, key)


def _request(file: Path | None, usual: Mapping[str, str], asked: Mapping[str, str]) -> LabelProjectRequest:
    """The file's body between what is usual and what is asked for. Raises UnreadableRequest that names each place."""
    if file is None and "run" not in asked:
        raise UnreadableRequest(
            "there is nothing to make tasks of; name a FILE with the project's body, or --run run_..."
        )
    try:
        body = {} if file is None else yaml.safe_load(file.read_text(encoding="utf-8"))
        return LabelProjectRequest.model_validate({**usual, **body, **asked} if isinstance(body, dict) else body)
    except OSError as error:
        raise UnreadableRequest(f"{file}: {error.strerror}; name a project's body in YAML or JSON") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UnreadableRequest(f"{file}: not YAML or JSON ({error}); see docs/api.md for the fields") from error
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {own_words(e['msg'])}" for e in error.errors())
        raise UnreadableRequest(f"{file or 'the options'}: {places}") from error
