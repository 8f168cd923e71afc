"""People's own agreement, and one belief a pair from several people's votes. Standard library.

Two people who are each right with probability A about what people on the whole prefer agree beyond chance by
(2A - 1)^2. So agreement on the pairs that several people labelled tells how far one vote may be trusted, without gold.
Annotators with few shared pairs are taken for average ones. Left out: gold tasks and speed (quality of labels).

`service/labelling/reliability.py` has another estimate: of a label project, with its gold and all its choices, for the
report and for `weights: measured`. Here are rows alone, from anywhere, so the two may differ (docs/people.md).
"""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from training.ranked import twos_in
from training.rows import PreferenceRow

# Weighs as many shared votes that agree as everybody's do: four pairs tell little about one person.
PRIOR_VOTES = 10.0
# Under so many votes on shared pairs nothing is known of how far people agree.
FEWEST_SHARED = 10
# Labelers of InstructGPT agreed in 72.6 % (arXiv:2203.02155, section 3.4).
USUAL_AGREEMENT = 0.726
LOWEST_P, HIGHEST_P = 0.01, 0.99
# The tag of a label that was asked for because people and the machine differed on its pair.
REVIEWED = "reviewed"
LOWEST_AGREEMENT = 0.1


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of two votes on one pair, `agreement` is the share that name the same winner. `shared` counts such twos.

    Rows of rankings count there by what their agreement tells (`twos_in`).
    """

    shared: float
    agreement: float

    @property
    def beyond_chance(self) -> float:
        """2 * agreement - 1, from 0 to 1."""
        return max(2 * self.agreement - 1, 0.0)


@dataclass(frozen=True, slots=True)
class Votes:
    """All that is known of people as voters: their agreement, and each one's accuracy, 0.5 to 0.99.

    `people` is None where under 10 twos of votes meet on one pair: then nothing is known.
    """

    people: Agreement | None
    accuracy: Mapping[str, float]

    @property
    def beyond_chance(self) -> float:
        """People's agreement beyond chance, 0.1 to 1: the usual one while nothing is known, held to it by ten votes."""
        usual = 2 * USUAL_AGREEMENT - 1
        if self.people is None:
            return usual
        votes = self.people.shared
        return max((votes * self.people.beyond_chance + PRIOR_VOTES * usual) / (votes + PRIOR_VOTES), LOWEST_AGREEMENT)


@dataclass(frozen=True, slots=True)
class Compared:
    """A machine's belief and a person's vote on one question, both of `first_reply` being the better one."""

    belief: float
    vote: float


def pair_key(row: PreferenceRow) -> Hashable:
    """The same prompt and the same two texts, whichever won."""
    return (row.prompt, frozenset((row.chosen, row.rejected)))


def first_reply(row: PreferenceRow) -> str:
    """The one of the two texts that a belief is about, so that rows of one pair can be compared."""
    return min(row.chosen, row.rejected)


def p_first(row: PreferenceRow) -> float:
    """The row's belief that `first_reply` is the better one."""
    return row.p_chosen if row.chosen == first_reply(row) else 1 - row.p_chosen


def compared(machine: PreferenceRow, person: PreferenceRow, weightless: Set[str] = frozenset()) -> tuple[Compared, ...]:
    """What both say of one pair, question by question: none where they were asked about different things.

    A label that names no principle is about the replies on the whole, as the machine's own belief is. One under
    principles stands beside the machine's belief under each of them: it says nothing of the others, nor of the whole.
    A verdict under one of `weightless` counts in no belief, so it is no machine's answer either.
    """
    if not person.per_principle:
        return (Compared(p_first(machine), p_first(person)),)
    turned = first_reply(machine) == machine.chosen, first_reply(person) == person.chosen
    beliefs = {id: p if turned[0] else 1 - p for id, p in machine.per_principle if id not in weightless}
    votes = {id: p if turned[1] else 1 - p for id, p in person.per_principle}
    return tuple(Compared(beliefs[id], vote) for id, vote in votes.items() if id in beliefs)


def read_votes(rows: Iterable[PreferenceRow]) -> Votes:
    """People's agreement on the pairs that several rows of different annotators are about; ties say nothing here.

    All twos of one two of rankings rise and fall together, so each counts by `twos_in`: then their sum has the variance
    that it would have of as many separate pairs, and the priors give way no sooner than they should.
    """
    everybody = _Twos()
    own: dict[str, _Twos] = defaultdict(_Twos)
    for votes in _by_pair(row for row in rows if row.p_chosen > 0.5).values():
        for one, other in itertools.combinations(votes, 2):
            if not _two_people(one, other):
                continue
            labels = twos_in(one.tags, other.tags)
            for twos in (everybody, *(own[name] for name in (*one.annotators, *other.annotators))):
                twos.met[labels] += 1
                twos.agreed[labels] += one.chosen == other.chosen
    met, agreed = _total(everybody.met), _total(everybody.agreed)
    if met < FEWEST_SHARED:
        return Votes(None, {})
    people = Agreement(met, agreed / met)
    return Votes(people, {name: _accuracy(own[name], people) for name in sorted(own)})


