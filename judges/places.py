"""Places on a judge's replicas: which request goes where and when, and how long its answer may take.

A request waits for the replica that has its prompt's prefix in the cache (rendezvous hashing). A replica with a free
place and nobody waiting takes the last request of the longest queue: work moves only where a place would stay empty,
so that hashing's uneven shares, a slow replica or a dead one cost no throughput (work stealing: Blumofe and Leiserson
1999; against bounded loads by a fixed factor, Mirrokni and others 2018, arXiv:1608.01350, no load need be guessed).
Left out: HTTP and retries (client.py), what is known of a replica (replicas.py).
"""

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import AsyncIterator, Sequence

from judges.replicas import Replica, all_resting, open_replicas, preferred_replica

_LOOKED_AT = 64  # requests, from the end of a queue
_LEARNS_FROM, _KEPT = 16, 64  # answers
_LOOKS_AGAIN_S = 0.5
_LEAST_PATIENCE_S = 1.0
_TIMES_SLOWEST = 2.0


class Patience:
    """When an answer is late: after twice the slowest of the last 64 answers to requests of its kind, at least 1 s.

    Nothing is late before 16 answers came. An answer that was late but came counts as any other, so that a service
    that has become slow is given more time (hedged requests: Dean and Barroso 2013, The Tail at Scale).
    """

    def __init__(self) -> None:
        self._took_s: dict[int, deque[float]] = {}

    def learn(self, kind: int, took_s: float) -> None:
        self._took_s.setdefault(kind, deque(maxlen=_KEPT)).append(took_s)

    def allows_s(self, kind: int) -> float | None:
        """Seconds; None where it cannot be told yet."""
        took_s = self._took_s.get(kind, ())
        if len(took_s) < _LEARNS_FROM:
            return None
        return max(_LEAST_PATIENCE_S, _TIMES_SLOWEST * max(took_s))


class _Waiter:
    """One request that has no place yet. `avoid` is the replica that failed it; `is_probe` once it probes one."""

    def __init__(self, avoid: Replica | None) -> None:
        self.avoid = avoid
        self.is_probe = False
        self.granted: asyncio.Future[Replica] = asyncio.get_running_loop().create_future()


class Places:
    """The places of all replicas of one judge, and who waits for them."""

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self._replicas = tuple(replicas)
        self._queues: dict[Replica, deque[_Waiter]] = {replica: deque() for replica in replicas}
        self._scheduled = False
        self._will_look = False

    def any_unpaused(self) -> bool:
        """Whether a replica is open that did not ask for a pause."""
        return any(not replica.breaker.is_paused for replica in open_replicas(self._replicas))

    @contextlib.asynccontextmanager
    async def place(self, affinity: str, *, avoid: Replica | None, first: bool = False) -> AsyncIterator[Replica]:
        """Hold one place; raises JudgeUnavailable where all replicas rest. `first` goes before those that wait."""
        waiter = _Waiter(avoid)
        queue = self._queues[self.preferred(affinity, avoid)]
        if first:
            queue.appendleft(waiter)
        else:
            queue.append(waiter)
        self._schedule()
        try:
            replica = await waiter.granted
        except asyncio.CancelledError:
            if waiter.granted.done() and not waiter.granted.cancelled() and waiter.granted.exception() is None:
                self._release(waiter, waiter.granted.result())
            raise
        try:
            yield replica
        finally:
            self._release(waiter, replica)

    def preferred(self, affinity: str, avoid: Replica | None) -> Replica:
        """The open replica that suits best, whether or not a place is free; raises JudgeUnavailable where all rest."""
        candidates = open_replicas(self._replicas)
        if not candidates:
            raise all_resting(self._replicas)
        candidates = [r for r in candidates if r is not avoid] or candidates
        if affinity:
            return preferred_replica(candidates, affinity)
        return min(candidates, key=lambda r: r.in_flight + len(self._queues[r]))

    def _release(self, waiter: _Waiter, replica: Replica) -> None:
        replica.in_flight -= 1
        if waiter.is_probe:
            replica.breaker.abandon()  # a request that was never sent told its breaker nothing
        self._schedule()

    def _schedule(self) -> None:
        """Give places out once all that is ready to run has run: requests sent together are in their queues then."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._give_out)

    def _give_out(self) -> None:
        self._scheduled = False
        takers = open_replicas(self._replicas)
        for take in (self._next_own, self._next_stolen):
            for replica in takers:
                while _has_place(replica) and (waiter := take(replica, takers)):
                    replica.in_flight += 1
                    waiter.is_probe = replica.breaker.is_open
                    replica.breaker.admit()
                    waiter.granted.set_result(replica)
        if not open_replicas(self._replicas):
            self._refuse_all()
        elif len(takers) < len(self._replicas) and any(self._queues.values()) and not self._will_look:
            self._will_look = True
            asyncio.get_running_loop().call_later(_LOOKS_AGAIN_S, self._look_again)

    def _look_again(self) -> None:
        """A rest or a pause may be over, which nobody announces."""
        self._will_look = False
        self._schedule()

    def _next_own(self, replica: Replica, takers: Sequence[Replica]) -> _Waiter | None:
        queue = self._queues[replica]
        while queue:
            waiter = queue.popleft()
            if not waiter.granted.done():
                return waiter
        return None

    def _next_stolen(self, thief: Replica, takers: Sequence[Replica]) -> _Waiter | None:
        """The last in the longest queue that may go there: its prompt's other requests are likely to stand by it."""
        for queue in sorted(self._queues.values(), key=len, reverse=True):
            while queue and queue[-1].granted.done():
                queue.pop()
            for back, waiter in enumerate(itertools.islice(reversed(queue), _LOOKED_AT), start=1):
                if not waiter.granted.done() and (waiter.avoid is not thief or all(r is thief for r in takers)):
                    del queue[-back]
                    return waiter
        return None

    def _refuse_all(self) -> None:
        for queue in self._queues.values():
            for waiter in queue:
                if not waiter.granted.done():
                    waiter.granted.set_exception(all_resting(self._replicas))
            queue.clear()


def _has_place(replica: Replica) -> bool:
    """A place is free, and where it is only being probed, no probe is out."""
    return replica.in_flight < replica.concurrency and replica.breaker.rest_left_s() == 0
