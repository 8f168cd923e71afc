"""Which of several processes this is, and what they tell one another. Alone, a process is the first of one.

A launcher (torchrun, Ray Train) starts the same program several times; each start is a rank. All ranks have the same
adapter and take the same steps; the first one writes the run's folder, the others read it.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from constitutions.errors import CharterError
from training.errors import OtherRankFailed, TrainingError

# What torchrun, and whoever else starts ranks, sets for each of them.
_FROM_THE_LAUNCHER = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
Own = TypeVar("Own")
Told = TypeVar("Told")


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process's number, counted from 0, and how many there are. All of them must call what is below, in the same
    order; where there is one, nothing is sent and nothing waits."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """True for the one rank that writes."""
        return self.rank == 0

    def add_up(self, values: Tensor) -> None:
        """Put the sum over the ranks in place of `values`."""
        if self.world > 1:
            dist.all_reduce(values)

    def fill(self, values: Tensor) -> None:
        """Where this rank has NaN, take what another one has."""
        if self.world > 1:
            found = values.nan_to_num(nan=float("inf"), posinf=float("inf"), neginf=float("-inf"))
            dist.all_reduce(found, dist.ReduceOp.MIN)
            values.copy_(found.masked_fill_(found.isposinf(), float("nan")))

    def wait(self) -> None:
        """Until every rank has come here."""
        self.add_up(torch.zeros(1))

    def told(self, own: Told) -> list[Told]:
        """What each rank says, in their order."""
        if self.world == 1:
            return [own]
        said: list[Told | None] = [None] * self.world
        dist.all_gather_object(said, own)
        return [one for one in said if one is not None]

    def each(self, job: Callable[[], Own], tell: Callable[[Own], Told]) -> tuple[Own, list[Told]]:
        """What the job comes to on this rank, and what each rank tells of its own, in their order. Where one cannot do
        it none goes on: that one raises why, the others OtherRankFailed."""
        if self.world == 1:
            own = job()
            return own, [tell(own)]
        done: list[Own] = []
        failure: Exception | None = None
        try:
            done = [job()]
        except (CharterError, MemoryError, OSError, RuntimeError) as error:  # raised once the others are told
            failure = error
        said = self.told(([tell(one) for one in done], "" if failure is None else str(failure) or repr(failure)))
        if failure is not None:
            raise failure
        for _, failed in said:
            if failed:
                raise OtherRankFailed(failed)
        return done[0], [told for (told,), _ in said]

    def from_all(self, job: Callable[[], Told]) -> list[Told]:
        """The same, where each tells all that it has."""
        return self.each(job, lambda own: own)[1]

    def from_first(self, job: Callable[[], Told]) -> Told:
        """Do the job on the first rank alone; every rank gets what came of it, or raises where it failed."""
        if self.world == 1:
            return job()
        done: list[Told] = []
        failure: CharterError | None = None
        if self.first:
            try:
                done = [job()]
            except CharterError as error:
                failure = error
        box: list[tuple[list[Told], str]] = [(done, str(failure or ""))]
        dist.broadcast_object_list(box, src=0)
        if failure is not None:
            raise failure
        value, failed = box[0]
        if not value:
            raise OtherRankFailed(failed)
        return value[0]


def this_rank() -> Ranks:
    """As it was joined; alone where no launcher started others."""
    return Ranks(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else Ranks()


@contextlib.contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """Join the ranks that a launcher's variables tell of, for as long as this lasts. Each takes a GPU of its own."""
    if dist.is_initialized() or any(name not in os.environ for name in _FROM_THE_LAUNCHER):
        yield this_rank()
        return
    if torch.cuda.is_available():
        take_gpu(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    yield this_rank()
    # After an error the others may never come to this: the process ends, and its connections with it.
    dist.destroy_process_group()


def take_gpu(number: int) -> None:
    """`cuda` is this GPU from here on. Raises TrainingError where the machine has fewer."""
    if number >= torch.cuda.device_count():
        raise TrainingError(
            f"process {number + 1} of this machine has no GPU of its own, there are {torch.cuda.device_count()}; "
            "start one process a GPU (--nproc-per-node)"
        )
    torch.cuda.set_device(number)
