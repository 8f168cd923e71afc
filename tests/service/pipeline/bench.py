"""A small service for tests: SQLite, a folder of artifacts, the scripted model server, a run ready to go."""

import json
from dataclasses import dataclass
from pathlib import Path

from constitutions.canonical import constitution_sha256
from constitutions.loader import load_constitution
from judges.records import Message, Prompt
from service.artifacts import Artifacts
from service.durable import JobQueue, migrate_jobs
from service.engines import EnginePool
from service.pipeline.context import Tools
from service.pipeline.report import run_report
from service.schemas import RunRequest
from service.settings import Settings
from service.shards import to_parquet
from service.store.records import (
    ConstitutionRecord,
    JsonObject,
    ModelRecord,
    PreferenceSetRecord,
    PromptSetRecord,
    RunRecord,
    RunReferences,
)
from service.store.store import Store
from training.rows import PreferenceRow
from training.weights import model_sha256

CONTEXT_TOKENS = 2048
LAW = """
name: small
version: "{version}"
principles:
  - id: brevity
    kind: checked
    text: Answers are short.
    check: {{max_words: 40}}
  - id: plain
    kind: checked
    text: Answers are plain text.
    check: {{plain_text: {{}}}}
  - id: kindness
    kind: judged
    text: {kindness}
    examples:
      - {{prompt: "Hello?", better: "Hello, friend.", worse: "What do you want from me now, stranger?"}}
"""


@dataclass(frozen=True, slots=True)
class Bench:
    """The parts of one test's service."""

    settings: Settings
    store: Store
    artifacts: Artifacts
    engines: EnginePool
    project: str

    @property
    def tools(self) -> Tools:
        return Tools(self.store, self.artifacts, self.engines, self.settings)

    async def close(self) -> None:
        await self.engines.close()
        await self.store.close()


async def open_bench(home: Path, **faults: object) -> Bench:
    """`faults` go into the scripted server's behaviour file as they are."""
    home.mkdir(parents=True, exist_ok=True)
    file = home / "behaviour.json"
    file.write_text(json.dumps(faults))
    settings = Settings(home=home, engine="scripted", scripted_behaviour=file, lease_s=2.0)
    store = Store(settings.database)
    await store.migrate()
    migrate_jobs(store.database.url)
    project = await store.access.ensure_project("default")
    return Bench(settings, store, Artifacts(settings.artifacts), EnginePool(settings), project.id)


def prompts(train: int = 6, held_out: int = 4) -> tuple[Prompt, ...]:
    return tuple(
        Prompt(f"p{i}", (Message("user", f"How do I do thing number {i}?"),), "train" if i < train else "held_out")
        for i in range(train + held_out)
    )


async def report_on(bench: Bench, run_id: str) -> JsonObject:
    """The run's report."""
    return run_report(await bench.store.runs.stages(run_id), await bench.store.adapters.of_run(bench.project, run_id))


async def add_law(bench: Bench, version: str = "1", kindness: str = "Answers are kind.") -> str:
    source = LAW.format(version=version, kindness=kindness)
    law = load_constitution(source)
    record = ConstitutionRecord("", bench.project, law.name, version, constitution_sha256(law), "", source, "")
    return (await bench.store.constitutions.add(record)).id


def model_record(project: str, folder: Path, context_tokens: int = CONTEXT_TOKENS) -> ModelRecord:
    """A folder, as if it were registered now."""
    sha256 = model_sha256(folder)
    return ModelRecord("", project, "tiny", str(folder), None, "tiny", None, sha256, context_tokens, "Apache-2.0", "")


async def add_run(
    bench: Bench,
    model: Path,
    *,
    constitution: str | None = None,
    given: tuple[Prompt, ...] | None = None,
    human: tuple[PreferenceRow, ...] = (),
    gold: tuple[PreferenceRow, ...] = (),
    judge_url: str | None = None,
    calibrate: int = 0,
    reward_adapter: str | None = None,
    **request: object,
) -> RunRecord:
    """A run in the store, with a job in the queue. The judge is the model itself, or `far` at `judge_url`."""
    given = prompts() if given is None else given
    key = f"prompts/{len(given)}-{abs(hash(given))}.parquet"
    await bench.artifacts.put_new(key, to_parquet(given, Prompt))
    train = sum(prompt.split == "train" for prompt in given)
    prompt_set = await bench.store.prompt_sets.add(
        PromptSetRecord("", bench.project, "prompts", "0" * 64, key, train, len(given) - train, "")
    )
    base = await bench.store.models.add(model_record(bench.project, model))
    judge = base
    if judge_url:
        judge = await bench.store.models.add(
            ModelRecord("", bench.project, f"judge-{judge_url}", None, judge_url, "far", None, None, 2048, "", "")
        )
    human_id, gold_id = [await _add_human(bench, rows) if rows else None for rows in (human, gold)]
    law = constitution or await add_law(bench)
    body = {
        "constitution": law,
        "prompts": prompt_set.id,
        "model": base.id,
        "judge": {"model": judge.id, "calibrate": calibrate},
        "sample": {"replies_per_prompt": 3, "max_tokens": 128},
        "revise": {"replies_per_prompt": 1, "max_tokens": 128},
        "training": {"pairs_per_step": 4, "max_tokens": 2048, "lora_rank": 2},
        "evaluate": {"replies_per_prompt": 2, "max_tokens": 128},
    }
    wanted = RunRequest.model_validate(body | request)
    references = RunReferences(law, prompt_set.id, None, human_id, base.id, judge.id, reward_adapter, gold_id)
    queue = JobQueue(bench.store.database.url)
    try:
        return await bench.store.runs.create(bench.project, wanted, references, queue.enqueue)
    finally:
        queue.close()


async def _add_human(bench: Bench, rows: tuple[PreferenceRow, ...]) -> str:
    key = f"preferences/{abs(hash(rows))}.parquet"
    await bench.artifacts.put_new(key, to_parquet(rows, PreferenceRow))
    record = PreferenceSetRecord("", bench.project, "people", "human", "0" * 64, key, len(rows), {}, None, "")
    return (await bench.store.preference_sets.add(record)).id
