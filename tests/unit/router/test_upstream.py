"""A connection to an instance, byte by byte, without a socket."""

import asyncio
import errno
import os

import pytest

from plat.address import Address
from router.http1 import BadResponseError
from router.upstream import (
    READ_HIGH_BYTES,
    ConnectionLostError,
    QueueFullError,
    ShortageError,
    UnreachableError,
    UpstreamConnection,
    meaning,
)
from tests.unit.router.memory import MemoryTransport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def transport() -> MemoryTransport:
    return MemoryTransport()


@pytest.fixture
def upstream(transport: MemoryTransport) -> UpstreamConnection:
    connection = UpstreamConnection()
    connection.connection_made(transport)
    return connection


async def exchange(upstream: UpstreamConnection, answer: bytes) -> bytes:
    await upstream.send(b"GET / HTTP/1.1\r\n\r\n")
    upstream.data_received(answer)
    await upstream.response_head("GET")
    return await upstream.read()


async def test_an_exchange_leaves_it_reusable(upstream: UpstreamConnection) -> None:
    assert await exchange(upstream, OK) == b"ok"
    assert upstream.reusable
    upstream.finish()
    assert upstream.used
    assert await exchange(upstream, OK) == b"ok"


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"more",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
    ids=["bytes after the answer", "close", "HTTP/1.0"],
)
async def test_it_is_not_reused_after(upstream: UpstreamConnection, answer: bytes) -> None:
    await exchange(upstream, answer)
    assert not upstream.reusable


async def test_bytes_without_a_request_end_it(
    upstream: UpstreamConnection, transport: MemoryTransport
) -> None:
    upstream.data_received(OK)
    assert transport.ended == "abort"


async def test_bytes_between_two_requests_end_it(
    upstream: UpstreamConnection, transport: MemoryTransport
) -> None:
    await exchange(upstream, OK)
    upstream.finish()
    upstream.data_received(b"HTTP")
    assert transport.ended == "abort"


async def test_an_end_before_the_head_is_a_loss(upstream: UpstreamConnection) -> None:
    await upstream.send(b"GET / HTTP/1.1\r\n\r\n")
    upstream.eof_received()
    with pytest.raises(ConnectionLostError):
        await upstream.response_head("GET")
    assert upstream.silent


async def test_it_reads_no_more_than_it_hands_on(
    upstream: UpstreamConnection, transport: MemoryTransport
) -> None:
    await upstream.send(b"GET / HTTP/1.1\r\n\r\n")
    upstream.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + bytes(READ_HIGH_BYTES))
    assert transport.is_paused
    await upstream.response_head("GET")
    assert len(await upstream.read()) == READ_HIGH_BYTES
    assert not transport.is_paused


async def test_a_sender_waits_for_a_slow_instance(upstream: UpstreamConnection) -> None:
    upstream.pause_writing()
    sending = asyncio.get_running_loop().create_task(upstream.send(b"x"))
    await asyncio.sleep(0)
    assert not sending.done()
    upstream.resume_writing()
    await sending


async def test_a_cancelled_reader_leaves_no_waiter(upstream: UpstreamConnection) -> None:
    await upstream.send(b"GET / HTTP/1.1\r\n\r\n")
    reading = asyncio.get_running_loop().create_task(upstream.response_head("GET"))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    upstream.data_received(OK)
    assert (await upstream.response_head("GET")).status == 200


async def test_half_close_waits_for_the_other_end(
    upstream: UpstreamConnection, transport: MemoryTransport
) -> None:
    await upstream.send(b"GET / HTTP/1.1\r\n\r\n")
    deadline = asyncio.get_running_loop().time() + 30
    closing = asyncio.get_running_loop().create_task(upstream.half_close(deadline))
    await asyncio.sleep(0)
    assert transport.ended == "eof"
    upstream.data_received(OK)
    await asyncio.sleep(0)
    assert not closing.done()
    upstream.eof_received()
    assert await closing


async def test_half_close_gives_up_at_its_deadline(upstream: UpstreamConnection) -> None:
    await upstream.send(b"GET / HTTP/1.1\r\n\r\n")
    assert not await upstream.half_close(asyncio.get_running_loop().time() - 1)


class Sink:
    def __init__(self) -> None:
        self.seen: list[object] = []

    def upstream_data(self, data: bytes) -> None:
        self.seen.append(data)

    def upstream_ended(self, *, broken: bool) -> None:
        self.seen.append(("ended", broken))


async def test_a_sink_gets_what_comes_and_the_end_once(upstream: UpstreamConnection) -> None:
    sink = Sink()
    upstream.begin(sink, b"GET / HTTP/1.1\r\n\r\n")
    upstream.data_received(b"HTTP")
    upstream.connection_lost(ConnectionResetError())
    assert sink.seen == [b"HTTP", ("ended", True)]
    assert not upstream.silent


async def test_a_sink_hears_of_an_end_that_was_before_its_request(upstream: UpstreamConnection) -> None:
    upstream.close()
    sink = Sink()
    upstream.begin(sink, b"GET / HTTP/1.1\r\n\r\n")
    await asyncio.sleep(0)
    assert sink.seen == [("ended", True)]


async def test_a_detached_sink_hears_nothing(upstream: UpstreamConnection) -> None:
    sink = Sink()
    upstream.begin(sink, b"GET / HTTP/1.1\r\n\r\n")
    upstream.detach()
    upstream.eof_received()
    assert sink.seen == []


async def test_an_endless_head_is_refused(upstream: UpstreamConnection) -> None:
    await upstream.send(b"GET / HTTP/1.1\r\n\r\n")
    upstream.data_received(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000)
    with pytest.raises(BadResponseError):
        await upstream.response_head("GET")


# --- no connection

NOBODY = ["ECONNREFUSED", "ECONNRESET", "ENOENT", "EHOSTUNREACH", "ENETUNREACH", "ETIMEDOUT", "EACCES"]
SHORT = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EADDRNOTAVAIL", "EADDRINUSE", "EINTR"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((each, UnreachableError) for each in NOBODY),
        *((each, ShortageError) for each in SHORT),
        ("EAGAIN", QueueFullError),
    ],
)
def test_whom_a_failed_connection_speaks_of(name: str, kind: type[Exception]) -> None:
    number = getattr(errno, name)
    failure = meaning(Address(path="/a"), OSError(number, os.strerror(number)))
    assert type(failure) is kind
    assert os.strerror(number) in str(failure)


def test_no_answer_in_time_is_the_instances() -> None:
    failure = meaning(Address(path="/a"), TimeoutError())
    assert type(failure) is UnreachableError
    assert str(failure) == "unix:/a: no answer to the connection attempt"
