"""How fast a reward model is trained, and how good it gets, beside TRL 1.16 on the same pairs.

    CHARTER_DATA=... python -m benchmarks.reward [--precision fp32|bf16] [--pairs 16] [--held-out 64] [--docs]
    CHARTER_DATA=... python -m benchmarks.reward --efficacy [--pairs 128] [--held-out 384] [--docs]

Both sides as in dpo.py, with a scalar head: the same first weights, tokens and order, each in a process of its own, and
ours before and after TRL. Accuracy is on the held-out prompts' pairs, with its 95 % interval, and beside it that of
taking the longer reply. `--efficacy` takes more and shorter pairs, so that something is learnt in minutes; how many
says its JSON, the last line. It then has the paired differences too: `less_trl`, our accuracy less TRL's on the same
pairs, and `less_longest`, each with `_low` and `_high` (95 %, clustered by prompt). Exit status 1 where a target is
missed, named in `missed`: TRL's accuracy up to two pairs; twice its speed, on pairs of a usual length; and of
`--efficacy`, above the longer reply's accuracy.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.documents import rewrite_block, table
from benchmarks.reward_differences import differences, own_margins, told, trl_margins
from benchmarks.trainer_rows import data_name, first_rows
from benchmarks.trainer_sides import (
    PAGE,
    PAIRS_PER_STEP,
    SideRun,
    Start,
    Task,
    beside,
    joined,
    machine,
    prepare,
    run_ours,
    run_trl,
    table_of_sides,
)
from judges.labelled_sets import LabelledPair
from judges.measures import JudgedPair, measure
from judges.records import Comparison, Preference
from service.demo.base_model import base_model_folder
from service.demo.recipe import CACHE
from training.rows import PreferenceRow

LEAST_RATIO, MOST_PAIRS_APART = 2.0, 2
_EFFICACY_CHARS = 600  # of a prompt and its longer reply


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Of the held-out pairs that are ordered rightly, with its 95 % bounds, and the longer reply's."""

    accuracy: float
    low: float
    high: float
    longest_wins: float


def accuracy_of(measures: Mapping[str, object]) -> Accuracy:
    """From judges/measures.py as JSON; the rows all have a better reply, so every statistic has a value."""
    values = json.loads(json.dumps(measures))
    return Accuracy(values["accuracy"]["value"], values["low"], values["high"], values["longest_wins"]["value"])


def accuracy_of_scores(start: Start, rows: Sequence[PreferenceRow], scores: Sequence[tuple[float, float]]) -> Accuracy:
    """TRL's, from its scores of the held-out rows."""
    by_id = {row.id: row for row in rows}
    judged = []
    for held, (chosen, rejected) in zip(start.held_out, scores, strict=True):
        row = by_id[str(held["id"])]
        p_a = 0.5 if chosen == rejected else float(chosen > rejected)
        comparison = Comparison(row.id, row.prompt_id, row.prompt, row.chosen, row.rejected)
        judged.append(JudgedPair(LabelledPair(comparison, 1.0, "held_out", row.id), Preference(p_a, p_a, p_a, 1.0)))
    return accuracy_of(asdict(measure(judged)))


def run_sides(task: Task, rows: Sequence[PreferenceRow], *, twice: bool) -> dict[str, float]:
    """Ours, TRL, and ours again where the speed matters; else how far apart both are on the same pairs."""
    start = prepare(task, rows)
    run, result = run_ours(task, start, "before")
    peer, scores = run_trl(task, start)
    runs = [run, run_ours(task, start, "after")[0]] if twice else [run]
    own, other = accuracy_of(result["held_out"]), accuracy_of_scores(start, rows, scores)
    found = figures(joined(runs), peer, own, other) | {"pairs": len(start.train), "held_out": len(start.held_out)}
    if twice:
        return found
    of_ours = own_margins(task.folder / "before.yaml", task.folder / "before")
    return found | asdict(differences(rows, of_ours, trl_margins(start, scores)))


def figures(ours: SideRun, peer: SideRun, own: Accuracy, other: Accuracy) -> dict[str, float]:
    """Speed, memory and accuracy."""
    return {
        "pairs_per_s": ours.pairs_per_s,
        "peak_memory_bytes": ours.peak_memory_bytes,
        **beside(ours, peer),
        **asdict(own),
        **{f"trl_{name}": value for name, value in asdict(other).items() if name != "longest_wins"},
    }


def missed(measured: Mapping[str, float], *, efficacy: bool) -> list[str]:
    """The fields that fall short of their targets."""
    apart = (measured["trl_accuracy"] - measured["accuracy"]) * measured["held_out"]
    short = {
        "ratio": not efficacy and measured["ratio"] < LEAST_RATIO,
        "accuracy": apart > MOST_PAIRS_APART,
        "longest_wins": efficacy and measured["accuracy"] <= measured["longest_wins"],
    }
    return [name for name, missed in short.items() if missed]


def block(measured: Mapping[str, float], caption: str) -> str:
    """The table of docs/performance.md."""
    rows = [
        (name, *(f"{measured[f'{key}{field}']:.1%}" for field in ("accuracy", "low", "high")))
        for name, key in (("ours", ""), ("TRL 1.16", "trl_"))
    ]
    apart = [told(measured)] if "less_trl" in measured else []
    seen = "is above" if measured["low"] > measured["longest_wins"] else "does not exclude"
    return "\n\n".join(
        (
            f"{caption}; {measured['pairs']} pairs, {measured['held_out']} held out:",
            table_of_sides(measured, "reward model"),
            f"Ratio {measured['ratio']:.2f}; {measured['memory_ratio']:.2f} of TRL's memory; a step's losses differ by "
            f"{measured['max_loss_difference']:.1e} at most.",
            table(("held-out accuracy", "share", "from", "to (95 %)"), rows),
            f"Taking the longer reply is right in {measured['longest_wins']:.1%}; our interval {seen} it.",
            *apart,
        )
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--pairs", type=int, help="to train on: 16, of --efficacy 128")
    parser.add_argument("--held-out", type=int, help="to measure on: 64, of --efficacy 384")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--efficacy", action="store_true", help="more and shorter pairs: how good it gets")
    parser.add_argument("--docs", action="store_true", help="write the table of docs/performance.md anew")
    options = parser.parse_args()
    train, measure_on, chars = (128, 384, _EFFICACY_CHARS) if options.efficacy else (16, 64, None)
    pairs, held_out = options.pairs or train, options.held_out or measure_on
    knobs = {"learning_rate": 1e-4, "lora_rank": 16, "held_out_share": held_out / (pairs + held_out)}
    model = base_model_folder(options.model, CACHE)
    with tempfile.TemporaryDirectory(prefix="ch-") as folder:
        task = Task("reward", model, Path(folder), options.precision, PAIRS_PER_STEP, knobs)
        measured = run_sides(task, first_rows(pairs + held_out, chars), twice=not options.efficacy)
    names = {"precision": options.precision, "model": model.name, "data": data_name(), "machine": machine()}
    short = missed(measured, efficacy=options.efficacy)
    if options.docs:
        name = "reward efficacy" if options.efficacy else f"reward {options.precision}"
        of_length = [f"a prompt and its longer reply of at most {chars} characters"] if chars else []
        rewrite_block(PAGE, name, block(measured, ", ".join([*names.values(), *of_length])))
    budget = {"pairs_per_step": PAIRS_PER_STEP, "most_chars": chars or 0, **knobs}
    print(json.dumps(names | budget | measured | {"missed": ", ".join(short)}))
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
