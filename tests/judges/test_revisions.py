"""What a model wrote around its revision goes; refusals, copies and cut-off texts are told apart."""

import pytest

from judges.records import Abstention
from judges.revisions import fault_of, is_refusal, strip_preamble
from judges.wire import ChatReply


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("Boil the egg for six minutes.", "Boil the egg for six minutes."),
        ("Sure, here is the revised reply:\n\nBoil it.", "Boil it."),
        ("Sure! Here's a rewritten response that obeys the principle: Boil it.", "Boil it."),
        ("Here is the new reply:\nBoil it.", "Boil it."),
        ("Certainly!\n\nBoil it.", "Boil it."),
        ("Of course. I've revised the reply as follows:\nBoil it.", "Boil it."),
        ("Revised reply: Boil it.", "Boil it."),
        ("**Revised Reply:**\n\nBoil it.", "Boil it."),
        ("### New answer\nBoil it.", "Boil it."),
        ('"Boil it."', "Boil it."),
        ('Here is my revised version:\n\n"Boil it."', "Boil it."),
        ("\u201cBoil it.\u201d", "Boil it."),
        ("[[reply 0123456789ab]]\nBoil it.\n[[end reply 0123456789ab]]", "Boil it."),
        ("```\nBoil it.\n```", "Boil it."),
        ("Sure, here is:", ""),
        ("", ""),
    ],
)
def test_preambles_go(written, kept):
    assert strip_preamble(written) == kept


@pytest.mark.parametrize(
    "text",
    [
        "Here are three things to pack: socks, a hat and a map.",
        "Sure, here are some tips:\n1. Rest.\n2. Drink water.",
        "This is easy: boil it.",
        "Pack three things: socks, a hat and a map.",
        '"Stay," he said. "Wait here."',
        "Sure-footed shoes are best.",
        "New versions come out in May.",
        "Of course the sun is a star.",
    ],
)
def test_real_text_stays(text):
    assert strip_preamble(text) == text


REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I cannot do this.",
    "Sorry, no.",
    "As an AI, I cannot say.",
    "I\u2019m afraid not.",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals(text):
    assert is_refusal(text)


HELP = ["I can help.", "Say you are sorry.", "I canter on Sundays.", "Apologise first, then explain."]


@pytest.mark.parametrize("text", HELP)
def test_no_refusals(text):
    assert not is_refusal(text)


def fault(text, before="Boil the egg for an hour.", finish="stop"):
    reply = ChatReply(text, finish, 1, 1)
    found = fault_of(reply, strip_preamble(text), before)
    assert found is None or found == Abstention(found.cause, text)
    return found and found.cause


def test_faults():
    assert fault("Boil it.") is None
    assert fault("Boil it and", finish="length") == "truncated"
    assert fault("Sure, here is:") == "empty"
    assert fault("I'm sorry, I can't do that.") == "refused"
    assert fault("I'm sorry, I can't do that, but ask a doctor.", before="I cannot help.") is None
    assert fault("Boil  the egg\nfor an hour.") == "unchanged"
