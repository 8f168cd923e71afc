"""The run's report: one JSON object from what the stages left. What a run left out is absent or zero."""

from collections.abc import Mapping

from pydantic import JsonValue

from service.pipeline.qualification import qualification_in
from service.store.records import AdapterRecord, JsonObject, StageRecord

_OF_TRAINING = (
    "steps",
    "adapter_step",
    "stopped",
    "rows",
    "dropped",
    "blank_replies",
    "last_step",
    "held_out",
    "precision",
    "device",
    "scores",
)


def run_report(stages: Mapping[str, StageRecord], adapter: AdapterRecord | None) -> JsonObject:
    """What GET /v1/runs/{id}/report answers, finished or not."""
    results = {name: record.result for name, record in stages.items()}
    evaluated, trained = results.get("evaluate", {}), results.get("train", {})
    return {
        "stage_s": {name: round(record.seconds, 3) for name, record in stages.items()},
        "counts": _counts(results),
        "preferences": _preferences(results.get("mix", {})),
        "mix": results.get("mix", {}).get("report", {}),
        "principles": evaluated.get("principles", []),
        "statistics": evaluated.get("statistics", {}),
        "reward_model": evaluated.get("reward_model"),
        "qualification": qualification_in(stages),
        "calibration": results.get("judge", {}).get("calibration"),
        "judge_drift": results.get("judge", {}).get("judge_drift"),
        "training": {key: trained.get(key) for key in _OF_TRAINING},
        "sweep": trained.get("sweep"),
        "adapter": {"id": adapter.id, "sha256": adapter.sha256} if adapter else None,
        "peak_memory_bytes": trained.get("peak_memory_bytes", 0),
        "samples": evaluated.get("examples", []),
    }


def _counts(results: Mapping[str, JsonObject]) -> JsonObject:
    """Of the training's data; the evaluation's verdicts stand beside them."""
    judged, evaluated = results.get("judge", {}), results.get("evaluate", {})
    revised = results.get("revise", {})
    return {
        "samples": results.get("sample", {}).get("samples", 0),
        "revisions": revised.get("revisions", 0),
        "revision_abstentions": revised.get("abstentions", 0),
        "verdicts": judged.get("verdicts", 0),
        "abstentions": judged.get("abstentions", 0),
        "flips": judged.get("flips", 0),
        "abstention_causes": judged.get("causes", {}),
        "evaluation_verdicts": evaluated.get("verdicts", 0),
        "evaluation_abstentions": evaluated.get("abstentions", 0),
    }


def _preferences(mixed: JsonObject) -> JsonObject:
    found: JsonValue = mixed.get("report", {})
    report = found if isinstance(found, dict) else {}
    return {name: report.get(name, 0) for name in ("human", "ai", "check", "human_available")}
