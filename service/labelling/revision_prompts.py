"""What people ask to have answered better: prompts of pairs and rankings of which somebody said that all is bad.

Such an answer makes no row. A run on these prompts samples them again, and has the judge revise the replies.
"""

from collections.abc import Iterable

from judges.records import Prompt
from service.labelling.rows import MEASURES
from service.store.label_records import TaskLabel
from training.rows import conversation_id


def prompts_to_revise(labels: Iterable[TaskLabel]) -> tuple[Prompt, ...]:
    """Each once, in the order of the answers, to train on. Training, gold and repeats ask for nothing."""
    refused = (label for label in labels if label.choice == "both_bad" and label.routed_by not in MEASURES)
    return tuple(Prompt(conversation_id(turns), turns) for turns in dict.fromkeys(label.prompt for label in refused))
