"""The body of an upload: the first file of a form, or the raw body; gzip is unpacked, within the same limit."""

import re
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath

from fastapi import Request
from starlette.datastructures import UploadFile

from service.errors import InvalidInput

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,127}$")


@dataclass(frozen=True, slots=True)
class Upload:
    """What was sent. `filename` only helps to tell the format; it names nothing on disk."""

    data: bytes
    filename: str
    content_type: str


async def read_upload(request: Request, limit_bytes: int) -> Upload:
    """Read it whole. Raises InvalidInput for an empty body, a form without a file, or gzip that does not unpack."""
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    filename = request.query_params.get("filename", "")
    if content_type == "multipart/form-data":
        async with request.form(max_files=1, max_fields=16) as form:
            file = next((value for value in form.values() if isinstance(value, UploadFile)), None)
            if file is None:
                raise InvalidInput("the form has no file; send one, in a field called `file`")
            data, filename, content_type = await file.read(), file.filename or filename, file.content_type or ""
    else:
        data = await request.body()
    data = unpack(data, limit_bytes) if data[:2] == b"\x1f\x8b" else data
    if not data:
        raise InvalidInput("the body is empty; send the file's bytes")
    return Upload(data, filename, content_type)


def unpack(data: bytes, limit_bytes: int) -> bytes:
    """gunzip, at most `limit_bytes`; several members follow one another."""
    unpacked = bytearray()
    while data:
        member = zlib.decompressobj(wbits=31)
        try:
            unpacked += member.decompress(data, limit_bytes + 1 - len(unpacked))
        except zlib.error as error:
            raise InvalidInput(f"the gzip data is broken ({error}); send it again") from error
        if len(unpacked) > limit_bytes:
            raise InvalidInput(f"the unpacked data is longer than {limit_bytes // 1_000_000} MB; split it")
        if not member.eof:
            raise InvalidInput("the gzip data ends too early; send it again")
        data = member.unused_data
    return bytes(unpacked)


def resource_name(asked: str | None, filename: str, fallback: str) -> str:
    """The name given, else the file's stem. Raises InvalidInput for one that looks like a path."""
    if asked is not None:
        if not _NAME.match(asked) or ".." in asked:
            raise InvalidInput(f"the name {asked[:60]!r}: use letters, digits, blanks, '.', '_' and '-', no path")
        return asked
    stem = PurePosixPath(filename.replace("\\", "/")).name.split(".")[0]
    return stem if _NAME.match(stem) else fallback
