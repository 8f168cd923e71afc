"""The part of `benchmarks.calibration` on single judges: beliefs before and after calibration, and cascades of two."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.documents import table
from benchmarks.llmbar import RecordedPanel, Setup, Votes, everything, recorded_panel, setups_of
from judges.calibration.cascade import RecordedPairs, choose_threshold, simulate
from judges.calibration.isotonic import Isotonic, fit_isotonic
from judges.calibration.labels import Floats, Labelled
from judges.calibration.reliability import accuracy, brier, expected_calibration_error
from judges.calibration.scaling import Scaling, fit_scaling

GOLD = 100
STRONG = Setup("GPT-4", "Metrics_Reference")
CHEAP = (Setup("GPT-4", "Vanilla"), Setup("PaLM2", "Vanilla"))
MOST_LOST = (0.01, 0.02, 0.05)


@dataclass(frozen=True, slots=True)
class Quality:
    """Calibration error and Brier score of both orientations, 0 to 1, less is better."""

    ece: float
    brier: float


@dataclass(frozen=True, slots=True)
class BeliefResult:
    """One model's belief, the mean vote of its recorded prompts: raw, and after each way of calibration."""

    model: str
    accuracy: float
    raw: Quality
    scaling: Quality
    isotonic: Quality


@dataclass(frozen=True, slots=True)
class CascadeResult:
    """Means over draws, on pairs not used for the threshold: shares of 1."""

    cheap: str
    cheap_accuracy: float
    most_lost: float
    saved: float
    lost: float
    strong_accuracy: float


def calibration_results(votes: Sequence[Votes], draws: int) -> tuple[BeliefResult, ...]:
    """Every model of the file."""
    models = sorted({vote.setup.model for vote in votes})
    return tuple(
        calibration_result(model, recorded_panel(votes, setups_of(votes, model=model), everything), draws)
        for model in models
    )


def calibration_result(model: str, panel: RecordedPanel, draws: int) -> BeliefResult:
    """Fitted on 100 pairs, measured on the rest, the mean over draws."""
    random, belief_N = np.random.default_rng(0), panel.table.p_a_NJ.mean(axis=1)
    found = []
    for _ in range(draws):
        order = random.permutation(len(belief_N))
        gold, rest = (Labelled(belief_N[rows], panel.label_N[rows]) for rows in (order[:GOLD], order[GOLD:]))
        found.append([quality(rest), quality(after(fit_scaling(gold), rest)), quality(after(fit_isotonic(gold), rest))])
    raw, scaling, isotonic = (
        Quality(float(np.mean([q.ece for q in column])), float(np.mean([q.brier for q in column])))
        for column in zip(*found, strict=True)
    )
    return BeliefResult(model, accuracy(Labelled(belief_N, panel.label_N)), raw, scaling, isotonic)


def after(calibration: Scaling | Isotonic, pairs: Labelled) -> Labelled:
    """The same labels beside calibrated beliefs; a belief that occurs often is worked out once."""
    belief_K, at_N = np.unique(pairs.p_a_N, return_inverse=True)
    return Labelled(np.array([calibration.apply(float(p)) for p in belief_K])[at_N], pairs.label_N)


def quality(pairs: Labelled) -> Quality:
    """Measured on both orientations: which reply is called A is an accident."""
    return Quality(expected_calibration_error(pairs.mirrored()), brier(pairs.mirrored()))


def cascade_results(votes: Sequence[Votes], draws: int) -> tuple[CascadeResult, ...]:
    """Each cheap judge before GPT-4 with its best prompt, for three tolerances."""
    strong = recorded_panel(votes, (STRONG,), everything)
    cheap = {setup: recorded_panel(votes, (setup,), everything).table.p_a_NJ[:, 0] for setup in CHEAP}
    return tuple(
        cascade_result(f"{setup.model} {setup.prompt}", cheap[setup], strong, most_lost, draws)
        for setup in CHEAP
        for most_lost in MOST_LOST
    )


def cascade_result(name: str, cheap_N: Floats, strong: RecordedPanel, most_lost: float, draws: int) -> CascadeResult:
    """The threshold chosen on 100 gold pairs, the cost measured on the rest."""
    random, label_N, strong_N = np.random.default_rng(0), strong.label_N, strong.table.p_a_NJ[:, 0]
    found = []
    for _ in range(draws):
        order = random.permutation(len(label_N))
        gold, rest = (RecordedPairs(cheap_N[r], strong_N[r], label_N[r]) for r in (order[:GOLD], order[GOLD:]))
        found.append(simulate(rest, choose_threshold(gold, most_lost).threshold))
    return CascadeResult(
        cheap=name,
        cheap_accuracy=accuracy(Labelled(cheap_N, label_N)),
        most_lost=most_lost,
        saved=float(np.mean([one.saved for one in found])),
        lost=float(np.mean([one.lost for one in found])),
        strong_accuracy=float(np.mean([one.strong_accuracy for one in found])),
    )


def beliefs_text(results: Sequence[BeliefResult], draws: int) -> str:
    """The section in Markdown."""
    rows = [
        (
            one.model,
            f"{100 * one.accuracy:.1f}",
            *(f"{q.ece:.3f} / {q.brier:.3f}" for q in (one.raw, one.scaling, one.isotonic)),
        )
        for one in results
    ]
    return f"""### Beliefs

Expected calibration error / Brier score, less is better. The belief is the mean vote of a model's recorded prompts on
all 419 pairs; fitted on {GOLD} labels, measured on the other pairs, mean of {draws} draws. A constant one half has
Brier 0.250.

{table(("judge", "accuracy %", "raw", "scaling", "isotonic"), rows)}

A judge below chance is brought to one half, not turned round: of beliefs that deserve no trust little is left."""


def cascade_text(results: Sequence[CascadeResult], draws: int) -> str:
    """The section in Markdown."""
    rows = [
        (
            f"{one.cheap} ({100 * one.cheap_accuracy:.1f} %)",
            f"{100 * one.most_lost:.0f}",
            f"{100 * one.saved:.0f}",
            f"{100 * one.lost:.1f}",
        )
        for one in results
    ]
    return f"""### Cascades

A cheap judge first, then GPT-4 with its dearest prompt, which has it write metrics and a reference answer first
({100 * results[0].strong_accuracy:.1f} % right).
The threshold is chosen on {GOLD} labels; means on the other pairs over {draws} draws.

{table(("cheap judge", "accuracy allowed to be lost, points", "strong calls saved %", "points lost"), rows)}"""
