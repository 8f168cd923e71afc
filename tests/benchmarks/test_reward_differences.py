"""The paired difference of two reward models, on numbers made by hand, and from the trainer's own files."""

import json
from pathlib import Path

import pytest
import yaml

from benchmarks.reward_differences import differences, own_margins, told, trl_margins
from benchmarks.trainer_sides import Start
from judges.records import Message
from training.configs import RewardConfig, load_config
from training.reward import train_reward
from training.rows import PreferenceRow, write_rows


def row(n: int, chosen: str, rejected: str) -> PreferenceRow:
    prompt = (Message("user", f"prompt {n}"),)
    return PreferenceRow(f"r{n}", f"p{n}", prompt, chosen, rejected, 1.0, 1.0, "human")


# The longer reply is right in the first, half right in the second, wrong in the others.
ROWS = [row(0, "longer", "short"), row(1, "same", "size"), row(2, "no", "longer"), row(3, "a", "bb"), row(4, "x", "yy")]


def test_the_differences_by_hand():
    ours = {"r0": 1.0, "r1": 0.2, "r2": 2.0, "r3": -1.0}  # right in three of four; r4 was trained on
    start = Start([], [{"id": name} for name in ("r3", "r2", "r1", "r0")])
    trl = trl_margins(start, [(0.0, 1.0), (3.0, 1.0), (1.0, 1.0), (1.0, 4.0)])
    assert trl == {"r3": -1.0, "r2": 2.0, "r1": 0.0, "r0": -3.0}
    found = differences(ROWS, ours, trl)
    # Less TRL's: 1, 1/2, 0, 0. Their mean is 3/8, their variance (25 + 1 + 9 + 9) / 64 / 3 = 11/48; t of three is
    # 3.1824, which judges/intervals.py has to four thousandths.
    half = 3.182446 * (11 / 48 / 4) ** 0.5
    assert found.less_trl == pytest.approx(0.375)
    assert (found.less_trl_low, found.less_trl_high) == pytest.approx((0.375 - half, min(1.0, 0.375 + half)), abs=2e-3)
    # Less the longer reply's: 0, 1/2, 1, 0, of the same mean and spread.
    assert (found.less_longest, found.less_longest_low) == pytest.approx((0.375, 0.375 - half), abs=2e-3)


def test_what_is_told():
    fields = {"less_trl": 0.01, "less_trl_low": -0.02, "less_trl_high": 0.04}
    said = told(fields | {"less_longest": 0.0, "less_longest_low": -0.051, "less_longest_high": 0.05})
    assert said == (
        "On the same pairs ours is ahead of TRL's by +1.0 points (-2.0 to +4.0), and of the longer reply by +0.0 "
        "points (-5.1 to +5.0)."
    )


def test_our_margins_are_those_that_the_trainer_measured(tmp_path: Path, tiny: Path):
    write_rows(tmp_path / "rows.jsonl", [row(n, "good" * (1 + n % 3), "bad" * (1 + n % 2)) for n in range(8)])
    paths = {"model": str(tiny), "rows": str(tmp_path / "rows.jsonl"), "output": str(tmp_path / "out")}
    knobs = {"precision": "fp32", "held_out_share": 0.5, "learning_rate": 0.01, "lora_rank": 2}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(paths | knobs))
    train_reward(load_config(tmp_path / "run.yaml", RewardConfig))
    held_out = json.loads((tmp_path / "out" / "result.json").read_text())["held_out"]
    margins = own_margins(tmp_path / "run.yaml", tmp_path / "out")
    assert len(margins) == held_out["examples"] == 4
    assert sum(margin > 0 for margin in margins.values()) / 4 == held_out["accuracy"]["value"]
