"""Stage `evaluate` of a reward model: what the trainer measured on the prompts that it kept from training.

No engine is started: the model writes no replies that could meet the base's.
"""

from pydantic import JsonValue, TypeAdapter

from service.pipeline.context import RunContext
from service.store.records import JsonObject
from training.mix import MixReport
from training.reward_evidence import RewardEvidence

_EVIDENCE = TypeAdapter(RewardEvidence)


async def evaluate_scores(context: RunContext) -> JsonObject:
    """Leaves `reward_model`, and a warning where so few prompts were there that none could be kept."""
    found = (await context.result_of("train")).result["reward_model"]
    if evidence_from(found).held_out is None:
        share = context.request.training.held_out_share
        of = "the share" if share is None else f"a share of {share}"
        said = f"nothing was measured: {of} of so few prompts is none; raise training.held_out_share"
        await context.warn("evaluate", said)
    return {"reward_model": found}


def evidence_from(value: JsonValue) -> RewardEvidence:
    """What stage `train` left of a reward model."""
    return _EVIDENCE.validate_python(value)


def notes_on_scores(evidence: RewardEvidence, mix: MixReport) -> list[str]:
    """What a reader must know of a reward model's accuracy."""
    if evidence.held_out is None:
        return ["No prompt was held out: nothing is known of how well the scores order replies that are new."]
    notes = [
        f"Held-out accuracy is against the labels of the mixed rows ({mix.human} of people, {mix.ai} of the judge, "
        f"{mix.check} of the checks), not against people's alone."
    ]
    if not evidence.beats_length:
        notes.append("It is not shown to order replies better than their length does.")
    return notes
