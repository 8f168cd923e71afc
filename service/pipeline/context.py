"""What every stage of a run works with: the run, its law, its prompts and models, and the worker's parts."""

from dataclasses import dataclass
from pathlib import Path

from constitutions.loader import load_constitution
from constitutions.schema import Constitution
from judges.client import ChatClient, ClientSettings
from judges.protocols.protocol import JudgeProtocol
from judges.records import Prompt
from judges.replicas import Endpoint
from service.artifacts import Artifacts
from service.engines import EnginePool, folder_of
from service.errors import RunFailed
from service.pipeline.children import RunTraining, run_training
from service.pipeline.development import split_development
from service.pipeline.progress import Progress
from service.protocols import protocol_named
from service.schemas import RunRequest, Stage
from service.settings import Settings
from service.shards import read_shard
from service.store.records import AdapterRecord, ModelRecord, NewEvent, RunRecord, StageRecord
from service.store.store import Store

PROMPTS_PER_SHARD = 16
_QUEUE_TIMEOUT_S = 600.0
_QUEUE_DEADLINE_S = 1800.0


@dataclass(frozen=True, slots=True)
class Tools:
    """The worker's parts, shared by its runs."""

    store: Store
    artifacts: Artifacts
    engines: EnginePool
    settings: Settings
    run_training: RunTraining = run_training


@dataclass(frozen=True, slots=True)
class RunContext:
    """One run, as its stages see it. `start` is the adapter from which it goes on, None at the base.

    `development` are the prompts that a sweep kept back from `train`.
    """

    run: RunRecord
    constitution: Constitution
    constitution_source: str
    constitution_sha256: str
    model: ModelRecord
    judge: ModelRecord
    start: AdapterRecord | None
    train: tuple[Prompt, ...]
    development: tuple[Prompt, ...]
    held_out: tuple[Prompt, ...]
    prompts_sha256: str
    held_out_sha256: str
    protocol: JudgeProtocol
    tools: Tools

    @property
    def request(self) -> RunRequest:
        return self.run.request

    @property
    def artifacts(self) -> Artifacts:
        return self.tools.artifacts

    @property
    def scratch(self) -> Path:
        """A folder of this run on this machine; it may vanish between stages when another machine goes on."""
        return self.tools.settings.scratch / self.run.id

    @property
    def shards_at_once(self) -> int:
        """Enough to keep the servers busy while one shard finishes."""
        return 2 + self.tools.settings.engine_concurrency // PROMPTS_PER_SHARD

    def progress(self, stage: Stage, total: int) -> Progress:
        return Progress(self.tools.store.runs, self.run.id, stage, total)

    async def warn(self, stage: Stage, message: str) -> None:
        """Tell the run's owner something that does not end the run."""
        await self.tools.store.runs.add_event(self.run.id, NewEvent(stage, "warning", data={"message": message}))

    async def result_of(self, stage: Stage) -> StageRecord:
        """What an earlier stage left; raises RunFailed where it was left out."""
        done = await self.tools.store.runs.stages(self.run.id)
        if stage not in done:
            raise RunFailed(f"needs the stage {stage!r}, which this run leaves out; add it to `stages` of a new run")
        return done[stage]

    async def policy_client(self) -> ChatClient:
        """Asks the base model."""
        return self.sampling_client(await self.tools.engines.endpoint(self.model))

    def sampling_client(self, endpoint: Endpoint) -> ChatClient:
        """Asks for long replies: whoever waits in a full engine's queue has not failed."""
        settings = ClientSettings(
            concurrency=self.tools.settings.engine_concurrency,
            timeout_s=_QUEUE_TIMEOUT_S,
            deadline_s=_QUEUE_DEADLINE_S,
        )
        return ChatClient([endpoint], settings)

    @property
    def judge_settings(self) -> ClientSettings:
        """How hard the judge is driven."""
        wanted = self.request.judge
        # Our own server is watched by its guard: there, waiting long means a slow machine, not a dead judge.
        ours = self.judge.url is None
        return ClientSettings(
            concurrency=min(wanted.concurrency, self.tools.settings.engine_concurrency) if ours else wanted.concurrency,
            timeout_s=max(wanted.timeout_s, _QUEUE_TIMEOUT_S) if ours else wanted.timeout_s,
            deadline_s=_QUEUE_DEADLINE_S,
            max_tokens_total=wanted.max_tokens_total,
        )

    async def judge_client(self) -> ChatClient:
        """Asks the judge; where no principle needs one, a client that is never used."""
        return ChatClient([await self.tools.engines.endpoint(self.judge)], self.judge_settings)


async def open_context(run_id: str, tools: Tools) -> RunContext:
    """Read what the run refers to. Raises RunFailed where a model's folder is not there, before anything is done."""
    store = tools.store
    run = await store.runs.get_any(run_id)
    project, references = run.project_id, run.references
    law = await store.constitutions.get(project, references.constitution_id)
    prompts = await store.prompt_sets.get(project, references.prompts_id)
    held = await store.prompt_sets.get(project, references.held_out_id) if references.held_out_id else prompts
    everything = await read_shard(tools.artifacts, prompts.artifact, Prompt)
    if held is prompts:
        held_out = tuple(prompt for prompt in everything if prompt.split == "held_out")
    else:
        held_out = tuple(await read_shard(tools.artifacts, held.artifact, Prompt))
    training = tuple(prompt for prompt in everything if prompt.split == "train")
    split = split_development(training, held_out, run.request.training, run.request.seed)
    context = RunContext(
        run=run,
        constitution=load_constitution(law.source, name=law.name),
        constitution_source=law.source,
        constitution_sha256=law.sha256,
        model=await store.models.get(project, references.model_id),
        judge=await store.models.get(project, references.judge_id),
        start=await store.adapters.get(project, run.request.start_from) if run.request.start_from else None,
        train=split.train,
        development=split.development,
        held_out=held_out,
        prompts_sha256=prompts.sha256,
        held_out_sha256=held.sha256,
        protocol=protocol_named(run.request.judge.protocol, tools.settings.protocols),
        tools=tools,
    )
    for model in (context.model, context.judge):
        if model.url is None:
            folder_of(model)
    return context
