"""Right answers of a run's gold set: what has to be set with them, and the rows that are one.

Left out: what they show (training/gold.py).
"""

from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass

from service.pipeline.context import RunContext
from service.pipeline.people import People, people_in, warn_of_left_out
from service.schemas import RunRequest
from training.people_votes import pair_key
from training.rows import PreferenceRow


@dataclass(frozen=True, slots=True)
class Gold:
    """One row a pair, which names the better reply on the whole.

    `found` is the set but for what is no person's or answers a prompt to measure on. Of its rows `unclear` name no
    better reply, or one that another row on their pair contradicts; `repeated` say what another says.
    """

    rows: tuple[PreferenceRow, ...]
    found: People
    unclear: int
    repeated: int


def gold_problems(request: RunRequest) -> list[str]:
    """What of the settings is missing for right answers to tell something."""
    if request.mix.gold is None:
        return []
    needed = {
        "judge.calibrate to so many of people's own pairs as are to be judged": request.judge.calibrate > 0,
        "mix.calibrate to true": request.mix.calibrate,
        "mix.weights to measured": request.mix.weights == "measured",
    }
    missing = [setting for setting, there in needed.items() if not there]
    if not missing:
        return []
    return [f"mix.gold: right answers measure nothing as this run is set; set {', '.join(missing)}, or leave it out"]


async def gold_of(context: RunContext) -> Gold:
    """No rows where the run names no gold set."""
    found = await people_in(context, context.run.references.gold_id)
    said: dict[Hashable, list[PreferenceRow]] = defaultdict(list)
    for row in found.rows:
        if row.p_chosen > 0.5 and row.chosen != row.rejected and not row.per_principle:
            said[pair_key(row)].append(row)
    sure = [rows for rows in said.values() if len({row.chosen for row in rows}) == 1]
    named = sum(len(rows) for rows in sure)
    return Gold(
        rows=tuple(rows[0] for rows in sure),
        found=found,
        unclear=len(found.rows) - named,
        repeated=named - len(sure),
    )


async def warn_of_left_out_gold(context: RunContext, gold: Gold) -> None:
    """Tell which rows of the gold set have no part in the mix."""
    await warn_of_left_out(context, "mix", gold.found, "gold")
    if gold.unclear:
        said = (
            f"{gold.unclear} rows of the gold set are no right answer on the whole: a tie, one under a principle, or "
            "one that another row contradicts; left out"
        )
        await context.warn("mix", said)
    if gold.repeated:
        await context.warn("mix", f"{gold.repeated} rows of the gold set say what another says; each pair counts once")
    if context.run.references.gold_id is not None and not gold.rows:
        await context.warn("mix", "no row of the gold set is left, so the judge is measured by people's votes alone")
