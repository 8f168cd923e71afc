"""Stage `sample`: the policy that the run begins with answers every training prompt several times."""

from judges.errors import LabelsMissing
from judges.protocols.probe import probe_labels
from service.engines import context_tokens
from service.errors import RunFailed
from service.pipeline.context import RunContext
from service.pipeline.replies import Sampling, refuse_too_long, sample_replies
from service.pipeline.start import sampling_policy
from service.pipeline.weights import refuse_changed_base
from service.store.records import JsonObject, ModelRecord


async def run_sample(context: RunContext) -> JsonObject:
    """Ensure the samples, once the held-out prompts fit too. Leaves `shards` of `judges.records.Sample`."""
    wanted = context.request.sample
    if not context.train:
        raise RunFailed("the prompt set has no prompt of the split 'train'; upload some")
    await refuse_changed_base(context)
    await _ask_judge_once(context)
    sampling = Sampling(
        stage="sample",
        model=context.model.name,
        identity=_policy_identity(context),
        replies_per_prompt=wanted.replies_per_prompt,
        max_tokens=wanted.max_tokens,
        temperature=wanted.temperature,
        top_p=wanted.top_p,
        seed=context.request.seed,
        limit_tokens=context_tokens(context.model, context.tools.settings),
    )
    total = len(context.train) * wanted.replies_per_prompt
    async with sampling_policy(context) as client:
        later = context.development
        if "evaluate" in context.request.stages and context.request.training.writes_replies:
            later += context.held_out
        # Found after the training only, the run would be lost with it.
        await refuse_too_long(client, later, held_out_sampling(context, identity_of(context.model)))
        shards = await sample_replies(context, client, context.train, sampling, context.progress("sample", total))
    return {"shards": list(shards), "samples": total, "prompts": len(context.train)}


async def _ask_judge_once(context: RunContext) -> None:
    """A judge elsewhere that is down or refuses us is found before anything is sampled. Raises JudgeError."""
    later = {"revise", "judge"} & set(context.request.stages)
    if context.judge.url is None or not context.constitution.judged or not later:
        return
    async with await context.judge_client() as client:
        try:
            await probe_labels(client, context.protocol)
        except LabelsMissing as error:
            await context.warn("sample", str(error))


def _policy_identity(context: RunContext) -> str:
    base = identity_of(context.model)
    return base if context.start is None else f"{base}+{context.start.manifest['adapter_sha256']}"


def held_out_sampling(context: RunContext, identity: str) -> Sampling:
    """How `evaluate` asks the base and the adapter."""
    wanted = context.request.evaluate
    return Sampling(
        stage="evaluate",
        model=context.model.name,
        identity=identity,
        replies_per_prompt=wanted.replies_per_prompt,
        max_tokens=wanted.max_tokens,
        temperature=wanted.temperature,
        top_p=1.0,
        seed=context.request.seed,
        limit_tokens=context_tokens(context.model, context.tools.settings),
    )


def identity_of(model: ModelRecord) -> str:
    """The weights' hash; of an endpoint, whose weights nobody here sees, its address and name."""
    return model.sha256 or f"{model.url or model.path} {model.served_name}"
