"""The generator over real sockets, against servers that behave in known ways."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import cast

import msgspec
import pytest

from bench.openloop import SELDOM, Run
from bench.schedule import Order, Outcome
from bench.slow_backend import is_whole

Answer = Callable[[int], bytes]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REFUSED = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\ncontent-length: 0\r\n\r\n"
CLOSED = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


class Scripted(asyncio.Protocol):
    """Answers in two writes; a call whose answer is empty hangs."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._received = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._server.connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if is_whole(self._received):
            self._received = b""
            answer = self._server.next_answer()
            for part in (answer[:20], answer[20:]):
                cast(asyncio.Transport, self.transport).write(part)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.connections.remove(self)
        if not self._server.connections:
            self._server.empty.set()


class Server:
    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._calls = count()
        self.connections: set[Scripted] = set()
        self.empty = asyncio.Event()

    def next_answer(self) -> bytes:
        return self._answer(next(self._calls))

    async def close(self) -> None:
        self.empty.clear()
        for each in self.connections.copy():
            cast(asyncio.Transport, each.transport).abort()
        if self.connections:
            async with asyncio.timeout(10):
                await self.empty.wait()


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[int]:
    """Its port. `answer(number)` is what the call with that number gets."""
    server = Server(answer)
    listener = await asyncio.get_running_loop().create_server(lambda: Scripted(server), "127.0.0.1", 0)
    async with listener:
        yield listener.sockets[0].getsockname()[1]
        await server.close()


def order(port: int, connections: int = 4, grace_s: float = 10.0) -> Order:
    return Order("127.0.0.1", port, "/", 200.0, 0.2, connections, 90, grace_s)


async def outcome_of(answer: Answer, connections: int = 4, grace_s: float = 10.0) -> Outcome:
    async with serving(answer) as port:
        return await Run(order(port, connections, grace_s)).run()


async def test_every_call_is_sent_and_answered_once() -> None:
    outcome = await outcome_of(lambda _: OK)
    assert (outcome.planned, outcome.statuses) == (40, {"200": 40})
    assert (outcome.failed, outcome.unanswered) == (0, 0)
    assert outcome.latency_ms["p50"] > 0


async def test_calls_that_come_seldom_are_not_sent_before_their_time() -> None:
    async with serving(lambda _: OK) as port:
        outcome = await Run(msgspec.structs.replace(order(port), rate=SELDOM)).run()
    assert outcome.statuses == {"200": 20}
    assert 0 <= outcome.lag_ms["p50"] < outcome.latency_ms["p50"]


async def test_refusals_and_their_retry_after_are_counted() -> None:
    outcome = await outcome_of(lambda number: REFUSED if number % 2 else OK)
    assert outcome.statuses == {"200": 20, "429": 20}
    assert outcome.retry_after == 20


async def test_closed_connections_are_opened_again() -> None:
    outcome = await outcome_of(lambda _: CLOSED)
    assert outcome.statuses == {"200": 40}


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", OK + b"more"])
async def test_answers_that_cannot_be_read_are_failures(answer: bytes) -> None:
    outcome = await outcome_of(lambda _: answer)
    assert outcome.failed + outcome.statuses.get("200", 0) == 40
    assert outcome.failed > 0


async def test_calls_behind_one_that_hangs_are_unanswered() -> None:
    outcome = await outcome_of(lambda number: OK if number else b"", connections=1, grace_s=0.1)
    assert outcome.unanswered == 40
    assert outcome.latency_ms["max"] >= 200
