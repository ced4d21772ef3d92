"""Connections to instances, opened before a call needs them: for slots just granted, or about to be."""

import asyncio
from collections.abc import Awaitable, Callable

from plat.address import Address
from plat.feed import Coming
from plat.tasks import spawn
from router.slots import InstanceSlots
from router.upstream import UnreachableError, UpstreamConnection, connect

OPENED = 32
"""At an instance, at most."""

COMING = 256
"""Instances that a connection waits for, at most: what never comes must not stay for ever."""


class Ahead:
    """Whoever needs a connection that is not there yet makes one; so nothing here can fail a call."""

    def __init__(self, connect: Callable[[Address], Awaitable[UpstreamConnection]] = connect) -> None:
        self._connect = connect
        self._coming: dict[str, asyncio.Task[UpstreamConnection | None]] = {}

    def coming(self, message: Coming) -> None:
        """An instance whose slots are about to be granted, very likely to this router."""
        if len(self._coming) >= COMING:
            self.ended(next(iter(self._coming)))
        self._coming[message.instance] = spawn(self._try(message.address), "connect to a coming instance")

    def granted(self, instance: InstanceSlots, slots: int) -> None:
        """Told after the slots are in the table, and before a call that waited for them goes on."""
        coming = self._coming.pop(instance.id, None)
        if coming is not None:
            self._keep(instance, coming)
        missing = min(slots, OPENED) - instance.in_use - len(instance.connections)
        for _ in range(missing):
            self._keep(instance, spawn(self._try(instance.address), "open ahead"))

    def ended(self, instance: str) -> None:
        """It is gone."""
        coming = self._coming.pop(instance, None)
        if coming is not None:
            coming.add_done_callback(_close)

    # --- steps

    async def _try(self, address: str) -> UpstreamConnection | None:
        try:
            return await self._connect(Address.parse(address))
        except UnreachableError:
            return None  # the call that needs it will say so

    def _keep(self, instance: InstanceSlots, opening: "asyncio.Task[UpstreamConnection | None]") -> None:
        if opening.done():
            _give(instance, opening)
        else:
            opening.add_done_callback(lambda done: _give(instance, done))


def _give(instance: InstanceSlots, opened: "asyncio.Task[UpstreamConnection | None]") -> None:
    if opened.cancelled() or (upstream := opened.result()) is None:
        return
    if instance.gone or len(instance.connections) >= instance.granted:
        upstream.close()
    else:
        instance.connections.insert(0, upstream)  # those in use lately stay on top


def _close(opened: "asyncio.Task[UpstreamConnection | None]") -> None:
    if not opened.cancelled() and (upstream := opened.result()) is not None:
        upstream.close()
