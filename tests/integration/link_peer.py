"""One end of a link whose messages a test awaits, one by one."""

import asyncio
from collections.abc import AsyncIterator

from plat.address import Address
from plat.link import Link, connect
from plat.tasks import spawn


class Peer:
    """Of a link that a service accepts; `connected` makes a client's."""

    def __init__(self) -> None:
        self.link = Link(self._hear)
        self._heard: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._watch = spawn(self._wait_for_end(), "end of a link")

    @classmethod
    async def connected(cls, address: Address, page: str = "/feed") -> "Peer":
        peer = cls()
        await connect(address, page, peer.link)
        return peer

    def send(self, message: bytes) -> None:
        self.link.send(message)

    def reads(self, *, goes_on: bool) -> None:
        """Else the other side soon has no room for more."""
        transport = self.link._transport
        assert transport is not None
        (transport.resume_reading if goes_on else transport.pause_reading)()

    async def receive(self) -> bytes:
        """Raises ConnectionResetError when there is nothing more."""
        message = await self._heard.get()
        if message is None:
            raise ConnectionResetError("the link has ended")
        return message

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (message := await self._heard.get()) is not None:
            yield message

    async def close(self) -> None:
        self.link.close()
        await self.link.closed.wait()

    def _hear(self, message: bytes) -> None:
        self._heard.put_nowait(message)

    async def _wait_for_end(self) -> None:
        await self.link.closed.wait()
        self._heard.put_nowait(None)
