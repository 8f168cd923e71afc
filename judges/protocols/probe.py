"""Can this judge say the labels at all? Asked once, before a run in which every verdict would abstain.

Each label is asked for by itself. One that is not among the likeliest tokens even then is not one token of this model's
vocabulary, or the model does not do as it is told. Left out: whether it judges well (qualify.py).
"""

from judges.choices import ChoiceReader, label_masses
from judges.client import JudgeClient
from judges.errors import LabelsMissing
from judges.gathering import all_of
from judges.protocols.protocol import JudgeProtocol
from judges.protocols.texts import protocol_template
from judges.records import Message
from judges.wire import ChatReply, ChatRequest

_ONE_TOKEN = ChatRequest(max_tokens=1, top_logprobs=ChoiceReader().top_logprobs)


async def probe_labels(client: JudgeClient, protocol: JudgeProtocol) -> None:
    """Raises LabelsMissing with the labels that the judge never gives; a server without logprobs is JudgeUnreadable."""

    async def ask(label: str) -> ChatReply:
        prompt = protocol_template("probe").render(label=label)
        return await client.chat([Message("user", prompt)], request=_ONE_TOKEN)

    replies = await all_of(ask(label) for label in protocol.labels)
    missing = tuple(
        label
        for label, reply in zip(protocol.labels, replies, strict=True)
        if not any(label_masses(reply.first_token, (label,)))
    )
    if missing:
        raise LabelsMissing(
            f"the judge {client.model!r} does not write {' or '.join(map(repr, missing))} when it is asked to, so this "
            "protocol would abstain throughout; choose another protocol, or a judge that follows instructions",
            missing,
        )
