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
    assert "Over time" not in told  # twelve answers are no window
    assert "judge on 12 questions, 0 left open: right on gold -, with people's majority 50 % (25-75)" in told


def test_each_two_people(capsys):
    # Bo says what Ada does nine times of twelve; of the other three, each has one name of both replies.
    labels = [
        *labels_of("ann_1", "a" * 6 + "b" * 6),
        *labels_of("ann_2", "a" * 6 + "b" * 3 + "aaa", start=100),
        *labels_of("ann_3", "aaa", start=200),
    ]
    print_quality(quality_report(labels), {"ann_1": "Ada", "ann_2": "Bo"})
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    # With the names of the replies exchanged too, chance agrees in half: (0.75 - 0.5) / 0.5. Wilson: 0.468 to 0.911.
    assert ["Ada", "Bo", "12", "75", "%", "(47-91)", "0.50"] in told
    assert " ".join(next(line for line in told if line[1:3] == ["pairs", "of"])).startswith("2 pairs of people share")


def test_the_training_round_of_each(capsys):
    rounds = labels_of("ann_1", "aab", gold="a", training=True)
    print_quality(quality_report([*rounds, *labels_of("ann_2", "a", start=50)]), {"ann_1": "Ada"})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["Ada", "2", "of", "3", "0"] in [line[:5] for line in lines]
    assert ["ann_2", "-", "1"] in [line[:3] for line in lines]


def test_windows_of_twenty_answers_as_the_page_has_them(capsys):
    # Ada agrees with Bo twenty times, then never; each answer took 20 seconds
    labels = [*labels_of("ann_1", "a" * 40), *labels_of("ann_2", "a" * 20 + "b" * 20, start=100)]
    print_quality(quality_report(labels), {"ann_1": "Ada", "ann_2": "Bo"})
    told = capsys.readouterr().out.splitlines()
    begin = told.index("Over time, by windows of twenty answers, with 95 % intervals:")
    # Wilson's bounds of 20 of 20: 20 / (20 + 1.96²) = 0.839 and 1
    assert told[begin + 1] == "Ada, with the majority: labels 1 to 20: 100 % (84-100); labels 21 to 40: 0 % (0-16)"
    seconds = "labels 1 to 20: 20.0 s (20.0-20.0); labels 21 to 40: 20.0 s (20.0-20.0)"
    assert told[begin + 2] == f"Ada, median seconds: {seconds}"
    assert [line.split(",")[0] for line in told[begin + 1 : begin + 5]] == ["Ada", "Ada", "Bo", "Bo"]


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
