"""The tasks of a label project: the pairs that are routed to people, in random places, with training, gold and repeats.

Training comes first. Gold and repeats have lanes of their own in the store, which spreads them for each annotator.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from judges.records import Message
from service.errors import InvalidInput
from service.labelling.gains import RoutingCandidate
from service.labelling.routing import labels_in_minutes, route_pairs
from service.labelling.schemas import GoldPair, LabelProjectRequest
from service.labelling.sources import SourcePair
from service.store.label_records import NewTask, RoutedBy

MOST_TASKS = 100_000
_RANKED_AT_MOST = 9


def tasks_of(request: LabelProjectRequest, pairs: Sequence[SourcePair]) -> list[NewTask]:
    """All tasks in their order. Raises InvalidInput where there is nothing to ask, or too much."""
    known = {pair.pair_id: pair for pair in pairs}
    gold = [_gold_task(request, known, number) for number in range(len(request.gold))]
    decided = {task.pair_id for task in gold}
    routed = _routed(request, [pair for pair in pairs if pair.pair_id not in decided])
    if request.kind == "rank":
        asked = _rankings(request, routed)
    else:
        asked = [task for pair, why in routed for task in _tasks_about(request, pair, why)]
    if not asked:
        raise InvalidInput("there is no pair to ask people about; give a source with pairs, or a larger budget")
    chance = random.Random(request.seed)
    chance.shuffle(asked)
    tasks = [*gold, *_with_repeats(asked, request.repeat_share, chance)]
    if len(tasks) > MOST_TASKS:
        raise InvalidInput(
            f"{len(tasks)} tasks are more than {MOST_TASKS}; route fewer pairs, or name fewer principles"
        )
    return tasks


def _routed(request: LabelProjectRequest, pairs: Sequence[SourcePair]) -> list[tuple[SourcePair, RoutedBy]]:
    """Which pairs are sent, and why."""
    routing = request.routing
    if routing.policy == "all":
        return [(pair, "all") for pair in pairs]
    labels = routing.budget_labels
    if labels is None:
        labels = labels_in_minutes(routing.budget_minutes or 0.0, routing.seconds_per_label)
    budget = labels // (request.overlap * max(1, len(request.principles)))
    share = 1.0 if routing.policy == "random" else routing.random_share
    candidates = [_candidate(request, pair) for pair in pairs]
    by_id = {pair.pair_id: pair for pair in pairs}
    return [
        (by_id[routed.pair_id], routed.routed_by)
        for routed in route_pairs(candidates, min(budget, len(candidates)), share, request.seed)
    ]


def _candidate(request: LabelProjectRequest, pair: SourcePair) -> RoutingCandidate:
    """Overall, the principles' disagreement counts too; under one principle, its own belief does."""
    only = request.principles[0] if len(request.principles) == 1 else None
    belief = pair.belief(only)
    beliefs = tuple(p_a for _, p_a in pair.per_principle) if only is None else ()
    return RoutingCandidate(pair.pair_id, pair.prompt_id, 0.5 if belief is None else belief, pair.order_flip, beliefs)


def _tasks_about(request: LabelProjectRequest, pair: SourcePair, why: RoutedBy) -> list[NewTask]:
    """One task for each principle, or one overall."""
    replies = (pair.a, pair.b) if request.kind == "compare" else (_weaker(pair),)
    return [
        NewTask(
            kind=request.kind,
            pair_id=pair.pair_id,
            prompt=pair.prompt,
            replies=replies,
            principle_id=principle,
            routed_by=why,
            judge_p_a=pair.belief(principle),
        )
        for principle in request.principles or (None,)
    ]


def _weaker(pair: SourcePair) -> str:
    """What is worth a better text: the reply that the judge, or the set, puts second."""
    return pair.a if pair.p_a is not None and pair.p_a < 0.5 else pair.b


def _rankings(request: LabelProjectRequest, routed: Sequence[tuple[SourcePair, RoutedBy]]) -> list[NewTask]:
    """All replies to a prompt at once, the first nine of them; sent for the reason of its first pair."""
    of_prompt: dict[str, list[tuple[SourcePair, RoutedBy]]] = {}
    for pair, why in routed:
        of_prompt.setdefault(pair.prompt_id, []).append((pair, why))
    return [
        NewTask(
            kind="rank",
            pair_id=prompt_id,
            prompt=own[0][0].prompt,
            replies=tuple(dict.fromkeys(text for pair, _ in own for text in (pair.a, pair.b)))[:_RANKED_AT_MOST],
            principle_id=principle,
            routed_by=own[0][1],
        )
        for prompt_id, own in of_prompt.items()
        for principle in request.principles or (None,)
    ]


def _gold_task(request: LabelProjectRequest, known: dict[str, SourcePair], number: int) -> NewTask:
    """The gold pair of that number. Raises InvalidInput for one that names nothing, or another principle."""
    gold = request.gold[number]
    principle = gold.principle_id
    if principle is None and len(request.principles) == 1:
        principle = request.principles[0]
    if principle not in (request.principles or (None,)):
        asked = ", ".join(request.principles) or "none: this project asks overall"
        raise InvalidInput(f"gold.{number}.principle_id: {principle!r} is not asked about; the principles are {asked}")
    pair = _gold_pair(gold, known, number)
    training = number < request.training_tasks
    return NewTask(
        kind="compare",
        pair_id=pair.pair_id,
        prompt=pair.prompt,
        replies=(pair.a, pair.b),
        principle_id=principle,
        routed_by="training" if training else "gold",
        gold=gold.choice,
        training=training,
        judge_p_a=pair.belief(principle),
        reason=gold.reason,
    )


def _gold_pair(gold: GoldPair, known: dict[str, SourcePair], number: int) -> SourcePair:
    if gold.pair_id is None:
        prompt, a, b = gold.prompt or "", gold.a or "", gold.b or ""
        return SourcePair(f"gold-{number}", f"gold-{number}", (Message("user", prompt),), a, b)
    if gold.pair_id not in known:
        raise InvalidInput(f"gold.{number}.pair_id: the source has no pair {gold.pair_id!r}; list its rows to see them")
    return known[gold.pair_id]


def _with_repeats(asked: list[NewTask], share: float, chance: random.Random) -> list[NewTask]:
    """Some tasks of the first half come again in the second, each in a random place."""
    half = (len(asked) + 1) // 2
    again = chance.sample(asked[:half], min(half, round(share * len(asked))))
    later = asked[half:]
    for task in again:
        later.insert(chance.randint(0, len(later)), replace(task, routed_by="repeat"))
    return [*asked[:half], *later]
