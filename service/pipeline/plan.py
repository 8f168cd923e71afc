"""What a run would cost, before it starts: calls, tokens and seconds, at most. A rough answer, and it says so."""

from pydantic import BaseModel, ConfigDict

from constitutions.loader import load_constitution
from service.pipeline.development import development_count
from service.pipeline.drift import ANCHORS
from service.pipeline.trainer_knobs import candidates_of, trainer_config
from service.schemas import RunRequest, TrainingSettings
from service.store.records import RunReferences
from service.store.store import Store
from training.configs import OnlineConfig

# A prompt, a compared pair with its instructions, in tokens: what the demo's data have on average.
_PROMPT_TOKENS = 100
_COMPARE_TOKENS = 500
# One small model on one small machine; a GPU is a hundred times as fast.
_TOKENS_PER_S = 1000.0


def _graded_replies(wanted: TrainingSettings, prompts: int) -> int:
    """The replies of PPO and RLOO that a judge grades: those learnt from, and at the checkpoints the held-out ones."""
    config = trainer_config(wanted)
    if not isinstance(config, OnlineConfig):
        return 0
    held_out = config.held_out_of(prompts)
    steps = -(-(prompts - held_out) // config.prompts_per_step) * config.epochs
    looks = -(-steps // config.checkpoint_every_steps) * bool(config.patience) + 1
    return config.replies_per_prompt * (prompts - held_out) * config.epochs + looks * held_out * config.held_out_replies


class Plan(BaseModel):
    """Upper bounds. Shards that exist already cost nothing; training time is not in `seconds`.

    `sweep_calls` compare the candidates of a sweep with the base on its development prompts.
    """

    model_config = ConfigDict(frozen=True)
    sample_calls: int
    revise_calls: int
    judge_calls: int
    evaluate_calls: int
    sweep_calls: int
    calls: int
    tokens: int
    seconds: float


async def plan_run(
    request: RunRequest, references: RunReferences, project_id: str, store: Store, requests_per_verdict: int
) -> Plan:
    """Count what the stages would ask for."""
    law = await store.constitutions.get(project_id, references.constitution_id)
    constitution = load_constitution(law.source, name=law.name)
    prompts = await store.prompt_sets.get(project_id, references.prompts_id)
    held = await store.prompt_sets.get(project_id, references.held_out_id) if references.held_out_id else prompts
    held_out = held.train + held.held_out if references.held_out_id else held.held_out
    judged, stages = len(constitution.judged), request.stages
    replies = request.sample.replies_per_prompt
    revised = replies if request.revise.replies_per_prompt is None else min(replies, request.revise.replies_per_prompt)
    if "revise" not in stages:
        revised = 0
    texts = replies + revised
    pairs = texts * (texts - 1) // 2
    if request.compare.pairs_per_prompt is not None:
        pairs = min(pairs, request.compare.pairs_per_prompt)
    own = request.evaluate
    meetings = own.replies_per_prompt if own.pairs_per_prompt is None else own.pairs_per_prompt
    examples = sum(len(principle.examples) for principle in constitution.judged)
    development = development_count(prompts.train, request.training) if "train" in stages else 0
    candidates = len(candidates_of(request.training))
    train = prompts.train - development
    sample = train * replies if "sample" in stages else 0
    revise = train * revised * request.revise.steps * 2
    gold = (await store.preference_sets.get(project_id, references.gold_id)).rows if references.gold_id else 0
    asked = examples + min(examples, ANCHORS) + (request.judge.calibrate + gold) * judged
    judge = requests_per_verdict * (train * pairs * judged + asked) if "judge" in stages else 0
    if "train" in stages and request.training.judge_weight is not None:
        graded = sum(_graded_replies(settings, train) for settings in candidates_of(request.training))
        judge += judged * graded + requests_per_verdict * examples
    compares = "evaluate" in stages and request.training.writes_replies
    answered = held_out * own.replies_per_prompt * 2 if compares else 0
    met = held_out * meetings * judged * requests_per_verdict if compares else 0
    tried = development * own.replies_per_prompt * (1 + candidates)
    tried_met = development * meetings * judged * requests_per_verdict * candidates
    if development and "judge" not in stages:  # the judge that compares is examined first
        tried_met += requests_per_verdict * examples
    tokens = (
        sample * (_PROMPT_TOKENS + request.sample.max_tokens)
        + revise * (_COMPARE_TOKENS + request.revise.max_tokens)
        + (judge + met + tried_met) * _COMPARE_TOKENS
        + (answered + tried) * (_PROMPT_TOKENS + own.max_tokens)
    )
    return Plan(
        sample_calls=sample,
        revise_calls=revise,
        judge_calls=judge,
        evaluate_calls=answered + met,
        sweep_calls=tried + tried_met,
        calls=sample + revise + judge + answered + met + tried + tried_met,
        tokens=tokens,
        seconds=tokens / _TOKENS_PER_S,
    )
