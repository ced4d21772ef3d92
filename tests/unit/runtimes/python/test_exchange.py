"""An exchange on a connection that only remembers what it was told."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from runtimes.python.plat_runtime.exchange import PAUSE_BYTES, CallerGoneError, Exchange
from runtimes.python.plat_runtime.http1 import BadRequestError, Response
from tests.unit.runtimes.python.requests import make_request

T = TypeVar("T")


class FakeLine:
    def __init__(self) -> None:
        self.is_stopping = False
        self.is_paused = False
        self.written = b""
        self.kept: list[bool] = []
        self.is_cut = False
        self.room = asyncio.Event()
        self.room.set()

    def write(self, data: bytes) -> None:
        self.written += data

    async def drain(self) -> None:
        await self.room.wait()

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False

    def answered(self, exchange: Exchange, keep_alive: bool) -> None:
        self.kept.append(keep_alive)

    def cut(self) -> None:
        self.is_cut = True


@pytest.fixture
def line() -> FakeLine:
    return FakeLine()


def start(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    return asyncio.get_running_loop().create_task(work)


async def turn() -> None:
    """Let every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_body_is_read_as_it_comes(line: FakeLine) -> None:
    exchange = Exchange(line, make_request(content_length="5"))
    assert exchange.feed(b"ab") == b""
    assert await exchange.read() == b"ab"
    waiting = start(exchange.read())
    await turn()
    assert not waiting.done()
    assert exchange.feed(b"cdeGET") == b"GET"
    assert await waiting == b"cde"
    assert await exchange.read() == b""


async def test_reading_pauses_and_resumes(line: FakeLine) -> None:
    exchange = Exchange(line, make_request(transfer_encoding="chunked"))
    exchange.feed(b"%x\r\n%b\r\n" % (PAUSE_BYTES + 1, b"x" * (PAUSE_BYTES + 1)))
    assert line.is_paused
    await exchange.read()
    assert not line.is_paused


async def test_a_whole_body_is_not_paused(line: FakeLine) -> None:
    exchange = Exchange(line, make_request(content_length=str(PAUSE_BYTES + 2)))
    reading = start(exchange.read_all())
    await turn()
    exchange.feed(b"x" * (PAUSE_BYTES + 1))
    assert not line.is_paused
    exchange.feed(b"y")
    assert len(await reading) == PAUSE_BYTES + 2


async def test_a_cancelled_read_loses_nothing(line: FakeLine) -> None:
    exchange = Exchange(line, make_request(content_length="2"))
    first = start(exchange.read())
    second = start(exchange.wait_for_end())
    await turn()
    exchange.feed(b"ab")
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await exchange.read() == b"ab"
    assert not second.done()
    exchange.caller_left()
    await second


async def test_a_caller_that_leaves_wakes_and_cancels(line: FakeLine) -> None:
    exchange = Exchange(line, make_request(content_length="2"))
    reading = start(exchange.read_all())
    exchange.task = start(exchange.wait_for_end())
    await turn()
    exchange.caller_left()
    with pytest.raises(CallerGoneError):
        await reading
    with pytest.raises(asyncio.CancelledError):
        await exchange.task
    with pytest.raises(CallerGoneError):
        await exchange.read()
    with pytest.raises(CallerGoneError):
        await exchange.drain()
    exchange.respond(Response(200, [], b"nobody"))
    exchange.ended()
    assert (line.written, line.is_cut) == (b"", True)


async def test_continue_is_said_when_the_body_is_wanted(line: FakeLine) -> None:
    exchange = Exchange(line, make_request(content_length="2", expect="100-continue"))
    assert exchange.needs_continue
    reading = start(exchange.read())
    await turn()
    assert line.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert not exchange.needs_continue
    exchange.feed(b"ab")
    await reading


@pytest.mark.parametrize(
    ("fields", "is_stopping", "keep"),
    [
        ({}, False, True),
        ({}, True, False),
        ({"connection": "close"}, False, False),
        ({"content_length": "2", "expect": "100-continue"}, False, False),
    ],
)
async def test_whether_the_connection_is_kept(
    line: FakeLine, fields: dict[str, str], is_stopping: bool, keep: bool
) -> None:
    line.is_stopping = is_stopping
    exchange = Exchange(line, make_request("POST", "/", **fields))
    exchange.respond(Response(200, [], b"x"))
    assert line.kept == [keep]
    assert (b"connection: close" in line.written) is not keep
    exchange.ended()
    assert not line.is_cut


async def test_a_stream(line: FakeLine) -> None:
    exchange = Exchange(line, make_request())
    exchange.begin(200, [("x-a", "1")], None, b"one")
    exchange.send(b"two")
    assert line.kept == []
    exchange.finish()
    assert line.written.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    assert line.kept == [True]


async def test_a_stream_that_is_not_finished_is_cut(line: FakeLine) -> None:
    exchange = Exchange(line, make_request())
    exchange.begin(200, [], 5, b"abc")
    with pytest.raises(ValueError, match="shorter"):
        exchange.finish()
    exchange.ended()
    assert line.is_cut


async def test_an_answer_that_http_cannot_carry_writes_nothing(line: FakeLine) -> None:
    exchange = Exchange(line, make_request())
    with pytest.raises(ValueError, match="HTTP"):
        exchange.respond(Response(200, [("a", "b\n")], b""))
    with pytest.raises(ValueError, match="HTTP"):
        exchange.begin(200, [("a", "b\n")], None, b"")
    assert (line.written, exchange.stream, exchange.is_answered) == (b"", None, False)


async def test_drain_waits_for_room_and_can_be_cancelled(line: FakeLine) -> None:
    exchange = Exchange(line, make_request())
    line.room.clear()
    draining = start(exchange.drain())
    await turn()
    assert not draining.done()
    draining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await draining
    line.room.set()
    await exchange.drain()


def test_a_body_that_is_none_is_refused(line: FakeLine) -> None:
    with pytest.raises(BadRequestError):
        Exchange(line, make_request(transfer_encoding="chunked")).feed(b"x\r\n")
