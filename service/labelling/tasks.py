"""The tasks of a label project: the pairs that are routed to people, with training, gold and repeats.

Training comes first; then, in an order of chance, the random part, whose labels tell which pairs are worth the rest of
the budget; then the others, again in an order of chance. Gold and repeats have lanes of their own in the store, which
spreads them for each annotator.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from judges.records import Message
from service.errors import InvalidInput
from service.labelling.candidates import Askable, askables, candidates_of, weaker_reply
from service.labelling.gains import UNFITTED, GainModel
from service.labelling.routing import Routed, draw_pairs, labels_in_minutes, route_pairs
from service.labelling.schemas import GoldPair, LabelProjectRequest
from service.labelling.sources import SourcePair
from service.store.label_records import NewTask, RoutedBy

MOST_TASKS = 100_000
_RANKED_AT_MOST = 9


@dataclass(frozen=True, slots=True)
class _Sent:
    """What is sent to people, why, and the chance that it had of being sent, above 0 to 1."""

    asked: Askable
    routed_by: RoutedBy
    p_sent: float


def tasks_of(
    request: LabelProjectRequest, pairs: Sequence[SourcePair], drawn: Sequence[Routed] | None = None
) -> list[NewTask]:
    """All tasks in their order. `drawn` are those of the pairs to send, where they were drawn from more than these.

    Raises InvalidInput where there is nothing to ask, or too much.
    """
    if request.kind == "rewrite" and request.repeat_share:
        raise InvalidInput("repeat_share: texts that people write are not compared; leave it out, or compare or rank")
    known = {pair.pair_id: pair for pair in pairs}
    gold = [_gold_task(request, known, number) for number in range(len(request.gold))]
    decided = {task.pair_id for task in gold}
    asked = askables(request, [pair for pair in pairs if pair.pair_id not in decided])
    by_id = {one.id: one for one in asked}
    routed = routed_of(request, asked) if drawn is None else drawn
    sent = [_Sent(by_id[one.pair_id], one.routed_by, one.probability) for one in routed]
    chance = random.Random(request.seed)
    first = [task for one in sent if one.routed_by == "random" for task in _tasks_about(request, one)]
    then = [task for one in sent if one.routed_by != "random" for task in _tasks_about(request, one)]
    for part in (first, then):
        chance.shuffle(part)
    if not (first or then):
        raise InvalidInput("there is no pair to ask people about; give a source with pairs, or a larger budget")
    tasks = [*gold, *_with_repeats([*first, *then], request.repeat_share, chance)]
    if len(tasks) > MOST_TASKS:
        raise InvalidInput(
            f"{len(tasks)} tasks are more than {MOST_TASKS}; route fewer pairs, or name fewer principles"
        )
    return tasks


def routed_again(
    request: LabelProjectRequest, asked: Sequence[Askable], budget: int, model: GainModel
) -> Sequence[Routed]:
    """At most `budget` of these, by what labels have shown; the random part is out already, so none is drawn by lot."""
    return route_pairs(candidates_of(request, asked, model), min(budget, len(asked)), 0.0, request.seed, model)


def tasks_again(request: LabelProjectRequest, pairs: Sequence[SourcePair], routed: Sequence[Routed]) -> list[NewTask]:
    """Those of the pairs that were routed again."""
    by_id = {one.id: one for one in askables(request, pairs)}
    sent = [_Sent(by_id[one.pair_id], one.routed_by, one.probability) for one in routed]
    chance = random.Random(request.seed)
    tasks = [task for one in sent for task in _tasks_about(request, one)]
    chance.shuffle(tasks)
    return _with_repeats(tasks, request.repeat_share, chance)


def budget_of(request: LabelProjectRequest, seconds_per_label: float) -> int:
    """How many pairs, or rankings, the budget pays for: each takes a label of every person and principle."""
    labels = request.routing.budget_labels
    if labels is None:
        labels = labels_in_minutes(request.routing.budget_minutes or 0.0, seconds_per_label)
    return labels // (request.overlap * max(1, len(request.principles)))


def routed_of(request: LabelProjectRequest, asked: Sequence[Askable]) -> Sequence[Routed]:
    """Which are sent, and why. Of pairs, unlike rankings, the replies are not looked at."""
    routing = request.routing
    if routing.policy == "all":
        return [Routed(one.id, "all", 1.0) for one in asked]
    budget = min(budget_of(request, routing.seconds_per_label), len(asked))
    if routing.policy == "random":
        return draw_pairs([one.id for one in asked], budget, request.seed)
    return route_pairs(candidates_of(request, asked, UNFITTED), budget, routing.random_share, request.seed)


def left_out_replies(request: LabelProjectRequest, pairs: Sequence[SourcePair]) -> int:
    """How many replies of the source are in no ranking, as their prompts have more than one may hold."""
    if request.kind != "rank":
        return 0
    return sum(max(0, len(_texts(one.pairs)) - _RANKED_AT_MOST) for one in askables(request, pairs))


def _tasks_about(request: LabelProjectRequest, sent: _Sent) -> list[NewTask]:
    """One task for each principle, or one overall."""
    pair = sent.asked.pairs[0]
    return [
        NewTask(
            kind=request.kind,
            pair_id=sent.asked.id,
            prompt=pair.prompt,
            replies=_replies(request, sent.asked.pairs),
            principle_id=principle,
            routed_by=sent.routed_by,
            judge_p_a=None if request.kind == "rank" else pair.belief(principle),
            p_sent=sent.p_sent,
        )
        for principle in request.principles or (None,)
    ]


def _replies(request: LabelProjectRequest, pairs: Sequence[SourcePair]) -> tuple[str, ...]:
    """Two to compare, the weaker one to rewrite, or all of a prompt to rank, the first nine of them."""
    if request.kind == "compare":
        return pairs[0].a, pairs[0].b
    if request.kind == "rewrite":
        return (weaker_reply(pairs[0]),)
    return _texts(pairs)[:_RANKED_AT_MOST]


def _texts(pairs: Sequence[SourcePair]) -> tuple[str, ...]:
    """Each once."""
    return tuple(dict.fromkeys(text for pair in pairs for text in (pair.a, pair.b)))


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
