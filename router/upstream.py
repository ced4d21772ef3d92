"""Connections to instances: one `asyncio.Protocol` each, one exchange at a time, with back-pressure.

Knows sockets and framing; knows no slots, routes or clients. A connection whose exchange was cut is
never used again.
"""

import asyncio
import errno
from typing import Protocol, cast

from plat.address import Address
from router.http1 import (
    Body,
    ResponseHead,
    StreamBody,
    body_of,
    check_beginning,
    parse_head,
)

READ_HIGH_BYTES = 256 * 1024
"""Unread bytes at which reading from the instance pauses; it goes on at a quarter of it."""

CONNECT_TIMEOUT_S = 5.0

QUEUE_WAITS_S = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
"""Between attempts to connect to an instance whose queue of connections is full: it lives, and takes them."""

_NOBODY_LISTENS = frozenset(
    {
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EACCES,  # a socket that its instance has closed to us
        errno.EPROTOTYPE,  # or that takes datagrams
        errno.EHOSTUNREACH,
        errno.EHOSTDOWN,
        errno.ENETUNREACH,
        errno.ETIMEDOUT,
    }
)
"""What says something of the other side; all else (EMFILE, EADDRNOTAVAIL, ENOBUFS, ...) is of ours."""


class UnreachableError(Exception):
    """No connection to the instance can be made. No byte of the request was sent."""


class ShortageError(UnreachableError):
    """Not now: this process, or its machine, lacks what a connection takes. The instance is not to blame."""


class QueueFullError(ShortageError):
    """Not now: more connections wait for the instance to take them than its queue holds."""


class ConnectionLostError(Exception):
    """The instance closed the connection during the exchange."""


class Sink(Protocol):
    """Whoever wants the answer as it comes (the fast path) instead of reading it."""

    def upstream_data(self, data: bytes) -> None: ...
    def upstream_ended(self, *, broken: bool) -> None: ...


