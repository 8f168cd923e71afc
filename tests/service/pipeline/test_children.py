"""A child that something killed is run again, until it plainly gets no further. (Real children: test_cancel.py.)"""

from collections.abc import Iterator

import pytest

from service.pipeline.children import Ended, run_again_when_killed

KILLED, DONE, FAILED = Ended(-9, ""), Ended(0, ""), Ended(2, "no such file")


class Child:
    """Ends as it is told, having got as far as it is told."""

    def __init__(self, *lives: tuple[Ended, int]) -> None:
        self._lives: Iterator[tuple[Ended, int]] = iter(lives)
        self.furthest = 0
        self.signals: list[int] = []

    async def run(self) -> Ended:
        ended, done = next(self._lives)
        self.furthest = max(self.furthest, done)
        return ended

    async def mourn(self, number: int) -> None:
        self.signals.append(number)


@pytest.mark.parametrize(
    ("lives", "last", "deaths"),
    [
        ([(DONE, 1)], DONE, 0),
        ([(FAILED, 1), (DONE, 1)], FAILED, 0),
        ([(KILLED, 0), (FAILED, 0)], FAILED, 1),
        ([(KILLED, 0)] * 3 + [(DONE, 1)], DONE, 3),
        ([(KILLED, 0)] * 5, KILLED, 3),
        # A step beyond the furthest one begins the count anew; the same steps from a checkpoint again do not.
        ([(KILLED, 0)] * 3 + [(KILLED, 4)] * 3 + [(DONE, 9)], DONE, 6),
        ([(KILLED, 4), (KILLED, 2), (KILLED, 4), (KILLED, 3), (DONE, 9)], KILLED, 3),
    ],
)
async def test_it_is_run_until_it_ends_or_gets_no_further(lives, last, deaths):
    child = Child(*lives)
    assert await run_again_when_killed(child.run, lambda: child.furthest, child.mourn) == last
    assert child.signals == [9] * deaths
