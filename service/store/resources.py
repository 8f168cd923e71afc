"""Constitutions, prompt sets, preference sets, models and adapters: add, get, list, delete."""

from sqlalchemy import Select, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from service.errors import Conflict
from service.store.database import Database, new_id
from service.store.label_tables import LabelProject
from service.store.lookup import find, json_object, one_at_a_time, page, to_json
from service.store.records import (
    REVIEW_KIND,
    AdapterRecord,
    ConstitutionRecord,
    JsonObject,
    ModelRecord,
    PreferenceSetRecord,
    PromptSetRecord,
    RunRecord,
)
from service.store.tables import Adapter, Constitution, Model, PreferenceSet, PromptSet, Run

# What somebody who registers a model says of it, or its folder does.
_REGISTERED = ("path", "url", "served_name", "api_key_env", "sha256", "context_tokens", "licence")

_NAMED = 5  # of those that use what is to be deleted


class Constitutions:
    """Immutable versions."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(self, new: ConstitutionRecord) -> ConstitutionRecord:
        """The same content gives the record that is there; another content under the same version is a Conflict."""
        async with self._db.write() as session:
            await one_at_a_time(session, f"constitution {new.project_id}")
            same = select(Constitution).where(
                Constitution.project_id == new.project_id,
                or_(
                    Constitution.sha256 == new.sha256,
                    (Constitution.name == new.name) & (Constitution.version == new.version),
                ),
            )
            for row in await session.scalars(same.order_by(Constitution.id)):
                if row.sha256 == new.sha256:
                    return constitution_record(row)
                raise Conflict(
                    f"constitution {new.name!r} has a version {new.version!r} with other content ({row.id}); "
                    "versions are immutable: raise `version`"
                )
            row = Constitution(
                id=new_id("con"),
                project_id=new.project_id,
                name=new.name,
                version=new.version,
                sha256=new.sha256,
                canonical=new.canonical,
                source=new.source,
            )
            session.add(row)
            await session.flush()
            return constitution_record(row)

    async def get(self, project_id: str, id_or_name: str) -> ConstitutionRecord:
        async with self._db.read() as session:
            return constitution_record(await find(session, Constitution, project_id, id_or_name))

    async def list(self, project_id: str, after: str | None = None, limit: int = 20) -> list[ConstitutionRecord]:
        async with self._db.read() as session:
            return [constitution_record(row) for row in await page(session, Constitution, project_id, after, limit)]

    async def delete(self, project_id: str, id: str) -> None:
        async with self._db.write() as session:
            row = await find(session, Constitution, project_id, id, lock=True)
            runs = select(Run.id).where(Run.constitution_id == row.id)
            labelled = select(LabelProject.id).where(LabelProject.constitution_id == row.id)
            await _refuse_if_used(session, f"constitution {row.id}", runs, labelled)
            await session.delete(row)


class PromptSets:
    """Metadata of prompts."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(self, new: PromptSetRecord) -> PromptSetRecord:
        """Every upload is a set of its own, even of the same content."""
        async with self._db.write() as session:
            row = PromptSet(
                id=new_id("prm"),
                project_id=new.project_id,
                name=new.name,
                sha256=new.sha256,
                artifact=new.artifact,
                train=new.train,
                held_out=new.held_out,
            )
            session.add(row)
            await session.flush()
            return prompt_set_record(row)

    async def get(self, project_id: str, id_or_name: str) -> PromptSetRecord:
        async with self._db.read() as session:
            return prompt_set_record(await find(session, PromptSet, project_id, id_or_name))

    async def list(self, project_id: str, after: str | None = None, limit: int = 20) -> list[PromptSetRecord]:
        async with self._db.read() as session:
            return [prompt_set_record(row) for row in await page(session, PromptSet, project_id, after, limit)]

    async def delete(self, project_id: str, id: str) -> None:
        async with self._db.write() as session:
            row = await find(session, PromptSet, project_id, id, lock=True)
            used = select(Run.id).where(or_(Run.prompts_id == row.id, Run.held_out_id == row.id))
            await _refuse_if_used(session, f"prompt set {row.id}", used)
            await session.delete(row)


