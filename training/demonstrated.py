"""What makes one reply a demonstration, something to imitate: one rule for the trainers' rows and for uploads.

Left out: reading the line, in which both have their own way to name a place. Plain standard library.
"""

from judges.records import Conversation


def prompt_and_reply(turns: Conversation) -> tuple[Conversation, str]:
    """Of a whole conversation. Raises ValueError where its last turn is no reply to those before."""
    if len(turns) < 2 or turns[-1].role != "assistant":
        raise ValueError("messages must be a prompt's turns and, at the end, the assistant's reply")
    return turns[:-1], turns[-1].content


def refuse_no_example(label: object, reply: str) -> None:
    """Raise ValueError where nobody should imitate the reply. `label` is TRL's, of unpaired preferences."""
    if label in (False, "False", "false"):
        raise ValueError("label is false, so the reply is none to imitate; leave the line out")
    if not reply.strip():
        raise ValueError("the reply is empty; write one, or leave the line out")
