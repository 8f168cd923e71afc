"""The worker: takes runs from the queue and carries them out. `python -m service.worker`, or `charter worker`.

It holds a lease and renews it; one that lost its lease ends at once with status 75, since another worker has taken its
runs. SIGTERM ends it; what it was doing goes on in the next worker.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time

from service.artifacts import Artifacts
from service.durable import Executor, migrate_jobs, new_executor_id
from service.engines import EnginePool
from service.logs import log_to_stderr
from service.pipeline.context import Tools, open_context
from service.pipeline.stages import run_stage
from service.schemas import Stage
from service.settings import Settings
from service.store.store import Store

LEASE_LOST = 75  # EX_TEMPFAIL of sysexits.h: start me again
_log = logging.getLogger(__name__)


async def work(settings: Settings) -> int:
    """Work until SIGTERM or SIGINT (0) or until the lease is lost (75)."""
    settings.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = Store(settings.database)
    await store.migrate()
    await asyncio.to_thread(migrate_jobs, store.database.url)
    engines = EnginePool(settings)
    tools = Tools(store=store, artifacts=Artifacts(settings.artifacts), engines=engines, settings=settings)

    async def stage_of(run_id: str, stage: Stage) -> None:
        await run_stage(await open_context(run_id, tools), stage)

    executor = Executor(store, stage_of, id=new_executor_id())
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await store.leases.renew(executor.id, settings.lease_s, first=True)
    _log.info("worker %s is ready", executor.id)
    try:
        async with executor.working():
            return await _keep_lease(executor, settings, stop)
    finally:
        await engines.close()
        await store.leases.drop(executor.id)
        await store.close()


async def _keep_lease(executor: Executor, settings: Settings, stop: asyncio.Event) -> int:
    """Renew the lease and take over from the dead, a few times within each lease."""
    renewed = time.monotonic()
    while not stop.is_set():
        asked = time.monotonic()
        answered = await _renew(executor, settings)
        if time.monotonic() - renewed > settings.lease_s:
            _log.error("worker %s had no lease for a while: ending", executor.id)
            os._exit(LEASE_LOST)
        renewed = asked if answered else renewed
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), settings.lease_s / 4)
    return 0


async def _renew(executor: Executor, settings: Settings) -> bool:
    """Renew the lease and take over from the dead; False where the database is full or away."""
    try:
        if not await executor.store.leases.renew(executor.id, settings.lease_s):
            _log.error("the lease of worker %s was taken: ending, another worker has its runs", executor.id)
            os._exit(LEASE_LOST)
        if dead := await executor.take_over_from_the_dead():
            _log.warning("took over the runs of %s", ", ".join(dead))
    except Exception:  # noqa: BLE001 - the lease itself says for how long it may be tried
        _log.exception("worker %s: the lease cannot be renewed; trying again", executor.id)
        return False
    return True


def main() -> None:
    log_to_stderr()
    status = asyncio.run(work(Settings()))
    # The job library's threads may still wait for the database; nothing of ours is left to do.
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