class PreferenceSets:
    """Metadata of preference rows, people's and mixed."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(self, new: PreferenceSetRecord) -> PreferenceSetRecord:
        """A run has one set of a kind: adding it a second time gives the first."""
        async with self._db.write() as session:
            if new.run_id:
                await one_at_a_time(session, f"preference set {new.run_id}")
                there = await _set_of_run(session, new.run_id, new.kind)
                if there is not None:
                    return preference_set_record(there)
            row = PreferenceSet(
                id=new_id("prf"),
                project_id=new.project_id,
                name=new.name,
                kind=new.kind,
                sha256=new.sha256,
                artifact=new.artifact,
                rows=new.rows,
                report=to_json(new.report),
                run_id=new.run_id,
            )
            session.add(row)
            await session.flush()
            return preference_set_record(row)

    async def get(self, project_id: str, id_or_name: str) -> PreferenceSetRecord:
        async with self._db.read() as session:
            return preference_set_record(await find(session, PreferenceSet, project_id, id_or_name))

    async def under_review(self, run: RunRecord) -> PreferenceSetRecord:
        """The pairs that the run's mix put aside, since people and the machine differ. Raises Conflict for none."""
        async with self._db.read() as session:
            row = await _set_of_run(session, run.id, REVIEW_KIND)
        if row is None:
            raise Conflict(
                f"run {run.id} has no pair under review: its mix takes them out with `mix.conflict: review`, where "
                "people and the machine name different winners"
            )
        return preference_set_record(row)

    async def list(self, project_id: str, after: str | None = None, limit: int = 20) -> list[PreferenceSetRecord]:
        async with self._db.read() as session:
            return [preference_set_record(row) for row in await page(session, PreferenceSet, project_id, after, limit)]

    async def delete(self, project_id: str, id: str) -> None:
        async with self._db.write() as session:
            row = await find(session, PreferenceSet, project_id, id, lock=True)
            used = select(Run.id).where(or_(Run.human_id == row.id, Run.gold_id == row.id, Run.id == row.run_id))
            labelled = select(LabelProject.id).where(LabelProject.preference_set_id == row.id)
            await _refuse_if_used(session, f"preference set {row.id}", used, labelled)
            await session.delete(row)


async def _set_of_run(session: AsyncSession, run_id: str, kind: str) -> PreferenceSet | None:
    of_run = PreferenceSet.run_id == run_id, PreferenceSet.kind == kind
    return (await session.scalars(select(PreferenceSet).where(*of_run))).first()


class Models:
    """Base models and judges."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(self, new: ModelRecord) -> ModelRecord:
        """The same registration twice gives the first record; another one under its name is a Conflict."""
        async with self._db.write() as session:
            await one_at_a_time(session, f"model {new.project_id}")
            there = await session.scalar(
                select(Model).where(Model.project_id == new.project_id, Model.name == new.name)
            )
            if there is not None:
                record = model_record(there)
                _refuse_other_model(record, new)
                return record
            row = Model(
                id=new_id("mdl"),
                project_id=new.project_id,
                name=new.name,
                path=new.path,
                url=new.url,
                served_name=new.served_name,
                api_key_env=new.api_key_env,
                sha256=new.sha256,
                context_tokens=new.context_tokens,
                licence=new.licence,
            )
            session.add(row)
            await session.flush()
            return model_record(row)

    async def get(self, project_id: str, id_or_name: str) -> ModelRecord:
        async with self._db.read() as session:
            return model_record(await find(session, Model, project_id, id_or_name))

    async def list(self, project_id: str, after: str | None = None, limit: int = 20) -> list[ModelRecord]:
        async with self._db.read() as session:
            return [model_record(row) for row in await page(session, Model, project_id, after, limit)]

    async def delete(self, project_id: str, id: str) -> None:
        async with self._db.write() as session:
            row = await find(session, Model, project_id, id, lock=True)
            used = select(Run.id).where(or_(Run.model_id == row.id, Run.judge_id == row.id))
            await _refuse_if_used(session, f"model {row.id}", used)
            await session.delete(row)


class Adapters:
    """Bundles: of finished trainings, and of those that failed and kept what they had."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(self, new: AdapterRecord) -> AdapterRecord:
        """A run has one finished adapter, and one of a name for a last good step: a second gives the first."""
        same = Adapter.last_good_step.is_(None) if new.last_good_step is None else Adapter.name == new.name
        async with self._db.write() as session:
            await one_at_a_time(session, f"adapter {new.run_id}")
            there = await session.scalar(select(Adapter).where(Adapter.run_id == new.run_id, same))
            if there is not None:
                return adapter_record(there)
            row = Adapter(
                id=new_id("adp"),
                project_id=new.project_id,
                run_id=new.run_id,
                name=new.name,
                artifact=new.artifact,
                sha256=new.sha256,
                bytes=new.bytes,
                manifest=to_json(new.manifest),
                last_good_step=new.last_good_step,
            )
            session.add(row)
            await session.flush()
            return adapter_record(row)

    async def get(self, project_id: str, id_or_name: str) -> AdapterRecord:
        async with self._db.read() as session:
            return adapter_record(await find(session, Adapter, project_id, id_or_name))

    async def of_run(self, project_id: str, run_id: str) -> AdapterRecord | None:
        """The one that the run made once it was trained to its end."""
        made = await self.all_of_run(project_id, run_id)
        return next((one for one in made if one.last_good_step is None), None)

    async def all_of_run(self, project_id: str, run_id: str) -> list[AdapterRecord]:
        """With those of the last good steps where its training failed, oldest first."""
        own = select(Adapter).where(Adapter.project_id == project_id, Adapter.run_id == run_id)
        async with self._db.read() as session:
            return [adapter_record(row) for row in await session.scalars(own.order_by(Adapter.id))]

    async def list(self, project_id: str, after: str | None = None, limit: int = 20) -> list[AdapterRecord]:
        async with self._db.read() as session:
            return [adapter_record(row) for row in await page(session, Adapter, project_id, after, limit)]

    async def delete(self, project_id: str, id: str) -> None:
        async with self._db.write() as session:
            row = await find(session, Adapter, project_id, id, lock=True)
            # Requests hold the ids of the adapter from which a run goes on, and of a reward model's further members.
            used = or_(Run.reward_adapter_id == row.id, Run.request.contains(row.id, autoescape=True))
            await _refuse_if_used(session, f"adapter {row.id}", select(Run.id).where(used))
            await session.delete(row)


