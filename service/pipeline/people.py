"""People's pairs of a run's human set: those that may be learned from."""

from dataclasses import dataclass

from service.pipeline.context import RunContext
from service.schemas import Stage
from service.shards import read_shard
from training.rows import PreferenceRow


@dataclass(frozen=True, slots=True)
class People:
    """`leaked` pairs answer a held-out or a development prompt, `others` are rows that no person labelled: left out."""

    rows: tuple[PreferenceRow, ...]
    leaked: int
    others: int


async def warn_of_left_out(context: RunContext, stage: Stage, people: People, called: str = "human") -> None:
    """Tell what of the set is not learned from."""
    if people.others:
        await context.warn(stage, f"{people.others} rows of the {called} set are not people's; left out")
    if people.leaked:
        prompts = "held-out or development prompts" if context.development else "held-out prompts"
        said = f"{people.leaked} {called} pairs answer {prompts}; they are left out of the training"
        await context.warn(stage, said)


async def people_of(context: RunContext) -> People:
    """Of the run's human set."""
    return await people_in(context, context.run.references.human_id)


async def people_in(context: RunContext, set_id: str | None) -> People:
    """No rows where the run names no such set."""
    if set_id is None:
        return People((), 0, 0)
    record = await context.tools.store.preference_sets.get(context.run.project_id, set_id)
    rows = await read_shard(context.artifacts, record.artifact, PreferenceRow)
    people = [row for row in rows if row.source == "human"]
    measured_on = {prompt.messages for prompt in (*context.held_out, *context.development)}
    kept = tuple(row for row in people if row.prompt not in measured_on)
    return People(kept, leaked=len(people) - len(kept), others=len(rows) - len(people))