def pooled_votes(rows: Sequence[PreferenceRow], votes: Votes) -> tuple[PreferenceRow, ...]:
    """One row a pair, its belief the product of the votes' odds, each by its annotator's accuracy.

    The row of the lowest id stays and names all annotators; its weight is the largest of the votes', the others count
    in proportion. Without known agreement the rows stay as they are.
    """
    if votes.people is None:
        return tuple(rows)
    usual = _accuracy(_Twos(), votes.people)
    pooled = {min(row.id for row in own): _pooled(own, votes, usual) for own in _by_pair(rows).values()}
    return tuple(pooled[row.id] for row in rows if row.id in pooled)


def logit(p: float) -> float:
    """Log-odds, of p held to 0.01 and 0.99."""
    kept = min(max(p, LOWEST_P), HIGHEST_P)
    return math.log(kept / (1 - kept))


def sigmoid(x: float) -> float:
    """The belief of these log-odds; exact at both ends."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def leaning_to(row: PreferenceRow, p_first_reply: float) -> PreferenceRow:
    """The row with this belief about its first reply, turned around where the other reply wins now."""
    first, second = sorted((row.chosen, row.rejected))
    wins = first if p_first_reply > 0.5 else second if p_first_reply < 0.5 else row.chosen
    p_chosen = max(p_first_reply, 1 - p_first_reply)
    if wins == row.chosen:
        return replace(row, p_chosen=p_chosen)
    turned = tuple((id, 1 - p) for id, p in row.per_principle)
    return replace(row, chosen=row.rejected, rejected=row.chosen, p_chosen=p_chosen, per_principle=turned)


def _by_pair(rows: Iterable[PreferenceRow]) -> dict[Hashable, list[PreferenceRow]]:
    found: dict[Hashable, list[PreferenceRow]] = defaultdict(list)
    for row in rows:
        found[pair_key(row), tuple(sorted(id for id, _ in row.per_principle))].append(row)
    return found


@dataclass(frozen=True, slots=True)
class _Twos:
    """How many twos of votes met, and how many of them agreed, by what each counts."""

    met: Counter[float] = field(default_factory=Counter)
    agreed: Counter[float] = field(default_factory=Counter)


def _total(times: Mapping[float, int]) -> float:
    return math.fsum(labels * count for labels, count in times.items())


def _accuracy(twos: _Twos, people: Agreement) -> float:
    """2A - 1 = (2 * own agreement - 1) / sqrt(people's 2 * agreement - 1), the own one held to people's."""
    if people.beyond_chance == 0:
        return 0.5
    own = (_total(twos.agreed) + PRIOR_VOTES * people.agreement) / (_total(twos.met) + PRIOR_VOTES)
    return min(max(0.5 + (2 * own - 1) / math.sqrt(people.beyond_chance) / 2, 0.5), HIGHEST_P)


def _pooled(own: Sequence[PreferenceRow], votes: Votes, usual: float) -> PreferenceRow:
    """A vote's odds are those of its annotators' least accurate one being right, as far as the vote itself is sure."""
    heaviest = max(row.weight for row in own)
    pull = 0.0
    for row in own:
        accuracy = min((votes.accuracy.get(name, usual) for name in row.annotators), default=usual)
        # A vote that is a half-sure one already moves the belief half as far.
        sure = 0.5 + (2 * p_first(row) - 1) * (accuracy - 0.5)
        pull += logit(sure) * (row.weight / heaviest if heaviest > 0 else 1.0)
    kept = min(own, key=lambda row: row.id)
    names = tuple(sorted({name for row in own for name in row.annotators}))
    asked = next((tag for row in own for tag in row.tags if tag[0] == REVIEWED), None)
    tags = kept.tags if asked is None else tuple(dict.fromkeys((*kept.tags, asked)))
    return replace(leaning_to(kept, sigmoid(pull)), weight=heaviest, annotators=names, tags=tags)


def _two_people(one: PreferenceRow, other: PreferenceRow) -> bool:
    """Whether they are known to be of different people. A row of nobody's name may be anybody's."""
    return bool(one.annotators and other.annotators) and not set(one.annotators) & set(other.annotators)
