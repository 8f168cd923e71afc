"""The quality of a project's labels: agreement, each annotator, and the judge as one more annotator.

All from labels as the store hands them out. Skips and training answers are counted and measure nothing; gold tells who
is right, and is no part of agreement. Of several answers of one annotator to one question the first one counts for
agreement, the others for repeats. A number that the labels do not allow is Unknown with its reason.
`dataclasses.asdict` of the report is JSON.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from service.labelling.agreement import (
    Question,
    comparisons,
    first_choices,
    in_order,
    kappa,
    majority,
    nominal_alpha,
    pair_agreements,
    question_of,
    rate,
    ungraded,
)
from service.labelling.annotators import annotator_quality
from service.labelling.figures import JudgeQuality, QualityReport
from service.labelling.rankings import first_rankings, ordinal_alpha, ranking_agreements
from service.labelling.reliability import reliabilities
from service.labelling.votes import VOTES
from service.store.label_records import TaskLabel

JUDGE = "judge"
Said = TypeVar("Said")
# Answers of people that a judge of one pair cannot give, or hardly ever.
_NOT_ITS = ("tie", "both_bad")


def quality_report(labels: Sequence[TaskLabel]) -> QualityReport:
    """Of one project's labels, in any order."""
    ordered = in_order(labels)
    real = [label for label in ordered if not label.training]
    choices = first_choices(ungraded(ordered))
    weight = {one.annotator_id: one.weight for one in reliabilities(ordered)}
    gold = [label.choice == label.gold for label in comparisons(ordered) if label.gold is not None]
    rankings = first_rankings(ordered)
    answered = [*map(len, _said(choices).values()), *map(len, _said(rankings).values())]
    return QualityReport(
        labels=sum(label.choice != "skip" for label in real),
        skips=sum(label.choice == "skip" for label in real),
        training=len(ordered) - len(real),
        questions=len(answered),
        overlapping=sum(people > 1 for people in answered),
        alpha=nominal_alpha(choices),
        ranking_alpha=ordinal_alpha(rankings),
        gold_accuracy=rate(sum(gold), len(gold), "gold answers"),
        annotators=tuple(
            annotator_quality(who, ordered, choices, rankings, weight.get(who, 1.0))
            for who in sorted({label.annotator_id for label in ordered})
        ),
        pairs=(*pair_agreements(choices), *ranking_agreements(rankings)),
        judge=_judge_quality(ordered),
    )


def judge_choice(p_a: float) -> str:
    """What the judge would have clicked."""
    return "tie" if p_a == 0.5 else "a" if p_a > 0.5 else "b"


def _judge_quality(ordered: Sequence[TaskLabel]) -> JudgeQuality:
    asked = comparisons(ordered)
    believed = {question_of(one): judge_choice(one.judge_p_a) for one in asked if one.judge_p_a is not None}
    gold = {question_of(one): one.gold for one in asked if one.gold is not None and one.gold in VOTES}
    checked = [_right(believed[question], right) for question, right in gold.items() if question in believed]
    choices = first_choices(ungraded(ordered))
    most = {question: winner for question, answers in _said(choices).items() if (winner := majority(answers))}
    beside = [(believed[question], said) for question, said in most.items() if question in believed and said in VOTES]
    named = [both for both in beside if "tie" not in both]
    open_to_it = {question: said for question, said in believed.items() if most.get(question) not in _NOT_ITS}
    return JudgeQuality(
        questions=len(believed),
        gold_accuracy=rate(sum(checked), len(checked), "gold questions that the judge answered"),
        with_majority=rate(
            sum(_right(judge, people) for judge, people in beside), len(beside), "questions beside a majority"
        ),
        kappa=kappa([judge for judge, _ in named], [people for _, people in named], "questions beside a majority"),
        alpha=nominal_alpha({**choices, JUDGE: open_to_it}),
        ties=sum(choice == "tie" for choice in believed.values()),
    )


def _right(judge: str, people: str) -> float:
    """A tie of either is half right, as in estimates.py: a sure judge can hardly say one."""
    return 0.5 if "tie" in (judge, people) else float(judge == people)


def _said(answers: Mapping[str, Mapping[Question, Said]]) -> dict[Question, list[Said]]:
    """All first answers to each question."""
    found: dict[Question, list[Said]] = {}
    for mine in answers.values():
        for question, said in mine.items():
            found.setdefault(question, []).append(said)
    return found
