"""A client, a router without sockets and an instance with one slot: what is written to whom."""

import asyncio
import re
from typing import cast

from plat.feed import Grant, Route, RouteVersion
from router.clients import Clients
from router.downstream import ClientServer
from router.fastpath import FastConnection
from router.upstream import UpstreamConnection
from tests.unit.router.heads import head
from tests.unit.router.memory import MemoryTransport
from tests.unit.router.tables import calls_of, pool_link

V = "f-1"
ROUTE = Route("f", 1, False, "public", 60.0, None, None, (RouteVersion(V, 1, 1, 30.0),))

GET = head(b"X-Call-Id: a", start=b"GET /function/f/a?b HTTP/1.1")
POST = head(b"X-Call-Id: b", b"Content-Length: 7") + b"a\r\n\r\nbc"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answered(call_id: bytes, *, close: bool = False) -> bytes:
    ending = b"\r\nConnection: close" if close else b""
    return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Call-Id: " + call_id + ending + b"\r\n\r\nok"


class Recording(asyncio.Protocol):
    """Stands where aiohttp's protocol stands."""

    def __init__(self) -> None:
        self.transport: asyncio.BaseTransport | None = None
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data


class Server:
    """Stands where aiohttp's server stands."""

    open = 0

    def __init__(self) -> None:
        self.other = Recording()

    def __call__(self) -> asyncio.Protocol:
        return self.other


class Rig:
    """One client, one instance with one slot, and a connection to it."""

    def __init__(self) -> None:
        link = pool_link()
        link.routes.put(ROUTE)
        self.slots = link.slots
        self.slots.grant(Grant("a", V, "unix:/nowhere", 1), 0.0)
        self.instance = next(iter(self.slots.instances()))
        self.server = Server()
        self.clients = Clients(calls_of(link), cast(ClientServer, self.server), 10)
        self.connect()
        self.upstream = UpstreamConnection()
        self.upstream_transport = MemoryTransport()
        self.upstream.connection_made(self.upstream_transport)
        self.instance.connections.append(self.upstream)

    def connect(self) -> None:
        """A new client."""
        self.client = FastConnection(self.clients)
        self.transport = MemoryTransport()
        self.client.connection_made(self.transport)
        self.server.other = Recording()

    def receive(self, data: bytes) -> None:
        """From the client: to whoever has the connection."""
        if self.transport.protocol is None:
            self.client.data_received(data)
        else:
            self.server.other.data_received(data)

    def statuses(self) -> dict[int, int]:
        """Calls that have ended."""
        return self.clients.calls.metrics._calls["f"].by_status

    def take_request(self) -> bytes:
        """What was written to the instance, without the time."""
        return re.sub(rb"X-Deadline-Ms: \d+", b"X-Deadline-Ms: #", self.upstream_transport.take())

    async def answer(self, data: bytes = OK) -> bytes:
        """The instance's answer, and what the client gets of it."""
        self.upstream.data_received(data)
        await asyncio.sleep(0)
        return self.transport.take()
