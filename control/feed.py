"""The function table as the pool sees it: the whole of it first, then every change (DESIGN 3).

Knows sockets and messages; what changed is told to `publish` by `control.catalog`.
"""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import WSCloseCode, web

from plat.feed import FromControl, FunctionDropped, FunctionPut, Table, encode
from plat.logs import get_logger
from plat.tasks import cancel, spawn

log = get_logger(__name__)

HEARTBEAT_S = 15

Snapshot = Callable[[Callable[[Table], None]], Awaitable[None]]
"""Calls back with the table at a moment when no change can slip in between."""


class Outbox:
    """What one listener has not been sent yet: at most one message a function, the latest."""

    def __init__(self, table: Table) -> None:
        self._waiting: dict[str, FromControl] = {"": table}
        self._filled = asyncio.Event()
        self._filled.set()

    def put(self, name: str, message: FunctionPut | FunctionDropped) -> None:
        self._waiting.pop(name, None)  # to the end, so that the order is that of the latest messages
        self._waiting[name] = message
        self._filled.set()

    async def take(self) -> list[FromControl]:
        """All that waits, as soon as something does. Cancelling is safe: nothing is taken then."""
        await self._filled.wait()
        self._filled.clear()
        taken, self._waiting = list(self._waiting.values()), {}
        return taken


class Feed:
    """All listeners. `publish` is called in the order of commits and does not block."""

    def __init__(self) -> None:
        self._listeners: dict[web.WebSocketResponse, Outbox] = {}

    def publish(self, message: FunctionPut | FunctionDropped) -> None:
        name = message.function.name if isinstance(message, FunctionPut) else message.name
        for outbox in self._listeners.values():
            outbox.put(name, message)

    async def serve(self, request: web.Request, snapshot: Snapshot) -> web.WebSocketResponse:
        """Feed one listener until it or this service goes."""
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S)
        await socket.prepare(request)
        try:
            await snapshot(lambda table: self._subscribe(socket, table))
            await self._feed(socket, self._listeners[socket])
        finally:
            self._listeners.pop(socket, None)
        return socket

    async def close(self) -> None:
        for socket in list(self._listeners):
            await socket.close(code=WSCloseCode.GOING_AWAY, message=b"control is stopping")

    async def _feed(self, socket: web.WebSocketResponse, outbox: Outbox) -> None:
        sender = spawn(_send(socket, outbox), "control feed: send")
        try:
            async for _ in socket:
                pass  # a listener has nothing to say; reading is how its end is seen
        finally:
            await cancel(sender)

    def _subscribe(self, socket: web.WebSocketResponse, table: Table) -> None:
        self._listeners[socket] = Outbox(table)


async def _send(socket: web.WebSocketResponse, outbox: Outbox) -> None:
    try:
        while True:
            for message in await outbox.take():
                await socket.send_bytes(encode(message))
    except ConnectionError as error:
        log.info("a listener of the function table has gone", detail=str(error))