class UpstreamConnection(asyncio.Protocol):
    """One keep-alive connection. Methods that wait may be cancelled; close the connection then."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._eof = False
        self._broken = False
        self._paused = False
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._write_paused = False
        self._head: ResponseHead | None = None
        self._body: Body | None = None
        self._busy = False
        self.used = False
        """Whether an exchange has been completed on it: then it may have been closed while idle."""
        self.silent = True
        """Whether not a byte has come since the request was sent."""
        self._discarding = False
        self._sink: Sink | None = None

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit asyncio's

    def data_received(self, data: bytes) -> None:
        self.silent = False
        if self._sink is not None:
            self._sink.upstream_data(data)
            return
        if self._discarding:
            return
        if not self._busy:
            self.close()  # bytes without a request: whatever they are, they belong to no call
            return
        self._buffer += data
        if len(self._buffer) >= READ_HIGH_BYTES and not self._paused:
            self.pause_reading()
        self._wake_reader()

    def eof_received(self) -> bool:
        self._end()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._broken = self._broken or exc is not None
        self._transport = None
        self._end()
        self.resume_writing()

    def _end(self) -> None:
        self._eof = True
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.upstream_ended(broken=self._broken)
        self._wake_reader()

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    # --- questions

    @property
    def closed(self) -> bool:
        return self._eof or self._broken or self._transport is None

    @property
    def reusable(self) -> bool:
        """The exchange is complete on both sides, and both mean to keep the connection."""
        done = self._body is not None and self._body.complete
        keep = self._head is not None and self._head.keep_alive
        return done and keep and not self._buffer and not self.closed and not self._write_paused

    # --- an exchange whose answer is handed on as it comes

    def begin(self, sink: Sink, request: bytes) -> None:
        """Write a whole request; `sink` gets the answer, until `detach`."""
        self._busy = True
        self.silent = True
        self._sink = sink
        if self._transport is None or self._transport.is_closing():
            asyncio.get_running_loop().call_soon(self._end)
        else:
            self._transport.write(request)

    def detach(self) -> None:
        self._sink = None

    # --- an exchange, in this order

    async def send(self, data: bytes) -> None:
        """Write, and wait while the instance reads slower than we write."""
        if not self._busy:
            self._busy = self.silent = True
        if self._transport is None or self._transport.is_closing():
            raise ConnectionLostError("the instance closed the connection")
        self._transport.write(data)
        if self._write_paused:
            await self.drained()

    async def response_head(self, request_method: str) -> ResponseHead:
        """The next head, interim ones (1xx) included.

        Raises ConnectionLostError if the connection ends before it, BadResponseError if it is none.
        """
        seen = 0
        while (end := self._buffer.find(b"\r\n\r\n", max(0, seen - 3))) < 0:
            check_beginning(self._buffer, seen)
            seen = len(self._buffer)
            if self._eof:
                raise ConnectionLostError("the instance closed the connection before it answered")
            await self._more()
        head = parse_head(bytes(self._buffer[: end + 4]), request_method)
        del self._buffer[: end + 4]
        if not head.interim:
            self._head = head
            self._body = body_of(head)
        return head

    async def read(self) -> bytes:
        """The next piece of the body as soon as there is one; empty at its end."""
        body = self._body
        assert body is not None, "read follows response_head"
        while True:
            piece = body.feed(self._buffer)
            if self._paused and len(self._buffer) <= READ_HIGH_BYTES // 4:
                self.resume_reading()
            if piece or body.complete:
                return piece
            if self._broken:
                raise ConnectionLostError("the connection broke within the answer")
            if self._eof:
                body.end()
                return b""
            await self._more()

    def read_now(self) -> bytes:
        """What has arrived of the body already."""
        return self._body.feed(self._buffer) if self._body is not None else b""

    @property
    def complete(self) -> bool:
        return self._body is not None and self._body.complete

    def finish(self) -> None:
        """The exchange is over and the connection `reusable`: make it ready for the next."""
        self._sink = None
        self._busy = False
        self.used = True
        self._head = None
        self._body = None

    # --- ends

    async def half_close(self, deadline: float) -> bool:
        """Tell the instance that nobody listens any more, and wait until it has closed too.

        That is when its handler has ended. False if the deadline (loop time) came first.
        """
        transport = self._transport
        if transport is None or self._eof:
            self.close()
            return True
        if transport.can_write_eof() and not transport.is_closing():
            transport.write_eof()
        self._discarding = True
        self.resume_reading()
        try:
            async with asyncio.timeout_at(deadline):
                while not self._eof:
                    await self._more()
        except TimeoutError:
            return False
        finally:
            self.close()
        return True

    def close(self) -> None:
        """At once, without a word to the sink. Unwritten bytes are dropped; an answer is not complete."""
        self._sink = None
        self._broken = True
        if self._transport is not None:
            self._transport.abort()

    # --- a tunnel, after 101: `read` gives what comes, to the end of the connection

    def become_tunnel(self) -> None:
        self._body = StreamBody()

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    @property
    def write_paused(self) -> bool:
        return self._write_paused

    async def drained(self) -> None:
        if self._write_paused:
            self._writer = asyncio.get_running_loop().create_future()
            await self._writer

    # --- flow control

    def pause_reading(self) -> None:
        if self._transport is not None and not self._paused and not self._transport.is_closing():
            self._transport.pause_reading()
            self._paused = True

    def resume_reading(self) -> None:
        if self._transport is not None and self._paused and not self._transport.is_closing():
            self._transport.resume_reading()
        self._paused = False

    # --- waiting

    async def _more(self) -> None:
        self._reader = asyncio.get_running_loop().create_future()
        try:
            await self._reader
        finally:
            self._reader = None

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


async def connect(address: Address) -> UpstreamConnection:
    """A new connection. Raises UnreachableError: nobody listens there; or ShortageError: not now."""
    for wait_s in QUEUE_WAITS_S:
        try:
            return await _connect(address)
        except QueueFullError:
            await asyncio.sleep(wait_s)
    return await _connect(address)


async def _connect(address: Address) -> UpstreamConnection:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            if address.path:
                _, connection = await loop.create_unix_connection(UpstreamConnection, address.path)
            else:
                _, connection = await loop.create_connection(UpstreamConnection, address.host, address.port)
    except OSError as error:
        raise meaning(address, error) from error
    return connection


def meaning(address: Address, error: OSError) -> UnreachableError:
    """What it says of the instance that it could not be connected to."""
    detail = f"{address}: {str(error) or 'no answer to the connection attempt'}"
    if isinstance(error, TimeoutError) or error.errno in _NOBODY_LISTENS:
        return UnreachableError(detail)
    return QueueFullError(detail) if error.errno == errno.EAGAIN else ShortageError(detail)
