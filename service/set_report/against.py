"""What a set is held against: what is asked for by name, and else what the run that made it had."""

from collections.abc import Mapping

from constitutions.loader import load_constitution
from service.set_report.child import Examined
from service.shards import keys_in
from service.store.records import PreferenceSetRecord, RunRecord, StageRecord
from service.store.store import Store

# Of a large run's verdicts some groups of pairs, evenly drawn: 100,000 verdicts at most.
_MOST_SHARDS = 200


async def examined_against(
    store: Store, record: PreferenceSetRecord, constitution: str | None, prompts: str | None
) -> Examined:
    """An empty name is nothing at all. Raises NotFound for an unknown one."""
    run = await store.runs.get(record.project_id, record.run_id) if record.run_id is not None else None
    law = constitution if constitution is not None or run is None else run.references.constitution_id
    asked = prompts if prompts is not None or run is None else run.references.prompts_id
    held_out = run.references.held_out_id if run is not None and prompts is None else None
    return Examined(
        rows=record.artifact,
        prompts=await _prompts_artifact(store, record.project_id, asked),
        principle_ids=await _principle_ids(store, record.project_id, law),
        held_out=await _prompts_artifact(store, record.project_id, held_out),
        verdicts=await _verdict_keys(store, run),
    )


def drawn_shards(judged: StageRecord | None) -> tuple[str, ...]:
    """Shards come group of pairs by group, one for each principle: groups are drawn whole."""
    if judged is None:
        return ()
    groups, shards = keys_in(judged.result, "comparisons"), keys_in(judged.result)
    width = len(shards) // max(1, len(groups))
    step = max(1, -(-len(shards) // _MOST_SHARDS))
    return tuple(key for place in range(0, len(groups), step) for key in shards[place * width : (place + 1) * width])


async def _verdict_keys(store: Store, run: RunRecord | None) -> tuple[str, ...]:
    stages: Mapping[str, StageRecord] = await store.runs.stages(run.id) if run is not None else {}
    return drawn_shards(stages.get("judge"))


async def _prompts_artifact(store: Store, project_id: str, named: str | None) -> str | None:
    return (await store.prompt_sets.get(project_id, named)).artifact if named else None


async def _principle_ids(store: Store, project_id: str, named: str | None) -> tuple[str, ...]:
    if not named:
        return ()
    record = await store.constitutions.get(project_id, named)
    return tuple(p.id for p in load_constitution(record.source, name=record.name).principles)
