"""The pool's two links: the one that routers open, and the WebSocket to control.

Both carry the messages of `plat.feed`; what they mean is `dispatch`'s business.
"""

import asyncio
import random
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
from plat.link import Link, accept
from plat.logs import get_logger
from plat.parts import PACE_S
from plat.tasks import cancel, spawn
from plat.web import session_for
from pool.tokens import UsedTokens

log = get_logger(__name__)

RECONNECT_S = (0.02, 1.0)

BACKLOG_LIMIT = 1 << 24
"""Bytes a router may lag behind; one that lags more is cut off, and begins anew."""


class RouterLinks:
    """The connected routers, by name. Of two connections of one router the newer is the one."""

    def __init__(self) -> None:
        self._routers: dict[str, _Connection] = {}
        self.received: Callable[[str, FromRouter], None] | None = None
        self.away: Callable[[str], None] | None = None

    def names(self) -> list[str]:
        return list(self._routers)

    def send(self, router: str, message: ToRouter) -> None:
        """In order, without waiting. A router that is away hears everything anew when it is back."""
        connection = self._routers.get(router)
        if connection is None or not connection.link.is_open:
            return
        if connection.link.backlog > BACKLOG_LIMIT:
            log.error("router lags too far behind; cutting it off", router=router)
            connection.link.cut()
        else:
            connection.link.send(encode(message))

    def send_table(self, router: str, messages: Iterator[ToRouter]) -> None:
        """A table of any length, message by message as fast as the router takes it; others overtake it.

        Each is made when all messages before it have left: what it says is newer than they are.
        """
        connection = self._routers.get(router)
        if connection is not None:
            connection.send_table(messages)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One router, from its Hello until its connection ends."""
        connection = _Connection(self._hear)
        try:
            return await accept(request, connection.link)
        finally:
            self._ended(connection)

    def _hear(self, connection: "_Connection", message: FromRouter) -> None:
        if isinstance(message, Hello):
            connection.router = message.router
            self._routers[message.router] = connection
            log.info("router connected", router=message.router, instances=len(message.held))
        elif self._routers.get(connection.router) is not connection:
            connection.link.cut()  # its Hello over the newer one says more than what it sent over this
            return
        if self.received is not None:
            self.received(connection.router, message)

    def _ended(self, connection: "_Connection") -> None:
        if self._routers.get(connection.router) is not connection:
            return
        del self._routers[connection.router]
        log.info("router disconnected", router=connection.router)
        if self.away is not None:
            self.away(connection.router)


class _Connection:
    """One connection of a router, whose name its Hello says."""

    def __init__(self, heard: Callable[["_Connection", FromRouter], None]) -> None:
        self.link = Link(lambda data: heard(self, decode_from_router(data)))
        self.router = ""
        self._table: Iterator[ToRouter] = iter(())
        self._pacing: asyncio.TimerHandle | None = None

    def send_table(self, messages: Iterator[ToRouter]) -> None:
        """Instead of the rest of the one before."""
        self._table = messages
        if self._pacing is None:
            self._pacing = asyncio.get_running_loop().call_later(PACE_S, self._go_on)

    def _go_on(self) -> None:
        self._pacing = None
        if not self.link.is_open:
            return
        if not self.link.backlog:
            try:
                message = next(self._table, None)
            except Exception as error:  # else the router would wait for the rest for ever
                log.error("a table cannot be told; cutting the link", router=self.router, exc_info=error)
                self.link.cut()
                return
            if message is None:
                return
            self.link.send(encode(message))
        self._pacing = asyncio.get_running_loop().call_later(PACE_S, self._go_on)


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
