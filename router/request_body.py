"""A client's body: its beginning is read before a slot is asked for, so who sends only a head holds nothing.

Knows the client's request; knows nothing of slots and upstreams.
"""

import asyncio
from typing import NamedTuple

from aiohttp import web

from plat.errors import PlatError
from router.pace import Pace

EARLY_BYTES = 64 * 1024
"""What is read before a slot is asked for. While it is waited for, only aiohttp's buffer fills besides."""

EARLY_S = 60.0
"""Seconds in which it must be there: as on the fast path, whoever reads it."""

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class EarlyBody(NamedTuple):
    """What was read of a body beforehand."""

    data: bytes
    whole: bool
    """Whether that is all of it; else the rest is to be streamed."""


async def read_early(request: web.BaseRequest, body_limit_bytes: int) -> EarlyBody:
    """The first EARLY_BYTES of the body, or all of it if it is not larger. Answers `Expect`.

    Raises PlatError: request_timeout, body_too_large, or bad_request for a malformed one.
    """
    if not request.body_exists:
        return EarlyBody(b"", whole=True)
    if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= (1, 1):
        await request.writer.write(_CONTINUE)
    most = min(EARLY_BYTES, body_limit_bytes + 1)
    data = bytearray()
    try:
        async with asyncio.timeout(EARLY_S):
            while len(data) < most and (piece := await _read(request, most - len(data))):
                data += piece
    except TimeoutError as error:
        raise PlatError("request_timeout", _complaint(len(data), request.content_length)) from error
    if len(data) > body_limit_bytes:
        raise PlatError("body_too_large", f"The body is over the limit of {body_limit_bytes} bytes.")
    return EarlyBody(bytes(data), whole=request.content.at_eof())


async def read_any(request: web.BaseRequest) -> bytes:
    """What has come of the body, as soon as there is some; empty at its end. Raises PlatError."""
    try:
        return await request.content.readany()
    except web.RequestPayloadError as error:
        raise _malformed(error) from error


async def read_paced(request: web.BaseRequest, pace: Pace) -> bytes:
    """As `read_any`, of a client that must not be too slow. Raises PlatError `request_timeout` too."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(pace.patience_s):
            piece = await read_any(request)
    except TimeoutError as error:
        pace.came(0, loop.time() - began)
        raise PlatError("request_timeout", pace.complaint()) from error
    pace.came(len(piece), loop.time() - began)
    return piece


async def _read(request: web.BaseRequest, most: int) -> bytes:
    """The same, but no more than `most` bytes."""
    try:
        return await request.content.read(most)
    except web.RequestPayloadError as error:
        raise _malformed(error) from error


def _malformed(error: Exception) -> PlatError:
    return PlatError("bad_request", f"The body is not valid HTTP/1.1: {error}")


def _complaint(came: int, length: int | None) -> str:
    due = f"first {EARLY_BYTES}" if length is None or length > EARLY_BYTES else str(length)
    return f"Only {came} of the body's {due} bytes came within {EARLY_S:g} s."
