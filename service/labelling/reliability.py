"""What each annotator's label weighs in the mix, from how often it is right: a weight, never the loss of a label.

How often each is right is estimated together with the right answers (Dawid and Skene 1979), with one accuracy for each
annotator, a Beta prior on it (Raykar et al. 2010), and the answers of gold tasks held fast. With K choices and errors
spread evenly, a vote by an annotator of accuracy q has the log-likelihood ratio log(q (K - 1) / (1 - q)); the weight is
that over the same of an accuracy at the prior's mean, from 0.1 to 2. Who answered nothing that anybody can check weighs
1.

Left out: a whole confusion matrix for each annotator, which wants hundreds of labels of each. Without gold, annotators
who err alike are taken to be right, as in any estimate without gold (docs/judging.md): put gold among the tasks.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.labelling.agreement import Question, comparisons, first_choices, question_of
from service.store.label_records import TaskLabel

# An annotator is taken to be right four times in five, as if ten checked answers had shown it.
PRIOR_ACCURACY, PRIOR_ANSWERS = 0.8, 10.0
LEAST_WEIGHT, MOST_WEIGHT = 0.1, 2.0
_MOST_STEPS, _CLOSE = 500, 1e-9


@dataclass(frozen=True, slots=True)
class Reliability:
    """`accuracy` is the estimate, the prior in it; `checked` the answers it rests on: to gold, or beside another's."""

    annotator_id: str
    accuracy: float
    checked: int
    weight: float


def reliabilities(labels: Sequence[TaskLabel]) -> tuple[Reliability, ...]:
    """Of everybody who answered a comparison, by id; each annotator's first answer to a question counts."""
    choices = first_choices(labels)
    gold = {question_of(label): label.gold for label in comparisons(labels) if label.gold is not None}
    answers: dict[Question, dict[str, str]] = {}
    for who, own in sorted(choices.items()):
        for question, choice in own.items():
            answers.setdefault(question, {})[who] = choice
    checkable = {question: said for question, said in answers.items() if len(said) > 1 or question in gold}
    used = {choice for said in checkable.values() for choice in said.values()} | set(gold.values())
    kinds = max(2, len(used))
    accuracy = _accuracies(tuple(sorted(choices)), checkable, gold, kinds)
    checked = dict.fromkeys(choices, 0)
    for people in checkable.values():
        for who in people:
            checked[who] += 1
    return tuple(
        Reliability(who, accuracy[who], checked[who], weight_of(accuracy[who], kinds)) for who in sorted(choices)
    )


def weight_of(accuracy: float, kinds: int) -> float:
    """The log-likelihood ratio of a vote among `kinds` choices over that of the prior's mean, held to 0.1 to 2."""
    return min(max(_log_ratio(accuracy, kinds) / _log_ratio(PRIOR_ACCURACY, kinds), LEAST_WEIGHT), MOST_WEIGHT)


def _accuracies(
    annotators: Sequence[str], answers: Mapping[Question, Mapping[str, str]], gold: Mapping[Question, str], kinds: int
) -> dict[str, float]:
    """Expectation (which choice is right, by question) and maximisation (accuracies), in turn until they settle."""
    accuracy = dict.fromkeys(annotators, PRIOR_ACCURACY)
    for _ in range(_MOST_STEPS):
        right = dict.fromkeys(annotators, PRIOR_ACCURACY * PRIOR_ANSWERS)
        of = dict.fromkeys(annotators, PRIOR_ANSWERS)
        for question, said in answers.items():
            belief = {gold[question]: 1.0} if question in gold else _belief(said, accuracy, kinds)
            for who, choice in said.items():
                right[who] += belief.get(choice, 0.0)
                of[who] += 1
        new = {who: right[who] / of[who] for who in annotators}
        moved = max((abs(new[who] - accuracy[who]) for who in annotators), default=0.0)
        accuracy = new
        if moved < _CLOSE:
            break
    return accuracy


def _belief(said: Mapping[str, str], accuracy: Mapping[str, float], kinds: int) -> dict[str, float]:
    """The chance that each choice is the right one; those that nobody named share the rest evenly and are left out."""
    scores = dict.fromkeys(said.values(), 0.0)
    for who, choice in said.items():
        scores[choice] += _log_ratio(accuracy[who], kinds)
    most = max(0.0, *scores.values())
    weights = {choice: math.exp(score - most) for choice, score in scores.items()}
    total = sum(weights.values()) + (kinds - len(weights)) * math.exp(-most)
    return {choice: weight / total for choice, weight in weights.items()}


def _log_ratio(accuracy: float, kinds: int) -> float:
    return math.log(accuracy * (kinds - 1) / (1 - accuracy))
