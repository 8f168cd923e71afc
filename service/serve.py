"""One service on one machine: the API in this process, and a worker beside it that is started again when it dies."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from typing import TextIO

import pyarrow as pa
import uvicorn
import uvloop
from pydantic import ValidationError
from pydantic_settings import SettingsError

from constitutions.errors import CharterError
from judges.guard import die_with_parent
from service.api.app import create_app
from service.cli.faults import file_fault, setting_fault
from service.errors import ServiceError
from service.logs import log_to_stderr
from service.settings import Settings
from service.store.store import Store

LOOPBACK = ("127.0.0.1", "::1", "localhost")
_STOP_S = 10.0
_LONGEST_PAUSE_S = 30.0
_SOON_S = 5.0
_BACKLOG = 2048
_log = logging.getLogger(__name__)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises ServiceError rather than listen beyond loopback without a key."""
    settings.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = Store(settings.database)
    await store.migrate()
    await first_key(store, settings)
    if settings.host not in LOOPBACK and not await store.access.has_keys():
        raise ServiceError(f"no API key exists, so {settings.host} is not opened; make one with `charter key create`")
    listener = _listen(settings)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(settings),
            http="httptools",
            log_level="warning",
            timeout_graceful_shutdown=3,
            # Somebody who labels pauses for longer than uvicorn's 5 s: closed just then, a connection loses an answer.
            timeout_keep_alive=75,
            server_header=False,
        )
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        # The server raises the signal again when it has ended: that must not end us before the worker has.
        loop.add_signal_handler(number, lambda: None)
    # What is loaded by now lives as long as the process: going through it again and again halves an export's speed.
    gc.freeze()
    # Arrow's usual pool keeps what tables once took.
    pa.set_memory_pool(pa.system_memory_pool())
    told = asyncio.create_task(_tell_address(server, settings))
    async with _worker(settings):
        await server.serve(sockets=[listener])
    told.cancel()
    await store.close()


def _listen(settings: Settings) -> socket.socket:
    """Take the port before a worker is started. Raises ServiceError where it cannot be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ServiceError(
            f"cannot listen on {settings.host}:{settings.port}: {os.strerror(error.errno) if error.errno else error}; "
            "choose another with --host and --port, or end what listens there"
        ) from error


async def _tell_address(server: uvicorn.Server, settings: Settings) -> None:
    """Once it listens."""
    while not server.started:  # noqa: ASYNC110 - uvicorn sets a flag, no event
        await asyncio.sleep(0.05)
    _log.info("listening on http://%s:%s", settings.host, settings.port)


async def first_key(store: Store, settings: Settings) -> None:
    """At the first start: a key for everything, printed once, and written to `first_key_file` where that is set."""
    if await store.access.has_keys():
        return
    project = await store.access.ensure_project("default")
    with contextlib.ExitStack() as opened:
        file: TextIO | None = None
        if settings.first_key_file is not None:
            # Opened before the key is made: a file that is there already must not cost the key.
            descriptor = os.open(settings.first_key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            file = opened.enter_context(os.fdopen(descriptor, "w"))
        secret = (await store.access.create_key(project.id, "first", ("read", "write", "admin"))).secret
        if file is not None:
            file.write(secret + "\n")
    print(f"Your first API key, shown this once: {secret}", flush=True)


@contextlib.asynccontextmanager
async def _worker(settings: Settings) -> AsyncIterator[None]:
    keeper = asyncio.create_task(_keep_worker(settings)) if settings.worker else None
    try:
        yield
    finally:
        if keeper is not None:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper


async def _keep_worker(settings: Settings) -> None:
    """Start a worker, and another whenever it ends; wait longer each time that it ends soon. It dies with us."""
    pause_s = 0.5
    while True:
        started = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "service.worker"),
            preexec_fn=die_with_parent,
            start_new_session=True,
            env=dict(os.environ) | settings.environment(),
        )
        try:
            status = await process.wait()
        except asyncio.CancelledError:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), _STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()
            raise
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S) if time.monotonic() - started < _SOON_S else 0.5
        _log.warning("the worker ended with status %s; starting another in %.1f s", status, pause_s)
        await asyncio.sleep(pause_s)


def main() -> None:
    """Serve; what the caller can mend is one line on stderr and status 1."""
    log_to_stderr()
    try:
        uvloop.run(serve(Settings()))
    except (ValidationError, SettingsError) as error:
        sys.exit(f"error: {setting_fault(error, Settings)}")
    except CharterError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {file_fault(error)}")


if __name__ == "__main__":
    main()
