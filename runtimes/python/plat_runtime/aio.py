"""The engine of asynchronous handlers: an asyncio loop in the main thread, a task per call."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from . import pages, tracebacks
from .exchange import Exchange
from .protocol import Http1Protocol

Caller = Callable[[Exchange], Awaitable[None]]


class AsyncEngine:
    """`adopt`, `stop` and `intake_closed` may be called from any thread; the rest from the loop's."""

    def __init__(self, pages_: pages.Pages) -> None:
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.is_stopping = False
        self._pages = pages_
        self._caller: Caller | None = None
        self._protocols: set[Http1Protocol] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_intake_closed = False

    def in_flight(self) -> int:
        return len(self._tasks)

    def adopt(self, sock: socket.socket, data: bytes) -> None:
        self.loop.call_soon_threadsafe(self._adopt, sock, data)

    def stop(self) -> None:
        """From now on every answer closes its connection."""
        self.is_stopping = True

    def intake_closed(self) -> None:
        """Nobody comes any more: `run` returns when nothing is in flight."""
        self.loop.call_soon_threadsafe(self._drain)

    def run(self, caller: Caller) -> None:
        """Serve until stopped and drained."""
        self._caller = caller
        self.loop.run_forever()

    def close(self) -> None:
        """End what the function left running in the loop."""
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    def start_call(self, exchange: Exchange) -> asyncio.Task[None]:
        """The task that serves the exchange; `exchange.ended` is called when it has ended."""
        is_page = exchange.request.path.startswith(pages.PREFIX)
        work = self._serve_page(exchange) if is_page else self._serve(exchange)
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._ended(task, exchange))
        return task

    async def _serve(self, exchange: Exchange) -> None:
        assert self._caller is not None
        await self._caller(exchange)

    async def _serve_page(self, exchange: Exchange) -> None:
        response = self._pages.answer(exchange.request, await exchange.read_all())
        assert response is not None, "a loaded instance holds no request back"
        exchange.respond(response)

    def _ended(self, task: asyncio.Task[None], exchange: Exchange) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not exchange.is_gone:
            tracebacks.log_error(error)
        exchange.ended()
        self._stop_if_drained()

    def _adopt(self, sock: socket.socket, data: bytes) -> None:
        sock.setblocking(False)
        protocol = Http1Protocol(self, data)
        self._protocols.add(protocol)
        connect = self.loop.connect_accepted_socket(lambda: protocol, sock)
        protocol.connecting = self.loop.create_task(connect)

    def left(self, protocol: Http1Protocol) -> None:
        """A protocol's connection is closed."""
        self._protocols.discard(protocol)
        self._stop_if_drained()

    def _drain(self) -> None:
        """Once more round the loop, so that requests that are here already are read, then close."""
        self.loop.call_later(0, self.loop.call_later, 0, self._close_idle)

    def _close_idle(self) -> None:
        self._is_intake_closed = True
        for protocol in list(self._protocols):
            protocol.close_if_idle()
        self._stop_if_drained()

    def _stop_if_drained(self) -> None:
        if self._is_intake_closed and not self._tasks and not self._protocols:
            self.loop.stop()
