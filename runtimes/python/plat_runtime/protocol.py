"""A connection of the asyncio engine: bytes in, requests out, one exchange at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, cast

from . import http1
from .exchange import Exchange

MOST_WAITING_BYTES = 64 * 1024
"""Of requests that come before the current one was answered."""


class Engine(Protocol):
    """What a connection needs of its engine."""

    @property
    def is_stopping(self) -> bool: ...

    def start_call(self, exchange: Exchange) -> asyncio.Task[None]: ...

    def left(self, protocol: Any) -> None: ...


class Http1Protocol(asyncio.Protocol):
    """`data` is what the door has read of the connection already."""

    def __init__(self, engine: Engine, data: bytes) -> None:
        self._engine = engine
        self._transport: asyncio.Transport | None = None
        self._buffer = data
        self._exchange: Exchange | None = None
        self._is_paused = False
        self._room: asyncio.Future[None] | None = None
        self._tunnel: Callable[[bytes], None] | None = None
        self._tunnel_ended: Callable[[], None] | None = None
        self.connecting: asyncio.Task[Any] | None = None

    @property
    def is_stopping(self) -> bool:
        return self._engine.is_stopping

    # --- called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._take_request()

    def data_received(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel(data)
        elif self._exchange is None:
            self._buffer = self._buffer + data if self._buffer else data
            self._take_request()
        else:
            self._feed(self._exchange, data)

    def eof_received(self) -> bool:
        """True keeps our side open, so that the close tells when the handler has ended."""
        if self._tunnel_ended is not None:
            self._tunnel_ended()
            return True
        exchange = self._exchange
        if exchange is None or exchange.is_answered:
            return False
        exchange.caller_left()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self._let_write()
        if self._tunnel_ended is not None:
            self._tunnel_ended()
        elif self._exchange is not None:
            self._exchange.caller_left()
        self._engine.left(self)

    def pause_writing(self) -> None:
        self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        self._let_write()

    # --- called by the exchange and the engine

    def write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    async def drain(self) -> None:
        if self._room is not None:
            await asyncio.shield(self._room)

    def pause(self) -> None:
        if not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()

    def answered(self, exchange: Exchange, keep_alive: bool) -> None:
        """Go on with the next request, when the rest of this one's body has come."""
        self.resume()
        if not keep_alive or exchange.needs_continue:
            self._close()
        elif exchange.is_body_complete:
            self._exchange = None
            if self._buffer:
                asyncio.get_running_loop().call_soon(self._take_request)

    def cut(self) -> None:
        self._close()

    def open_tunnel(self, received: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        """From now on bytes go to `received`, and the caller's end is told to `ended`."""
        self._tunnel, self._tunnel_ended = received, ended
        data, self._buffer = self._buffer, b""
        if data:
            received(data)

    def close_if_idle(self) -> None:
        if self._exchange is None and not self._buffer:
            self._close()

    # ---

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _let_write(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None

    def _take_request(self) -> None:
        """Start the next call, if its head is here."""
        if self._exchange is not None or not self._buffer:
            return
        try:
            end = http1.head_end(self._buffer)
            if end < 0:
                return
            request = http1.parse_head(self._buffer[:end])
            rest, self._buffer = self._buffer[end:], b""
            exchange = self._exchange = Exchange(self, request)
            if rest:
                self._buffer = exchange.feed(rest)
        except http1.BadRequestError as error:
            self._refuse(error)
        else:
            exchange.task = self._engine.start_call(exchange)

    def _feed(self, exchange: Exchange, data: bytes) -> None:
        try:
            self._buffer += exchange.feed(data)
        except http1.BadRequestError as error:
            self._refuse(error)
            return
        if exchange.is_answered and exchange.is_body_complete:
            self._exchange = None
            self._take_request()
        elif len(self._buffer) > MOST_WAITING_BYTES:
            self.pause()

    def _refuse(self, error: http1.BadRequestError) -> None:
        text = [("content-type", "text/plain; charset=utf-8")]
        response = http1.Response(error.status, text, f"{error}\n".encode())
        exchange = self._exchange
        if exchange is None or exchange.stream is None:
            self.write(http1.encode(response, is_head=False, close=True))
        if exchange is not None and exchange.task is not None:
            exchange.caller_left()  # the connection is closed when the handler has ended
        else:
            self._close()
