"""The tables of `charter label quality`: numbers with their intervals, and a dash where there is none."""

from dataclasses import replace

from judges.intervals import Interval
from service.cli.quality_table import print_quality
from service.labelling.figures import JudgeEstimate, Unknown
from service.labelling.quality import quality_report
from tests.service.labelling.answers import labels_of


def test_two_people_and_the_judge(capsys):
    labels = [
        *labels_of("ann_1", "a" * 6 + "b" * 6, judge_p_a=0.9),
        *labels_of("ann_2", "a" * 6 + "b" * 6, start=100, judge_p_a=0.9),
    ]
    print_quality(quality_report(labels), {"ann_1": "Ada"})
    told = capsys.readouterr().out
    assert "24 labels, 0 skips, 0 training answers; 12 questions, 12 of them answered by two people or more" in told
    assert "Krippendorff's alpha: 1.00" in told
    # 12 of 12 with the other one: Wilson's bounds are 12 / (12 + 1.96²) = 0.757 and 1.
    ada = next(line.split("  ") for line in told.splitlines() if line.strip().startswith("Ada"))
    assert "100 % (76-100)" in [cell.strip() for cell in ada]
    assert any(line.strip().startswith("ann_2") for line in told.splitlines())
    assert "judge on 12 of these questions, 0 left open: gold -, with people's majority 50 % (25-75)" in told


def test_the_judge_on_all_pairs(capsys):
    labels = labels_of("ann_1", "a" * 12, judge_p_a=0.9)
    report = quality_report(labels)
    estimated = (
        JudgeEstimate(None, Interval(0.8, 0.71, 0.87), 40),
        JudgeEstimate("kind", Unknown("too few: 3 labelled pairs of the random part, 10 are needed"), 3),
    )
    print_quality(replace(report, judge=replace(report.judge, estimated=estimated)), {})
    told = capsys.readouterr().out
    assert "judge on all pairs, by 40 labelled ones of the random part: 80 % (71-87)" in told
    assert "judge on all pairs under kind, by 3 labelled ones of the random part: too few: 3 labelled pairs" in told


def test_an_empty_project_has_no_table(capsys):
    print_quality(quality_report([]), {})
    told = capsys.readouterr().out
    assert told.splitlines()[0].startswith("0 labels") and "weight" not in told
