"""Clients' connections: aiohttp's, but what is wrong with a request is answered as everywhere else.

A malformed request is a problem answer, counted and not logged: anybody can send garbage.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import StreamReader, web
from aiohttp.web_protocol import _ErrInfo

from plat.errors import PlatError
from plat.logs import get_logger
from plat.web import new_call_id, problem_response
from router.unsent import unsent_bytes

log = get_logger(__name__)

DETAIL_LIMIT = 200

DRAIN_TICK_S = 0.02
CUT_S = 0.1
"""For handlers that are cut to clean up after themselves."""


class ClientConnection(web.RequestHandler):
    """One connection of a client."""

    _body: StreamReader | None = None
    """Of the request that came last, until its handler has ended."""

    def __init__(self, server: web.Server, *, send_timeout_s: float, **options: Any) -> None:
        super().__init__(server, **options)
        self._send_timeout_s = send_timeout_s
        self._look: asyncio.TimerHandle | None = None
        """At a client that has not taken what was written to it."""

    def pause_writing(self) -> None:
        super().pause_writing()
        assert self.transport is not None, "it was written to"
        self._wait_for_reader(self.transport)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_waiting()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_reader(self, transport: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        unsent = unsent_bytes(transport)
        self._look = loop.call_later(self._send_timeout_s, self._cut_unless_reading, transport, unsent)

    def _stop_waiting(self) -> None:
        look, self._look = self._look, None
        if look is not None:
            look.cancel()

    def _cut_unless_reading(self, transport: asyncio.Transport, unsent: int) -> None:
        """As nginx's `send_timeout`. Its handler is cancelled, as when a client leaves."""
        if unsent_bytes(transport) < unsent:
            self._wait_for_reader(transport)
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Tells the reader of a malformed body, for whom aiohttp has no word: it queues an error answer."""
        super().data_received(data)
        if not self._messages:
            return
        message, body = self._messages[-1]
        if not isinstance(message, _ErrInfo):
            self._body = body
        elif self._body is not None and not self._body.is_eof():
            self._body.set_exception(web.RequestPayloadError(_in_one_line(message.message)))
            self._lingering_time = 0  # what follows is no body that could end

    def body_is_done(self, body: StreamReader) -> None:
        """Nobody reads it any more."""
        if self._body is body:
            self._body = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to a request that aiohttp could not read, or whose handler failed unexpectedly."""
        call_id = new_call_id()
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun; no other can follow it")
        if status >= 500:
            log.error("a request failed unexpectedly", call_id=call_id, exc_info=exc)
            error = PlatError("internal", "An unexpected error; the router's log has it under this call id.")
        else:
            detail = f"The request is not valid HTTP/1.1: {_in_one_line(message)}"
            error = PlatError("bad_request", detail)
        response = problem_response(error, call_id)
        response.force_close()
        return response

    def close_if_idle(self) -> None:
        """Closing a connection that has a request under way would drop the rest of its body."""
        if self._waiter is not None:
            self.force_close()


def _in_one_line(message: str | None) -> str:
    return " ".join((message or "").strip().splitlines())[:DETAIL_LIMIT]


Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class ClientServer(web.Server):
    """Makes a `ClientConnection` for each client, and lets each finish its request at the end."""

    def __init__(self, handler: Handler, *, send_timeout_s: float, **options: Any) -> None:
        super().__init__(self._handle, **options)
        self._handler = handler
        self._send_timeout_s = send_timeout_s
        self.open = 0
        """Connections now."""
        self._options = {name: value for name, value in options.items() if name != "handler_cancellation"}
        self._draining = False

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            response = await self._handler(request)
        finally:
            if isinstance(request.protocol, ClientConnection):
                request.protocol.body_is_done(request.content)
        if self._draining:
            response.force_close()
        return response

    def pre_shutdown(self) -> None:
        self._draining = True

    async def shutdown(self, timeout: float | None = None) -> None:
        """Wait until requests under way are answered, `timeout` seconds at most; then cut the rest."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (timeout or 0)
        while self.connections and loop.time() < deadline:
            self._close_idle()
            await asyncio.sleep(DRAIN_TICK_S)
        await super().shutdown(CUT_S)

    def _close_idle(self) -> None:
        for connection in self.connections:
            if isinstance(connection, ClientConnection):
                connection.close_if_idle()

    def __call__(self) -> ClientConnection:
        return ClientConnection(self, loop=self._loop, send_timeout_s=self._send_timeout_s, **self._options)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self.open += 1

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self.open -= 1
