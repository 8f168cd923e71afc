"""Stage `bundle`: adapter, manifest, card and report as one file, and the adapter as a resource."""

import asyncio
import json
from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from pathlib import Path

from pydantic import JsonValue, TypeAdapter

from judges.qualify import WEIGHTED
from service.pipeline.calibration import fitted_weights
from service.pipeline.context import RunContext
from service.pipeline.evaluate_scores import evidence_from, notes_on_scores
from service.pipeline.qualification import (
    qualification_from,
    qualification_in,
    qualification_to_compare,
    qualification_to_grade,
)
from service.pipeline.sample import identity_of
from service.pipeline.scoring import scored_by
from service.pipeline.trained import ADAPTER_FILES, blanks_said, fetch_trained
from service.schemas import TrainingSettings
from service.store.records import AdapterRecord, JsonObject, ModelRecord, StageRecord
from training.bundle import BundleInputs, config_sha256, write_bundle
from training.evaluation import EvaluationReport, PrincipleResult, ReplyStatistics
from training.manifest import Manifest, ModelIdentity, StartedFrom, installed_versions, manifest_to_json
from training.mix import MixReport
from training.report import ExampleReplies, QualificationLine, Report
from training.sweep import Sweep
from training.weights import file_sha256

_RESULTS = TypeAdapter(tuple[PrincipleResult, ...])
_STATISTICS = TypeAdapter(dict[str, ReplyStatistics])
_EXAMPLES = TypeAdapter(tuple[ExampleReplies, ...])
_MIX = TypeAdapter(MixReport)
_SWEEP = TypeAdapter(Sweep)
_STANDINGS = (qualification_in, qualification_to_compare, qualification_to_grade)
_TRAINED = (*ADAPTER_FILES, "metrics.jsonl", "config.json")
# Paths of this machine say nothing to whoever downloads the bundle.
_PATHS = (
    *("model", "rows", "output", "constitution", "reward_model", "judge_url", "judge_key_env", "start_adapter"),
    *("ptx_rows", "reward_ensemble"),
)


@dataclass(frozen=True, slots=True)
class Trained:
    """What a trainer left on this machine: the adapter as peft has it, the metrics of its steps, its resolved config.

    `name` is what the adapter is called, `last_good_step` is set where the training failed after it, `notes` say why.
    """

    name: str
    adapter: Path
    metrics: Path
    config: Path
    last_good_step: int | None = None
    notes: tuple[str, ...] = ()


async def run_bundle(context: RunContext) -> JsonObject:
    """Ensure the bundle and its adapter. Leaves the adapter's id, artifact and hash."""
    stages = await context.tools.store.runs.stages(context.run.id)
    trained = str((await context.result_of("train")).result["folder"])
    adapter = await fetch_trained(context, trained, context.scratch / "adapter", _TRAINED)
    files = Trained(adapter_name(context), adapter, adapter / "metrics.jsonl", adapter / "config.json")
    record = await store_bundle(context, stages, files)
    return {"adapter": record.id, "artifact": record.artifact, "sha256": record.sha256, "bytes": record.bytes}


def adapter_name(context: RunContext) -> str:
    """What the adapter of a run is called."""
    return f"{context.constitution.name}-{context.run.id}"


async def store_bundle(context: RunContext, stages: dict[str, StageRecord], trained: Trained) -> AdapterRecord:
    """Ensure the bundle of what was trained, with what the stages left, as an adapter of the run."""
    config = shown_config(trained.config.read_bytes(), context.request.training)
    report = report_of(stages)
    manifest = _manifest(context, stages, config, report)
    inputs = BundleInputs(
        adapter=trained.adapter,
        metrics=trained.metrics,
        constitution_yaml=context.constitution_source,
        manifest=replace(manifest, notes=(*trained.notes, *manifest.notes)),
        report=report,
    )
    output = context.scratch / "bundle.tar.gz"
    manifest = await asyncio.to_thread(write_bundle, inputs, output)
    digest = await asyncio.to_thread(file_sha256, output)
    artifact = f"adapters/{digest}.tar.gz"
    await context.artifacts.put_file(artifact, output)
    return await context.tools.store.adapters.add(
        AdapterRecord(
            id="",
            project_id=context.run.project_id,
            run_id=context.run.id,
            name=trained.name,
            artifact=artifact,
            sha256=digest,
            bytes=output.stat().st_size,
            manifest=json.loads(manifest_to_json(manifest)),
            created_at="",
            last_good_step=trained.last_good_step,
        )
    )


