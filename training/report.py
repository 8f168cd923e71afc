"""The report and the model card of a bundle, from values: JSON for machines, one self-contained HTML page, Markdown."""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import jinja2

from training.evaluation import EvaluationReport
from training.manifest import Manifest
from training.mix import MixReport
from training.reward_evidence import RewardEvidence
from training.sweep import Sweep

_FOLDER = Path(__file__).parent
_CURVES = ("loss", "margin", "gap", "accuracy", "kl")


@dataclass(frozen=True, slots=True)
class QualificationLine:
    """How far a judge may be trusted on one principle: right answers on its examples, with Wilson's interval."""

    principle_id: str
    verdict: str
    examples: int
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ExampleReplies:
    """One held-out prompt with a reply of the base and one of the adapter."""

    prompt: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a bundle tells. `evaluation`, `mix` and `sweep` are None where the run left them out.

    A reward model writes no replies: its evidence is `reward_model`, and `evaluation` is None.
    """

    evaluation: EvaluationReport | None
    mix: MixReport | None
    qualification: tuple[QualificationLine, ...]
    examples: tuple[ExampleReplies, ...]
    reward_model: RewardEvidence | None = None
    sweep: Sweep | None = None


def report_json(report: Report) -> str:
    """The report's values, sorted keys."""
    return json.dumps(asdict(report), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def report_html(report: Report, manifest: Manifest, metrics_jsonl: str) -> str:
    """One page without any reference to the outside: pictures are inside."""
    from training.plots import principle_bars, sweep_points  # matplotlib: half the start of a worker, needed once a run

    results = report.evaluation.principles if report.evaluation else ()
    return (
        _environment()
        .get_template("report.html")
        .render(
            report=report,
            manifest=manifest,
            bars=_inline(principle_bars(results)) if results else "",
            curves=_curves(metrics_jsonl),
            points=_inline(sweep_points(report.sweep)) if report.sweep else "",
        )
    )


def model_card(report: Report, manifest: Manifest) -> str:
    """README.md of the bundle, generated from the manifest and the report."""
    return _environment().get_template("card.txt").render(report=report, manifest=manifest)


def _curves(metrics_jsonl: str) -> str:
    lines = [json.loads(line) for line in metrics_jsonl.splitlines()]
    names = [name for name in _CURVES if lines and all(name in line for line in lines)]
    if not names:
        return ""
    from training.plots import training_curves

    series: Sequence[Sequence[float]] = [[line[name] for line in lines] for name in names]
    return _inline(training_curves(names, series, [line["step"] for line in lines]))


def _inline(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.1f} %"
    environment.filters["number"] = lambda found: found.reason if found.value is None else f"{found.value:.3f}"
    environment.filters["points"] = lambda share: f"{100 * share:+.1f}"
    return environment
