"""What people's labels make of recorded judges: panels, calibrated beliefs, cascades and prediction-powered rates.

    CHARTER_DATA=... python -m benchmarks.calibration [--docs]

Reads LLMBar's recorded verdicts (`llmbar/evaluator_votes.csv.gz`); no model is asked. Prints the section of
docs/judging.md, which `--docs` rewrites there, and JSON as the last line. Exit status 1 where a claim is missed.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.beliefs import (
    BeliefResult,
    CascadeResult,
    beliefs_text,
    calibration_results,
    cascade_results,
    cascade_text,
)
from benchmarks.documents import rewrite_block
from benchmarks.llmbar import VOTES, Votes, data_folder, read_votes
from benchmarks.panels import PanelResult, panel_result, panel_text
from benchmarks.powered import PoweredResult, powered_results, powered_text

PAGE = Path(__file__).resolve().parents[1] / "docs" / "judging.md"
PANEL_DRAWS, RATE_DRAWS = 200, 2000
LEAST_WEIGHTED, LOWEST_COVERAGE, HIGHEST_COVERAGE = 0.82, 0.935, 0.98
LEAST_GAIN, GOOD_JUDGE, NO_HARM = 2.0, 0.87, 0.97


@dataclass(frozen=True, slots=True)
class Study:
    """Everything measured."""

    panel: PanelResult
    beliefs: tuple[BeliefResult, ...]
    cascades: tuple[CascadeResult, ...]
    rates: tuple[PoweredResult, ...]


def study(votes: Sequence[Votes]) -> Study:
    """All parts, with fixed seeds."""
    return Study(
        panel=panel_result(votes, PANEL_DRAWS),
        beliefs=calibration_results(votes, PANEL_DRAWS),
        cascades=cascade_results(votes, PANEL_DRAWS),
        rates=powered_results(votes, RATE_DRAWS),
    )


def missed(found: Study) -> list[str]:
    """The claims that do not hold, in words."""
    claims = {
        "plain majority is at 50 %": abs(found.panel.majority - 0.5) < 0.01,
        "weights from 30 gold labels reach 82 %": found.panel.weighted.mean >= LEAST_WEIGHTED,
    }
    for rate in found.rates:
        claims[f"coverage of {rate.judge}"] = LOWEST_COVERAGE <= rate.coverage <= HIGHEST_COVERAGE
        if rate.accuracy >= GOOD_JUDGE:
            claims[f"gain of {rate.judge}"] = rate.gain >= LEAST_GAIN
        if rate.accuracy < 0.5:
            claims[f"no harm by {rate.judge}"] = min(rate.gain, rate.realised_gain) >= NO_HARM
    return [claim for claim, holds in claims.items() if not holds]


def section(found: Study) -> str:
    """The part of docs/judging.md."""
    parts = (
        panel_text(found.panel, PANEL_DRAWS),
        beliefs_text(found.beliefs, PANEL_DRAWS),
        cascade_text(found.cascades, PANEL_DRAWS),
        powered_text(found.rates, RATE_DRAWS),
    )
    return "\n\n".join(("## Calibration on people's labels", INTRODUCTION, *parts))


INTRODUCTION = """A judge's verdicts are made fit for use by a few labels of people. Written by
`python -m benchmarks.calibration --docs` from the recorded verdicts that LLMBar published (arXiv:2310.07641): models of
2023, so take the methods from here, and the numbers from your own judge. In `judges/calibration/`:

- `reliability`, `agreement`: accuracy, Brier, calibration error, partial correlation with length; Cohen's kappa,
  Krippendorff's alpha.
- `principles.fit_principles`: a curve for each principle from people's labels, a slope (`scaling`) or `isotonic`; JSON
  by `calibration_json` and `read_calibration`. A pair swapped gets the opposite belief; few labels change little.
- `panel.fit_panel`, `panel.panel_belief`: one belief from several judges, weighed by about 30 gold labels.
- `cascade.choose_threshold`, `cascade.judge_in_cascade`: a cheap judge first, the strong one where it is unsure.
- `prediction_powered.powered_mean`: a rate from few labels and many verdicts, with its interval."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", action="store_true", help="rewrite the section in docs/judging.md")
    options = parser.parse_args()
    found = study(read_votes(data_folder() / VOTES))
    text, failed = section(found), missed(found)
    print(text)
    if options.docs:
        rewrite_block(PAGE, "calibration", text)
    print(json.dumps(dataclasses.asdict(found) | {"missed": failed}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
