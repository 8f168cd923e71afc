"""Sets of demonstrations, which have one reply to each prompt: sft imitates them, and nothing compares them."""

from service.errors import InvalidInput
from service.store.records import DEMONSTRATIONS_KIND, PreferenceSetRecord


def refuse_demonstrations(found: PreferenceSetRecord, setting: str) -> None:
    """Where pairs are needed. `setting` is what names the set."""
    if found.kind == DEMONSTRATIONS_KIND:
        raise InvalidInput(
            f"{setting}: {found.name!r} holds demonstrations, one reply to each prompt, and pairs are needed; name a "
            "set of pairs (demonstrations are for runs with training.sft_on: demonstrations)"
        )
