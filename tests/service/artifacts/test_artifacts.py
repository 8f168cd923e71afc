"""Artifacts are written once, complete or not at all, under keys that the service makes."""

import asyncio
import contextlib
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.artifacts import Artifacts
from service.errors import NotFound, ServiceError


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(str(tmp_path / "artifacts"))


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def test_a_key_is_written_once(artifacts: Artifacts, tmp_path: Path) -> None:
    assert await artifacts.put_new("runs/a.bin", b"first")
    assert not await artifacts.put_new("runs/a.bin", b"second")
    other = tmp_path / "other"
    other.write_bytes(b"third")
    assert not await artifacts.put_file("runs/a.bin", other)
    assert await artifacts.get("runs/a.bin") == b"first"


async def test_of_many_at_once_one_writes(artifacts: Artifacts) -> None:
    bodies = [bytes([65 + number]) * 200_000 for number in range(12)]
    written = await asyncio.gather(*(artifacts.put_new("race", body) for body in bodies))
    assert written.count(True) == 1
    assert await artifacts.get("race") == bodies[written.index(True)]


@pytest.mark.parametrize(
    "key",
    ["", ".", "..", "a/../b", "../a", "/etc/passwd", "a//b", "a/", "a\0b", "a\n", "a b", "a/.hidden", "C:\\a", "é"],
)
async def test_no_path_is_a_key(artifacts: Artifacts, tmp_path: Path, key: str) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x")
    for call in (
        artifacts.put_new(key, b"x"),
        artifacts.put_file(key, source),
        artifacts.get(key),
        artifacts.stream(key),
        artifacts.exists(key),
        artifacts.delete(key),
    ):
        with pytest.raises(ServiceError, match="is not a key of the artifact store"):
            await call
    assert files(Path(artifacts.url)) == []


async def test_what_is_not_there(artifacts: Artifacts, tmp_path: Path) -> None:
    assert not await artifacts.exists("no")
    for call in (artifacts.get("no"), artifacts.stream("no"), artifacts.get_file("no", tmp_path / "copy")):
        with pytest.raises(NotFound, match="'no' is not in the store"):
            await call
    assert not (tmp_path / "copy").exists()
    await artifacts.delete("no")


async def test_a_folder_in_the_place_of_a_file_is_told(artifacts: Artifacts) -> None:
    await artifacts.put_new("a/b", b"1")
    with pytest.raises(ServiceError, match="did not give 'a/b/c'"):
        await artifacts.get("a/b/c")
    with pytest.raises(ServiceError, match="did not take 'a/b/c'"):
        await artifacts.put_new("a/b/c", b"2")


async def test_every_call_tells_what_the_store_said_and_what_to_do(artifacts: Artifacts, tmp_path: Path) -> None:
    """A folder that was replaced by a file, as a bucket that is away."""
    shutil.rmtree(artifacts.url)
    Path(artifacts.url).write_text("not a folder")
    for verb, call in (
        ("take", artifacts.put_new("a", b"x")),
        ("take", artifacts.put_file("a", tmp_path / "no source")),
        ("give", artifacts.get("a")),
        ("give", artifacts.stream("a")),
        ("give", artifacts.get_file("a", tmp_path / "copy")),
        ("look for", artifacts.exists("a")),
        ("list", artifacts.keys("a")),
        ("delete", artifacts.delete("a")),
    ):
        with pytest.raises(ServiceError, match=rf"store did not {verb} 'a' \(.+\); mend .* or resume the run") as told:
            await call
        assert not isinstance(told.value, NotFound)


async def test_a_copy_that_cannot_be_written_is_no_missing_artifact(artifacts: Artifacts, tmp_path: Path) -> None:
    await artifacts.put_new("a", b"x")
    with pytest.raises(ServiceError, match=r"did not write '.*/gone/copy' .*No such file") as told:
        await artifacts.get_file("a", tmp_path / "gone" / "copy")
    assert not isinstance(told.value, NotFound)


