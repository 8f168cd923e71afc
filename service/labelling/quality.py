"""The quality of a project's labels: agreement, each annotator, and the judge as one more annotator.

All from labels as the store hands them out. Skips and training answers are counted and measure nothing; of several
answers of one annotator to one question the first one counts for agreement, the others for repeats. A number that the
labels do not allow is Unknown with its reason. `dataclasses.asdict` of the report is JSON.
"""

from collections.abc import Sequence

from service.labelling.agreement import (
    Choices,
    Question,
    comparisons,
    first_choices,
    in_order,
    kappa,
    majority,
    nominal_alpha,
    ordinal_alpha,
    pair_agreements,
    question_of,
    rate,
)
from service.labelling.annotators import annotator_quality
from service.labelling.figures import JudgeQuality, QualityReport
from service.labelling.reliability import reliabilities
from service.store.label_records import TaskLabel

JUDGE = "judge"


def quality_report(labels: Sequence[TaskLabel]) -> QualityReport:
    """Of one project's labels, in any order."""
    ordered = in_order(labels)
    real = [label for label in ordered if not label.training]
    choices = first_choices(ordered)
    weight = {one.annotator_id: one.weight for one in reliabilities(ordered)}
    gold = [label.choice == label.gold for label in comparisons(ordered) if label.gold is not None]
    said = _said(choices)
    return QualityReport(
        labels=sum(label.choice != "skip" for label in real),
        skips=sum(label.choice == "skip" for label in real),
        training=len(ordered) - len(real),
        questions=len(said),
        overlapping=sum(len(answers) > 1 for answers in said.values()),
        alpha=nominal_alpha(choices),
        ranking_alpha=ordinal_alpha(ordered),
        gold_accuracy=rate(sum(gold), len(gold), "gold answers"),
        annotators=tuple(
            annotator_quality(who, ordered, choices, weight.get(who, 1.0))
            for who in sorted({label.annotator_id for label in ordered})
        ),
        pairs=pair_agreements(choices),
        judge=_judge_quality(ordered),
    )


def judge_choice(p_a: float) -> str:
    """What the judge would have clicked."""
    return "tie" if p_a == 0.5 else "a" if p_a > 0.5 else "b"


def _judge_quality(ordered: Sequence[TaskLabel]) -> JudgeQuality:
    believed = {
        question_of(label): judge_choice(label.judge_p_a)
        for label in comparisons(ordered)
        if label.judge_p_a is not None
    }
    gold = {question_of(label): label.gold for label in comparisons(ordered) if label.gold is not None}
    checked = [believed[question] == right for question, right in gold.items() if question in believed]
    choices = first_choices(ordered)
    said = _said(choices)
    most = {question: winner for question, answers in said.items() if (winner := majority(answers)) is not None}
    shared = [question for question in most if question in believed]
    people, judge = [most[question] for question in shared], [believed[question] for question in shared]
    return JudgeQuality(
        questions=len(believed),
        gold_accuracy=rate(sum(checked), len(checked), "gold questions that the judge answered"),
        with_majority=rate(
            sum(a == b for a, b in zip(people, judge, strict=True)), len(shared), "questions beside a majority"
        ),
        kappa=kappa(people, judge, "questions beside a majority"),
        alpha=nominal_alpha({**choices, JUDGE: believed}),
        ties=sum(choice == "tie" for choice in believed.values()),
    )


def _said(choices: Choices) -> dict[Question, list[str]]:
    """All first answers to each question."""
    said: dict[Question, list[str]] = {}
    for mine in choices.values():
        for question, choice in mine.items():
            said.setdefault(question, []).append(choice)
    return said
