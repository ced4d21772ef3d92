"""Request bodies: media types checked, JSON parsed, uploads handed on as they come."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

import msgspec
from aiohttp import HttpVersion11, web

from control.routes import JSON_TYPE, ZIP_TYPES
from plat.decoding import UNREADABLE
from plat.errors import PlatError

BROKEN_OFF = (ConnectionError, web.RequestPayloadError)
"""What reading a body raises when it ends too early, or is not packed as its header says."""


async def read_json(request: web.Request) -> Any:
    """The parsed body. Raises PlatError `bad_request`, `unsupported_media_type`, `body_too_large`."""
    _require_type(request, (JSON_TYPE,))
    try:
        body = await request.read()
    except BROKEN_OFF as error:
        raise PlatError("bad_request", f"The body cannot be read to its end: {error}.") from error
    if not body:
        raise PlatError("bad_request", "The body is empty: expected a JSON document.")
    try:
        return msgspec.json.decode(body)
    except UNREADABLE as error:
        raise PlatError("bad_request", f"The body is not JSON: {error}.") from error


def check_upload(request: web.Request, limit_bytes: int) -> None:
    """Before a byte is read. Raises PlatError `unsupported_media_type`, `body_too_large`."""
    _require_type(request, ZIP_TYPES)
    length = request.content_length
    if length is not None and length > limit_bytes:
        raise PlatError(
            "body_too_large",
            f"The archive has {length} bytes: {limit_bytes} are allowed. Leave out what the function does not"
            " need.",
        )


def length_of(request: web.Request) -> int | None:
    """How many bytes `upload` will give, if that is known: a packed body is unpacked as it is read."""
    return None if "Content-Encoding" in request.headers else request.content_length


async def upload(request: web.Request) -> AsyncIterator[bytes]:
    """The body as it comes, asked for only now if the client waits for that (`Expect: 100-continue`)."""
    waits = request.headers.get("Expect", "").lower() == "100-continue"
    if waits and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer has not begun
    try:
        async for chunk in request.content.iter_any():
            yield chunk
    except BROKEN_OFF as error:
        raise PlatError("bad_request", "The upload ended before its end.") from error


async def expect_nothing_yet(_: web.Request) -> None:
    """In place of aiohttp's own `100 Continue`, which comes before any check: see `upload`."""


UNTYPED = "application/x-www-form-urlencoded"
"""What curl and urllib say of any body they were told nothing about: taken as nothing said."""


def _require_type(request: web.Request, allowed: Iterable[str]) -> None:
    given = request.headers.get("Content-Type")
    if given is not None and request.content_type not in (*allowed, UNTYPED):
        raise PlatError("unsupported_media_type", f'Content-Type "{given}": expected {" or ".join(allowed)}.')
