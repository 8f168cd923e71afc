"""A judge that cannot say the labels is found out before the run."""

import pytest

from judges.behaviour import Behaviour, Fault
from judges.client import ChatClient
from judges.errors import JudgeUnreadable, LabelsMissing
from judges.protocols.probe import probe_labels
from judges.protocols.registry import PROTOCOLS, load_protocol
from tests.judges.conftest import Scripted
from tests.judges.protocols.conftest import ONE


async def probe(sockets, name, behaviour):
    async with Scripted(sockets, behaviour) as scripted, ChatClient([scripted.endpoint], ONE) as client:
        await probe_labels(client, load_protocol(name))
    return scripted.server.number


async def test_a_judge_that_says_them_passes(sockets):
    asked = {name: await probe(sockets, name, Behaviour()) for name in PROTOCOLS}
    two = dict.fromkeys(PROTOCOLS, 2)
    assert asked == two | {"pointwise": 5, "listwise": 0, "reward": 0}


@pytest.mark.parametrize("taste", ["unwilling", "foreign"])
async def test_a_judge_that_does_not_is_told(sockets, taste):
    with pytest.raises(LabelsMissing, match="'scripted' does not write 'no' or 'yes' when it is asked to") as caught:
        await probe(sockets, "proposition", Behaviour(taste=taste))
    assert caught.value.labels == ("no", "yes")


async def test_an_empty_answer_holds_no_label(sockets):
    with pytest.raises(LabelsMissing, match="'A' or 'B'"):
        await probe(sockets, "pairwise", Behaviour(faults=(Fault("empty"),)))


async def test_a_server_without_probabilities_is_named(sockets):
    with pytest.raises(JudgeUnreadable):
        await probe(sockets, "pairwise", Behaviour(faults=(Fault("nan"),)))
