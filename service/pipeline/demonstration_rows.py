"""What people wrote or chose, to imitate: the rows of the run's human set as they stand."""

from service.errors import RunFailed
from service.pipeline.context import RunContext
from service.pipeline.people import people_of, warn_of_left_out
from training.rows import PreferenceRow


async def demonstration_rows(context: RunContext) -> tuple[PreferenceRow, ...]:
    """Raises RunFailed where there is none. How many are pairs is told: nobody need have written their chosen reply."""
    people = await people_of(context)
    await warn_of_left_out(context, "train", people)
    if not people.rows:
        raise RunFailed(
            f"no demonstration to train on: {people.others} rows of the human set are not people's, and "
            f"{people.leaked} answer held-out prompts; name another set, or other held-out prompts, in a new run"
        )
    if pairs := sum(bool(row.rejected) for row in people.rows):
        said = (
            f"{pairs} of {len(people.rows)} rows to imitate are pairs: the chosen reply of each is learnt, be it what "
            "a person wrote or a reply of a model that a person chose; ties are left out"
        )
        await context.warn("train", said)
    return people.rows