async def _refuse_if_used(session: AsyncSession, what: str, *users: Select[str]) -> None:
    ids = [id for query in users for id in sorted(await session.scalars(query))]
    if ids:
        more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
        raise Conflict(f"{what} is used by {', '.join(ids[:_NAMED])}{more}; delete those first")


def _refuse_other_model(there: ModelRecord, new: ModelRecord) -> None:
    """Raises Conflict, with each field in which the two differ."""
    told = [(field, getattr(there, field), getattr(new, field)) for field in _REGISTERED]
    differ = [f"{field} ({old!r}, now {given!r})" for field, old, given in told if old != given]
    if differ:
        raise Conflict(
            f"model {new.name!r} is registered ({there.id}) with another {', '.join(differ)}; "
            "choose another name, or delete it first"
        )


def constitution_record(row: Constitution) -> ConstitutionRecord:
    return ConstitutionRecord(
        row.id, row.project_id, row.name, row.version, row.sha256, row.canonical, row.source, row.created_at
    )


def prompt_set_record(row: PromptSet) -> PromptSetRecord:
    return PromptSetRecord(
        row.id, row.project_id, row.name, row.sha256, row.artifact, row.train, row.held_out, row.created_at
    )


def preference_set_record(row: PreferenceSet) -> PreferenceSetRecord:
    return PreferenceSetRecord(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        kind=row.kind,
        sha256=row.sha256,
        artifact=row.artifact,
        rows=row.rows,
        report=json_object(row.report),
        run_id=row.run_id,
        created_at=row.created_at,
    )


def model_record(row: Model) -> ModelRecord:
    return ModelRecord(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        path=row.path,
        url=row.url,
        served_name=row.served_name,
        api_key_env=row.api_key_env,
        sha256=row.sha256,
        context_tokens=row.context_tokens,
        licence=row.licence,
        created_at=row.created_at,
    )


def adapter_record(row: Adapter) -> AdapterRecord:
    manifest: JsonObject = json_object(row.manifest)
    return AdapterRecord(
        id=row.id,
        project_id=row.project_id,
        run_id=row.run_id,
        name=row.name,
        artifact=row.artifact,
        sha256=row.sha256,
        bytes=row.bytes,
        manifest=manifest,
        created_at=row.created_at,
        last_good_step=row.last_good_step,
    )
