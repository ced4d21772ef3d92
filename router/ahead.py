"""Connections to instances, opened before a call needs them: for slots just granted.

An instance whose slots were granted while it loads is asked, over the first, whether it is ready: its own
answer comes sooner than the pool's word.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from msgspec import Struct

from plat.address import Address
from plat.tasks import spawn
from router.http1 import BadResponseError
from router.slots import InstanceSlots
from router.upstream import ConnectionLostError, UnreachableError, UpstreamConnection, connect

OPENED = 32
"""At an instance, at most."""

HEALTH = b"GET /_plat/health HTTP/1.1\r\nHost: instance\r\n\r\n"
ANSWER_LIMIT_BYTES = 64 * 1024


class Health(Struct, frozen=True):
    """What is read of an instance's answer; it holds it back while it loads."""

    function: str = ""
    """Empty: it is no function's yet."""


class Ahead:
    """Whoever needs a connection that is not there yet makes one; so nothing here can fail a call.

    `loaded` hears of each instance that says it is ready, after its connection is there.
    """

    def __init__(
        self,
        loaded: Callable[[str], None],
        connect: Callable[[Address], Awaitable[UpstreamConnection]] = connect,
    ) -> None:
        self._loaded = loaded
        self._connect = connect
        self._asked: dict[str, asyncio.Task[None]] = {}

    def granted(self, instance: InstanceSlots, slots: int) -> None:
        """Told after the slots are in the table, and before a call that waited for them goes on."""
        if not instance.loading:
            self._open(instance, slots)
        elif instance.id not in self._asked:
            asking = spawn(self._ask(instance), "ask whether an instance is ready")
            self._asked[instance.id] = asking
            asking.add_done_callback(lambda _: self._asked.pop(instance.id, None))

    def ended(self, instance: str) -> None:
        """It is gone."""
        if (asking := self._asked.get(instance)) is not None:
            asking.cancel()

    # --- steps

    def _open(self, instance: InstanceSlots, slots: int) -> None:
        missing = min(slots, OPENED) - instance.in_use - len(instance.connections)
        for _ in range(missing):
            spawn(self._open_one(instance), "open ahead")

    async def _open_one(self, instance: InstanceSlots) -> None:
        upstream = await self._try(instance.address)
        if upstream is not None:
            _give(instance, upstream)

    async def _ask(self, instance: InstanceSlots) -> None:
        """Whatever else it answers, the pool will say what becomes of it."""
        upstream = await self._try(instance.address)
        if upstream is None:
            return
        try:
            is_ready = await _says_that_it_is_ready(upstream)
        except BaseException:
            upstream.close()
            raise
        if not is_ready:
            upstream.close()
            return
        _give(instance, upstream)
        self._loaded(instance.id)
        self._open(instance, instance.granted)

    async def _try(self, address: str) -> UpstreamConnection | None:
        try:
            return await self._connect(Address.parse(address))
        except UnreachableError:
            return None  # the call that needs it will say so


async def _says_that_it_is_ready(upstream: UpstreamConnection) -> bool:
    """And the connection can be used again."""
    body = b""
    try:
        await upstream.send(HEALTH)
        head = await upstream.response_head("GET")
        while (piece := await upstream.read()) and len(body) < ANSWER_LIMIT_BYTES:
            body += piece
        health = msgspec.json.decode(body, type=Health)
    except (ConnectionLostError, BadResponseError, msgspec.MsgspecError):
        return False
    if head.status != 200 or not health.function or not upstream.reusable:
        return False
    upstream.finish()
    upstream.used = False  # by no call
    return True


def _give(instance: InstanceSlots, upstream: UpstreamConnection) -> None:
    if instance.gone or len(instance.connections) >= instance.granted:
        upstream.close()
    else:
        instance.connections.insert(0, upstream)  # those in use lately stay on top
