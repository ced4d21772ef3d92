"""Asking an instance whether it is ready, and telling a warm one what to become (DESIGN 9).

Small and strict: one request on a connection of its own. Knows no drivers and no states.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import msgspec
from msgspec import Struct

from plat.address import Address
from plat.errors import ERRORS, PlatError
from pool.drivers.base import LoadOrder

FIRST_WAIT_S = 0.002
LONGEST_WAIT_S = 0.05
HEAD_LIMIT_BYTES = 16 * 1024
BODY_LIMIT_BYTES = 1024 * 1024

_HEALTH = b"GET /_plat/health HTTP/1.1\r\nHost: instance\r\nConnection: close\r\n\r\n"
_LOAD = (
    b"POST /_plat/load HTTP/1.1\r\nHost: instance\r\nConnection: close\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
)
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,15})[ \t]*(?=\r\n)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)


class Health(Struct, frozen=True):
    """What a live instance says of itself. All fields empty: a server that is not one of our runtimes."""

    function: str = ""
    version: int = 0
    in_flight: int = 0
    warm: bool = False


class LoadError(Struct, frozen=True):
    """The body of a 503: why the handler could not be loaded."""

    code: str
    detail: str
    traceback: str | None = None


class Unreachable(ConnectionError):  # noqa: N818 - it is a ConnectionError, which says it
    """Nothing listens at the address."""


class Answer(NamedTuple):
    status: int
    body: bytes


class NoAnswerError(Exception):
    """The connection ended, or what came was not HTTP."""


async def wait_ready(address: str, deadline: float) -> Health:
    """Wait until the instance serves; the instance itself holds its answer back until it does.

    `deadline` is of `time.monotonic`. Safe to cancel. Raises PlatError: the load error of the
    handler (`handler_*`, with its traceback), or `instance_start_failed`.
    """
    target = Address.parse(address)
    began = time.monotonic()
    seen = "nothing listens at its address yet"
    wait_s = FIRST_WAIT_S
    while (left_s := deadline - time.monotonic()) > 0:
        try:
            async with asyncio.timeout(left_s):
                return judge(await _ask(target), target)
        except TimeoutError:
            seen = "it listens, but its handler is still being loaded"
        except Unreachable:
            seen = "nothing listens at its address yet"
        except NoAnswerError as error:
            seen = f"its health check failed: {error}"
        await asyncio.sleep(max(0.0, min(wait_s, deadline - time.monotonic())))
        wait_s = min(wait_s * 1.5, LONGEST_WAIT_S)
    raise PlatError(
        "instance_start_failed", f"The instance was not ready after {deadline - began:.1f} s: {seen}."
    )


async def probe(address: str, timeout_s: float) -> Health | None:
    """Ask once; None: no answer in time. Raises Unreachable, and PlatError for a load error."""
    target = Address.parse(address)
    try:
        async with asyncio.timeout(timeout_s):
            return judge(await _ask(target), target)
    except (TimeoutError, NoAnswerError):
        return None


class UselessError(Exception):
    """A warm instance that cannot take a function: it is gone, does not answer, or has one already."""


async def load(address: str, order: LoadOrder, deadline: float) -> None:
    """Make a warm instance one of a function; returns when it is ready. `deadline` is of `time.monotonic`.

    Raises UselessError, and PlatError for what is wrong with the handler (`handler_*`, with its traceback)
    or takes longer than it may (`instance_start_failed`).
    """
    body = msgspec.json.encode(order)
    left_s = deadline - time.monotonic()
    try:
        async with asyncio.timeout(left_s):
            answer = await _ask(Address.parse(address), _LOAD % (len(body), body))
    except TimeoutError as error:
        detail = f"The handler was not loaded after {left_s:.1f} s."
        raise PlatError("instance_start_failed", detail) from error
    except (Unreachable, NoAnswerError) as error:
        raise UselessError(str(error)) from error
    if answer.status == 200:
        return
    if answer.status == 422 and (failure := _load_error(answer.body)) is not None:
        raise _failed_to_load(failure)
    raise UselessError(f"it answered {answer.status}")


def judge(answer: Answer, target: Address) -> Health:
    """What an answer means. Raises PlatError for an instance that will never serve."""
    if answer.status == 503 and (error := _load_error(answer.body)) is not None:
        raise _failed_to_load(error)
    if answer.status == 200:
        return _health(answer.body)
    if answer.status == 404 or target.path is None:
        return Health()
    raise PlatError("instance_start_failed", f"The instance answered {answer.status} to its health check.")


def _failed_to_load(error: LoadError) -> PlatError:
    code = error.code if error.code in ERRORS else "instance_start_failed"
    return PlatError(code, error.detail, traceback=error.traceback)


def _load_error(body: bytes) -> LoadError | None:
    try:
        return msgspec.json.decode(body, type=LoadError)
    except msgspec.MsgspecError:
        return None


def _health(body: bytes) -> Health:
    """A foreign server may answer 200 to any path, with anything."""
    try:
        return msgspec.json.decode(body, type=Health)
    except msgspec.MsgspecError:
        return Health()


async def _ask(target: Address, request: bytes = _HEALTH) -> Answer:
    async with _connection(target) as (reader, writer):
        try:
            writer.write(request)
            return await _read_answer(reader)
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            raise NoAnswerError("the connection was closed without an answer") from error
        except asyncio.LimitOverrunError as error:
            raise NoAnswerError(f"its head is over {HEAD_LIMIT_BYTES} bytes") from error


@asynccontextmanager
async def _connection(target: Address) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    try:
        if target.path:
            reader, writer = await asyncio.open_unix_connection(target.path, limit=HEAD_LIMIT_BYTES)
        else:
            reader, writer = await asyncio.open_connection(target.host, target.port, limit=HEAD_LIMIT_BYTES)
    except OSError as error:
        raise Unreachable(f"{target}: {error}") from error
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def _read_answer(reader: asyncio.StreamReader) -> Answer:
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        status, length = parse_head(head)
        if status >= 200:
            break
    if length is None:
        return Answer(status, b"")
    return Answer(status, await reader.readexactly(length))


def parse_head(head: bytes) -> tuple[int, int | None]:
    """Status and body length; a length of None: chunked or until the end, which no runtime of ours sends.

    Raises NoAnswerError for what is not HTTP.
    """
    match = _STATUS_LINE.match(head)
    if match is None:
        raise NoAnswerError(f"it is not HTTP/1.1 ({head[:40]!r})")
    lengths = set(_LENGTH.findall(head))
    if _CHUNKED.search(head) or not lengths:
        return int(match[1]), None
    if len(lengths) > 1 or int(min(lengths)) > BODY_LIMIT_BYTES:
        raise NoAnswerError("its Content-Length is contradictory or too large")
    return int(match[1]), int(min(lengths))
