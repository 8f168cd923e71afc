"""The recorded verdicts of published judges on LLMBar (Zeng et al. 2023, arXiv:2310.07641), as the studies read them.

The file is `llmbar/evaluator_votes.csv.gz` under the folder that CHARTER_DATA names: a model with a prompt (a setup)
judged each pair in both orders; the winner is given as reply 1 or 2, or nothing where no answer could be read.
"""

import csv
import gzip
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from judges.calibration.labels import Floats
from judges.calibration.votes import VoteTable

VOTES = "llmbar/evaluator_votes.csv.gz"
VOTE_FOR_A = {"1": 1.0, "2": 0.0, "": 0.5}


@dataclass(frozen=True, slots=True, order=True)
class Setup:
    """A model and the name of its prompt."""

    model: str
    prompt: str


@dataclass(frozen=True, slots=True)
class Votes:
    """One setup's belief on one pair: the mean of both orders, an unread answer one half. `label_a` is the truth."""

    setup: Setup
    subset: str
    item: str
    p_a: float
    answered: bool
    label_a: float


@dataclass(frozen=True, slots=True)
class RecordedPanel:
    """A table of N pairs by J setups, and the N right answers."""

    table: VoteTable
    label_N: Floats


def data_folder() -> Path:
    """The folder of the published sets; ends the study with a word where it is not named."""
    folder = os.environ.get("CHARTER_DATA")
    if not folder or not (Path(folder) / VOTES).is_file():
        sys.exit(f"set CHARTER_DATA to the folder that holds {VOTES}")
    return Path(folder)


def read_votes(path: Path) -> tuple[Votes, ...]:
    """Every row of the file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return tuple(
            Votes(
                setup=Setup(row["model"], row["strategy"]),
                subset=row["subset"],
                item=f"{row['subset']}/{row['item']}",
                p_a=(VOTE_FOR_A[row["winner_order_ab"]] + VOTE_FOR_A[row["winner_order_ba"]]) / 2,
                answered=bool(row["winner_order_ab"] or row["winner_order_ba"]),
                label_a=VOTE_FOR_A[row["gold"]],
            )
            for row in csv.DictReader(lines)
        )


def adversarial(subset: str) -> bool:
    """The 319 pairs made so that the worse reply looks better."""
    return subset != "Natural"


def natural(subset: str) -> bool:
    """The 100 pairs as they came."""
    return subset == "Natural"


def everything(subset: str) -> bool:
    """All 419."""
    return bool(subset)


def recorded_panel(votes: Sequence[Votes], setups: Sequence[Setup], wanted: Callable[[str], bool]) -> RecordedPanel:
    """These setups on the subsets wanted; pairs in the order of their names."""
    kept = [vote for vote in votes if vote.setup in set(setups) and wanted(vote.subset)]
    label = {vote.item: vote.label_a for vote in kept}
    items = sorted(label)
    row, column = {item: n for n, item in enumerate(items)}, {setup: j for j, setup in enumerate(setups)}
    p_a_NJ = np.full((len(items), len(setups)), 0.5)
    answered_NJ = np.zeros(p_a_NJ.shape, dtype=np.bool_)
    for vote in kept:
        at = row[vote.item], column[vote.setup]
        p_a_NJ[at], answered_NJ[at] = vote.p_a, vote.answered
    names = tuple(f"{setup.model} {setup.prompt}" for setup in setups)
    return RecordedPanel(VoteTable(tuple(items), names, p_a_NJ, answered_NJ), np.array([label[item] for item in items]))


def setups_of(votes: Sequence[Votes], *, prompt: str = "", model: str = "") -> tuple[Setup, ...]:
    """The recorded setups with this prompt or of this model, by name."""
    found = {vote.setup for vote in votes}
    return tuple(sorted(s for s in found if prompt in ("", s.prompt) and model in ("", s.model)))