def shown_config(text: bytes, asked: TrainingSettings) -> dict[str, JsonValue]:
    """The trainer's resolved config without the paths of the machine that trained."""
    config: dict[str, JsonValue] = json.loads(text)
    if "judge_protocol" in config:  # the trainer's may be a folder
        config["judge_protocol"] = asked.judge_protocol
    return {key: value for key, value in config.items() if key not in _PATHS}


def report_of(stages: dict[str, StageRecord]) -> Report:
    """The bundle's report from what the stages left; what a run left out is None or empty."""
    mixed, evaluated = (stages.get(name) for name in ("mix", "evaluate"))
    lines: tuple[QualificationLine, ...] = ()
    if (standing := qualification_in(stages)) is not None:
        qualification = qualification_from(standing)
        lines = tuple(
            QualificationLine(one.principle_id, one.verdict, one.examples, one.accuracy, one.low, one.high)
            for one in qualification.per_principle
            if one.kind == "judged"
        )
    scored = evaluated.result if evaluated and "reward_model" in evaluated.result else None
    compared = evaluated.result if evaluated and scored is None else None
    return Report(
        evaluation=_evaluation(compared) if compared else None,
        mix=_mix_report(mixed.result) if mixed else None,
        qualification=lines,
        examples=_EXAMPLES.validate_python(compared["examples"]) if compared else (),
        reward_model=evidence_from(scored["reward_model"]) if scored else None,
        sweep=_sweep(stages),
    )


def _evaluation(result: JsonObject) -> EvaluationReport:
    statistics = _STATISTICS.validate_python(result["statistics"])
    return EvaluationReport(_RESULTS.validate_python(result["principles"]), statistics["before"], statistics["after"])


def _sweep(stages: dict[str, StageRecord]) -> Sweep | None:
    found = stages["train"].result.get("sweep") if "train" in stages else None
    return None if found is None else _SWEEP.validate_python(found)


def _mix_report(result: JsonObject) -> MixReport:
    found = result["report"]
    known = {field.name for field in fields(MixReport)}
    return _MIX.validate_python({k: v for k, v in found.items() if k in known} if isinstance(found, dict) else found)


def _manifest(
    context: RunContext, stages: dict[str, StageRecord], config: dict[str, JsonValue], report: Report
) -> Manifest:
    scores = stages["train"].result.get("reward_model")
    reward_models = _reward_models(stages)
    return Manifest(
        run=context.run.id,
        method=context.request.training.method,
        base_model=_identity(context.model),
        judge=_identity(context.judge),
        adapter_sha256="",
        constitution_name=context.constitution.name,
        constitution_version=context.constitution.version,
        constitution_sha256=context.constitution_sha256,
        prompts_sha256=context.prompts_sha256,
        held_out_sha256=context.held_out_sha256,
        rows_sha256=str(config["rows_sha256"]),
        config_json=json.dumps(config, sort_keys=True),
        config_sha256=config_sha256(config),
        seeds=(("run", context.request.seed),),
        versions=installed_versions(),
        licences=tuple(
            (m.name, m.licence) for m in {context.model.name: context.model, context.judge.name: context.judge}.values()
        ),
        notes=notes_of(context, stages, report),
        kind="policy" if context.request.training.writes_replies else "reward_model",
        normal=None if scores is None else evidence_from(scores).normal,
        reward_model=reward_models[0] if reward_models else None,
        reward_ensemble=reward_models[1:],
        sweep=report.sweep,
        started_from=_started_from(context),
    )


