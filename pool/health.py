"""Asking an instance whether it is ready, and telling a warm one what to become (DESIGN 9).

Small and strict: one request on a connection of its own. Knows no drivers and no states.
"""

import asyncio
import time
from contextlib import closing

import msgspec
from msgspec import Struct

from plat.address import Address
from plat.errors import ERRORS, PlatError
from pool.drivers.base import LoadOrder
from pool.line import Answer, Line, NoAnswerError, Unreachable

__all__ = [
    "Health",
    "HungUpError",
    "Unreachable",
    "UselessError",
    "judge",
    "load",
    "open_line",
    "probe",
    "wait_ready",
]

FIRST_WAIT_S = 0.002
LONGEST_WAIT_S = 0.05
SHORT_S = 1.0
"""That an attempt with less time had no answer says less than what came to the one before."""

_HEALTH = b"GET /_plat/health HTTP/1.1\r\nHost: instance\r\nConnection: close\r\n\r\n"
_LOAD = (
    b"POST /_plat/load HTTP/1.1\r\nHost: instance\r\nConnection: close\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
)


class Health(Struct, frozen=True):
    """What a live instance says of itself. All fields empty: a server that is not one of our runtimes."""

    function: str = ""
    version: int = 0
    in_flight: int = 0
    warm: bool = False
    rehearses: bool = False
    """It gets ready when its load is announced (`Line.announce`)."""


class LoadError(Struct, frozen=True):
    """The body of a 503: why the handler could not be loaded."""

    code: str
    detail: str
    traceback: str | None = None


async def wait_ready(address: str, deadline: float) -> Health:
    """Wait until the instance serves; the instance itself holds its answer back until it does.

    `deadline` is of `time.monotonic`. Safe to cancel. Raises PlatError: the load error of the
    handler (`handler_*`, with its traceback), or `instance_start_failed`.
    """
    target = Address.parse(address)
    patience_s = max(0.0, deadline - time.monotonic())
    seen = unreachable = "nothing listens at its address yet"
    wait_s = FIRST_WAIT_S
    while (left_s := deadline - time.monotonic()) > 0:
        try:
            async with asyncio.timeout(left_s):
                return judge(await _ask(target), target)
        except TimeoutError:
            if seen == unreachable or left_s > SHORT_S:
                seen = "it listens, but its handler is still being loaded"
        except Unreachable:
            seen = unreachable
        except NoAnswerError as error:
            seen = f"its health check failed: {error}"
        await asyncio.sleep(max(0.0, min(wait_s, deadline - time.monotonic())))
        wait_s = min(wait_s * 1.5, LONGEST_WAIT_S)
    raise PlatError("instance_start_failed", f"The instance was not ready after {patience_s:.1f} s: {seen}.")


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


class HungUpError(UselessError):
    """It did not say how it went."""


async def open_line(address: str) -> Line | None:
    """For `load`, ahead of time: a call need not wait for it then. None: whoever loads will see why."""
    try:
        return await Line.open(Address.parse(address))
    except Unreachable:
        return None


async def load(address: str, order: LoadOrder, deadline: float, line: Line | None = None) -> None:
    """Make a warm instance one of a function; returns when it is ready. `deadline` is of `time.monotonic`.

    A `line` that is open already is used, and closed. Raises UselessError, and PlatError for what is wrong
    with the handler (`handler_*`, with its traceback) or takes longer than it may (`instance_start_failed`).
    """
    body = msgspec.json.encode(order)
    left_s = max(0.0, deadline - time.monotonic())
    try:
        async with asyncio.timeout(left_s):
            with closing(line or await Line.open(Address.parse(address))) as opened:
                answer = await opened.ask(_LOAD % (len(body), body))
    except TimeoutError as error:
        detail = f"The handler was not loaded after {left_s:.1f} s."
        raise PlatError("instance_start_failed", detail) from error
    except (Unreachable, NoAnswerError) as error:
        raise HungUpError(str(error)) from error
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
    with closing(await Line.open(target)) as line:
        return await line.ask(request)
