"""The load's numbers by hand: percentiles, what counts as lost or doubled, and what the page says."""

import pytest

from benchmarks.labelling_load import Audit, Latency, Load, Measured, audit, is_reached, latency, page_text, summary

QUICK = Latency(100, 10.0, 20.0, 30.0)
CLEAN = Audit(labels=600, lost=0, doubled=0, over_overlap=0)


def measured(burst_p95=149.0, found=CLEAN) -> dict[str, Measured]:
    doors = {"api": Load(QUICK, QUICK), "page": Load(QUICK, Latency(250, 90.0, burst_p95, 160.0))}
    return {"sqlite": Measured(doors, found, unanswered=7)}


def test_p95_is_what_95_percent_do_not_exceed():
    assert latency([n / 1000 for n in range(100, 0, -1)]) == Latency(100, 50.5, 95.0, 100.0)
    assert latency([0.2]) == Latency(1, 200.0, 200.0, 200.0)


def test_the_audit_by_hand():
    acknowledged = {("ada", "t1"), ("bo", "t1"), ("ada", "t2")}
    assert audit([("ada", "t1"), ("bo", "t1"), ("ada", "t2")], acknowledged, overlap=2) == Audit(3, 0, 0, 0)
    # ada's t2 is lost, bo's t1 is there twice, cy's was never acknowledged; three people on t1 are one too many.
    stored = [("ada", "t1"), ("bo", "t1"), ("bo", "t1"), ("cy", "t1")]
    assert audit(stored, acknowledged, overlap=2) == Audit(labels=4, lost=1, doubled=2, over_overlap=1)


@pytest.mark.parametrize("fault", [{"lost": 1}, {"doubled": 1}, {"over_overlap": 1}])
def test_one_label_amiss_is_a_failure(fault):
    assert is_reached(measured())
    assert not is_reached(measured(burst_p95=151.0))
    assert not is_reached(measured(found=Audit(**{"labels": 600, "lost": 0, "doubled": 0, "over_overlap": 0} | fault)))


def test_the_summary_has_the_worst_on_top():
    told = summary(measured())
    assert (told["p95_ms"], told["burst_p95_ms"], told["lost"], told["reached"]) == (20.0, 149.0, 0, True)


def test_the_page_has_a_row_for_each_door():
    text = page_text(measured())
    assert "| SQLite, the page's form | 10 / 20 / 30 | 90 / 149 / 160 |" in text
    assert "SQLite: 600 labels, 0 lost, 0 doubled, 0 tasks over their overlap, 7 on their way" in text