def _reward_models(stages: dict[str, StageRecord]) -> tuple[ModelIdentity, ...]:
    """Which adapters scored the replies, where any did; they are on the same base, under its licence."""
    scores = stages["train"].result.get("scores")
    if not isinstance(scores, dict):
        return ()
    further = scores.get("reward_ensemble")
    found = [scores.get("reward_adapter"), *(further if isinstance(further, list) else ())]
    return tuple(ModelIdentity(str(one["name"]), str(one["sha256"]), "") for one in found if isinstance(one, dict))


def _started_from(context: RunContext) -> StartedFrom | None:
    start = context.start
    return None if start is None else StartedFrom(start.id, start.run_id, str(start.manifest["adapter_sha256"]))


def _identity(model: ModelRecord) -> ModelIdentity:
    return ModelIdentity(model.name, model.sha256 or "", model.licence)


def notes_of(context: RunContext, stages: dict[str, StageRecord], report: Report) -> tuple[str, ...]:
    """What a reader of the proof must know."""
    notes = ["Samples are drawn without a seed: a run made again would see other replies."]
    if identity_of(context.model) == identity_of(context.judge):
        notes.append("The policy's base model is also the judge.")
    weights = scored_by(stages)
    if weights is not None:
        shown = ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
        notes.append(f"What scored the policy's own replies in training, with its weight: {shown}.")
    if context.request.training.on_demonstrations:
        written = f"the rows of set {context.run.references.human_id}, of pairs the chosen replies"
        notes.append(f"The replies that were imitated are those that people wrote or chose: {written}.")
    elif report.evaluation and (weights is None or weights.get("judge") or context.request.training.reads_pairs):
        notes.append("The judge that compared the held-out replies is the one whose verdicts were trained on.")
    if context.start is not None:
        notes.append(
            f"The training went on from the adapter {context.start.id} of {context.start.run_id}: the weights hold "
            "what both learnt. The other side of every comparison, and of every KL, is the base."
        )
    if sweep := report.sweep:
        notes.append(
            f"The adapter was picked of {len(sweep.candidates)}, trained with other values of {sweep.knob}, by its win "
            f"rate on {sweep.development_prompts} development prompts, which flatters it there; the held-out prompts "
            "had no part in that."
        )
        notes += [f"No adapter came of {sweep.knob} {one.value:g}: {one.reason}." for one in sweep.failed]
        development = stages["train"].result.get("development")
        if isinstance(development, dict) and development.get("judged"):
            notes.append("The judge that compared the held-out replies also had a part in picking the adapter.")
    if (gold := context.run.references.gold_id) and report.mix:
        notes.append(f"Right answers had a part in the mix: the rows of set {gold}.")
    if report.reward_model and report.mix:
        notes += notes_on_scores(report.reward_model, report.mix)
    standing, to_compare, to_grade = (find(stages) for find in _STANDINGS)
    allowed = set(context.request.judge.allow_unqualified)
    notes += _notes_on_standing(standing, "On", allowed)
    if to_compare != standing:
        notes += _notes_on_standing(to_compare, "In the picking, on", allowed)
    if to_grade != standing:
        notes += _notes_on_standing(to_grade, "In grading, on", allowed)
    if "judge" in stages and (weights := fitted_weights(stages["judge"].result.get("calibration"))):
        shown = ", ".join(f"{id} {weight:.2f}" for id, weight in weights.items())
        notes.append(f"The principles' weights were fitted to people's labels: {shown}.")
    if "train" in stages and (dropped := stages["train"].result["dropped"]):
        notes.append(f"Rows that did not fit the trainer were dropped: {json.dumps(dropped)}.")
    if "train" in stages and (said := blanks_said(stages["train"].result)):
        notes.append(said)
    return tuple(notes)


def _notes_on_standing(standing: JsonValue, begin: str, allowed: Collection[str]) -> list[str]:
    """On what the judge is not to be trusted, and whether its verdict weighs all the same."""
    found = () if standing is None else qualification_from(standing).per_principle
    notes = []
    for one in found:
        if one.verdict not in WEIGHTED:
            weight = "weighs all the same, as asked" if one.principle_id in allowed else "weighs nothing"
            notes.append(f"{begin} {one.principle_id!r} the judge is {one.verdict}: its verdict {weight}.")
    return notes
