"""Replies that say nothing: counted in the result, and refused where hardly any row has another on one side.

An empty reply may well be the one that lost: a base that says nothing half the time is something to train on.
"""

from collections.abc import Callable, Mapping, Sequence

from training.configs import TrainConfig
from training.errors import TrainingError
from training.rows import PreferenceRow

# More than this share of blank ones is taken for a fault of the file.
_MOST = 0.9
_SIDES: Mapping[str, Callable[[PreferenceRow], str]] = {
    "chosen": lambda row: row.chosen,
    "rejected": lambda row: row.rejected,
}
_REMEDIES = {
    "chosen": "add the replies that won, or leave these rows out",
    "rejected": "add the replies that lost, or train sft, which looks at the chosen ones alone",
}


def blank_replies(rows: Sequence[PreferenceRow], *, with_rejected: bool) -> dict[str, int]:
    """In how many rows the chosen reply is blank, and, where it is looked at, the rejected one."""
    sides = _SIDES if with_rejected else {"chosen": _SIDES["chosen"]}
    return {side: sum(not reply(row).strip() for row in rows) for side, reply in sides.items()}


def refuse_blank_side(config: TrainConfig, rows: Sequence[PreferenceRow], *, with_rejected: bool) -> None:
    """`rows` are those to train on; demonstrations, say, are not for a method that compares two replies."""
    for side, blank in blank_replies(rows, with_rejected=with_rejected).items():
        if blank > _MOST * len(rows):
            first = next(row.id for row in rows if not _SIDES[side](row).strip())
            raise TrainingError(
                f"{config.rows}: a one-sided set: the {side} reply is blank in {blank} of {len(rows)} rows, row "
                f"{first!r} first; {_REMEDIES[side]}"
            )
