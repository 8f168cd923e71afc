"""What is said of a label project when it is made: one schema for the API, the command line and the client."""

from collections.abc import Hashable
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.names import Name

_GOLD_SHARE = 0.1
NO_NUL = r"^[^\x00]*$"
Text = Annotated[str, Field(max_length=200_000, pattern=NO_NUL)]
Id = Annotated[str, Field(max_length=128, pattern=NO_NUL)]


class Group(BaseModel):
    """Frozen, and it rejects keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class GoldPair(Group):
    """A pair whose right answer is known: one of the source by its id, or a prompt with two replies.

    In a preference set `a` is the chosen reply; in a run it is the comparison's own. `reason` is told after training.
    """

    pair_id: Id | None = None
    prompt: Annotated[Text, Field(min_length=1)] | None = None
    a: Text | None = None
    b: Text | None = None
    choice: Literal["a", "b", "tie", "both_bad"]
    principle_id: Id | None = None
    reason: Annotated[str, Field(max_length=4000, pattern=NO_NUL)] = ""

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Self:
        missing = [self.prompt, self.a, self.b].count(None)
        if missing != (0 if self.pair_id is None else 3):
            raise ValueError("a gold pair is either a pair_id of the source, or prompt, a and b")
        if self.pair_id is None and self.a == self.b and self.choice in ("a", "b"):
            raise ValueError(f"a and b are equal texts, so neither is better; choice: {self.choice} has no reason")
        return self

    @property
    def asked(self) -> Hashable:
        """The same for two gold pairs that ask the same, whichever reply stands first."""
        return (self.pair_id, self.prompt, frozenset((self.a, self.b)), self.principle_id)

    @property
    def answer(self) -> Hashable:
        """The same for two gold pairs that answer the same: the better reply's text where it is given here."""
        better = {"a": self.a, "b": self.b}.get(self.choice)
        return self.choice if better is None else ("text", better)


class Routing(Group):
    """Which pairs go to people. `uncertain` sends those where a label should correct the most, `random` any.

    The budget is in labels, or in minutes at `seconds_per_label`; `random_share` of it stays a random sample, so that
    estimates stay unbiased. `all` sends every pair.
    """

    policy: Literal["all", "random", "uncertain"] = "all"
    budget_labels: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    budget_minutes: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    seconds_per_label: Annotated[float, Field(gt=0, le=3600)] = 30.0
    random_share: Annotated[float, Field(ge=0, le=1)] = 0.2

    @model_validator(mode="after")
    def _budgeted(self) -> Self:
        given = [self.budget_labels, self.budget_minutes].count(None)
        if self.policy == "all" and given < 2:
            raise ValueError("policy all sends every pair: leave the budget out, or take random or uncertain")
        if self.policy != "all" and given != 1:
            raise ValueError(f"policy {self.policy} needs budget_labels or budget_minutes, one of the two")
        return self


class LabelProjectRequest(Group):
    """Pairs of a preference set or of a run, as tasks for people.

    `pairs: review` are those of the run that its mix put aside, since people and the machine differ on them.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "helpful",
                    "preference_set": "people",
                    "overlap": 2,
                    "guideline": "Prefer what is **true**, then what is short.",
                }
            ]
        }
    )
    name: Name
    preference_set: Id | None = None
    run: Id | None = None
    pairs: Literal["all", "review"] = "all"
    constitution: Id | None = None
    principles: Annotated[list[Id], Field(max_length=100)] = []
    kind: Literal["compare", "rank", "rewrite"] = "compare"
    guideline: Annotated[str, Field(max_length=100_000, pattern=NO_NUL)] = ""
    overlap: Annotated[int, Field(ge=1, le=100)] = 1
    budget_labels: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    gold: Annotated[list[GoldPair], Field(max_length=10_000)] = []
    gold_share: Annotated[float, Field(ge=0, le=0.5)] = _GOLD_SHARE
    training_tasks: Annotated[int, Field(ge=0, le=1000)] = 0
    repeat_share: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    routing: Routing = Routing()
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if (self.preference_set is None) == (self.run is None):
            raise ValueError("name a preference_set or a run, one of the two")
        if self.pairs == "review" and self.run is None:
            raise ValueError("pairs: review are a run's; name the run")
        if self.training_tasks > len(self.gold):
            raise ValueError(f"training_tasks: {self.training_tasks} of {len(self.gold)} gold pairs; give more gold")
        if self.gold_share not in (0.0, _GOLD_SHARE) and self.training_tasks >= len(self.gold):
            raise ValueError(
                f"gold_share: {self.gold_share} of the tasks, but {self.training_tasks} of {len(self.gold)} gold pairs "
                "are for training; give more gold, or leave gold_share out"
            )
        if (twos := self._contradicting()) is not None:
            raise ValueError(f"gold.{twos[0]} and gold.{twos[1]} give the same question two answers; leave one out")
        if self.gold and self.kind != "compare":
            raise ValueError(f"gold: a task to {self.kind} has no right choice; leave it out")
        if len(set(self.principles)) < len(self.principles):
            raise ValueError("principles: one of them stands there twice")
        return self

    def _contradicting(self) -> tuple[int, int] | None:
        """The places of the first two gold pairs that contradict each other."""
        first: dict[Hashable, int] = {}
        for place, pair in enumerate(self.gold):
            before = first.setdefault(pair.asked, place)
            if self.gold[before].answer != pair.answer:
                return before, place
        return None
