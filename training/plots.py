"""The report's pictures as PNG bytes: the same numbers give the same bytes. No pyplot, no display."""

import io
from collections.abc import Sequence

from matplotlib.figure import Figure

from training.evaluation import PrincipleResult
from training.sweep import Sweep

_BEFORE, _AFTER = "#b8c4ce", "#2f6f8f"


def principle_bars(principles: Sequence[PrincipleResult]) -> bytes:
    """Before and after as bars, one row a principle; the whisker is the lift's interval drawn at `after`."""
    figure = Figure(figsize=(8, 1.2 + 0.5 * len(principles)), layout="constrained")
    axes = figure.subplots()
    for place, result in enumerate(reversed(principles)):
        axes.barh(place + 0.2, result.before, height=0.36, color=_BEFORE, label="before" if place == 0 else None)
        axes.barh(place - 0.2, result.after, height=0.36, color=_AFTER, label="after" if place == 0 else None)
        low, high = max(0.0, result.before + result.low), min(1.0, result.before + result.high)
        axes.plot([low, high], [place - 0.2] * 2, color="#1b1b1b", linewidth=1.5, marker="|")
    axes.set_yticks(range(len(principles)), [f"{result.id} ({result.kind})" for result in reversed(principles)])
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of replies that pass; for a judged principle the win rate over the base")
    axes.legend(loc="lower right")
    return _png(figure)


def sweep_points(sweep: Sweep) -> bytes:
    """Win rate against the root of the KL, one point a candidate with its interval; the one picked is filled."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.axhline(0.5, color=_BEFORE, linewidth=1)
    path = sorted(sweep.candidates, key=lambda one: one.kl.sqrt_kl)
    axes.plot([one.kl.sqrt_kl for one in path], [one.win_rate.rate for one in path], color=_BEFORE, linewidth=1)
    for one in path:
        x, won = one.kl.sqrt_kl, one.win_rate
        axes.plot([x, x], [won.low, won.high], color="#1b1b1b", linewidth=1.5, marker="_")
        filled = _AFTER if one.value == sweep.picked else "white"
        axes.plot([x], [won.rate], color=_AFTER, marker="o", markersize=9, markerfacecolor=filled)
        axes.annotate(f"{sweep.knob} {one.value:g}", (x, won.rate), xytext=(8, 6), textcoords="offset points")
    axes.set_ylim(0, 1)
    axes.set_xlim(0, 1.25 * path[-1].kl.sqrt_kl or 1.0)  # room for the last one's name
    axes.set_xlabel("root of the KL to the base, of a whole reply in nats")
    axes.set_ylabel("win rate over the base, development prompts")
    axes.grid(alpha=0.3)
    return _png(figure)


def training_curves(names: Sequence[str], series: Sequence[Sequence[float]], steps: Sequence[float]) -> bytes:
    """One small panel a metric over the steps."""
    figure = Figure(figsize=(8, 2.6), layout="constrained")
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for axes, name, values in zip(panels, names, series, strict=True):
        axes.plot(steps, values, color=_AFTER, marker="." if len(steps) < 40 else None)
        axes.set_title(name)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
    return _png(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
