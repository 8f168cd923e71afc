"""Small rows of every kind in one project."""

from dataclasses import dataclass, field

from service.schemas import JudgeSettings, RunRequest
from service.store.database import SessionOfStore
from service.store.records import (
    AdapterRecord,
    ConstitutionRecord,
    ModelRecord,
    PreferenceSetRecord,
    PromptSetRecord,
    RunRecord,
    RunReferences,
)
from service.store.store import Store


@dataclass(frozen=True, slots=True)
class Rows:
    """`enqueued` holds the (run, attempt) that were put into the queue, in order."""

    store: Store
    project: str
    enqueued: list[tuple[str, int]] = field(default_factory=list)

    async def enqueue(self, _session: SessionOfStore, run_id: str, attempt: int) -> None:
        self.enqueued.append((run_id, attempt))

    async def constitution(self, name: str = "law", version: str = "1", sha256: str = "a" * 64) -> ConstitutionRecord:
        new = ConstitutionRecord("", self.project, name, version, sha256, '{"name":"law"}', "name: law", "")
        return await self.store.constitutions.add(new)

    async def prompts(self, name: str = "prompts") -> PromptSetRecord:
        new = PromptSetRecord("", self.project, name, "b" * 64, "prompts/b.parquet", 3, 1, "")
        return await self.store.prompt_sets.add(new)

    async def model(self, name: str = "base", path: str | None = "/models/base") -> ModelRecord:
        new = ModelRecord("", self.project, name, path, None, name, None, "c" * 64, 2048, "Apache-2.0", "")
        return await self.store.models.add(new)

    async def preferences(self, name: str = "people", run_id: str | None = None) -> PreferenceSetRecord:
        kind = "mixed" if run_id else "human"
        new = PreferenceSetRecord(
            "", self.project, name, kind, "d" * 64, "preferences/d.parquet", 2, {"rows": 2}, run_id, ""
        )
        return await self.store.preference_sets.add(new)

    async def adapter(self, run_id: str, name: str = "law-base") -> AdapterRecord:
        new = AdapterRecord(
            "", self.project, run_id, name, f"adapters/{run_id}.tar.gz", "e" * 64, 10, {"format": 1}, ""
        )
        return await self.store.adapters.add(new)

    async def run(self, human_id: str | None = None, gold_id: str | None = None) -> RunRecord:
        law, prompts, model = await self.constitution(), await self.prompts(), await self.model()
        request = RunRequest(
            constitution=law.id, prompts=prompts.id, model=model.id, judge=JudgeSettings(model=model.id)
        )
        references = RunReferences(law.id, prompts.id, None, human_id, model.id, model.id, gold_id=gold_id)
        return await self.store.runs.create(self.project, request, references, self.enqueue)
