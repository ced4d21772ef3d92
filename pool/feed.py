"""The pool's two links: the WebSocket that routers connect to, and the one to control.

Both carry the messages of `plat.feed`; what they mean is `dispatch`'s business.
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterator

import aiohttp
import msgspec
from aiohttp import web

from plat.address import Address
from plat.feed import (
    FromControl,
    FromRouter,
    Hello,
    ToRouter,
    decode_from_control,
    decode_from_router,
    encode,
)
from plat.logs import get_logger
from plat.parts import PACE_S
from plat.tasks import cancel, spawn
from plat.web import session_for
from pool.tokens import UsedTokens

log = get_logger(__name__)

RECONNECT_S = (0.02, 1.0)

OUTBOX_LIMIT = 100_000
"""Messages a router may lag behind; one that lags more is cut off, and begins anew."""


class _Link:
    """What one connection of a router has not been sent yet: messages, and the rest of a table."""

    def __init__(self, transport: asyncio.Transport | None) -> None:
        self._outbox: deque[bytes] = deque()
        self._table: Iterator[ToRouter] | None = None
        self._filled = asyncio.Event()
        self._transport = transport

    @property
    def is_full(self) -> bool:
        return len(self._outbox) >= OUTBOX_LIMIT

    def put(self, data: bytes) -> None:
        self._outbox.append(data)
        self._filled.set()

    def put_table(self, messages: Iterator[ToRouter]) -> None:
        self._table = messages
        self._filled.set()

    async def take(self) -> bytes:
        """The oldest message; while none waits, the next of the table, made as late as that."""
        while not self._outbox:
            if self._table is None:
                self._filled.clear()
                await self._filled.wait()
            else:
                await asyncio.sleep(PACE_S)
                self._go_on()
        return self._outbox.popleft()

    def _go_on(self) -> None:
        if self._outbox or self._table is None:
            return
        message = next(self._table, None)
        if message is None:
            self._table = None
        else:
            self._outbox.append(encode(message))

    def cut(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class RouterLinks:
    """The connected routers, by name. Of two connections of one router the newer is the one."""

    def __init__(self) -> None:
        self._links: dict[str, _Link] = {}
        self.received: Callable[[str, FromRouter], None] | None = None
        self.away: Callable[[str], None] | None = None

    def names(self) -> list[str]:
        return list(self._links)

    def send(self, router: str, message: ToRouter) -> None:
        """In order, without waiting. A router that is away hears everything anew when it is back."""
        link = self._links.get(router)
        if link is None:
            return
        if link.is_full:
            log.error("router lags too far behind; cutting it off", router=router)
            link.cut()
        else:
            link.put(encode(message))

    def send_table(self, router: str, messages: Iterator[ToRouter]) -> None:
        """A table of any length, message by message as fast as the router takes it; others overtake it.

        Each is made when all messages before it have left: what it says is newer than they are.
        """
        link = self._links.get(router)
        if link is not None:
            link.put_table(messages)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One router, from its Hello until its connection ends."""
        socket = web.WebSocketResponse(heartbeat=10, max_msg_size=0)
        await socket.prepare(request)
        hello = decode_from_router(await socket.receive_bytes())
        if not isinstance(hello, Hello):
            raise web.HTTPBadRequest(text="the first message must be Hello")
        link = self._links[hello.router] = _Link(request.transport)
        sender = spawn(_send_all(socket, link), f"send to {hello.router}")
        log.info("router connected", router=hello.router, instances=len(hello.held))
        try:
            self._deliver(hello.router, hello)
            async for message in socket:
                if self._links[hello.router] is not link:
                    break  # its Hello over the newer connection says more than what it sent over this one
                if message.type is aiohttp.WSMsgType.BINARY:
                    self._deliver(hello.router, decode_from_router(message.data))
        finally:
            await cancel(sender)
            if self._links[hello.router] is link:
                self._ended(hello.router)
        return socket

    def _ended(self, router: str) -> None:
        del self._links[router]
        log.info("router disconnected", router=router)
        if self.away is not None:
            self.away(router)

    def _deliver(self, router: str, message: FromRouter) -> None:
        if self.received is not None:
            self.received(router, message)


async def _send_all(socket: web.WebSocketResponse, link: _Link) -> None:
    try:
        while True:
            await socket.send_bytes(await link.take())
    except ConnectionError:
        return  # the receiving side sees the end too, and cleans up


async def follow_control(
    address: Address, hear: Callable[[FromControl], Awaitable[None]], used: UsedTokens
) -> None:
    """Hear the tables from control, for ever, and tell it which tokens were used.

    While it is away the last ones stand.
    """
    wait_s = RECONNECT_S[0]
    async with session_for(address) as session:
        while True:
            try:
                async with session.ws_connect("/feed", max_msg_size=0, heartbeat=10) as socket:
                    wait_s = RECONNECT_S[0]
                    await _converse(socket, hear, used)
                log.warning("control is away; going on with the last table")
            except (aiohttp.ClientError, OSError, msgspec.MsgspecError) as error:
                log.debug("control is away", detail=str(error))
            await asyncio.sleep(wait_s * random.uniform(0.5, 1))  # noqa: S311 - jitter, no secret
            wait_s = min(wait_s * 2, RECONNECT_S[1])


async def _converse(
    socket: aiohttp.ClientWebSocketResponse,
    hear: Callable[[FromControl], Awaitable[None]],
    used: UsedTokens,
) -> None:
    teller = spawn(_tell_used(socket, used), "tell control which tokens were used")
    try:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                await hear(decode_from_control(message.data))
    finally:
        await cancel(teller)


async def _tell_used(socket: aiohttp.ClientWebSocketResponse, used: UsedTokens) -> None:
    while True:
        message = await used.take()
        try:
            await socket.send_bytes(encode(message))
        except ConnectionError:
            used.note(message.at)  # the next control is told
            return
