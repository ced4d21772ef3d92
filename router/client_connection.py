"""A client's connection that reads complete small requests, one at a time, for the fast path (DESIGN 5).

What comes meanwhile waits in the buffer; whatever `recognise` does not know goes to aiohttp, with its
bytes, on the same connection. Knows no function and no instance: what a call does is `fastpath`'s.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from typing import Final, cast

from plat.errors import PlatError
from router.answers import refusal
from router.clients import BODY_LIMIT_BYTES, Clients
from router.recognise import Recognised, may_become
from router.unsent import unsent_bytes

IDLE_S = 75.0
"""Idle client connections are closed after this (nginx's default)."""

REQUEST_S = 60.0
"""A request that has begun must be complete within this."""


# What a connection is doing; the first two take bytes. Plain numbers: an Enum costs a call 0.3 us.
IDLE: Final = 0
READING: Final = 1
WAITING: Final = 2
IN_FLIGHT: Final = 3
DRAINING: Final = 4
"""The answer is written, but the client has not taken all of it: the next request waits for that."""
CLOSED: Final = 5


class ClientConnection(ABC, asyncio.Protocol):
    """Reads; what follows a complete request is a subclass's."""

    __slots__ = (
        "_blocked",
        "_body",
        "_buffer",
        "_clients",
        "_needed",
        "_peer",
        "_request",
        "_state",
        "_transport",
        "_unsent",
        "deadline",
    )

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._state = IDLE
        self._buffer = b""
        self._needed = 0
        """READING: bytes without which the buffer is not worth another look."""
        self._request: Recognised
        self._body = b""
        self._blocked = False
        """Whether the client is waited for, because it has not taken what was written to it."""
        self._unsent = 0
        """Bytes that were on their way to it when it was last looked at; only while it is waited for."""
        self.deadline = time.monotonic() + IDLE_S

    # --- the call (a subclass's)

    @abstractmethod
    def _begin(self, request: Recognised, data: bytes) -> None:
        """A request is complete. `data`: all that has come, from the request on."""

    @abstractmethod
    def _left(self, state: int) -> None:
        """The client has gone, in the middle of a call."""

    @abstractmethod
    def _call_late(self) -> None:
        """The deadline of a call has passed."""

    @abstractmethod
    def _pause_answer(self) -> None:
        """The client does not take what is written."""

    @abstractmethod
    def _resume_answer(self) -> None:
        """It does again, in the middle of an answer."""

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit asyncio's
        self._transport.set_write_buffer_limits(0)  # blocked as soon as anything is unsent, on either path
        peer = transport.get_extra_info("peername")
        self._peer = (str(peer[0]) if isinstance(peer, tuple) else "").encode()
        if self._clients.is_full:
            self._state = CLOSED
            error = PlatError(
                "too_many_connections", "The router has all the connections it may have.", retry_after_s=1
            )
            self._transport.write(refusal(error, self._clients.call_id().decode(), is_head=False, close=True))
            self._transport.close()
            return
        self._clients.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._state <= READING:
            data = self._buffer + data if self._buffer else data
            if self._state == READING and len(data) < self._needed:
                self._buffer = data
            else:
                self._take(data)
            return
        self._buffer += data
        if len(self._buffer) > BODY_LIMIT_BYTES:
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        state, self._state = self._state, CLOSED
        self._clients.forget(self)
        if state in (WAITING, IN_FLIGHT):
            self._left(state)

    def pause_writing(self) -> None:
        """The client is waited for: the function's clock stands still, and the client's runs."""
        self._blocked = True
        self._wait_for_reader()
        self._pause_answer()

    def resume_writing(self) -> None:
        self._blocked = False
        if self._state == DRAINING:
            self._answered(time.monotonic())
        else:
            self._resume_answer()

    def _wait_for_reader(self) -> None:
        self._unsent = unsent_bytes(self._transport)
        self.deadline = time.monotonic() + self._clients.calls.send_timeout_s

    # --- requests

    def _take(self, data: bytes) -> None:
        """The next request in `data`: begin its call, wait for more of it, or hand the connection over."""
        end = data.find(b"\r\n\r\n") + 4
        if end == 3:
            if may_become(data):
                self._wait_for_more(data, needed=0)
            else:
                self._hand_over(data)
            return
        head = data[:end]
        request = self._clients.recognised(head)
        if request is None:
            self._hand_over(data)
            return
        length = request.length
        if length > self._clients.body_limit_bytes:
            self._hand_over(data)
            return
        if len(data) - end < length:
            self._wait_for_more(data, needed=end + length)
            return
        self._body = data[end : end + length]
        self._buffer = data[end + length :]
        self._request = request
        self._begin(request, data)

    def _wait_for_more(self, data: bytes, *, needed: int) -> None:
        self._buffer = data
        self._needed = needed
        if self._state == IDLE:
            self._state = READING
            self.deadline = time.monotonic() + REQUEST_S

    def _hand_over(self, data: bytes) -> None:
        """To aiohttp, for good: it reads everything that HTTP/1.1 knows."""
        self._state = CLOSED
        self._clients.forget(self)
        handler = self._clients.hand_over()
        self._transport.set_protocol(handler)
        handler.connection_made(self._transport)
        handler.data_received(data)

    def _answered(self, now: float) -> None:
        """The answer is written: on to the next request, or the end."""
        if self._request.close or self._clients.closing:
            self._state = CLOSED
            self._transport.close()
            return
        if self._blocked:
            self._state = DRAINING
            return
        self._state = IDLE
        self.deadline = now + IDLE_S
        if self._buffer:
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        """A request that came while the last was answered."""
        if self._state == IDLE and self._buffer:
            self._transport.resume_reading()
            data, self._buffer = self._buffer, b""
            self._take(data)

    # --- the end

    def late(self) -> None:
        """The deadline has passed; what it means depends on what was waited for."""
        if self._blocked:
            self._cut_unless_reading()
        elif self._state == IDLE:
            self._transport.close()
        elif self._state == READING:
            self._transport.abort()
        else:
            self._call_late()

    def _cut_unless_reading(self) -> None:
        """As nginx's `send_timeout`: who takes something in time, however little, has as long again."""
        before = self._unsent
        self._wait_for_reader()
        if self._unsent >= before:
            self._transport.abort()

    def close_if_idle(self) -> None:
        if self._state in (IDLE, READING):
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()
