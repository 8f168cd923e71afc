"""Two reward models on the same held-out pairs: how much more often one is right, with the interval of the difference.

Each accuracy has an interval of its own in `benchmarks.reward`; where two order mostly the same pairs alike, that of
their difference is much shorter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from peft import set_peft_model_state_dict

from benchmarks.trainer_sides import Start
from training.adapters import read_adapter
from training.configs import RewardConfig, load_config
from training.precision import resolve_numbers
from training.reward import load_reward_model, margins
from training.reward_rows import load_reward_rows
from training.rows import PreferenceRow, read_rows
from training.statistics import Interval, clustered_difference

Margins = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Differences:
    """Of the held-out pairs, by how large a share ours is right more often, from `low` to `high` at 95 %."""

    less_trl: float
    less_trl_low: float
    less_trl_high: float
    less_longest: float
    less_longest_low: float
    less_longest_high: float


def differences(rows: Sequence[PreferenceRow], ours: Margins, trl: Margins) -> Differences:
    """From each pair's margin, the chosen reply's score less the rejected one's, by its row's id."""
    held_out = [row for row in rows if row.id in ours]
    longest = {row.id: float(len(row.chosen) - len(row.rejected)) for row in held_out}
    right = rightness(held_out, ours)
    found = []
    for other in (trl, longest):
        gain = clustered_difference(rightness(held_out, other), right)
        if not isinstance(gain, Interval):
            raise SystemExit("fewer than two held-out prompts; raise --held-out")
        found += [gain.estimate, gain.low, gain.high]
    return Differences(*found)


def rightness(rows: Sequence[PreferenceRow], of: Margins) -> Mapping[str, list[float]]:
    """By prompt: 1 where the chosen reply is above, 0 where it is below, a tie is half right."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row.prompt_id, []).append(0.5 if of[row.id] == 0 else float(of[row.id] > 0))
    return found


def trl_margins(start: Start, scores: Sequence[tuple[float, float]]) -> Margins:
    """From TRL's scores of the held-out rows."""
    return {str(held["id"]): chosen - rejected for held, (chosen, rejected) in zip(start.held_out, scores, strict=True)}


def own_margins(config: Path, output: Path) -> Margins:
    """What our reward model in `output`, trained by this config, gives its held-out pairs."""
    wanted = load_config(config, RewardConfig)
    prompts = load_reward_rows(wanted, read_rows(wanted.rows)).held_out
    policy = load_reward_model(wanted, resolve_numbers(wanted.precision))
    set_peft_model_state_dict(policy.model, read_adapter(output / "adapter")[1])
    ids = [pair.row.id for prompt in prompts for pair in prompt.pairs]
    return dict(zip(ids, margins(policy, wanted, prompts), strict=True))


def told(measured: Mapping[str, float]) -> str:
    """The sentence of docs/performance.md, of what `benchmarks.reward` prints."""
    trl, longest = (
        "{:+.1f} points ({:+.1f} to {:+.1f})".format(*(100 * measured[f"{name}{end}"] for end in ("", "_low", "_high")))
        for name in ("less_trl", "less_longest")
    )
    return f"On the same pairs ours is ahead of TRL's by {trl}, and of the longer reply by {longest}."
