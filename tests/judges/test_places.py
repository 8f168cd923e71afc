"""Who gets a place where: worked by hand on replicas that answer when the test says so."""

import asyncio

import pytest

from judges.errors import JudgeUnavailable
from judges.places import Patience, Places
from judges.replicas import Endpoint, Replica, preferred_replica


def replicas(count, concurrency=1):
    return [Replica(Endpoint("m", f"http://replica-{n}"), concurrency, lambda: 0.0) for n in range(count)]


def affinity_for(wanted, among):
    return next(str(n) for n in range(1000) if preferred_replica(among, str(n)) is wanted)


class Holder:
    """A request that keeps its place until it is told to go."""

    def __init__(self, places, affinity="", avoid=None, first=False):
        self.replica, self._go = None, asyncio.Event()
        self.task = asyncio.ensure_future(self._hold(places, affinity, avoid, first))

    async def _hold(self, places, affinity, avoid, first):
        async with places.place(affinity, avoid=avoid, first=first) as self.replica:
            await self._go.wait()

    async def leave(self):
        self._go.set()
        await self.task
        await settle()


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_requests_sent_together_go_where_their_prefix_is():
    two = replicas(2, concurrency=2)
    names = [affinity_for(one, two) for one in two]
    places = Places(two)
    held = [Holder(places, names[n]) for n in (1, 0, 0, 1)]
    await settle()
    assert [holder.replica for holder in held] == [two[1], two[0], two[0], two[1]]
    for holder in held:
        await holder.leave()
    assert [one.in_flight for one in two] == [0, 0]


async def test_a_place_that_would_stay_empty_takes_the_last_of_the_longest_queue():
    two = replicas(2)
    places, name = Places(two), affinity_for(two[0], two)
    held = [Holder(places, name) for _ in range(4)]
    await settle()
    assert [holder.replica for holder in held] == [two[0], None, None, two[1]]
    await held[0].leave()
    assert held[1].replica is two[0]
    for holder in held[1:]:
        await holder.leave()


async def test_who_failed_there_is_not_sent_back_while_there_is_another():
    two = replicas(2)
    places, name = Places(two), affinity_for(two[0], two)
    held = [Holder(places, name, avoid=two[0]) for _ in range(2)]
    await settle()
    assert [holder.replica for holder in held] == [two[1], None]
    for holder in held:
        await holder.leave()


async def test_one_that_is_paused_gets_nothing_unless_all_are():
    two = replicas(2)
    two[0].breaker.record_busy(5.0)
    places, name = Places(two), affinity_for(two[0], two)
    held = [Holder(places, name) for _ in range(2)]
    await settle()
    assert [holder.replica for holder in held] == [two[1], None]
    assert places.any_unpaused()
    two[1].breaker.record_busy(5.0)
    held.append(Holder(places, name))
    await settle()
    assert held[2].replica is two[0]
    assert not places.any_unpaused()
    for holder in (held[0], held[2], held[1]):
        await holder.leave()


async def test_an_urgent_request_goes_before_those_that_wait():
    places = Places(replicas(1))
    held = [Holder(places), Holder(places), Holder(places, first=True)]
    await settle()
    urgent = held.pop()
    assert urgent.replica is not None
    await urgent.leave()
    for holder in held:
        await holder.leave()


async def test_a_cancelled_request_leaves_its_place_and_its_probe():
    one = replicas(1)[0]
    for _ in range(5):
        one.breaker.record_failure(JudgeUnavailable("down"))
    one.breaker._clock = lambda: 10.0  # its rest is over
    places = Places([one])
    holder = Holder(places)
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # granted, and not yet told
    holder.task.cancel()
    await settle()
    assert (one.in_flight, one.breaker.rest_left_s()) == (0, 0.0)


async def test_those_who_wait_are_refused_once_all_rest():
    one = replicas(1)[0]
    places = Places([one])
    held = [Holder(places) for _ in range(2)]
    await settle()
    for _ in range(5):
        one.breaker.record_failure(JudgeUnavailable("down"))
    await held[0].leave()
    with pytest.raises(JudgeUnavailable, match="5 times in a row"):
        await held[1].task


def test_patience_is_twice_the_slowest_of_the_last_64():
    patience = Patience()
    for _ in range(15):
        patience.learn(1, 3.0)
    assert patience.allows_s(1) is None
    patience.learn(1, 0.5)
    assert patience.allows_s(1) == 6.0
    assert patience.allows_s(2) is None
    for _ in range(64):
        patience.learn(1, 0.01)
    assert patience.allows_s(1) == 1.0
