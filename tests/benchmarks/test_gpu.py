"""The GPU's benchmark with a tiny model on the CPU, on a node that has nothing but what training needs."""

import json

import pytest

from benchmarks.gpu import Lengths, block, steady_pairs_per_s
from benchmarks.trainer_sides import SideRun
from tests.house.test_imports import BARE, run_python


def test_it_runs_on_a_bare_node():
    said = run_python(f"{BARE}\nfrom benchmarks.gpu import main\nmain(['--tiny'])")
    line = json.loads(said.splitlines()[-1])
    assert line["pairs"] == 24
    for method, unit in (("dpo", "pair"), ("reward", "pair"), ("ppo", "episode")):
        found = line[method]
        assert found["tokens_per_s"] == pytest.approx(found[f"{unit}s_per_s"] * found[f"tokens_per_{unit}"])
        assert found["tokens_per_s"] > 0 and found["peak_memory_bytes"] > 0 and 0 < found["gemm_share"] < 2
    # The pair has the chat template's tokens once, the rejected reply apart: 16 letters. Each reply's end is not fed.
    assert line["dpo"]["tokens_per_pair"] - line["ppo"]["tokens_per_episode"] == 16


def test_the_table_has_a_row_a_method():
    found = {"dpo": {"pairs_per_s": 2.0}, "ppo": {"episodes_per_s": 3.0, "mfu": 0.25}}
    for one in found.values():
        one |= {"tokens_per_s": 100.0, "peak_memory_bytes": 2**30}
    assert "| ppo | 3.0 | 100 | 25% | 1.0 | not run |" in block(found, "a GPU")
    assert "| dpo | 2.0 | 100 | unknown | 1.0 | not run |" in block(found, "a GPU")


def test_the_first_steps_do_not_count():
    # Four steps of two pairs; the last two took a second in all.
    assert steady_pairs_per_s(SideRun(8, (5.0, 6.0, 6.5, 7.0), (0.7,) * 4, 1)) == pytest.approx(4.0)
    assert steady_pairs_per_s(SideRun(8, (4.0,), (0.7,), 1)) == pytest.approx(2.0)


def test_the_rows_are_all_as_long():
    rows = Lengths(3, 100, 20).rows()
    assert {(len(r.prompt[0].content), len(r.chosen), len(r.rejected)) for r in rows} == {(100, 20, 20)}
    assert len({row.prompt for row in rows}) == 3
