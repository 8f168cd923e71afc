"""A real Postgres for benchmarks and tests: a fresh cluster in a temporary folder, on loopback, ended by its pid."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

_START_S = 60.0


def server_folder() -> Path | None:
    """Where `postgres` and `initdb` are: on the path, or where Debian puts them."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    there = shutil.which("postgres")
    return Path(there).resolve().parent if there else None


@contextlib.contextmanager
def running_postgres(programs: Path, *, durable: bool = False) -> Iterator[str]:
    """The URL of a server's database `postgres`, up to the last slash: add a database's name.

    Not `durable`, it never waits for the disk: tests are about SQL.
    """
    folder = Path(tempfile.mkdtemp(prefix="charter-pg-"))
    password, port = secrets.token_hex(16), _free_port()
    (folder / "password").write_text(password)
    owner = _owner()
    if owner is not None:
        for path in (folder, folder / "password"):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    as_owner = _as(owner)
    subprocess.run(
        [
            *(*as_owner, str(programs / "initdb"), "-D", str(folder / "data"), "-U", "charter", "-A", "scram-sha-256"),
            *("-E", "UTF8", "--no-locale", "--no-sync", f"--pwfile={folder / 'password'}"),
        ],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    options = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": folder,
        "fsync": "on" if durable else "off",
    }
    settings = [argument for name, value in options.items() for argument in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*as_owner, str(programs / "postgres"), "-D", str(folder / "data"), *settings],
            stdout=log,
            stderr=log,
            cwd=folder,
        )
    try:
        url = f"postgresql://charter:{password}@127.0.0.1:{port}/"
        _wait_until_it_answers(url, process, folder / "log")
        yield url
    finally:
        process.send_signal(signal.SIGQUIT)  # at once, whoever is still connected
        process.wait(timeout=30)
        shutil.rmtree(folder)


def _owner() -> pwd.struct_passwd | None:
    """Postgres refuses to run as root: whom it runs as then."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def _as(owner: pwd.struct_passwd | None) -> list[str]:
    # setpriv replaces itself, so the pid is the server's; and the server ends with the tests, even if they are killed.
    command = ["setpriv", "--pdeathsig", "QUIT"]
    if owner is not None:
        command += [f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
    return command


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            psycopg.connect(f"{url}postgres").close()
            return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Postgres did not start ({error}):\n{log.read_text()}") from error
            time.sleep(0.1)
