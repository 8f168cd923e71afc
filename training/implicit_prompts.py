"""A prompt that is written twice: what two whole conversations or texts begin with, as in TRL's implicit form.

Raises ValueError where they share no prompt.
"""

from judges.records import Conversation


def split_texts(chosen: str, rejected: str) -> tuple[str, str, str]:
    """Two texts cut where they part, as TRL does it: a blank there goes to the replies."""
    same = 0
    while same < min(len(chosen), len(rejected)) and chosen[same] == rejected[same]:
        same += 1
    if same and chosen[same - 1] == " ":
        same -= 1
    return chosen[:same], chosen[same:], rejected[same:]


def shared_prefix(chosen: Conversation, rejected: Conversation) -> tuple[Conversation, str, str]:
    """Two whole conversations that differ in their last turn, or from one turn of the assistant on."""
    if chosen[-1].role != "assistant" or rejected[-1].role != "assistant":
        raise ValueError("both conversations must end with the assistant's reply")
    same = 0
    while same < min(len(chosen), len(rejected)) - 1 and chosen[same] == rejected[same]:
        same += 1
    while same and chosen[same - 1].role != "user":
        same -= 1
    if not same or not chosen[same].role == rejected[same].role == "assistant":
        raise ValueError("the two conversations do not begin with the same prompt")
    return chosen[:same], chosen[same].content, rejected[same].content
