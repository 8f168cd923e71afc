"""The main job on one machine: from a constitution to a downloaded adapter, through the REST API alone.

It starts the real service as a child, does what any client would do, and ends what it started, by process id.
"""

import hashlib
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console

from service.client import Client
from service.demo.bars import progress_view
from service.demo.base_model import BUNDLED, base_model_folder
from service.demo.content import CONSTITUTION, HUMAN, PROMPTS, shown_prompts
from service.demo.errors import DemoError
from service.demo.labelling import invite_to_label
from service.demo.out_folder import BUNDLE, SERVICE, SUMMARY, out_folder_held, set_aside_results
from service.demo.preconditions import check_options, judge_key_variable
from service.demo.recipe import CACHE, DemoOptions, Posted, run_request
from service.demo.replies import answer_before_and_after, unpack_bundle
from service.demo.service_process import ServiceProcess, ServiceSettings, start_service
from service.demo.summary import AdapterFile, Summary, summary_of
from service.demo.tables import print_replies, print_summary


class Stopwatch:
    """How long each of the demo's own steps took, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def time(self, step: str) -> Iterator[None]:
        """Adds a step."""
        began = time.monotonic()
        yield
        self.seconds[step] = round(time.monotonic() - began, 1)


def run_demo(options: DemoOptions, console: Console | None = None) -> Summary:
    """Do the whole job and return its summary, which also lies in `out/summary.json`."""
    console = console or Console(soft_wrap=True)
    watch = Stopwatch()
    try:
        with _signals_as_interrupt():
            check_options(options)
            with watch.time("model"):
                model = base_model_folder(options.model, CACHE)
            with (
                out_folder_held(options.out) as lock,
                _service(options, lock, watch, console) as service,
                Client(service.url, api_key=service.api_key()) as client,
            ):
                return _job(options, model, client, watch, console)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise DemoError(f"{where}{error.strerror or error}; mend that and start again") from error


def _job(options: DemoOptions, model: Path, client: Client, watch: Stopwatch, console: Console) -> Summary:
    with watch.time("upload"):
        posted = _post_everything(options, model, client, console)
    run_id = client.create_run(run_request(posted, options.seed)).id
    console.print(f"Run {run_id} has begun. Stages: sample, revise, judge, mix, train, evaluate, bundle.")
    _follow(client, run_id, console)
    report = client.report(run_id)
    bundle = options.out / BUNDLE
    with watch.time("download"):
        client.download_adapter(client.adapter_of(run_id).id, bundle)
        unpack_bundle(bundle, model, options.out)
    with watch.time("try"):
        replies = answer_before_and_after(
            shown_prompts(), model=model, adapter=options.out / "adapter", seed=options.seed
        )
    print_replies(console, replies)
    digest = hashlib.sha256(bundle.read_bytes()).hexdigest()
    summary = summary_of(report, AdapterFile(path=str(bundle), sha256=digest), watch.seconds)
    file = options.out / SUMMARY
    file.write_text(summary.model_dump_json(indent=2) + "\n", encoding="utf-8")
    print_summary(console, summary)
    console.print(f"Adapter: {options.out / 'adapter'} (peft), bundle {bundle}")
    console.print(f"Report:  {options.out / 'report.html'}    Summary: {file}")
    if options.keep:
        invite_to_label(options, posted, run_id, client, console)
    return summary


def _post_everything(options: DemoOptions, model: Path, client: Client, console: Console) -> Posted:
    """Constitution, prompts, pairs, models."""
    constitution = client.add_constitution(CONSTITUTION.read_bytes())
    prompts = client.add_prompts(PROMPTS)
    human = client.add_preferences(options.human or HUMAN)
    base = client.add_model(name=BUNDLED if options.model is None else _name(model.name), path=model)
    judge, judged_by = base, base.name
    if options.judge_url and options.judge_model:
        judge = client.add_model(
            name=_name(options.judge_model),
            url=options.judge_url,
            served_name=options.judge_model,
            api_key_env=judge_key_variable(),
        )
        judged_by = f"{options.judge_model} at {options.judge_url}"
    console.print(
        f"Posted constitution {constitution.name} ({constitution.id}), {prompts.train} prompts to train on and "
        f"{prompts.held_out} held out, {human.rows} human pairs from {(options.human or HUMAN).name}; "
        f"base {base.name}, judge {judged_by}."
    )
    return Posted(constitution.id, prompts.id, human.id, base.id, judge.id)


def _name(text: str) -> str:
    """A folder's or a served model's name (`org/judge-70b`) as the service takes names: `org-judge-70b`."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).lstrip("-._")[:128] or "model"


def _follow(client: Client, run_id: str, console: Console) -> None:
    """Show the run's events until it is over; raises DemoError unless it succeeded."""
    with progress_view(console) as view:
        for event in client.follow(run_id):
            view.show(event)
    run = client.get_run(run_id)
    if run.status != "succeeded":
        raise DemoError(f"run {run_id} {run.status}: {run.error or 'see the events above'}")


@contextmanager
def _service(options: DemoOptions, lock: int, watch: Stopwatch, console: Console) -> Iterator[ServiceProcess]:
    """The service, ready; stopped at the end whatever happened, unless --keep and all went well."""
    if earlier := set_aside_results(options.out):
        console.print(f"What the earlier demo brought is now in {earlier}; delete it when nobody needs it.")
    home = (options.out / SERVICE).absolute()
    service = start_service(ServiceSettings(home=home, port=options.port, held_open=(lock,), outlives=options.keep))
    try:
        os.pwrite(lock, f"{service.pid}\n".encode(), 0)
        with watch.time("start"):
            service.wait_until_ready()
        console.print(f"The service listens on {service.url} (pid {service.pid}, log {service.log})")
        yield service
    except BaseException:
        try:
            console.print(f"Stopping the service (pid {service.pid}) ...")
        finally:
            service.stop()
        raise
    if options.keep:
        console.print(f"Left running: {service.url}, key in {home / 'api-key'}; stop it with: kill {service.pid}")
    else:
        service.stop()


@contextmanager
def _signals_as_interrupt() -> Iterator[None]:
    """SIGTERM, and SIGHUP of a closed terminal, end the demo as Ctrl-C does: with its children."""

    def interrupt(signal_number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
