"""Tasks made of pairs: routing, principles, gold, training, repeats, and requests that make no sense."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from judges.records import Message
from service.errors import InvalidInput
from service.labelling.routing import Routed
from service.labelling.schemas import LabelProjectRequest
from service.labelling.sources import SourcePair
from service.labelling.tasks import left_out_replies, tasks_of


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


def test_pairs_that_were_drawn_from_a_larger_source_are_sent_as_they_were_drawn():
    drawn = [Routed("p3", "random", 0.01), Routed("p7", "random", 0.01)]
    asked = request(gold=[{"pair_id": "p5", "choice": "a"}], routing={"policy": "random", "budget_labels": 2})
    tasks = tasks_of(asked, [pair(3), pair(5), pair(7)], drawn)
    assert {(task.pair_id, task.routed_by, task.p_sent) for task in tasks} == {
        ("p5", "gold", None), ("p3", "random", 0.01), ("p7", "random", 0.01)
    }  # fmt: skip


def test_the_least_sure_pairs_and_a_random_part_beside_them():
    judged = [pair(n, 0.5 if n < 3 else 0.99) for n in range(20)]
    routing = {"policy": "uncertain", "budget_labels": 5, "random_share": 0.4}
    tasks = tasks_of(request(routing=routing), judged)
    causes = [task.routed_by for task in tasks]
    assert (len(tasks), causes.count("random")) == (5, 2)
    assert {"p0", "p1", "p2"} <= {task.pair_id for task in tasks}


def test_the_random_part_comes_first_and_each_task_keeps_its_chance():
    judged = [pair(n, 0.5 + n / 50) for n in range(20)]
    tasks = tasks_of(request(routing={"policy": "uncertain", "budget_labels": 6, "random_share": 0.5}), judged)
    assert [task.routed_by for task in tasks] == ["random"] * 3 + ["close"] * 3
    # Three of twenty at random: the three of most gain are sent whatever the lot, the last hardly without it.
    for task in tasks:
        rank = int(task.pair_id[1:])
        assert task.p_sent == 1.0 if rank < 3 else 3 / 20 <= task.p_sent < 1
    assert {task.p_sent for task in tasks_of(request(routing={"policy": "random", "budget_labels": 6}), PAIRS)} == {0.3}
    assert {task.p_sent for task in tasks_of(request(), PAIRS)} == {1.0}


def test_other_judges_principles_and_new_prompts_count():
    sure = [pair(n, 0.9) for n in range(10)]
    routing = {"policy": "uncertain", "budget_labels": 1, "random_share": 0}
    opposed = replace(sure[4], panel_p_a=(0.3,))
    torn = replace(sure[5], per_principle=(("x", 0.9), ("y", 0.1)), weighed=frozenset("xy"))
    for odd in (opposed, torn):
        [task] = tasks_of(request(routing=routing), [*sure[:4], odd, *sure[6:]])
        assert (task.pair_id, task.routed_by) == (odd.pair_id, "disagreement")
    # A principle that the judge is unfit for takes no part in the disagreement.
    unfit = replace(torn, weighed=frozenset("x"))
    assert not any(
        task.routed_by == "disagreement" for task in tasks_of(request(routing=routing), [*sure[:4], unfit, *sure[6:]])
    )
    new = replace(sure[7], prompt=(Message("user", "Prove Fermat's theorem"),))
    [task] = tasks_of(request(routing=routing), [*sure[:7], new, *sure[8:]])
    assert (task.pair_id, task.routed_by) == ("p7", "novel")


def test_a_budget_of_rankings_is_counted_in_rankings():
    x = (Message("user", "question"),)
    pairs = [SourcePair(f"p{q}{n}", f"q{q}", x, f"a{q}{n}", "b", 0.9 - q / 10) for q in range(4) for n in range(3)]
    routing = {"policy": "uncertain", "budget_labels": 2, "random_share": 0}
    tasks = tasks_of(request(kind="rank", routing=routing), pairs)
    assert {task.pair_id for task in tasks} == {"q2", "q3"}  # the least sure
    assert all(len(task.replies) == 4 for task in tasks)


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


def test_a_ranking_holds_the_first_nine_replies_and_the_others_are_counted():
    x = (Message("user", "question"),)
    eleven = [SourcePair(f"p{n}", "q", x, f"reply {n}", f"reply {n + 1}") for n in range(10)]
    pairs = [*eleven, SourcePair("other", "r", x, "one", "two")]
    ranking, other = sorted(tasks_of(request(kind="rank"), pairs), key=lambda task: task.pair_id)
    assert (ranking.replies[-1], len(ranking.replies), len(other.replies)) == ("reply 8", 9, 2)
    assert left_out_replies(request(kind="rank"), pairs) == 2
    assert left_out_replies(request(), pairs) == 0


def test_rankings_and_rewrites():
    x = (Message("user", "question"),)
    pairs = [SourcePair("p1", "q", x, "one", "two", 0.2), SourcePair("p2", "q", x, "two", "three", 0.9)]
    [ranking] = tasks_of(request(kind="rank"), pairs)
    assert (ranking.kind, ranking.pair_id, ranking.replies) == ("rank", "q", ("one", "two", "three"))
    rewrites = tasks_of(request(kind="rewrite"), pairs)
    assert sorted(task.replies for task in rewrites) == [("one",), ("three",)]  # the weaker of each
    # A reply that is the weaker one of two pairs is rewritten once, but under another prompt again.
    other = (Message("user", "another"),)
    more = [*pairs, SourcePair("p3", "q", x, "one", "four", 0.1), SourcePair("p4", "r", other, "one", "four", 0.1)]
    again = tasks_of(request(kind="rewrite"), more)
    assert sorted((task.pair_id, *task.replies) for task in again) == [
        ("p1", "one"),
        ("p2", "three"),
        ("p4", "one"),
    ]


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
        ({"kind": "rewrite", "repeat_share": 0.2}, "repeat_share: texts that people write are not compared"),
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


GOLD = {"prompt": "2 + 2?", "a": "4", "b": "5", "choice": "a"}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"gold": [GOLD, GOLD | {"choice": "b"}]}, "gold.0 and gold.1 give the same question two answers"),
        ({"gold": [GOLD, {"prompt": "2 + 2?", "a": "5", "b": "4", "choice": "a"}]}, "gold.0 and gold.1"),
        ({"gold": [{"pair_id": "p1", "choice": "a"}, {"pair_id": "p1", "choice": "tie"}]}, "gold.0 and gold.1"),
        ({"gold": [GOLD | {"b": "4"}]}, "equal texts"),
        ({"gold_share": 0.5}, "0 of 0 gold pairs"),
        ({"gold_share": 0.3, "gold": [GOLD], "training_tasks": 1}, "1 of 1 gold pairs"),
    ],
)
def test_gold_that_makes_no_sense_is_refused(asked, said):
    with pytest.raises(ValidationError, match=said):
        request(**asked)


def test_gold_that_says_the_same_twice_or_is_asked_under_two_principles_is_taken():
    turned = {"prompt": "2 + 2?", "a": "5", "b": "4", "choice": "b"}
    kind = GOLD | {"principle_id": "kind", "choice": "b"}
    silent = [{"prompt": "Say nothing.", "a": "", "b": "Nothing.", "choice": "a"}]
    silent.append(silent[0] | {"a": "Nothing.", "b": "", "choice": "b"})
    assert len(request(gold=[GOLD, turned, kind, *silent], gold_share=0.5).gold) == 5
