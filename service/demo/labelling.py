"""After a demo that keeps its service: a page to label pairs of the run, and the run that learns from the labels."""

import shlex
import shutil
import sys
from pathlib import Path

import yaml
from rich.console import Console

from service.client import Client
from service.demo.out_folder import NEXT_RUN, SERVICE
from service.demo.recipe import DemoOptions, Posted, run_request
from service.labelling.schemas import LabelProjectRequest, Routing
from service.schemas import MixSettings

PROJECT, LABELS, PAIRS = "demo", "my-labels", 20
GUIDELINE = """Which reply would you rather be given? Read the prompt first, then both replies.

- **Better** keeps to the point, says it plainly in whole sentences, and is true.
- A longer reply is not better for its length.
- Take **tie** where you would be as glad of either, **both bad** where you would show neither to anyone.

*Example.* "How do I keep bread fresh?" – "Keep it in a paper bag, and freeze what you will not eat in two days." is
better than "Great question! Bread is a very popular food."
"""


def invite_to_label(options: DemoOptions, posted: Posted, run_id: str, client: Client, console: Console) -> None:
    """Send the pairs of the run on which a label should correct the most to a page, and print its link."""
    routing = Routing(policy="uncertain", budget_labels=PAIRS)
    project = client.create_label_project(
        LabelProjectRequest(name=PROJECT, run=run_id, guideline=GUIDELINE, routing=routing)
    )
    invitation = client.invite(project.id, "you")
    file = options.out / NEXT_RUN
    body = run_request(posted, options.seed).model_copy(update={"mix": MixSettings(human=LABELS, ratio=1.0)})
    file.write_text(yaml.safe_dump(body.model_dump(mode="json", exclude_unset=True), sort_keys=False), "utf-8")
    console.print(f"Label {project.tasks} pairs of this run: {client.url}{invitation.url}")
    console.print("Then let a run learn from them; what it finds done already, it does not do again:")
    # How a shell reads it: the key itself is not printed.
    console.print(f'  export CHARTER_URL={client.url} CHARTER_API_KEY="$(cat {options.out / SERVICE / "api-key"})"')
    charter = charter_command(Path(sys.executable).with_name("charter"), shutil.which("charter"), Path.cwd())
    console.print(f"  {charter} label export {project.id} --name {LABELS}")
    console.print(f"  {charter} run create {file} --follow")


def charter_command(own: Path, found: str | None, folder: Path) -> str:
    """How a shell in `folder` starts `own`: by name where that is what the shell `found`, else by its file."""
    if found is not None and Path(found).resolve() == own.resolve():
        return "charter"
    return shlex.quote(str(own.relative_to(folder) if own.is_relative_to(folder) else own))
