"""Tasks made of pairs: routing, principles, gold, training, repeats, and requests that make no sense."""

import pytest
from pydantic import ValidationError

from judges.records import Message
from service.errors import InvalidInput
from service.labelling.schemas import LabelProjectRequest
from service.labelling.sources import SourcePair
from service.labelling.tasks import tasks_of


def pair(n: int, p_a: float | None = None, **more) -> SourcePair:
    return SourcePair(f"p{n}", f"q{n}", (Message("user", f"question {n}"),), f"a{n}", f"b{n}", p_a, **more)


def request(**more) -> LabelProjectRequest:
    return LabelProjectRequest.model_validate({"name": "x", "preference_set": "people"} | more)


PAIRS = [pair(n) for n in range(20)]


def test_all_pairs_in_an_order_that_the_seed_decides():
    tasks = tasks_of(request(), PAIRS)
    assert sorted(task.pair_id for task in tasks) == sorted(found.pair_id for found in PAIRS)
    assert [task.pair_id for task in tasks] != [found.pair_id for found in PAIRS]
    assert tasks == tasks_of(request(), PAIRS)
    assert tasks != tasks_of(request(seed=1), PAIRS)
    assert {(task.kind, task.principle_id, task.routed_by, task.gold) for task in tasks} == {
        ("compare", None, "all", None)
    }


def test_a_task_for_each_principle_with_its_own_belief():
    judged = pair(1, 0.9, per_principle=(("honest", 0.8),))
    tasks = tasks_of(request(constitution="c", principles=["honest", "kind"]), [judged])
    assert {task.principle_id: task.judge_p_a for task in tasks} == {"honest": 0.8, "kind": None}
    assert [task.judge_p_a for task in tasks_of(request(), [judged])] == [0.9]


def test_a_random_part_within_the_budget():
    # 12 labels at 2 people a pair: 6 pairs; 5 minutes at 30 s: 10 labels, 5 pairs.
    for budget, count in (({"budget_labels": 12}, 6), ({"budget_minutes": 5}, 5)):
        tasks = tasks_of(request(overlap=2, routing={"policy": "random", **budget}), PAIRS)
        assert len(tasks) == count
        assert {task.routed_by for task in tasks} == {"random"}


def test_the_least_sure_pairs_and_a_random_part_beside_them():
    judged = [pair(n, 0.5 if n < 3 else 0.99) for n in range(20)]
    routing = {"policy": "uncertain", "budget_labels": 5, "random_share": 0.4}
    tasks = tasks_of(request(routing=routing), judged)
    causes = [task.routed_by for task in tasks]
    assert (len(tasks), causes.count("random")) == (5, 2)
    assert {"p0", "p1", "p2"} <= {task.pair_id for task in tasks}


def test_gold_is_asked_once_and_training_stands_first():
    gold = [
        {"pair_id": "p3", "choice": "a", "reason": "It is true."},
        {"prompt": "One and one?", "a": "Two.", "b": "Three.", "choice": "a"},
    ]
    tasks = tasks_of(request(gold=gold, training_tasks=1), PAIRS)
    assert [(task.pair_id, task.routed_by, task.training, task.gold) for task in tasks[:2]] == [
        ("p3", "training", True, "a"),
        ("gold-1", "gold", False, "a"),
    ]
    assert tasks[0].reason == "It is true."
    assert len(tasks) == 21
    assert [task.pair_id for task in tasks].count("p3") == 1


def test_repeats_come_in_the_second_half():
    tasks = tasks_of(request(repeat_share=0.2), PAIRS)
    places = [place for place, task in enumerate(tasks) if task.routed_by == "repeat"]
    assert len(tasks) == 24 and len(places) == 4
    firsts = [task.pair_id for task in tasks[:10]]
    assert min(places) >= 10 and all(tasks[place].pair_id in firsts for place in places)


def test_rankings_and_rewrites():
    x = (Message("user", "question"),)
    pairs = [SourcePair("p1", "q", x, "one", "two", 0.2), SourcePair("p2", "q", x, "two", "three", 0.9)]
    [ranking] = tasks_of(request(kind="rank"), pairs)
    assert (ranking.kind, ranking.pair_id, ranking.replies) == ("rank", "q", ("one", "two", "three"))
    rewrites = tasks_of(request(kind="rewrite"), pairs)
    assert sorted(task.replies for task in rewrites) == [("one",), ("three",)]  # the weaker of each


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"gold": [{"pair_id": "nope", "choice": "a"}]}, "gold.0.pair_id: the source has no pair 'nope'"),
        ({"gold": [{"pair_id": "p1", "choice": "a", "principle_id": "kind"}]}, "this project asks overall"),
        (
            {"constitution": "c", "principles": ["x", "y"], "gold": [{"pair_id": "p1", "choice": "a"}]},
            "None is not asked",
        ),
        ({"routing": {"policy": "random", "budget_labels": 1}, "overlap": 2}, "no pair to ask"),
    ],
)
def test_what_cannot_be_asked_says_why(more, said):
    with pytest.raises(InvalidInput, match=said):
        tasks_of(request(**more), PAIRS)


@pytest.mark.parametrize(
    "more",
    [
        {"run": "run_1"},
        {"preference_set": None},
        {"routing": {"policy": "all", "budget_labels": 3}},
        {"routing": {"policy": "random"}},
        {"routing": {"policy": "random", "budget_labels": 3, "budget_minutes": 3}},
        {"training_tasks": 1},
        {"principles": ["x", "x"]},
        {"gold": [{"choice": "a"}]},
        {"gold": [{"choice": "a", "prompt": "p", "a": "x"}]},
        {"gold": [{"choice": "a", "pair_id": "p1", "a": "x"}]},
        {"kind": "rank", "gold": [{"choice": "a", "pair_id": "p1"}]},
        {"overlap": 0},
        {"unknown": 1},
    ],
)
def test_a_request_without_sense_is_malformed(more):
    with pytest.raises(ValidationError):
        request(**more)
