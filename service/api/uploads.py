"""The body of an upload: the file of a form, or the raw body; gzip is unpacked, within the same limit."""

import asyncio
import zlib
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from fastapi import Request
from starlette.datastructures import UploadFile

from service.errors import InvalidInput
from service.names import SET_NAME

FIELDS = ("name", "format")
FORM = {
    "schema": {
        "type": "object",
        "required": ["file"],
        "properties": {"file": {"type": "string", "format": "binary"}} | {name: {"type": "string"} for name in FIELDS},
    }
}


@dataclass(frozen=True, slots=True)
class Upload:
    """What was sent. `filename` only helps to tell the format, and names nothing on disk; a form may say the rest."""

    data: bytes
    filename: str
    content_type: str
    name: str | None = None
    format: str | None = None


async def read_upload(request: Request, limit_bytes: int) -> Upload:
    """Read it whole. Raises InvalidInput for an empty body, a form without a file, or gzip that does not unpack."""
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type == "multipart/form-data":
        upload = await _form(request)
    else:
        upload = Upload(await request.body(), request.query_params.get("filename", ""), content_type)
    if upload.data[:2] == b"\x1f\x8b":
        upload = replace(upload, data=await asyncio.to_thread(unpack, upload.data, limit_bytes))
    if not upload.data:
        raise InvalidInput("the body is empty; send the file's bytes")
    return upload


async def _form(request: Request) -> Upload:
    """A form with one file, and perhaps a name and a format for it."""
    async with request.form(max_files=1, max_fields=len(FIELDS) + 1) as form:
        file = next((value for value in form.values() if isinstance(value, UploadFile)), None)
        if file is None:
            raise InvalidInput("the form has no file; send one, in a field called `file`")
        texts = {name: value for name, value in form.items() if isinstance(value, str)}
        if unknown := sorted(set(texts) - set(FIELDS)):
            raise InvalidInput(f"the form has a field {unknown[0]!r}; known are file, {', '.join(FIELDS)}")
        return Upload(
            await file.read(), file.filename or "", file.content_type or "", texts.get("name"), texts.get("format")
        )


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
        if not SET_NAME.keeps(asked) or ".." in asked:
            raise InvalidInput(f"the name {asked[:60]!r}: use {SET_NAME.words}, no path")
        return asked
    stem = PurePosixPath(filename.replace("\\", "/")).name.split(".")[0]
    return stem if SET_NAME.keeps(stem) else fallback
