"""What the labelling page's forms send, read into answers and drafts."""

import time
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from service.errors import InvalidInput
from service.pages.label_views import LETTERS, Draft
from service.pages.written import stripped
from service.store.label_records import Answer

COMMENT_CHARACTERS, REWRITE_CHARACTERS = 10_000, 200_000
# A page left open over night says nothing about the time an answer took.
_LONGEST_S = 24 * 3600.0
Place = Annotated[str, Field(pattern=r"^[0-8]:[1-9]$")]


class DraftForm(BaseModel):
    """The fields that a person types in. `place` holds `REPLY:RANK` for each reply, in any order."""

    task_id: Annotated[str, Field(max_length=64)]
    comment: Annotated[str, Field(max_length=COMMENT_CHARACTERS)] = ""
    rewrite: Annotated[str, Field(max_length=REWRITE_CHARACTERS)] = ""
    place: list[Place] = []

    def draft(self) -> Draft:
        """As it is stored; half a ranking is none."""
        ranks = self._ranks()
        ranking = tuple(ranks.values()) if len(ranks) == len(self.place) else ()
        return Draft(comment=stripped(self.comment), rewrite=stripped(self.rewrite), ranking=ranking)

    def _ranks(self) -> dict[int, int]:
        """The reply at each rank, best first; of two at one rank, one is missing."""
        pairs = sorted((int(entry[2]), int(entry[0])) for entry in self.place)
        return dict(pairs)


class AnswerForm(DraftForm):
    """`seconds` is the script's clock; without a script, `shown_at` says when the page was made, in Unix seconds.

    `instead` of an earlier answer to the task, which the person was shown beside this one.
    """

    choice: Literal["first", "second", "tie", "both_bad", "skip", "ranked", "rewritten"]
    instead: bool = False
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | Literal[""] = ""
    shown_at: Annotated[float, Field(allow_inf_nan=False)] = 0.0

    def answer(self) -> Answer:
        """Raises InvalidInput for a ranking that gives a place twice."""
        seconds = time.time() - self.shown_at if self.seconds == "" else self.seconds
        return Answer(
            choice=self.choice,
            comment=stripped(self.comment).strip(),
            ranking=self._ranking() if self.choice == "ranked" else (),
            rewrite=stripped(self.rewrite) if self.choice == "rewritten" else "",
            seconds=round(min(max(seconds, 0.0), _LONGEST_S), 3),
            draft=self.draft().model_copy(update={"said": self.choice}).model_dump_json(),
        )

    def _ranking(self) -> tuple[int, ...]:
        ranks = self._ranks()
        if len(ranks) < len(self.place):
            twice = next(rank for rank in ranks if sum(entry[2] == str(rank) for entry in self.place) > 1)
            letters = " and ".join(LETTERS[int(entry[0])] for entry in sorted(self.place) if entry[2] == str(twice))
            raise InvalidInput(f"replies {letters} both have place {twice}; go back and give each its own")
        return tuple(ranks.values())
