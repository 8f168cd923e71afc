"""Every revision as a reply to imitate: the supervised part of Constitutional AI (arXiv:2212.08073, section 3)."""

from judges.records import Revision
from service.errors import RunFailed
from service.pipeline.context import RunContext
from service.shards import keys_in, read_shards
from training.rows import PreferenceRow


async def revision_rows(context: RunContext) -> tuple[PreferenceRow, ...]:
    """One row a revision. Raises RunFailed where there is none."""
    revised = (await context.result_of("revise")).result
    steps = await read_shards(context.artifacts, keys_in(revised), Revision)
    if not steps:
        raise RunFailed(
            f"no revision to train on: of {revised['revised']} replies none was revised, and {revised['abstentions']} "
            "times the judge abstained; raise `revise.replies_per_prompt`, or take another judge, in a new run"
        )
    messages = {prompt.id: prompt.messages for prompt in context.train}
    return tuple(
        PreferenceRow(
            id=f"row_{step.id.removeprefix('rev_')}",
            prompt_id=step.prompt_id,
            prompt=messages[step.prompt_id],
            chosen=step.after,
            rejected=step.before,
            p_chosen=1.0,
            weight=1.0,
            source="ai",
            judge=context.judge.name,
            constitution_sha256=context.constitution_sha256,
            origin=context.run.id,
        )
        for step in steps
    )
