"""What each annotator's label weighs in the mix, from how often it is right: a weight, never the loss of a label.

How often each is right is estimated together with the right answers (Dawid and Skene 1979), with one accuracy for each
annotator, a Beta prior on it (Raykar et al. 2010), and the answers of gold tasks held fast. With K choices and errors
spread evenly, a vote by an annotator of accuracy q has the log-likelihood ratio log(q (K - 1) / (1 - q)); the weight is
that over the same of an accuracy at the prior's mean, from 0.1 to 2. Who answered nothing that anybody can check weighs
1. A ranking answers each two of its replies, and these answers count less than separate ones (training/ranked.py).

Left out: a whole confusion matrix for each annotator, which wants hundreds of labels of each. Without gold, annotators
who err alike are taken to be right, as in any estimate without gold (docs/judging.md): put gold among the tasks.

`training/people_votes.py` has another estimate: of a preference set, when it is mixed, where gold, training, skips and
"both bad" are no more. It takes each one's agreement with the others, so the two may differ (docs/people.md).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from service.labelling.agreement import Question, comparisons, first_choices, question_of
from service.labelling.rankings import first_rankings, ordered_pairs
from service.store.label_records import TaskLabel
from training.ranked import ranked_weight

# An annotator is taken to be right four times in five, as if ten checked answers had shown it.
PRIOR_ACCURACY, PRIOR_ANSWERS = 0.8, 10.0
LEAST_WEIGHT, MOST_WEIGHT = 0.1, 2.0
_MOST_STEPS, _CLOSE = 500, 1e-9


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two replies of a question, by their places in the task; what is said of them counts as `labels` of a label."""

    question: Question
    a: int = 0
    b: int = 1
    labels: float = 1.0


_Answers = Mapping[_Pair, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Reliability:
    """`accuracy` is the estimate, the prior in it; `checked` the answers it rests on: to gold, or beside another's."""

    annotator_id: str
    accuracy: float
    checked: int
    weight: float


def reliabilities(labels: Sequence[TaskLabel]) -> tuple[Reliability, ...]:
    """Of everybody who chose or ranked, by id; each annotator's first answer to a question counts."""
    answers = _answers(labels)
    gold = {_Pair(question_of(label)): label.gold for label in comparisons(labels) if label.gold is not None}
    people = sorted({who for said in answers.values() for who in said})
    checkable = {pair: said for pair, said in answers.items() if len(said) > 1 or pair in gold}
    kinds = max(2, len(_named(checkable, gold)))
    accuracy = _accuracies(people, checkable, gold, kinds)
    checked = {who: len({pair.question for pair, said in checkable.items() if who in said}) for who in people}
    return tuple(Reliability(who, accuracy[who], checked[who], weight_of(accuracy[who], kinds)) for who in people)


def weight_of(accuracy: float, kinds: int) -> float:
    """The log-likelihood ratio of a vote among `kinds` choices over that of the prior's mean, held to 0.1 to 2."""
    return min(max(_log_ratio(accuracy, kinds) / _log_ratio(PRIOR_ACCURACY, kinds), LEAST_WEIGHT), MOST_WEIGHT)


def _answers(labels: Sequence[TaskLabel]) -> _Answers:
    """What each one said of each two replies."""
    found: dict[_Pair, dict[str, str]] = {}
    for who, choices in first_choices(labels).items():
        for question, choice in choices.items():
            found.setdefault(_Pair(question), {})[who] = choice
    for who, rankings in first_rankings(labels).items():
        for question, ranking in rankings.items():
            for better, worse in sorted(ordered_pairs(ranking)):
                pair = _Pair(question, min(better, worse), max(better, worse), ranked_weight(len(ranking)))
                found.setdefault(pair, {})[who] = "a" if better < worse else "b"
    return found


def _accuracies(
    annotators: Sequence[str], answers: _Answers, gold: Mapping[_Pair, str], kinds: int
) -> dict[str, float]:
    """Expectation (which choice is right, by pair) and maximisation (accuracies), in turn until they settle.

    A vote V is an annotator A's choice K on a pair Q. Choices that nobody named share the rest of belief evenly.
    """
    places = {who: place for place, who in enumerate(annotators)}
    named = {choice: place for place, choice in enumerate(_named(answers, gold))}
    questions = list(answers)
    votes = [(q, places[who], named[c]) for q, asked in enumerate(questions) for who, c in answers[asked].items()]
    question_V, annotator_V, choice_V = np.array(votes, dtype=np.intp).reshape(-1, 3).T
    known = [(q, named[gold[asked]]) for q, asked in enumerate(questions) if asked in gold]
    gold_Q, gold_K = np.array(known, dtype=np.intp).reshape(-1, 2).T
    labels_V = np.array([pair.labels for pair in questions], dtype=np.float64)[question_V]
    of_A = PRIOR_ANSWERS + np.bincount(annotator_V, labels_V, minlength=len(annotators))
    accuracy_A = np.full(len(annotators), PRIOR_ACCURACY)
    for _ in range(_MOST_STEPS):
        score_QK = np.zeros((len(questions), kinds))
        np.add.at(score_QK, (question_V, choice_V), np.log(accuracy_A * (kinds - 1) / (1 - accuracy_A))[annotator_V])
        odds_QK = np.exp(score_QK - score_QK.max(axis=1, keepdims=True))
        belief_QK = odds_QK / odds_QK.sum(axis=1, keepdims=True)
        belief_QK[gold_Q] = 0.0
        belief_QK[gold_Q, gold_K] = 1.0
        right_A = np.bincount(annotator_V, labels_V * belief_QK[question_V, choice_V], minlength=len(annotators))
        new_A = (PRIOR_ACCURACY * PRIOR_ANSWERS + right_A) / of_A
        moved = np.max(np.abs(new_A - accuracy_A), initial=0.0)
        accuracy_A = new_A
        if moved < _CLOSE:
            break
    return {who: float(accuracy) for who, accuracy in zip(annotators, accuracy_A, strict=True)}


def _named(answers: _Answers, gold: Mapping[_Pair, str]) -> list[str]:
    """Every choice that somebody made, or that is right."""
    return sorted({choice for said in answers.values() for choice in said.values()} | set(gold.values()))


def _log_ratio(accuracy: float, kinds: int) -> float:
    return math.log(accuracy * (kinds - 1) / (1 - accuracy))
