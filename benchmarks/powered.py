"""The part of `benchmarks.calibration` on prediction-powered rates: do the intervals hold, and what is gained?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.documents import table
from benchmarks.llmbar import RecordedPanel, Setup, Votes, everything, recorded_panel
from judges.calibration.labels import Labelled
from judges.calibration.prediction_powered import powered_mean
from judges.calibration.reliability import accuracy

LABELS = 50
JUDGES = (
    Setup("GPT-4", "Metrics_Reference"),
    Setup("PaLM2", "Vanilla"),
    Setup("Falcon", "Vanilla"),
    Setup("ChatGPT", "Vanilla"),
)


@dataclass(frozen=True, slots=True)
class PoweredResult:
    """One judge, 50 labels. `gain` is the mean of effective labels / labels as each interval claims it,
    `realised_gain` what came of it: mean squared error of labels alone over that of the powered mean.

    `coverage` is for labels drawn independently; `coverage_of_list` for a rate of the 419 pairs themselves, the
    labelled among them, where every interval for a population is wider than need be.
    """

    judge: str
    accuracy: float
    coverage: float
    labels_only_coverage: float
    power: float
    gain: float
    realised_gain: float
    coverage_of_list: float


def powered_results(votes: Sequence[Votes], draws: int) -> tuple[PoweredResult, ...]:
    """Each judge with the same draws."""
    return tuple(powered_result(recorded_panel(votes, (setup,), everything), draws) for setup in JUDGES)


def powered_result(panel: RecordedPanel, draws: int) -> PoweredResult:
    """The rate of `reply A is better`; the file's 419 pairs are the population, drawn from with replacement."""
    random, n, size = np.random.default_rng(0), LABELS, len(panel.label_N)
    belief_N, truth = panel.table.p_a_NJ[:, 0], float(panel.label_N.mean())
    found, of_list = [], []
    for _ in range(draws):
        rows = random.integers(0, size, size)
        found.append(powered_mean(panel.label_N[rows[:n]], belief_N[rows[:n]], belief_N[rows[n:]]))
        rows = random.permutation(size)
        of_list.append(powered_mean(panel.label_N[rows[:n]], belief_N[rows[:n]], belief_N[rows[n:]]).interval)
    alone_error = np.mean([(one.labels_only.estimate - truth) ** 2 for one in found])
    powered_error = np.mean([(one.interval.estimate - truth) ** 2 for one in found])
    return PoweredResult(
        judge=panel.table.judges[0],
        accuracy=accuracy(Labelled(belief_N, panel.label_N)),
        coverage=float(np.mean([one.interval.low <= truth <= one.interval.high for one in found])),
        labels_only_coverage=float(np.mean([one.labels_only.low <= truth <= one.labels_only.high for one in found])),
        power=float(np.mean([one.power for one in found])),
        gain=float(np.mean([one.effective_labels / one.labels for one in found])),
        realised_gain=float(alone_error / powered_error),
        coverage_of_list=float(np.mean([one.low <= truth <= one.high for one in of_list])),
    )


def powered_text(results: Sequence[PoweredResult], draws: int) -> str:
    """The section in Markdown."""
    rows = [
        (
            f"{one.judge} ({100 * one.accuracy:.0f} % right)",
            f"{one.power:.2f}",
            f"× {one.gain:.2f}",
            f"× {one.realised_gain:.2f}",
            f"{100 * one.coverage:.1f}",
            f"{100 * one.coverage_of_list:.1f}",
        )
        for one in results
    ]
    head = ("judge", "lambda", "gain claimed", "gain realised", "coverage %", "of a list %")
    return f"""### Rates from few labels and many verdicts

The rate at which reply A is better, from {LABELS} labels and 369 more verdicts (PPI++); {draws:,} draws with
replacement from LLMBar's 419 pairs, both orders averaged. The gain is in effective labels: as the intervals claim it
(mean), and as the mean squared errors show it. Coverage of the 95 % interval; beside it where the labelled and
the other pairs are the whole population, drawn without replacement: there the interval is wider than it need be.

{table(head, rows)}"""