async def test_an_s3_that_breaks_off_is_told_at_the_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x"), ("AWS_ALLOW_HTTP", "true")):
        monkeypatch.setenv(name, value)

    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\nETag: "1"\r\n')
        writer.write(b"Last-Modified: Sat, 21 Nov 2026 13:00:00 GMT\r\n\r\nbegin")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(break_off, "127.0.0.1", 0) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        artifacts = Artifacts("s3://bucket/prefix")
        with pytest.raises(ServiceError, match=r"did not give 'a' \("):
            await artifacts.get_file("a", tmp_path / "copy")


async def test_a_store_that_hangs_does_not_hold_up_other_threads(artifacts: Artifacts) -> None:
    """A fifo answers nobody until somebody writes into it."""
    fifo = Path(artifacts.url) / "fifo"
    os.mkfifo(fifo)
    hanging = [asyncio.create_task(artifacts.get("fifo")) for _ in range(40)]
    await asyncio.sleep(0.2)
    try:
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "killed"), 5) == "killed"
        assert not any(task.done() for task in hanging)
    finally:
        while not all(task.done() for task in hanging):
            with contextlib.suppress(OSError):  # nobody reads at this moment
                os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
            await asyncio.sleep(0.01)


async def test_big_files_go_in_chunks(artifacts: Artifacts, tmp_path: Path) -> None:
    data = random.Random(0).randbytes(20_000_000)
    (tmp_path / "big").write_bytes(data)
    assert await artifacts.put_file("big", tmp_path / "big")
    chunks = list(await artifacts.stream("big"))
    assert len(chunks) > 1 and b"".join(chunks) == data
    await artifacts.get_file("big", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data


async def test_keys_are_listed_by_folder(artifacts: Artifacts) -> None:
    for key in ("runs/b", "runs/a", "runsx/c", "prompts/d"):
        await artifacts.put_new(key, b"")
    assert await artifacts.keys("runs") == ["runs/a", "runs/b"]
    assert await artifacts.keys() == ["prompts/d", "runs/a", "runs/b", "runsx/c"]
    await artifacts.delete("runs/a")
    assert await artifacts.keys("runs") == ["runs/b"]


def test_another_kind_of_url_is_refused() -> None:
    with pytest.raises(ServiceError, match=r"ftp://\.\.\.: use a folder or s3://BUCKET/PREFIX"):
        Artifacts("ftp://user:secret@host/x")


WRITE_TOO_MUCH = """
import asyncio, resource, sys
from pathlib import Path
from service.artifacts import Artifacts
from service.errors import StorageFull

async def write(folder, source, limited):
    artifacts = Artifacts(folder)
    await artifacts.put_new("small", b"1")
    if limited == "limited":
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    for key, call in (("bytes", artifacts.put_new("bytes", bytes(300_000))),
                      ("file", artifacts.put_file("file", Path(source)))):
        try:
            await call
        except StorageFull as error:
            assert f"no space left to write '{key}'" in str(error) and "send it again, or resume the run" in str(error)
        else:
            raise SystemExit("it was taken")
    assert await artifacts.keys() == ["small"] and await artifacts.get("small") == b"1"

asyncio.run(write(*sys.argv[1:]))
"""


@contextlib.contextmanager
def tiny_disk(folder: Path) -> Iterator[Path]:
    """A disk of 128 kB, where this user may mount one."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if os.geteuid() != 0 or mounted.returncode != 0:
        pytest.skip("no tmpfs can be mounted here; the same is tested with a limit on the size of files")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def write_too_much(folder: Path, source: Path, limit: str) -> None:
    source.write_bytes(bytes(300_000))
    command = [sys.executable, "-c", WRITE_TOO_MUCH, str(folder), str(source), limit]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert files(folder) == ["small"]  # not one half-written file


def test_a_limit_on_the_size_of_files_is_a_full_store(tmp_path: Path) -> None:
    write_too_much(tmp_path / "artifacts", tmp_path / "source", "limited")


def test_a_full_disk_is_told_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    with tiny_disk(tmp_path / "disk") as disk:
        write_too_much(disk, tmp_path / "source", "unlimited")
