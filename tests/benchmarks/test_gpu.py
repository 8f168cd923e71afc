"""The GPU's benchmark with a tiny model on the CPU, on a node that has nothing but what training needs."""

import json

import pytest

from benchmarks.gpu import Lengths, steady_pairs_per_s
from benchmarks.trainer_sides import SideRun
from tests.house.test_imports import BARE, run_python


def test_it_runs_on_a_bare_node():
    said = run_python(f"{BARE}\nfrom benchmarks.gpu import main\nmain(['--tiny'])")
    line = json.loads(said.splitlines()[-1])
    assert line["pairs"] == 24
    for method in ("dpo", "reward"):
        assert line[method]["pairs_per_s"] > 0 and 0 < line[method]["gemm_share"] < 2


def test_the_first_steps_do_not_count():
    # Four steps of two pairs; the last two took a second in all.
    assert steady_pairs_per_s(SideRun(8, (5.0, 6.0, 6.5, 7.0), (0.7,) * 4, 1)) == pytest.approx(4.0)
    assert steady_pairs_per_s(SideRun(8, (4.0,), (0.7,), 1)) == pytest.approx(2.0)


def test_the_rows_are_all_as_long():
    rows = Lengths(3, 100, 20).rows()
    assert {(len(r.prompt[0].content), len(r.chosen), len(r.rejected)) for r in rows} == {(100, 20, 20)}
    assert len({row.prompt for row in rows}) == 3
