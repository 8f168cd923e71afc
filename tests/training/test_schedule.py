"""Which rows a step takes, its learning rate, and the metrics file after a resume."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.configs import DpoConfig
from training.metrics import append_metrics, keep_metrics_until
from training.schedule import Plan, learning_rate_at


@given(st.integers(1, 50), st.integers(1, 20), st.integers(1, 4), st.integers(0, 5))
def test_every_epoch_takes_every_row_once(rows: int, per_step: int, epochs: int, seed: int):
    plan = Plan(rows, per_step, epochs, seed)
    taken = [plan.rows_of_step(step) for step in range(plan.steps)]
    assert max(map(len, taken)) <= per_step
    for epoch in range(epochs):
        steps = taken[epoch * plan.steps_per_epoch : (epoch + 1) * plan.steps_per_epoch]
        assert sorted(row for step in steps for row in step) == list(range(rows))


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = {Plan(30, 30, 2, seed).rows_of_step(step) for seed in (0, 1) for step in (0, 1)}
    assert len(orders) == 4


def test_the_rate_rises_and_falls_linearly():
    config = DpoConfig(model=Path(), rows=Path(), output=Path(), learning_rate=1.0, warmup_share=0.2)
    # 10 steps, 2 of them warm-up; then from 1 down over 8 + 1 intervals: 8/9, 7/9 ... 1/9
    rates = [learning_rate_at(step, 10, config) for step in range(10)]
    assert rates == pytest.approx([0.5, 1.0] + [n / 9 for n in range(8, 0, -1)])


@given(st.integers(1, 200), st.floats(0, 1))
def test_every_step_moves(steps: int, warmup_share: float):
    config = DpoConfig(model=Path(), rows=Path(), output=Path(), learning_rate=1.0, warmup_share=warmup_share)
    assert all(0 < learning_rate_at(step, steps, config) <= 1 for step in range(steps))


def test_metrics_of_steps_that_will_be_done_again_are_dropped(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    for step in (1, 2, 3):
        append_metrics(path, {"step": step, "loss": 0.5})
    path.write_text(path.read_text() + '{"step": 4, "lo')  # killed here
    keep_metrics_until(path, 2)
    append_metrics(path, {"step": 3, "loss": 0.25})
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in lines] == [(1, 0.5), (2, 0.5), (3, 0.25)]
    keep_metrics_until(tmp_path / "none.jsonl", 0)
    assert not (tmp_path / "none.jsonl").exists()
