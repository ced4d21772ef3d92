"""A connection that carries messages both ways, in order: what is sent leaves in this turn of the event loop.

It begins as a request for a page of a service, with `Upgrade: plat-link`. From the answer on, each side
sends frames: the length of the message in four bytes, the highest first, then the message. An empty one
says only that its sender lives.

Not a WebSocket: that takes a task, a queue and a turn of the loop at each end, for every message.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from aiohttp import web

from plat.address import Address
from plat.logs import get_logger

log = get_logger(__name__)

PROTOCOL: Final = "plat-link"

BEAT_S = 5.0
"""An empty message each time."""

MISSED_BEATS = 3
"""So many times without a word from the other side, and the link is cut."""

MESSAGE_LIMIT = 1 << 26
"""Bytes. The longest, a router's Hello with 10,000 instances, is under one MiB."""

CONNECT_TIMEOUT_S = 10.0
_HEAD_LIMIT = 1 << 16
_LENGTH: Final = 4
CRLF: Final = b"\r\n"


class Link(asyncio.Protocol):
    """One end. `heard` gets each message; what it raises is logged, and ends the link."""

    def __init__(self, heard: Callable[[bytes], None]) -> None:
        self.closed = asyncio.Event()
        self._heard = heard
        self._transport: asyncio.Transport | None = None
        self._below: asyncio.BaseProtocol | None = None
        self._unread = bytearray()
        self._paused = False
        self._missed = 0
        self._beat: asyncio.TimerHandle | None = None

    def open(self, transport: asyncio.Transport) -> None:
        """Take over a connection; the protocol that had it is told when it ends."""
        self._transport = transport
        self._below = transport.get_protocol()
        transport.set_protocol(self)
        self._beat = asyncio.get_running_loop().call_later(BEAT_S, self._beats)

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def backlog(self) -> int:
        """Bytes that were sent and that the other side has no room for yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def send(self, message: bytes) -> bool:
        """Without waiting. False: the link has ended. What was sent just before it ends may be lost."""
        if self._transport is None or self._transport.is_closing():
            return False
        self._transport.write(len(message).to_bytes(_LENGTH, "big") + message)
        return True

    def pause(self) -> None:
        """Hear nothing until `resume`. To be short: what arrives is kept here."""
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._hear()

    def close(self) -> None:
        """After what was sent has left."""
        if self._transport is not None:
            self._transport.close()

    def cut(self) -> None:
        """Now."""
        if self._transport is not None:
            self._transport.abort()

    # --- told by the event loop

    def data_received(self, data: bytes) -> None:
        self._missed = 0
        self._unread += data
        self._hear()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._beat is not None:
            self._beat.cancel()
        self.closed.set()
        if self._below is not None:
            self._below.connection_lost(exc)

    # --- steps

    def _hear(self) -> None:
        unread = self._unread
        while not self._paused and self.is_open and len(unread) >= _LENGTH:
            end = _LENGTH + int.from_bytes(unread[:_LENGTH], "big")
            if end > MESSAGE_LIMIT:
                log.error("a message is too long; cutting the link", length=end - _LENGTH)
                self.cut()
            if len(unread) < end:
                return
            message = bytes(unread[_LENGTH:end])
            del unread[:end]
            if message:
                self._tell(message)

    def _tell(self, message: bytes) -> None:
        try:
            self._heard(message)
        except Exception as error:  # the link ends, and begins anew with the whole truth
            log.error("a message cannot be used; cutting the link", exc_info=error)
            self.cut()

    def _beats(self) -> None:
        self._missed += 1
        if self._missed > MISSED_BEATS:
            log.warning("nothing is heard; cutting the link", for_s=BEAT_S * MISSED_BEATS)
            self.cut()
            return
        self.send(b"")
        self._beat = asyncio.get_running_loop().call_later(BEAT_S, self._beats)


# --- a service's side


async def accept(request: web.Request, link: Link) -> web.StreamResponse:
    """Answer the request with its connection as `link`, and wait until that has ended. Cancellable."""
    if request.headers.get("Upgrade") != PROTOCOL:
        raise web.HTTPUpgradeRequired(text=f"This page is for {PROTOCOL} only.")
    answer = web.StreamResponse(status=101, headers={"Connection": "Upgrade", "Upgrade": PROTOCOL})
    await answer.prepare(request)
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client has left")
    link.open(transport)
    try:
        await link.closed.wait()
    finally:
        link.close()
    return answer


# --- a client's side


async def connect(address: Address, page: str, link: Link) -> None:
    """`link` is open then. Raises OSError, also where the answer is another. Cancellable."""
    request = f"GET {page} HTTP/1.1\r\nHost: service\r\nConnection: Upgrade\r\nUpgrade: {PROTOCOL}\r\n\r\n"
    upgrade = _Upgrade(link, request.encode())
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            if address.path:
                await loop.create_unix_connection(lambda: upgrade, address.path)
            else:
                await loop.create_connection(lambda: upgrade, address.host, address.port)
            await upgrade.done
    except BaseException:
        upgrade.done.cancel()
        upgrade.cut()
        raise


class _Upgrade(asyncio.Protocol):
    """Has the connection until it is a link's."""

    def __init__(self, link: Link, request: bytes) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._link = link
        self._request = request
        self._head = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._head += data
        head, end, rest = bytes(self._head).partition(2 * CRLF)
        if (not end and len(head) < _HEAD_LIMIT) or self.done.done():
            return
        if not head.startswith(b"HTTP/1.1 101 ") or self._transport is None:
            self._fail(f"it answered {head.split(CRLF)[0][:80]!r}")
            return
        self._link.open(self._transport)
        self.done.set_result(None)
        self._link.data_received(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(str(exc or "it was closed"))

    def _fail(self, detail: str) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionResetError(f"the link cannot be opened: {detail}"))

    def cut(self) -> None:
        if self._transport is not None:
            self._transport.abort()
