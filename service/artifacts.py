"""The artifact store: a folder or a bucket of files that are written once. The service makes the keys, never a user.

A file is published complete or not at all, and never changed: a second `put_new` of a key is told that it exists.
Only the library's blocking calls, in threads: its asynchronous ones end on a thread that Python does not know, and a
process that leaves at that moment aborts (1 in 50 did).
"""

import asyncio
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import LocalStore, ObjectStore, S3Store

from service.errors import NotFound, ServiceError, StorageFull

_KEY = re.compile(r"^[a-z0-9][a-zA-Z0-9_.-]*(/[a-zA-Z0-9_][a-zA-Z0-9_.-]*)*$")
# A full disk, a spent quota, a limit on the size of files: the store's library tells them only by the system's words.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_WORDS = tuple(os.strerror(number) for number in FULL)
_CHUNK_BYTES = 8 * 1024 * 1024


class Artifacts:
    """Open with a folder or s3://BUCKET/PREFIX (credentials from the environment, as for any S3 client)."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._store: ObjectStore
        if url.startswith("s3://"):
            self._store = S3Store.from_url(url)
        elif "://" in url:
            raise ServiceError(f"artifact store {url.split(':', 1)[0]}://...: use a folder or s3://BUCKET/PREFIX")
        else:
            Path(url).mkdir(parents=True, exist_ok=True, mode=0o700)
            self._store = LocalStore(url)

    async def put_new(self, key: str, data: bytes) -> bool:
        """Publish; False where the key exists already. Raises StorageFull."""
        try:
            await asyncio.to_thread(self._store.put, _checked(key), data, mode="create")
        except AlreadyExistsError:
            return False
        except (BaseError, OSError) as error:
            raise _storage_error(error, key) from error
        return True

    async def put_file(self, key: str, path: Path) -> bool:
        """Publish a file's bytes."""
        try:
            await asyncio.to_thread(self._store.put, _checked(key), path, mode="create")
        except AlreadyExistsError:
            return False
        except (BaseError, OSError) as error:
            raise _storage_error(error, key) from error
        return True

    async def get(self, key: str) -> bytes:
        """All bytes. Raises NotFound."""
        try:
            return await asyncio.to_thread(lambda: bytes(self._store.get(_checked(key)).bytes()))
        except (BaseError, OSError) as error:
            raise _read_error(error, key) from error

    async def get_file(self, key: str, path: Path) -> None:
        """Copy into a file, in chunks."""
        chunks = await self.stream(key)
        await asyncio.to_thread(_write_chunks, path, chunks)

    async def stream(self, key: str) -> Iterator[bytes]:
        """The bytes in chunks of 8 MB. Raises NotFound before the first."""
        try:
            result = await asyncio.to_thread(self._store.get, _checked(key))
        except (BaseError, OSError) as error:
            raise _read_error(error, key) from error
        return (bytes(chunk) for chunk in result.stream(min_chunk_size=_CHUNK_BYTES))

    async def exists(self, key: str) -> bool:
        try:
            await asyncio.to_thread(self._store.head, _checked(key))
        except (NotFoundError, FileNotFoundError):
            return False
        return True

    async def keys(self, prefix: str = "") -> list[str]:
        """All keys below a prefix (a whole folder name), sorted."""
        pages = await asyncio.to_thread(lambda: list(self._store.list(prefix or None)))
        return sorted(str(entry["path"]) for page in pages for entry in page)

    async def delete(self, key: str) -> None:
        """Gone, whether it was there or not."""
        try:
            await asyncio.to_thread(self._store.delete, _checked(key))
        except (NotFoundError, FileNotFoundError):
            return


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key) or ".." in key:
        raise ServiceError(f"{key!r} is not a key of the artifact store; keys are made by the service")
    return key


def _write_chunks(path: Path, chunks: Iterator[bytes]) -> None:
    with path.open("wb") as file:
        file.writelines(chunks)


def _read_error(error: BaseError | OSError, key: str) -> ServiceError:
    if isinstance(error, (NotFoundError, FileNotFoundError)):
        return NotFound(f"the artifact {key!r} is not in the store; was it deleted?")
    return ServiceError(f"the artifact store did not give {key!r}: {str(error).splitlines()[0]}")


def _storage_error(error: BaseError | OSError, key: str) -> ServiceError:
    text = str(error)
    if any(words in text for words in _FULL_WORDS) or (isinstance(error, OSError) and error.errno in FULL):
        return StorageFull(f"no space left to write {key!r}; free some, then resume the run")
    return ServiceError(f"the artifact store did not take {key!r}: {text.splitlines()[0]}")
