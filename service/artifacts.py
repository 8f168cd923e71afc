"""The artifact store: a folder or a bucket of files that are written once. The service makes the keys, never a user.

A file is published complete or not at all, and never changed: a second `put_new` of a key is told that it exists.
Only the library's blocking calls, in threads: its asynchronous ones end on a thread that Python does not know, and a
process that leaves at that moment aborts (1 in 50 did). The threads are the store's own: whoever else needs one, as to
kill a child, does not wait for a bucket that hangs.
"""

import asyncio
import contextlib
import errno
import io
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, SupportsBytes, TypeVar, cast

from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import LocalStore, ObjectStore, S3Store

from service.errors import NotFound, ServiceError, StorageFull

_KEY = re.compile(r"^[a-z0-9][a-zA-Z0-9_.-]*(/[a-zA-Z0-9_][a-zA-Z0-9_.-]*)*$")
# A full disk, a spent quota, a limit on the size of files: the store's library tells them only by the system's words.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_WORDS = tuple(os.strerror(number) for number in FULL)
_CHUNK_BYTES = 8 * 1024 * 1024
_THREADS = 16
# Of a bucket that hangs: how long one request may take, and all repeats of it together.
_CONNECT_S, _REQUEST_S, _REPEATS_S = 10, 120, 180
_WRITES = ("take", "write")
T = TypeVar("T")


class Artifacts:
    """Open with a folder or s3://BUCKET/PREFIX (credentials from the environment, as for any S3 client)."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="artifacts")
        self._store: ObjectStore
        if url.startswith("s3://"):
            self._store = S3Store.from_url(
                url,
                client_options={
                    "connect_timeout": timedelta(seconds=_CONNECT_S),
                    "timeout": timedelta(seconds=_REQUEST_S),
                },
                retry_config={"retry_timeout": timedelta(seconds=_REPEATS_S)},
            )
        elif "://" in url:
            raise ServiceError(f"artifact store {url.split(':', 1)[0]}://...: use a folder or s3://BUCKET/PREFIX")
        else:
            Path(url).mkdir(parents=True, exist_ok=True, mode=0o700)
            self._store = LocalStore(url)

    async def put_new(self, key: str, data: bytes) -> bool:
        """Publish; False where the key exists already. Raises StorageFull."""
        return await self._put(_checked(key), data)

    async def put_file(self, key: str, path: Path) -> bool:
        """Publish a file's bytes."""
        return await self._put(_checked(key), path)

    async def get(self, key: str) -> bytes:
        """All bytes. Raises NotFound."""
        _checked(key)
        return await self._ask("give", key, lambda: bytes(self._store.get(key).bytes()))

    async def get_file(self, key: str, path: Path) -> None:
        """Copy into a file, in chunks. Raises StorageFull."""
        chunks = await self.stream(key)
        await self._ask("write", str(path), lambda: _write_chunks(path, chunks))

    async def stream(self, key: str) -> Iterator[bytes]:
        """The bytes in chunks of 8 MB. Raises NotFound before the first."""
        _checked(key)
        result = await self._ask("give", key, lambda: self._store.get(key))
        return _chunks(key, iter(result.stream(min_chunk_size=_CHUNK_BYTES)))

    async def open(self, key: str) -> BinaryIO:
        """A file that is read where it is needed: of a large table, only what is asked for. Raises NotFound."""
        _checked(key)
        size = await self._ask("give", key, lambda: int(self._store.head(key)["size"]))
        return cast(BinaryIO, StoredFile(self._store, key, size))

    async def exists(self, key: str) -> bool:
        _checked(key)
        try:
            await self._ask("look for", key, lambda: self._store.head(key))
        except NotFound:
            return False
        return True

    async def keys(self, prefix: str = "") -> list[str]:
        """All keys below a prefix (a whole folder name), sorted."""
        pages = await self._ask("list", prefix, lambda: list(self._store.list(prefix or None)))
        return sorted(str(entry["path"]) for page in pages for entry in page)

    async def delete(self, key: str) -> None:
        """Gone, whether it was there or not."""
        _checked(key)
        with contextlib.suppress(NotFound):
            await self._ask("delete", key, lambda: self._store.delete(key))

    async def _put(self, key: str, source: bytes | Path) -> bool:
        def put() -> bool:
            try:
                self._store.put(key, source, mode="create")
            except AlreadyExistsError:
                return False
            return True

        return await self._ask("take", key, put)

    async def _ask(self, verb: str, name: str, work: Callable[[], T]) -> T:
        """The work's result, from a thread of the store's own."""

        def told() -> T:
            with _faults_told(verb, name):
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._threads, told)


class StoredFile(io.RawIOBase):
    """An artifact as a file that can be read and sought in. It blocks: read it in a thread."""

    def __init__(self, store: ObjectStore, key: str, size: int) -> None:
        self._store = store
        self._key = key
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._at)
        length = left if size is None or size < 0 else min(size, left)
        if length == 0:
            return b""
        with _faults_told("give", self._key):
            data = bytes(self._store.get_range(self._key, start=self._at, length=length))
        self._at += len(data)
        return data


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key) or ".." in key:
        raise ServiceError(f"{key!r} is not a key of the artifact store; keys are made by the service")
    return key


def _chunks(key: str, pieces: Iterator[SupportsBytes]) -> Iterator[bytes]:
    with _faults_told("give", key):
        for piece in pieces:
            yield bytes(piece)


def _write_chunks(path: Path, chunks: Iterator[bytes]) -> None:
    with path.open("wb") as file:
        file.writelines(chunks)


@contextlib.contextmanager
def _faults_told(verb: str, name: str) -> Iterator[None]:
    """Turn an error of the library or of the system into one of ours."""
    try:
        yield
    except (BaseError, OSError) as error:
        text = str(error)
        if isinstance(error, (NotFoundError, FileNotFoundError)) and verb not in _WRITES:
            raise NotFound(f"the artifact {name!r} is not in the store; was it deleted?") from error
        if any(words in text for words in _FULL_WORDS) or (isinstance(error, OSError) and error.errno in FULL):
            raise StorageFull(
                f"no space left to write {name!r}; free some, then send it again, or resume the run"
            ) from error
        raise ServiceError(
            f"the artifact store did not {verb} {name!r} ({text.splitlines()[0]}); mend the folder or the bucket, "
            "then send it again, or resume the run"
        ) from error
